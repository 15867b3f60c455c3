"""Help: the common options at once, every option when asked, and nothing heavy imported for either."""

from __future__ import annotations

import subprocess
import sys

import pytest


def help_of(*arguments: str) -> str:
    command = [sys.executable, "-m", "impasto", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("command", ["image", "video"])
def test_help_shows_the_common_options_and_help_all_every_one(command):
    short, whole = help_of(command, "--help"), help_of(command, "--help-all")
    for common in ("--size", "--strength", "--preset", "--look", "--help-all"):
        assert common in short
    for rare in ("--history", "--tv-weight", "--memory-gib"):
        assert rare not in short
        assert rare in whole
    assert len(short) < 0.6 * len(whole)


def test_rare_options_are_taken_though_help_does_not_show_them():
    done = subprocess.run(
        [sys.executable, "-m", "impasto", "image", "none.png", "s.png", "-o", "o.png", "--history", "-3"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--history" in done.stderr
