"""The temporal context of a frame: earlier pastiches along a known flow, shots, loops and schedules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from films import film

from impasto.config import film_options
from impasto.media import pixels_to_tensor
from impasto.pipeline.neighbors import LOOP_FRAMES, Neighbors, blend_at
from impasto.pipeline.store import PaintStore

SHIFT_PX = 2


def known_flow(frame, other):
    """Returns the flow of a film that moves right by two pixels per frame; none between frames of different shots."""
    flow = torch.zeros(1, 2, *frame.pixels.shape[:2])
    flow[:, 0] = SHIFT_PX * (other.index - frame.index)
    return flow


def pastiche_of(frame):
    """Returns the negative: it moves as the frame does."""
    return 255 - frame.pixels


def contexts(frames, store, options, *, painted=0, estimator=known_flow):
    """Returns the context of every frame, storing the negative of each frame as its pastiche."""
    neighbors = Neighbors(options, estimator, store)
    found = []
    for frame in frames:
        image = pixels_to_tensor(frame.pixels)
        opens = neighbors.take(frame, image, painted=frame.index < painted, total=len(frames))
        context = None
        if frame.index >= painted:
            context = neighbors.context(frame, image, (), {})
            flow = neighbors.latest_flow
            store.save(frame.index, pastiche_of(frame), {}, flow=flow, iterates=[frame.pixels])
        found.append((opens, context))
    return found


@pytest.fixture
def store(tmp_path):
    return PaintStore(tmp_path / "f", "mark")


def test_the_previous_pastiche_is_warped_along_the_flow(store):
    frames = film(4, shift=(0, SHIFT_PX))
    found = contexts(frames, store, film_options("steady", gaps=(1,)))
    assert [opens for opens, _context in found] == [True, False, False, False]
    assert found[0][1].opens_shot
    assert found[0][1].previous is None
    assert found[0][1].earlier == ()
    for frame, (_opens, context) in zip(frames[1:], found[1:], strict=True):
        torch.testing.assert_close(
            context.previous, pixels_to_tensor(pastiche_of(frames[frame.index - 1]))
        )
        (earlier,) = context.earlier
        assert earlier.gap == 1
        wanted = pixels_to_tensor(pastiche_of(frame))
        inside = (slice(None), slice(None), slice(4, -4), slice(8, -8))
        torch.testing.assert_close(earlier.warped[inside], wanted[inside], atol=0.02, rtol=0)
        assert float(earlier.reliability[inside].mean()) > 0.9
        assert float(earlier.reliability[..., 0].max()) == 0  # comes from outside the image


def test_reliabilities_of_all_gaps_add_up_to_at_most_1(store):
    frames = film(5, shift=(0, SHIFT_PX))
    found = contexts(frames, store, film_options("ruder", gaps=(1, 2, 4)))
    assert [[one.gap for one in context.earlier] for _opens, context in found] == [
        [], [1], [1, 2], [1, 2], [1, 2, 4],
    ]  # fmt: skip
    total = torch.stack([one.reliability for one in found[4][1].earlier]).sum(0)
    assert float(total.max()) <= 1 + 1e-6


def test_a_cut_forgets_earlier_frames(store):
    frames = film(6, shift=(0, SHIFT_PX), cut=3)
    options = film_options("ruder", gaps=(1, 2), iterate_weight=1.0)
    found = contexts(frames, store, options)
    assert [opens for opens, _context in found] == [True, False, False, True, False, False]
    after = found[3][1]
    assert (after.opens_shot, after.previous, after.earlier, after.iterates) == (
        True,
        None,
        (),
        None,
    )
    assert [one.gap for one in found[4][1].earlier] == [1]
    assert [one.gap for one in found[5][1].earlier] == [1, 2]


def test_iterates_of_the_previous_frame_are_passed_on_if_they_are_used(store):
    frames = film(2)
    found = contexts(frames, store, film_options("steady", iterate_weight=1.0))
    torch.testing.assert_close(found[1][1].iterates[0], pixels_to_tensor(frames[0].pixels))
    assert found[0][1].iterates is None


def test_frame_by_frame_needs_no_motion_and_has_no_context(store):
    found = contexts(film(3), store, film_options("frame-by-frame"), estimator=None)
    for _opens, context in found:
        assert (context.opens_shot, context.previous, context.earlier) == (True, None, ())
        assert context.still is None


def test_a_resumed_run_gets_the_same_context(tmp_path):
    frames, options = film(8, shift=(0, SHIFT_PX)), film_options("steady", anchor=True)
    whole = contexts(frames, PaintStore(tmp_path / "a", "mark"), options)
    part = PaintStore(tmp_path / "b", "mark")
    contexts(frames[:5], part, options)
    rest = contexts(frames, part, options, painted=5)
    for (_o, one), (_p, other) in zip(whole[5:], rest[5:], strict=True):
        assert len(one.earlier) == len(other.earlier) > 0
        for a, b in zip(one.earlier, other.earlier, strict=True):
            torch.testing.assert_close(a.warped, b.warped, atol=0, rtol=0)
            torch.testing.assert_close(a.reliability, b.reliability, atol=0, rtol=0)
        torch.testing.assert_close(one.still, other.still, atol=0, rtol=0)


def test_static_pixels_are_marked(store):
    found = contexts(film(3, shift=(0, 0)), store, film_options("steady"),
                     estimator=lambda frame, _other: torch.zeros(1, 2, *frame.pixels.shape[:2]))  # fmt: skip
    assert float(found[2][1].still.min()) > 0.99
    moving = contexts(film(3), PaintStore(store.folder.with_name("g"), "m"), film_options("steady"))
    assert float(moving[2][1].still.max()) < 0.01


def test_a_loop_returns_to_its_first_pastiche_with_growing_weight(store):
    count = LOOP_FRAMES + 10
    frames = film(count, shift=(0, 0))
    still = lambda frame, _other: torch.zeros(1, 2, *frame.pixels.shape[:2])  # noqa: E731
    found = contexts(frames, store, film_options("steady", loop=True), estimator=still)
    later = {
        index: next((one for one in context.earlier if one.gap < 0), None)
        for index, (_opens, context) in enumerate(found)
    }
    begin = count - LOOP_FRAMES
    assert all(later[index] is None for index in range(begin))
    weights = [float(later[index].reliability.mean()) for index in range(begin, count)]
    assert [later[index].gap for index in (begin, count - 1)] == [-LOOP_FRAMES, -1]
    assert weights == sorted(weights)
    assert weights[0] == pytest.approx(1 / LOOP_FRAMES, abs=0.01)
    assert weights[-1] == pytest.approx(1, abs=0.01)


def test_a_pastiche_is_warped_from_any_frame(store):
    frames = film(4, shift=(0, SHIFT_PX))
    neighbors = Neighbors(film_options("steady"), known_flow, store)
    image = pixels_to_tensor(frames[0].pixels)
    seen = neighbors.seen_from(
        frames[0], image, frames[3], pixels_to_tensor(pastiche_of(frames[3]))
    )
    assert seen.gap == -3
    middle = np.s_[..., 8:-8, 12:-12]
    wanted = pixels_to_tensor(pastiche_of(frames[0]))
    torch.testing.assert_close(seen.warped[middle], wanted[middle], atol=0.02, rtol=0)


def test_the_schedule_fades_between_two_styles_around_the_second_at_which_one_starts():
    faded = film_options("steady", schedule=(0.0, 2.0, 5.0), fade=1.0)
    assert blend_at(0.0, faded) == (1, 0, 0)
    assert blend_at(2.0, faded) == (0.5, 0.5, 0)
    assert blend_at(2.25, faded) == (0.25, 0.75, 0)
    assert blend_at(9.0, faded) == (0, 0, 1)
    hard = film_options("steady", schedule=(0.0, 2.0), fade=0.0)
    assert [blend_at(seconds, hard) for seconds in (1.99, 2.0)] == [(1, 0), (0, 1)]
    assert blend_at(3.0, film_options("steady")) == ()
