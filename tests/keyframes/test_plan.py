"""Plans of films: where keyframes are placed, and the plan file."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films import film

from impasto.config import film_options
from impasto.errors import InputError, UsageError
from impasto.keyframes import Planner, parse_keyframe, read_plan, write_plan
from impasto.motion import DIS
from impasto.types import Frame


def pixels_of(*arguments, **named):
    return [frame.pixels for frame in film(*arguments, **named)]


def planned(pixels, **changes):
    planner = Planner(film_options("keyframes", **changes), DIS(), (64, 96))
    for number, one in enumerate(pixels):
        planner.take(
            Frame(
                pixels=np.ascontiguousarray(one),
                pts_seconds=Fraction(number, 10),
                duration_seconds=Fraction(1, 10),
                index=number,
            )
        )
    return planner.plan()


def test_a_static_shot_has_a_keyframe_at_the_largest_distance():
    made = planned([pixels_of(1)[0]] * 11, keyframe_every=4)
    assert made.keyframes == (0, 4, 8)
    assert made.coverage[0] == 1.0
    assert min(made.coverage) > 0.99


def test_every_shot_begins_with_a_keyframe():
    made = planned(pixels_of(8, cut=5), keyframe_every=6)
    assert [(shot.first, shot.last) for shot in made.shots] == [(0, 4), (5, 7)]
    assert [shot.keyframes[0] for shot in made.shots] == [0, 5]


def test_a_keyframe_is_placed_where_too_little_is_covered():
    pan = pixels_of(12, shift=(0, 4))
    assert len(planned(pan, coverage=0.9, keyframe_every=100).keyframes) > len(
        planned(pan, coverage=0.5, keyframe_every=100).keyframes
    )


def test_a_clip_that_is_all_cuts_has_only_keyframes():
    noise = np.random.default_rng(0)
    frames = [np.full((64, 96, 3), noise.integers(0, 255, 3), np.uint8) for _ in range(4)]
    made = planned(np.repeat(frames, 3, axis=0))
    assert all(shot.first in shot.keyframes for shot in made.shots)
    assert sum(shot.last - shot.first + 1 for shot in made.shots) == 12


def test_a_clip_of_one_frame_is_one_keyframe():
    made = planned(pixels_of(1))
    assert made.keyframes == (0,)
    assert made.frames == 1


def test_a_cross_fade_has_keyframes_at_both_ends_and_a_sudden_change_is_a_cut():
    still = [pixels_of(1)[0]] * 20
    faded = planned(still, schedule=(0.0, 1.0), fade=0.4)
    assert {8, 10, 12} <= set(faded.keyframes)
    sudden = planned(still, schedule=(0.0, 1.0), fade=0.0)
    assert [shot.first for shot in sudden.shots] == [0, 10]


def test_a_plan_survives_its_file(tmp_path):
    made = planned(pixels_of(8, cut=5))
    write_plan(tmp_path / "plan.json", made)
    read = read_plan(tmp_path / "plan.json")
    assert (read.shots, read.times, read.durations) == (made.shots, made.times, made.durations)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": []}, "shots end at frame"),
        ({"shots": [{"first": 0, "last": 7, "keyframes": []}]}, "needs keyframes"),
        ({"shots": [{"first": 0, "last": 7, "keyframes": [3, 3]}]}, "ascending order, each once"),
        ({"shots": [{"first": 0, "last": 7, "keyframes": [9]}]}, "outside frames 0 to 7"),
        ({"shots": [{"first": 1, "last": 7, "keyframes": [1]}]}, "must begin at frame 0"),
        ({"times": ["0"]}, "equal length"),
        ({"times": ["1/0"] * 8}, "not a plan"),
        ({"times": 3}, "wrong type"),
        ({"format": 99}, "format is not 1"),
        ({"height": "tall"}, "wrong type"),
    ],
)
def test_a_file_that_is_no_plan_is_one_sentence(tmp_path, change, message):
    values = planned(pixels_of(8)).values() | change
    (tmp_path / "plan.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=message):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize("text", ["", "[]", "[" * 10_000, "\x00", "{"])
def test_any_other_file_is_one_sentence(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match="not a plan"):
        read_plan(tmp_path / "plan.json")


def test_a_shot_with_given_keyframes_uses_only_these():
    made = planned(pixels_of(8, cut=5), keyframe_every=2)
    chosen = made.with_given([3], painter=True)
    assert chosen.shots[0].keyframes == (3,)
    assert chosen.shots[1].keyframes == made.shots[1].keyframes
    with pytest.raises(
        UsageError, match=r"frames 5 to 7 has no keyframe; add one with --keyframe 5=FILE"
    ):
        made.with_given([3], painter=False)
    with pytest.raises(UsageError, match="keyframe 8 is outside the video"):
        made.with_given([8], painter=True)


def test_keyframes_are_given_by_number_or_time():
    assert parse_keyframe("96=a.png") == (96, Path("a.png"))
    assert parse_keyframe("4.0=b=c.png") == (4.0, Path("b=c.png"))
    assert parse_keyframe("4s=b.png") == (4.0, Path("b.png"))
    for text in ("a.png", "x=a.png", "-1=a.png", "nan=a.png", "1=", "inf=a.png"):
        with pytest.raises(UsageError, match="frame number or a time"):
            parse_keyframe(text)
