"""Processes: children that end with their parent, work that is shared, and Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from helpers import painting, photograph
from PIL import Image
from shared_work import work

from impasto.processes import Failed, end_with_parent, in_processes

STOPS_SECONDS, SLACK_SECONDS = 2.0, 2.0  # the slack is for a busy machine
CODE = [sys.executable, "-m", "impasto"]

posix = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def test_items_are_shared_and_a_death_costs_one():
    found = dict(in_processes(work, ["a", "die", "b", "raise", "c"], workers=2))
    assert found["die"] == Failed("its process ended with status 3")
    assert found["raise"] == Failed("ValueError: no")
    assert all(found[name][0] == name for name in "abc")
    assert os.getpid() not in {found[name][1] for name in "abc"}


def test_closing_ends_the_processes():
    began = psutil.Process().children()
    items = in_processes(work, ["a", "wait", "wait"], workers=2)
    assert next(items)[0] == "a"
    children = [child for child in psutil.Process().children() if child not in began]
    items.close()
    assert all_end([child for child in children if "spawn_main" in " ".join(cmdline(child))])


def cmdline(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def test_only_children_end_with_their_parent():
    with pytest.raises(RuntimeError, match="for child processes"):
        end_with_parent()


@pytest.fixture
def study(tmp_path):
    for name, image in (("photo", photograph(64, 64)), ("painting", painting(64, 64))):
        pixels = (image[0].permute(1, 2, 0).numpy() * 255).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "s.toml").write_text(
        "[options]\nsize = 64\ncoarsest = 0\n[grid]\nsteps = [[1], [50000], [50001], [50002]]\n"
    )
    return tmp_path


@contextlib.contextmanager
def started(folder, *words):
    process = subprocess.Popen(
        [*CODE, *map(str, words)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Where the tests run in the background, SIGINT is ignored, and children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def started_study(folder, workers):
    words = ("study", "s.toml", "-o", "out", "--contents", "photo.png", "--styles", "painting.png",
                    "--yes", "--json", "--workers", workers)  # fmt: skip
    with started(folder, *words) as process:
        assert '"steps 1"' in process.stdout.readline()  # it is finished, and long ones go on
        yield process


PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
from shared_work import work
from impasto.processes import in_processes
for item, _result in in_processes(work, ["a", "wait", "wait"], workers=2):
    print(item, flush=True)
"""


@posix
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_children_end_with_their_parent(root, stop):
    words = [sys.executable, "-c", PARENT, str(root / "tests" / "support")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "a\n"
        ends_with_children(process, stop)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_workers_of_a_study_end_with_it(study, stop):
    with started_study(study, 2) as process:
        ends_with_children(process, stop)


def ends_with_children(process, stop):
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.send_signal(stop)
    process.wait()
    assert all_end(children)


def all_end(processes):
    """Whether they end in time; a zombie has ended, though nobody asked for its exit status."""
    ends = time.monotonic() + STOPS_SECONDS
    while time.monotonic() < ends:
        if not any(is_alive(process) for process in processes):
            return True
        time.sleep(0.02)
    return False


def is_alive(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


@posix
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_stops_a_study_and_keeps_what_is_finished(study, workers):
    with started_study(study, workers) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - began < STOPS_SECONDS + SLACK_SECONDS
        assert process.returncode == 130, err
        assert "interrupted; 1 of 4 runs are finished" in out
        assert err == ""
        assert all_end(children)
    assert len(list((study / "out" / "cells").glob("*.json"))) == 1


LONG = ("--size", 64, "--steps", 90_000, "--coarsest", 0)


IMAGE = ("image", "photo.png", "painting.png", "-o", "outs", *LONG, "--json")
TRAIN = (
    "train", "painting.png", "-o", "x.look", "--photos", ".", "--steps", 90_000, "--crop", 48,
    "--batch", 1, "--width", 8, "--style-size", 64, "--json",
)  # fmt: skip


@posix
@pytest.mark.parametrize("words", [IMAGE, pytest.param(TRAIN, marks=pytest.mark.slow)])
def test_ctrl_c_stops_other_work(study, words):
    with started(study, *words) as process:
        for line in process.stdout:
            if '"iterate"' in line or '"step"' in line:
                break
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert time.monotonic() - began < STOPS_SECONDS + SLACK_SECONDS
        assert "Traceback" not in err


HANGS = """
import time
from impasto.cli import _main
def work(_tokens):
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        print("tidying up", flush=True)
        time.sleep(600)
_main.run_command = work
_main.main(["image"])
"""


@posix
def test_the_second_ctrl_c_ends_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    with process:
        for line in ("ready\n", "tidying up\n"):
            assert process.stdout.readline() == line
            process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == ""
