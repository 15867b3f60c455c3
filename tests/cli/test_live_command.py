"""The command `impasto live`: rejected options and stopping."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from films import film, write_film
from pages import ask, bearer, place
from PIL import Image

from impasto.cli import main

RUN = [sys.executable, "-c", "from impasto.cli import main; main()", "live"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A style image and a clip, as arguments."""
    folder = tmp_path_factory.mktemp("live")
    Image.new("RGB", (48, 48), (200, 40, 30)).save(folder / "red.png")
    write_film(folder / "c.mp4", film(12))
    return [str(folder / "red.png"), "--input", str(folder / "c.mp4")]


def failure(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["live", *arguments])
    return stopped.value.code, capsys.readouterr().err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_it_says_how_to_install_it(inputs, capsys, monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith("impasto.server")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert failure(capsys, *inputs) == (
        2,
        "impasto: impasto live requires starlette and uvicorn; install them with pip install 'impasto[studio]'.\n",
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--camera", "0"], "--camera and --input are mutually exclusive"),
        (["--seconds", "nan"], "--seconds must be a positive number; got nan"),
        (["--seconds", "inf"], "--seconds must be a positive number; got inf"),
        (["--seconds", "0"], "--seconds must be a positive number; got 0"),
        (["--size", "31"], "--size must be at least 32; got 31"),
    ],
)
def test_impossible_commands_end_with_one_sentence(inputs, capsys, more, said):
    code, error = failure(capsys, *inputs, *more)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_port_in_use_is_one_sentence(inputs, capsys):
    from impasto.server import Service

    service = Service([], 0)
    try:
        code, error = failure(capsys, *inputs, "--port", str(service.port), "--no-browser")
    finally:
        service.stop()
    assert code == 4
    assert re.fullmatch(
        r"impasto: port \d+ cannot be opened \(.*\); choose another with --port, .*\n", error
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_in_order(inputs, number):
    process = subprocess.Popen(
        [*RUN, *inputs, "--size", "64", "--port", "0", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed = process.stdout.readline()
        port, token = place(re.search(r"http://\S+", printed)[0])
        ends = time.monotonic() + 60
        while b'"number": 0' in ask(port, "/figures", bearer(token)).body:
            assert time.monotonic() < ends
            time.sleep(0.1)
        process.send_signal(number)
        out, error = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, error) == (0, "")
    assert re.fullmatch(r"painted \d+ frames at [\d.]+ fps, \d+ ms latency, \d+ dropped\n", out)


def test_what_others_wait_for_is_released_while_an_operation_goes_on():
    # A call that takes minutes and cannot be interrupted, like an operation of a large network.
    code = """
import hashlib
from impasto.cli._signals import stopping_on_signal
with stopping_on_signal(lambda: print("released", flush=True)):
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha512", b"x", b"x", 2_000_000_000)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "busy\n"
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGTERM)
            assert process.stdout.readline() == "released\n"
            assert process.poll() is None
        finally:
            process.kill()


def test_signals_are_as_before_afterwards():
    from impasto.cli._signals import stopping_on_signal

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stopped = []

    def interrupted():
        with stopping_on_signal(lambda: stopped.append(1)):
            signal.raise_signal(signal.SIGTERM)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stopped == [1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
