"""Runs killed at each write boundary, and at random times, resume to the same result."""

from __future__ import annotations

import multiprocessing
import random
import signal
import subprocess
import sys
import time

import pytest
from films import stored
from kills import Killer, names_in, spread
from scenarios import SCENARIOS, put_clip, put_pictures

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"
)

FEW = {"film": 4, "image": 1, "train": 1, "study": 1}
MANY = 50


@pytest.fixture
def killer(tmp_path, request):
    return Killer(tmp_path, *SCENARIOS[request.param])


@pytest.mark.parametrize(("killer", "count"), list(FEW.items()), indirect=["killer"])
def test_a_few_kills_at_write_boundaries(killer, count):
    assert killer.boundaries > 10
    chosen = random.Random(killer.boundaries).sample(range(1, killer.boundaries), count)
    for number in chosen:
        killer.kill_at_boundary(number)


@pytest.mark.parametrize("killer", ["film"], indirect=True)
def test_two_kills_at_random_moments(killer):
    moments = random.Random(16)
    for number in range(2):
        killer.kill_after(killer.seconds * moments.uniform(0.3, 1), f"random{number}")


@pytest.mark.slow
@pytest.mark.parametrize("killer", list(SCENARIOS), indirect=True)
def test_kills_at_write_boundaries(killer):
    for number in spread(MANY, killer.boundaries):
        killer.kill_at_boundary(number)


@pytest.mark.slow
@pytest.mark.parametrize("killer", list(SCENARIOS), indirect=True)
def test_kills_at_random_moments(killer):
    moments = random.Random(16)
    for number in range(MANY):
        killer.kill_after(killer.seconds * moments.uniform(0, 1), f"random{number}")


@pytest.mark.slow
def test_the_command_killed_at_random_moments_goes_on_to_the_byte(tmp_path):
    arguments = [
        "video", "clip.mkv", "style.png", "-o", "out.mkv", "--opening-steps", "2", "--frame-steps", "2",
        "--coarsest", "0", "--codec", "ffv1", "--keep-frames", "--quiet",
    ]  # fmt: skip

    def run(folder, *more, after=None):
        process = subprocess.Popen([sys.executable, "-m", "impasto", *arguments, *more], cwd=folder)
        try:
            return process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.wait()

    def folder(name):
        made = tmp_path / name
        made.mkdir()
        put_clip(made)
        put_pictures(made)
        return made

    whole = folder("whole")
    began = time.monotonic()
    assert run(whole) == 0
    seconds, wanted = time.monotonic() - began, stored(whole / "out.mkv.frames")
    moments = random.Random(16)
    for number in range(MANY):
        killed = folder(f"killed{number}")
        run(killed, after=seconds * moments.uniform(0.1, 1))
        assert run(killed, "--resume") == 0
        found = stored(killed / "out.mkv.frames")
        assert [p.tobytes() for p in found] == [p.tobytes() for p in wanted]
        assert names_in(killed) == names_in(whole)
