"""Films with keyframes: given and painted keyframes, exact resume, repair, and bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from films import decoded, film, write_film
from PIL import Image
from test_films import job, same_paint, style

from impasto.config import film_options, options
from impasto.errors import UsageError
from impasto.keyframes import read_plan, write_plan
from impasto.media.video import open_clip
from impasto.pipeline import Supplied, prepare_film
from impasto.pipeline.keyed import PlannedClip, plan_clip

EVERY = {"keyframe_every": 3, "keyframe_steps": (2,)}


@pytest.fixture
def clip(tmp_path):
    return write_film(tmp_path / "clip.mkv", film(9, shift=(0, 1), cut=6))


def keyed(clip, out, **changes):
    return job(clip, out, method="keyframes", **{**EVERY, **changes})


def given_job(clip, out, keyframes, styles=(), **changes):
    return prepare_film(
        clip,
        list(styles),
        out,
        options(size=0),
        film_options("keyframes", **{**EVERY, "codec": "ffv1", **changes}),
        supplied=Supplied(keyframes=keyframes),
    )


def frame_file(path, pixels):
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    return path


def test_all_frames_are_painted_once_and_only_keyframes_are_optimized(tmp_path, clip):
    made = keyed(clip, tmp_path / "out.mkv")
    events = list(made)
    assert sorted(event.index for event in events) == list(range(9))
    optimized = {event.index for event in events if event.terms}
    assert optimized == set(made.plan.keyframes)
    assert {event.index for event in events if event.opens_shot} == {0, 6}
    made.assemble()
    assert len(decoded(tmp_path / "out.mkv")) == 9


def test_frames_do_not_depend_on_when_a_run_was_interrupted(tmp_path, clip):
    whole = keyed(clip, tmp_path / "whole.mkv")
    list(whole)
    for count in (1, 2, 3, 5, 8):
        list(itertools.islice(keyed(clip, tmp_path / "part.mkv", fresh=True), count))
        rest = keyed(clip, tmp_path / "part.mkv", resume=True)
        assert len(list(rest)) == 9 - count
        assert same_paint(whole, rest)


def test_a_damaged_keyframe_and_all_that_depends_on_it_are_painted_again(tmp_path, clip):
    whole = keyed(clip, tmp_path / "whole.mkv")
    list(whole)
    parts = keyed(clip, tmp_path / "part.mkv")
    list(parts)
    parts.store.path(3).write_bytes(b"damaged")
    rest = keyed(clip, tmp_path / "part.mkv", resume=True)
    again = {event.index for event in rest}
    assert {1, 2, 3, 4, 5} <= again
    assert not again & {0, 6}
    assert any("frame 3 was damaged" in note for note in rest.notes)
    assert same_paint(whole, rest)


def test_a_damaged_frame_between_keyframes_is_painted_again_alone(tmp_path, clip):
    parts = keyed(clip, tmp_path / "part.mkv")
    list(parts)
    parts.store.path(1).write_bytes(b"damaged")
    assert [event.index for event in keyed(clip, tmp_path / "part.mkv", resume=True)] == [1]


def test_given_keyframes_need_no_style_and_appear_unchanged(tmp_path, clip):
    frames = decoded(clip)
    files = {n: frame_file(tmp_path / f"{n}.png", 255 - frames[n]) for n in (0, 6)}
    made = given_job(clip, tmp_path / "out.mkv", files)
    list(made)
    made.assemble()
    found = decoded(tmp_path / "out.mkv")
    for number in (0, 6):
        assert np.abs(found[number].astype(int) - (255 - frames[number].astype(int))).mean() < 2
    for number in (1, 2, 7, 8):
        assert np.abs(found[number].astype(int) - (255 - frames[number].astype(int))).mean() < 25


def test_a_given_keyframe_in_the_middle_is_carried_both_ways(tmp_path, clip):
    frames = decoded(clip)
    files = {n: frame_file(tmp_path / f"{n}.png", 255 - frames[n]) for n in (3, 7)}
    events = list(given_job(clip, tmp_path / "out.mkv", files))
    assert sorted(event.index for event in events) == list(range(9))


def test_a_keyframe_may_be_given_by_its_time_and_in_another_size(tmp_path, clip):
    frames = decoded(clip)
    large = np.asarray(Image.fromarray(frames[6]).resize((192, 128)))
    files = {
        0.0: frame_file(tmp_path / "a.png", frames[0]),
        6: frame_file(tmp_path / "b.png", large),
    }
    made = given_job(clip, tmp_path / "out.mkv", files)
    assert len(list(made)) == 9
    assert made.plan.keyframes == (0, 6)


@pytest.mark.parametrize(
    ("given", "size", "message"),
    [
        ({0: "a"}, (96, 64), "frames 6 to 8 has no keyframe"),
        ({0: "a", 6: "a", 99: "a"}, (96, 64), "keyframe 99 is outside the video"),
        ({0: "a", 0.01: "a", 6: "a"}, (96, 64), "frame 0 has two keyframes"),
        ({0: "a", 60.0: "a"}, (96, 64), "after the end of the video"),
        ({0: "a"}, (64, 64), "use a picture of the same shape"),
        ({}, (96, 64), "no style image was given"),
    ],
)
def test_keyframes_that_do_not_fit_are_one_sentence(tmp_path, clip, given, size, message):
    file = frame_file(tmp_path / "a.png", np.zeros((size[1], size[0], 3), np.uint8))
    with pytest.raises(UsageError, match=message):
        list(given_job(clip, tmp_path / "out.mkv", dict.fromkeys(given, file)))


def test_an_edited_plan_decides_what_is_painted(tmp_path, clip):
    made = plan_clip(open_clip(clip), film_options("keyframes", **EVERY))
    write_plan(tmp_path / "plan.json", made)
    text = (tmp_path / "plan.json").read_text()
    edited = text.replace('"keyframes": [0, 3]', '"keyframes": [1]')
    edited = edited.replace('"keyframes": [0, 3, 5]', '"keyframes": [1]')
    (tmp_path / "plan.json").write_text(edited)
    chosen = read_plan(tmp_path / "plan.json")
    painted = prepare_film(
        clip, [style()], tmp_path / "out.mkv", options(size=0, steps=(2,), coarsest=0),
        film_options("keyframes", opening_steps=(2,), **EVERY), supplied=Supplied(plan=chosen),
    )  # fmt: skip
    assert {event.index for event in painted if event.terms} == set(chosen.keyframes)
    assert chosen.shots[0].keyframes == (1,)


def test_a_plan_of_another_clip_is_refused(tmp_path, clip):
    made = plan_clip(open_clip(clip), film_options("keyframes"))
    other = write_film(tmp_path / "other.mkv", film(3, size=(48, 48)))
    with pytest.raises(UsageError, match="plan is for a video of 96x64 px"):
        prepare_film(
            other,
            [style()],
            tmp_path / "o.mkv",
            options(size=0),
            film_options("keyframes"),
            supplied=Supplied(plan=made),
        )


def test_frames_read_by_seeking_are_those_read_in_order(tmp_path):
    path = write_film(tmp_path / "long.mp4", film(40, shift=(0, 1)))
    clip, chosen = open_clip(path), film_options("keyframes", every=2, begin=0.5)
    made = plan_clip(clip, chosen)
    source = PlannedClip(clip, made, chosen, (64, 96))
    in_order = source.frames(0, made.frames - 1)
    for first, last in ((0, 1), (3, 5), (made.frames - 1, made.frames - 1)):
        sought = source.frames(first, last)
        for one, other in zip(sought, in_order[first : last + 1], strict=True):
            assert (one.index, one.pts_seconds) == (other.index, other.pts_seconds)
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_loop_ends_on_a_keyframe(tmp_path):
    path = write_film(tmp_path / "c.mkv", film(8))
    made = keyed(path, tmp_path / "out.mkv", loop=True, keyframe_every=5)
    assert len(list(made)) == 8
    assert made.plan.keyframes[-1] == 7


def test_options_of_other_methods_are_refused_with_the_remedy():
    with pytest.raises(
        UsageError,
        match="--passes requires a method that optimizes every frame; add --method steady",
    ):
        film_options("keyframes", passes=3)


def test_learned_frames_are_made_from_the_keyframes_alone(tmp_path, clip, monkeypatch):
    monkeypatch.setattr("impasto.keyframes.between.LEARNED_STEPS", 5)
    made = keyed(clip, tmp_path / "out.mkv", between="learned")
    assert len(list(made)) == 9
