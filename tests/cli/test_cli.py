"""The command in a separate process: exit codes, exact output, and the files written or not written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

QUICK = ["--size", "64", "--steps", "2", "--coarsest", "32"]


def impasto(*arguments, **kwargs):
    command = [sys.executable, "-c", "from impasto.cli import main; main()", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, **kwargs
    )


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[0:64, 0:80]
    waves = lambda k: np.stack([127 + 120 * np.sin((x * k + y * c) / 9) for c in (1, 2, 3)], axis=2)  # noqa: E731
    for name, k in (("photo", 1), ("other", 3), ("painting", 5), ("print", 8)):
        Image.fromarray(waves(k).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


# --- help and lists ---------------------------------------------------------------------------------------
def test_help_is_instant_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom impasto.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as e: assert not e.code\n"
        "assert not {'torch', 'numpy', 'PIL', 'av'} & set(sys.modules), sys.modules.keys()\n"
        "import time; print(time.process_time())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "image" in run.stdout
    assert float(run.stdout.splitlines()[-1]) < 2  # CPU seconds; usually 0.3


def test_every_option_is_in_the_help():
    from impasto.config import PaintOptions, option_fields

    text = impasto("image", "--help-all", env={**os.environ, "COLUMNS": "200"}).stdout
    missing = [
        f.name for f in option_fields(PaintOptions) if "--" + f.name.replace("_", "-") not in text
    ]
    assert missing == []


def test_backbones_and_doctor():
    names = impasto("backbones")
    assert names.returncode == 0
    assert "vgg19-lite" in names.stdout
    report = json.loads(impasto("doctor", "--json").stdout)
    assert report["weights"]["vgg19-lite"] == "in the package"
    assert report["one step at 512x384"]["vgg19-lite, lbfgs"].endswith(" ms")


# --- painting ---------------------------------------------------------------------------------------------
def test_paints_repeats_and_remembers(tmp_path, pictures):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    run = impasto(
        "image",
        pictures / "photo.png",
        pictures / "painting.png",
        "-o",
        first,
        *QUICK,
        "--seed",
        "7",
        "--start",
        "noise",
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert f"painted {first} (64x51 px" in run.stderr
    assert "the content image is 80x64; --size 0 keeps its size" in run.stderr
    with Image.open(first) as image:
        assert image.size == (64, 51)
        settings = json.loads(json.loads("".join(image.text["impasto"]))["impasto"])
    assert settings["options"]["seed"] == 7
    assert settings["content"] == "photo.png"
    # The image itself serves as a config and reproduces the same pixels.
    again = impasto(
        "image",
        pictures / "photo.png",
        pictures / "painting.png",
        "-o",
        second,
        "--config",
        first,
        "-p",
        "draft",
    )
    assert again.returncode == 0, again.stderr
    assert np.array_equal(pixels_of(first), pixels_of(second))


def test_json_lines(tmp_path, pictures):
    run = impasto(
        "image",
        pictures / "photo.png",
        pictures / "painting.png",
        "-o",
        tmp_path / "a.jpg",
        *QUICK,
        "--json",
    )
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert [e["event"] for e in events] == ["task", "start"] + ["iterate"] * 2 + ["done"]
    assert events[2]["terms"].keys() == {"content", "style", "grain"}
    assert events[-1]["output"] == str(tmp_path / "a.jpg")


def test_a_folder_of_contents_with_every_style(tmp_path, pictures):
    inside = tmp_path / "in"
    inside.mkdir()
    for name in ("photo", "other"):
        Image.open(pictures / f"{name}.png").save(inside / f"{name}.png")
    out = tmp_path / "out"
    arguments = [
        "image",
        inside,
        pictures / "painting.png",
        pictures / "print.png",
        "-o",
        out,
        *QUICK,
        "--quiet",
    ]
    run = impasto(*arguments)
    assert run.returncode == 0, run.stderr
    assert sorted(p.name for p in out.iterdir()) == [
        "other-painting.png", "other-print.png", "photo-painting.png", "photo-print.png",
    ]  # fmt: skip
    before = (out / "other-print.png").stat().st_mtime_ns
    assert impasto(*arguments, "--no-overwrite").returncode == 0
    assert (out / "other-print.png").stat().st_mtime_ns == before
    blended = impasto(*arguments[:4], "-o", tmp_path / "blend", *QUICK, "--blend", "1,2")
    assert blended.returncode == 0, blended.stderr
    assert sorted(p.name for p in (tmp_path / "blend").iterdir()) == [
        "other-painting-print.png", "photo-painting-print.png",
    ]  # fmt: skip


def test_steps_timelapse_and_config(tmp_path, pictures):
    run = impasto(
        "image", pictures / "photo.png", pictures / "painting.png", "-o", tmp_path / "a.png", *QUICK,
        "--save-every", "1", "--timelapse", tmp_path / "t.gif", "--save-config", tmp_path / "c.toml",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["a.png", "a.step00001.png", "a.step00002.png", "c.toml", "t.gif"]
    with Image.open(tmp_path / "t.gif") as film:
        assert film.n_frames == 2
    assert "steps = [" in (tmp_path / "c.toml").read_text()


def test_a_film_of_the_painting(tmp_path, pictures):
    av = pytest.importorskip("av")
    run = impasto(
        "image",
        pictures / "photo.png",
        pictures / "painting.png",
        "-o",
        tmp_path / "a.png",
        *QUICK,
        "--timelapse",
        tmp_path / "t.mp4",
    )
    assert run.returncode == 0, run.stderr
    with av.open(str(tmp_path / "t.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 2
    last = pixels_of(tmp_path / "a.png")[:50]
    assert np.abs(frames[-1].astype(int) - last).mean() < 12


def test_sixteen_bits_and_alpha_go_through(tmp_path, pictures):
    from impasto.media import Picture, read_image, write_image

    rgb = read_image(pictures / "photo.png").rgb
    alpha = np.zeros(rgb.shape[:2], np.float32)
    alpha[:, 40:] = 1
    write_image(tmp_path / "deep.png", Picture(rgb=rgb, alpha=alpha, bits=16))
    run = impasto(
        "image", tmp_path / "deep.png", pictures / "painting.png", "-o", tmp_path / "a.png", *QUICK
    )
    assert run.returncode == 0, run.stderr
    found = read_image(tmp_path / "a.png")
    assert found.bits == 16
    assert found.alpha is not None
    assert found.alpha[:, 5].max() < 0.1
    assert found.alpha[:, -5].min() > 0.9


# --- interrupting and resuming ----------------------------------------------------------------------------
@pytest.mark.slow
def test_ctrl_c_keeps_the_picture_and_a_killed_run_goes_on_exactly(tmp_path, pictures):
    run = [
        "image",
        pictures / "photo.png",
        pictures / "painting.png",
        "--size",
        "80",
        "--steps",
        "60",
        "--coarsest",
        "0",
    ]
    assert impasto(*run, "-o", tmp_path / "whole.png").returncode == 0
    keep = ["--checkpoint", tmp_path / "c", "--checkpoint-every", "7", "--json"]
    for number, stop in enumerate((signal.SIGINT, signal.SIGKILL)):
        out = tmp_path / f"part{number}.png"
        command = [
            sys.executable,
            "-c",
            "from impasto.cli import main; main()",
            *map(str, [*run, "-o", out, *keep]),
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for line in process.stdout:
            if json.loads(line).get("total_step") == 20:
                process.send_signal(stop)
                break
        process.communicate()
        if stop is signal.SIGINT:
            assert process.returncode == 130
            assert out.exists()
        resumed = impasto(*run, "-o", out, *keep, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        assert np.array_equal(pixels_of(out), pixels_of(tmp_path / "whole.png"))
        (tmp_path / "c").unlink()


# --- one-sentence errors ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (["--preset", "standrad"], 2, "Did you mean 'standard'"),
        (["--solver", "lbgfs"], 2, "lbfgs"),
        (["--strength", "9"], 2, "--strength must be between 0 and 4; got 9"),
        (["--steps", "ten"], 2, "--steps must be comma-separated integers; got 'ten'"),
        (["--style-layers", "relu9_1"], 2, "unknown layer 'relu9_1'"),
        (["--blend", "1,2"], 2, "weights: 2, styles: 1"),
        (["--backbone", "vgg19"], 5, "--weights FILE"),
        (["--weights", "none.safetensors"], 3, "does not exist; check the path"),
        (["--memory-gib", "0.46", "--size", "2000"], 6, "GiB"),
        (["--config", "none.toml"], 3, "there is no file none.toml"),
        (["--resume"], 2, "pass it with --checkpoint"),
        (["--start", "file"], 2, "--start-file"),
        (["--quality", "101"], 2, "--quality must be between 1 and 100; got 101"),
        (["--timelapse", "t.avi"], 2, ".gif or .mp4"),
        (["--device", "cuda:7"], 2, "is not available on this machine"),
    ],
)
def test_bad_options(tmp_path, pictures, change, code, message):
    out = tmp_path / "a.png"
    run = impasto("image", pictures / "photo.png", pictures / "painting.png", "-o", out, *change)
    assert run.returncode == code, run.stderr
    assert message in run.stderr + run.stdout
    assert "Traceback" not in run.stderr
    assert not out.exists()


def test_bad_config_names_the_option(tmp_path, pictures):
    (tmp_path / "c.toml").write_text("stepps = [3]\n")
    run = impasto(
        "image",
        pictures / "photo.png",
        pictures / "painting.png",
        "-o",
        tmp_path / "a.png",
        "--config",
        tmp_path / "c.toml",
    )
    assert run.returncode == 2
    assert "Did you mean 'steps'" in run.stderr


def test_debug_shows_the_traceback(tmp_path):
    run = impasto("image", "none.png", "none.png", "-o", tmp_path / "a.png", "--debug")
    assert "Traceback" in run.stderr


def test_regions_are_written_and_given_back(tmp_path, pictures):
    two = pictures / "photo.png", pictures / "painting.png"
    run = impasto("regions", *two, "-o", tmp_path / "r", "--count", 2)
    assert run.returncode == 0, run.stderr
    assert "of the content" in run.stdout
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "content_regions.png",
        "overlay.png",
        "style_regions.png",
    ]
    masks = [
        f"--{role}-regions={tmp_path / 'r' / role}_regions.png" for role in ("content", "style")
    ]
    quick = ("--size", 48, "--steps", 2, "--coarsest", 0)
    run = impasto("image", *two, "-o", tmp_path / "out.png", *masks, *quick)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--box", "1,2,3"), "--box must be left,top,width,height"),
        (("--box", "0,0,900,9"), "within 80x64 px"),
        (("--find", "semantic"), "pass its folder with --segmenter"),
        (("--count", 40), "--count must be between 2 and 9; got 40"),
        (("--box", "1,1,30,30", "--scribble", "photo.png"), "are mutually exclusive"),
    ],
)
def test_bad_regions(tmp_path, pictures, arguments, message):
    run = impasto("regions", pictures / "photo.png", "-o", tmp_path / "r", *arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "r").exists()


def test_a_look_of_ones_own_from_the_first_line_to_the_film(tmp_path, pictures):
    """Trains a look, paints an image with it, resumes training, and rejects incompatible options."""
    small = (
        "--steps",
        2,
        "--crop",
        48,
        "--batch",
        1,
        "--width",
        8,
        "--style-size",
        64,
        "--validate-every",
        1,
    )
    look = tmp_path / "my.look"
    run = impasto("train", pictures / "painting.png", "-o", look, "--photos", pictures, *small)
    assert run.returncode == 0, run.stderr
    beside = {p.name for p in tmp_path.iterdir()}
    assert beside == {"my.look", "my.look.checkpoint", "my.look.samples.png", "my.look.curves.png"}
    run = impasto("image", pictures / "photo.png", "-o", tmp_path / "out.png", "--look", look)
    assert run.returncode == 0, run.stderr
    assert pixels_of(tmp_path / "out.png").shape == (410, 512, 3)
    more = ("--steps", 3, *small[2:], "--photos", pictures, "--resume", "--json")
    run = impasto("train", pictures / "painting.png", "-o", look, *more)
    steps = [json.loads(line) for line in run.stdout.splitlines()]
    assert [s["step"] for s in steps if s["event"] == "step"] == [3]
    both = ("image", pictures / "photo.png", pictures / "painting.png", "-o", tmp_path / "o.png")
    run = impasto(*both, "--look", look)
    assert run.returncode == 2
    assert "has a built-in style" in run.stderr
    run = impasto("image", pictures / "photo.png", "-o", tmp_path / "o.png")
    assert run.returncode == 2
    assert "no style was given" in run.stderr
    run = impasto("train", pictures / "painting.png", "-o", tmp_path / "x.pth")
    assert run.returncode == 2
