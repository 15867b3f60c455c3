"""The command line: invalid arguments, closed and full outputs, library messages, internal errors."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import threading
import warnings

import pytest
from helpers import painting, photograph
from PIL import Image

from impasto.cli import _main, main
from impasto.cli._main import explain
from impasto.text import printable, shortened, shown

CODE = [sys.executable, "-m", "impasto"]


@pytest.fixture
def pictures(tmp_path):
    for name, image in (("photo", photograph(40, 48)), ("painting", painting(40, 40))):
        pixels = (image[0].permute(1, 2, 0).numpy() * 255).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def command(*arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


def process(words, **places):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(words, **{**pipes, **places}, text=True, check=False)


def raising(monkeypatch, error):
    """Runs the command with its work replaced by a function that raises."""

    def work(_tokens):
        raise error

    monkeypatch.setattr(_main, "run_command", work)
    return command("image")


# --- arguments --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["image"], "CONTENT is missing; see impasto image --help."),
        (["image", "a", "b"], "--out is missing; see impasto image --help."),
        (["image", "a", "b", "-o"], "-o requires a value; see impasto image --help."),
        (["imagee"], "Did you mean"),
        (["image", "a", "b", "-o", "x.png", "--sice", "3"], "Did you mean --size?"),
        (["image", "a", "b", "-o", "x.png", "--size", "ten"], 'unable to convert "ten" into int'),
        (["image", "a", "b", "-o", "x.png", "--size", "1" * 5000], "unable to convert"),
        (["image", "a", "b", "-o", "x.png", "--size", "\x1b[31m"], r"\x1b[31m"),
        (["image", "a", "b", "-o", "x.png", "--steps", ""], "--steps is empty"),
        (["image", "a", "b", "-o", "x.png", "--steps", "1e9"], "--steps must be comma-separated integers"),
        (["image", "a", "b", "-o", "x.png", "--seed", str(2**64)], "--seed must be between 0 and"),
        (["image", "a", "b", "-o", "x.png", "--seed", "2^64"], "unable to convert"),
        (["image", "a", "b", "-o", "x.png", "--device", "meta"], "must be auto, cpu, cuda, cuda:N or mps; got 'meta'"),
        (["image", "a", "b", "-o", "x.png", "--regions", "auto", "--assign", "white=²"], "such as white=1"),
        (["image", "a", "b", "-o", "x.png", "--style-weight", "inf"], "--style-weight must be between 0 and"),
        (["image", "a", "b", "-o", "x.png", "--memory-gib", "inf"], "--memory-gib must be between 0.05 and 1000000000"),
        (["image", "a", "b", "-o", "x.png", "--blend", "nan"], "--blend must be between 0 and 1000000000; got nan"),
        (["video", "a", "b", "-o", "x.mp4", "--to", "inf"], "--to must be between 0 and 1000000000; got inf"),
        (["flow", "a", "-o", "x", "--from", "nan"], "--from must be between 0 and 1000000000; got nan"),
        (["measure", "video", "a", "b", "--gaps", ""], "--gaps must be numbers of frames between 1 and 500; got ''"),
        (["measure", "video", "a", "b", "--gaps", "0"], "--gaps must be numbers of frames between 1 and 500; got '0'"),
        (["measure", "video", "a", "b", "--every", "0"], "--every must be between 1 and 2147483647; got 0"),
        (["study", "losses", "-o", "x", "--workers", "0"], "--workers must be between 1 and 1024; got 0"),
        (["train", "a", "-o", "x.look", "--learning-rate", "nan"], "must be between 1e-07 and 1; got nan"),
        (["image", "a\0", "b", "-o", "x.png"], "argument 2, 'a\\x00', contains a NUL byte"),
        (["image", "a", "b", "-o", "o\udcff.mp4"], "argument 5, 'o\\udcff.mp4', is not UTF-8"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("impasto: ")
    assert told.err.count("\n") == 1
    assert sentence in told.err
    assert len(told.err) < 600
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_utf8_are_refused_by_the_process(tmp_path):
    run = subprocess.run(
        [*CODE, "video", "clip.mp4", "style.png", "-o", b"o\xff.mp4"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 2
    assert run.stderr.endswith(b"is not UTF-8; rename the file, or set a UTF-8 locale.\n")


def test_names_cannot_move_the_cursor(pictures, capsys):
    name = "ph\x1b[2Joto\x9b\n\u202e.png"
    os.rename(pictures / "photo.png", pictures / name)
    quick = ("--size", 48, "--steps", 1, "--coarsest", 0)
    out = pictures / "o\x07.png"
    assert command("image", pictures / name, pictures / "painting.png", "-o", out, *quick) == 0
    told = capsys.readouterr().err
    assert r"ph\x1b[2Joto\x9b\n\u202e.png" in told
    assert r"o\x07.png" in told
    assert not set("\x07\x9b\u202e") & set(told)
    assert command("image", pictures / "no\x1b[2J.png", pictures / name, "-o", out, *quick) == 3
    assert r"no\x1b[2J.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value"), [("WORLD_SIZE", "x"), ("WORLD_SIZE", ""), ("RANK", "²")]
)
def test_an_environment_that_torchrun_did_not_set(pictures, monkeypatch, capsys, variable, value):
    monkeypatch.setenv(variable, value)
    assert command("train", pictures / "painting.png", "-o", pictures / "x.look") == 2
    assert f"the environment variable {variable} must be an integer" in capsys.readouterr().err


# --- outputs ----------------------------------------------------------------------------------------------
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["backbones"]])
def test_a_full_output_is_one_sentence(arguments):
    with open("/dev/full", "w") as full:
        run = process([*CODE, *arguments], stdout=full)
    assert run.returncode == 4
    assert run.stderr.count("\n") == 1
    assert "no space left on device" in run.stderr


def test_a_reader_that_has_gone_is_no_error_of_ours():
    read, write = os.pipe()
    os.close(read)
    run = process([*CODE, "--help"], stdout=write)
    os.close(write)
    assert run.returncode == 1
    assert run.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors in a shell")
def test_closed_descriptors_are_written_to_by_nobody(pictures):
    words = [*CODE, "image", "photo.png", "painting.png", "-o", "o.png", "--size", "48", "--steps", "1", "--coarsest",
             "0"]  # fmt: skip
    run = subprocess.run(
        ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *words], cwd=pictures, check=False, env=dict(os.environ)
    )  # fmt: skip
    assert run.returncode == 0
    with Image.open(pictures / "o.png") as image:
        image.verify()


# --- unexpected exceptions --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ZeroDivisionError("a\nb\x1b"), 70, "internal error: ZeroDivisionError: a b\\x1b; run again"),
        (RecursionError("x" * 10_000), 70, "internal error: RecursionError: xxx"),
        (MemoryError(), 6, "out of memory"),
        (PermissionError(errno.EACCES, "Permission denied", "folder\x1b"), 3, "cannot be read or written"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 3, "file name too long"),
        (KeyboardInterrupt(), 130, "interrupted."),
        (OSError("strange"), 70, "internal error: OSError: strange"),
    ],
)  # fmt: skip
def test_every_exception_is_one_sentence(monkeypatch, capsys, error, code, sentence):
    assert raising(monkeypatch, error) == code
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert sentence in told
    assert "\x1b" not in told
    assert explain(error)[1] == code


def test_debug_shows_the_traceback_and_keeps_the_code(monkeypatch, capsys):
    def work(_tokens):
        raise ZeroDivisionError

    monkeypatch.setattr(_main, "run_command", work)
    assert command("image", "--debug") == 70
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.rstrip().endswith("run again with --debug, and report the traceback.")


# --- library messages -------------------------------------------------------------------------------------
def noisy(_tokens):
    """Emits messages in all the ways that libraries do, and one message of our own."""
    os.write(2, b"libpng: noise\n")
    warnings.warn("noise", stacklevel=1)
    logging.getLogger("tifffile").error("noise")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    print("our words", file=sys.stderr)
    return 0


@pytest.mark.parametrize("capture", ["capsys", "capfd"])
def test_only_our_words_are_printed(monkeypatch, request, capture):
    monkeypatch.setattr(_main, "run_command", noisy)
    captured = request.getfixturevalue(capture)
    before = os.fstat(2).st_ino, sys.stderr
    assert command("image") == 0
    assert captured.readouterr().err == "our words\n"
    assert (os.fstat(2).st_ino, sys.stderr) == before
    os.write(2, b"later\n")
    if capture == "capfd":
        assert captured.readouterr().err == "later\n"


NOISY = """
import os, sys
from impasto.cli import _main
def work(_tokens):
    os.write(2, b"noise\\n")
    print(sys.stderr.isatty(), sys.stderr.encoding.lower(), file=sys.stderr)
    return 0
_main.run_command = work
_main.main(["image", *sys.argv[1:]])
"""


@pytest.mark.parametrize("debug", [False, True])
def test_in_a_process_and_with_debug(debug):
    words = ["--debug"] if debug else []
    run = process([sys.executable, "-c", NOISY, *words])
    assert run.returncode == 0
    assert run.stderr == ("noise\n" if debug else "") + "False utf-8\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
def test_a_terminal_stays_a_terminal():
    import pty

    ours, theirs = pty.openpty()
    run = process([sys.executable, "-c", NOISY], stderr=theirs)
    os.close(theirs)
    told = os.read(ours, 1000)
    os.close(ours)
    assert run.returncode == 0
    assert told == b"True utf-8\r\n"


# --- text -------------------------------------------------------------------------------------------------
def test_text_that_is_safe_to_print():
    assert printable("plain é 日本 \u202f👨\u200d👩") == "plain é 日本 \u202f👨\u200d👩"
    assert printable("\x1b\r\n\x9b\udcff\u2028\u202e") == r"\x1b\r\n\x9b\udcff\u2028\u202e"
    assert shortened("x" * 99, 10) == "x" * 7 + "..."
    deep = []
    for _ in range(10**5):
        deep = [deep]
    for value in (deep, 10**5000, [10**5000], {"a": deep}, "\x1b" * 10**6, b"\xff" * 10**6):
        assert len(shown(value)) <= 60
