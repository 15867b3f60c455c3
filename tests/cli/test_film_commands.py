"""Video commands: killed and resumed, interrupted, rejected, measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from films import decoded, film, packets_of, stored, write_film
from PIL import Image

from impasto.media.video import open_clip, read_film_metadata, video_times

QUICK = ["--opening-steps", "2", "--frame-steps", "2", "--coarsest", "0"]
CODE = [sys.executable, "-c", "from impasto.cli import main; main()"]


def impasto(*arguments):
    return subprocess.run(
        [*CODE, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=180
    )


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "clip.mp4", film(10, cut=6), sound=True)
    y, x = np.mgrid[0:64, 0:64]
    waves = np.stack([127 + 120 * np.sin((3 * x + c * y) / 9) for c in (1, 2, 3)], axis=2)
    Image.fromarray(waves.astype(np.uint8)).save(folder / "style.png")
    return folder


def read(path):
    return open_clip(path).frames((64, 96))


def painted_frames(folder):
    return len(list(folder.glob("*.1.png"))) if folder.is_dir() else 0


def start(*arguments):
    return subprocess.Popen(
        [*CODE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # SIGINT is ignored when the tests run in the background, and children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip


def wait_for_frames(process, folder, count):
    ends = time.monotonic() + 120
    while painted_frames(folder) < count and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.01)


def test_killed_at_several_points_it_goes_on_to_the_byte(tmp_path, things):
    whole = impasto(
        "video", things / "clip.mp4", things / "style.png", "-o", tmp_path / "whole.mp4", *QUICK,
        "--keep-frames",
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    out, kept = tmp_path / "out.mp4", tmp_path / "out.mp4.frames"
    command = ["video", things / "clip.mp4", things / "style.png", "-o", out, *QUICK]
    for count in (1, 4, 7):
        process = start(*command, *(["--resume"] if kept.exists() else []))
        wait_for_frames(process, kept, count)
        process.kill()  # SIGKILL: no cleanup is possible
        process.communicate()
        assert painted_frames(kept) >= count
        assert not out.exists()
    done = impasto(*command, "--resume", "--json", "--keep-frames")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["done"] >= 7
    assert events[-1]["frames"] == 10
    frames = stored(kept)
    assert len(frames) == len(decoded(out)) == 10
    for one, other in zip(stored(tmp_path / "whole.mp4.frames"), frames, strict=True):
        assert np.array_equal(one, other)
    assert packets_of(out, "audio") == packets_of(things / "clip.mp4", "audio")
    assert video_times(out) == video_times(things / "clip.mp4")
    again = impasto(*command, "--resume")
    assert again.returncode == 0, again.stderr
    assert not kept.exists()


def test_ctrl_c_leaves_a_film_of_what_is_done(tmp_path, things):
    out, kept = tmp_path / "out.mp4", tmp_path / "out.mp4.frames"
    process = start(
        "video",
        things / "clip.mp4",
        things / "style.png",
        "-o",
        out,
        "--frame-steps",
        "150",  # long enough that the video cannot be finished before the signal arrives
        "--opening-steps",
        "3",
    )
    wait_for_frames(process, kept, 2)
    process.send_signal(signal.SIGINT)
    _out, told = process.communicate(timeout=180)
    assert process.returncode == 130, told
    assert "continue with --resume" in told
    assert 2 <= len(decoded(out)) < 10
    again = impasto("video", things / "clip.mp4", things / "style.png", "-o", out, "--frame-steps", "150",
                    "--opening-steps", "3")  # fmt: skip
    assert again.returncode == 2
    assert "continue with --resume or delete them with --fresh" in again.stderr


def test_preview_is_short_and_small_and_settings_come_back(tmp_path, things):
    out = tmp_path / "out.mp4"
    run = impasto("video", things / "clip.mp4", things / "style.png", "-o", out, *QUICK, "--preview", "--size", "64",
                  "--save-config", tmp_path / "used.toml")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.preview.mp4", "used.toml"]
    assert decoded(tmp_path / "out.preview.mp4")[0].shape == (42, 64, 3)
    again = impasto("video", things / "clip.mp4", things / "style.png", "-o", out, "--config",
                    tmp_path / "out.preview.mp4", "--to", "0.1")  # fmt: skip
    assert again.returncode == 0, again.stderr
    settings = read_film_metadata(out)
    assert settings["options"]["size"] == 64
    assert settings["film"]["frame_steps"] == [2]
    assert settings["film"]["end"] == 0.1


def test_a_plan_and_painted_keyframes_make_a_film_without_a_style(tmp_path, things):
    clip = things / "clip.mp4"
    planned = impasto("plan", clip, "-o", tmp_path / "plan.json", "--keyframe-every", "4")
    assert planned.returncode == 0, planned.stderr
    assert "10 frames, 2 shots" in planned.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"plan.json", "plan.png"}
    written = impasto(
        "keyframes", clip, "-o", tmp_path / "frames", "--plan", tmp_path / "plan.json"
    )
    assert written.returncode == 0, written.stderr
    numbers = [int(file.stem) for file in sorted((tmp_path / "frames").iterdir())]
    assert numbers[0] == 0
    assert 6 in numbers
    given = [
        f"--keyframe={number}={tmp_path / 'frames' / f'{number:06d}.png'}" for number in numbers
    ]
    out = tmp_path / "out.mkv"
    run = impasto("video", clip, "-o", out, *given, "--codec", "ffv1")
    assert run.returncode == 0, run.stderr
    for one, other in zip(read(out), read(clip), strict=True):
        apart = np.abs(one.pixels.astype(int) - other.pixels.astype(int)).mean()
        assert apart < (2 if one.index in numbers else 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "clip.mp4", "-o", "plan.txt"], "a plan is written as .json"),
        (["plan", "clip.mp4", "-o", "p.json", "--keyframe-every", "0"], "must be at least 1 for a plan"),
        (["video", "clip.mp4", "-o", "o.mp4", "--keyframe", "first.png"], "frame number or a time"),
        (["video", "clip.mp4", "-o", "o.mp4", "--keyframe", "0=style.png"], "use a picture of the same shape"),
        (["video", "clip.mp4", "style.png", "-o", "o.mp4", "--plan", "style.png"], "is not a plan"),
    ],
)  # fmt: skip
def test_a_plan_or_keyframe_that_does_not_fit_is_one_sentence(tmp_path, things, arguments, message):
    inputs = {name: str(things / name) for name in ("clip.mp4", "style.png")}
    named = [inputs.get(a, a.replace("=style.png", f"={things / 'style.png'}")) for a in arguments]
    at = named.index("-o") + 1
    named[at] = str(tmp_path / named[at])
    run = impasto(*named)
    assert run.returncode == 2 or "not a plan" in message
    assert run.returncode != 0
    assert message in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_flow_and_measure(tmp_path, things):
    run = impasto(
        "flow", things / "clip.mp4", "-o", tmp_path / "motion", "--to", "0.13", "--fields", "flo"
    )
    assert run.returncode == 0, run.stderr
    names = {p.name for p in (tmp_path / "motion").iterdir()}
    assert {"000001_flow.png", "000003_reliability.png", "from_000001_to_000000.flo"} <= names
    out = tmp_path / "out.mp4"
    painted = impasto("video", things / "clip.mp4", things / "style.png", "-o", out, *QUICK, "--to", "0.13",
                      "--flow", "files", "--flow-files", tmp_path / "motion", "--no-anchor")  # fmt: skip
    assert painted.returncode == 0, painted.stderr
    told = impasto(
        "measure",
        "video",
        out,
        things / "clip.mp4",
        things / "style.png",
        "--gaps",
        "1,2",
        "--json",
    )
    assert told.returncode == 0, told.stderr
    figures = json.loads(told.stdout)
    assert figures["frames"] == 4
    assert 0 < figures["error"]["1"] < 0.1
    assert figures["style"] > 0
    plain = impasto("measure", "video", out, things / "clip.mp4", "--gaps", "1")
    long = impasto("measure", "video", out, things / "clip.mp4", "--gaps", "1,4,10", "--json")
    assert long.stderr.startswith("note: --gaps 4,10 could not be measured: no shot is long enough")
    assert list(json.loads(long.stdout)["error"]) == ["1"]
    assert "note:" not in plain.stderr
    short = impasto(
        "measure", "video", out, things / "clip.mp4", "--gaps", "1", "--to", "0.1", "--json"
    )
    assert 1 < json.loads(short.stdout)["frames"] < json.loads(told.stdout)["frames"]
    assert plain.stdout.startswith("4 frames\ngap  1: warping error 0.")


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (["--preview"], (64, 96)),  # 320 px would enlarge the clip
        (["--preset", "draft"], (64, 96)),  # 384 px would, too
        (["--preset", "draft", "--size", "120"], (80, 120)),
        (["--preview", "--size", "48"], (32, 48)),
    ],
)
def test_only_an_explicit_size_enlarges_a_clip(tmp_path, things, arguments, size):
    run = impasto("video", things / "clip.mp4", things / "style.png", "-o", tmp_path / "out.mp4", "--method",
                  "frame-by-frame", "--steps", "1", "--coarsest", "0", "--end", "0.05", *arguments)  # fmt: skip
    assert run.returncode == 0, run.stderr
    (out,) = tmp_path.iterdir()
    assert decoded(out)[0].shape == (*size, 3)


@pytest.mark.parametrize(("arguments", "code", "sentence"), [
    (["none.mp4", "style.png", "-o", "o.mp4"], 3, "none.mp4 does not exist"),
    (["clip.mp4", "style.png", "-o", "o.avi"], 2, "allowed are .mp4"),
    (["style.png", "style.png", "-o", "o.mp4"], 2, "style.png is an image; use impasto image, or pass a video"),
    (["clip.mp4", "style.png", "-o", "o.mp4", "--method", "rudder"], 2, "Did you mean 'ruder'"),
    (["clip.mp4", "style.png", "-o", "o.mp4", "--codec", "prores"], 2, ".mp4 does not support prores"),
    (["clip.mp4", "style.png", "-o", "o.mp4", "--from", "2", "--to", "1"], 2, "--to must be after --from 2; got 1"),
    (["clip.mp4", "style.png", "-o", "o.mp4", "--resume", "--fresh"], 2, "mutually exclusive"),
    (["clip.mp4", "none.png", "-o", "o.mp4"], 3, "none.png"),
    (["clip.mp4", "style.png", "-o", "no/o.mp4"], 4, "does not exist; create it"),
    (["clip.mp4", "style.png", "-o", "o.mp4", "--flow", "raft"], 2, "--flow-weights"),
])  # fmt: skip
def test_impossible_commands_end_with_one_sentence_and_write_nothing(
    things, tmp_path, arguments, code, sentence
):
    for name in ("clip.mp4", "style.png"):
        (tmp_path / name).symlink_to(things / name)
    run = subprocess.run(
        [*CODE, "video", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert run.returncode == code, run.stderr
    lines = [line for line in run.stderr.strip().splitlines() if line.startswith("impasto: ")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert "Traceback" not in run.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", "style.png"}, (
        "nothing is left behind"
    )


def test_every_option_of_films_is_in_the_help():
    import dataclasses

    from impasto.config import FilmOptions, flag_of

    run = subprocess.run(
        [*CODE, "video", "--help-all"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    missing = [f.name for f in dataclasses.fields(FilmOptions) if flag_of(f) not in run.stdout]
    assert missing == []


def test_a_video_given_to_the_image_command_is_referred_to_the_video_command(tmp_path, things):
    run = impasto("image", things / "clip.mp4", things / "style.png", "-o", tmp_path / "o.png")
    assert run.returncode == 2
    assert "clip.mp4 is a video; use impasto video, or pass an image." in run.stderr
    assert list(tmp_path.iterdir()) == []
