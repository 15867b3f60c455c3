"""The optimizer on frames of a film: initial images and temporal terms."""

from __future__ import annotations

import pytest
import torch
from helpers import LAYERS, TinyNetwork, painting, photograph

from impasto.config import METHODS, PaintOptions, film_options, options
from impasto.errors import UnknownNameError, UsageError
from impasto.motion.carry import borrow_texture, hold_tones, keep_sharp, merged
from impasto.optimize import FilmOptimizer
from impasto.types import Earlier, FrameContext

SIZE = (64, 96)
PAINT = {"coarsest": 0, "steps": (8,), "balance": "fixed", "size": 96, **LAYERS}


def optimizer(method="steady", paint=None, **film):
    settings = options(**{**PAINT, **(paint or {})})
    return FilmOptimizer([painting()], TinyNetwork(), settings, film_options(method, **film), SIZE)


def context(**values):
    return FrameContext(**{"index": 3, "opens_shot": False, "blend": (), **values})


def earlier(image, trust=1.0, gap=1):
    weight = trust if torch.is_tensor(trust) else torch.full((1, 1, *SIZE), trust)
    return Earlier(gap=gap, warped=image, reliability=weight)


# --- terms ------------------------------------------------------------------------------------------------
def test_the_first_frame_has_no_temporal_term():
    painted = optimizer(opening_steps=()).paint(
        photograph(), FrameContext(index=0, opens_shot=True, blend=())
    )
    assert set(painted.terms) == {"content", "style", "grain"}
    assert painted.state == {"style_weight": PaintOptions().style_weight}


@pytest.mark.parametrize(("method", "term", "needs"), [
    ("steady", "flow", {"earlier": (earlier(painting(*SIZE)),)}),
    ("ruder", "flow", {"earlier": (earlier(painting(*SIZE)),)}),
    ("seed-previous", "previous", {"previous": painting(*SIZE)}),
    ("seed-iterates", "iterate", {"iterates": [painting(*SIZE)] * 9}),
    ("seed-change", "change", {"previous": painting(*SIZE)}),
    ("seed-still", "still", {"previous": painting(*SIZE), "still": torch.ones(1, 1, *SIZE)}),
])  # fmt: skip
def test_every_method_has_its_term_and_the_term_pulls(method, term, needs):
    target = painting(*SIZE)
    plain = optimizer("frame-by-frame").paint(photograph(), context())
    tied = optimizer(method, paint={"style_weight": 1.0}).paint(photograph(), context(**needs))
    assert tied.terms[term] > 0
    if term != "change":
        assert (tied.image - target).square().mean() < 0.8 * (plain.image - target).square().mean()


def test_the_warped_pastiche_is_the_target_not_the_raw_one():
    raw, warped = painting(*SIZE, seed=2), painting(*SIZE, seed=3)
    painted = optimizer(flow_weight=1e4, hold=False).paint(
        photograph(), context(previous=raw, earlier=(earlier(warped),))
    )
    assert (painted.image - warped).square().mean() < 0.05 * (painted.image - raw).square().mean()


def test_trust_is_a_place():
    trust = torch.zeros(1, 1, *SIZE)
    trust[..., :48] = 1
    target = painting(*SIZE)
    painted = optimizer(flow_weight=1e4).paint(
        photograph(), context(earlier=(earlier(target, trust),))
    )
    apart = (painted.image - target).square()
    assert apart[..., :44].mean() < 0.1 * apart[..., 52:].mean()


def test_paint_that_does_not_fit_is_begun_from_but_not_held_to():
    target = painting(*SIZE)
    fits = Earlier(
        gap=1, warped=target, reliability=torch.ones(1, 1, *SIZE), fits=torch.zeros(1, 1, *SIZE)
    )
    begun = optimizer(frame_steps=(0,), hold=False).paint(photograph(), context(earlier=(fits,)))
    torch.testing.assert_close(begun.image, target, atol=2e-3, rtol=0)
    painted = optimizer(hold=False).paint(photograph(), context(earlier=(fits,)))
    assert painted.terms["flow"] == 0


@pytest.mark.parametrize("start", ["warped", "previous", "content", "noise"])
def test_starts(start):
    raw, warped = painting(*SIZE, seed=2), painting(*SIZE, seed=3)
    stylizer = optimizer(
        frame_start=start, frame_steps=(0,), flow_weight=0.0, hold=False, paint={"start": "content"}
    )
    image = stylizer.paint(photograph(), context(previous=raw, earlier=(earlier(warped),))).image
    wanted = {"warped": warped, "previous": raw, "content": photograph()}
    if start == "noise":
        assert 0.05 < float(image.std()) < 0.15
    else:
        torch.testing.assert_close(image, wanted[start], atol=2e-3, rtol=0)


def test_a_frame_has_a_seed_of_its_own():
    stylizer = optimizer(frame_start="noise", frame_steps=(0,), flow_weight=0.0, hold=False)
    first, again, other = (stylizer.paint(photograph(), context(index=i)).image for i in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_shot_keeps_its_weight():
    stylizer = optimizer(
        paint={"balance": "guard", "content_budget": 0.02, "steps": (20,)}, opening_steps=()
    )
    opening = stylizer.paint(photograph(), FrameContext(index=0, opens_shot=True, blend=()))
    assert opening.state["style_weight"] < 100
    following = stylizer.paint(
        photograph(), context(state=opening.state, earlier=(earlier(opening.image),))
    )
    assert following.state == opening.state


def test_a_pass_blends_the_neighbor_into_its_own():
    own, other = torch.zeros(1, 3, *SIZE), torch.ones(1, 3, *SIZE)
    stylizer = optimizer(frame_steps=(0,), hold=False)
    image = stylizer.paint(photograph(), context(own=own, earlier=(earlier(other),))).image
    torch.testing.assert_close(image, torch.full_like(image, 0.5))


# --- carrying ---------------------------------------------------------------------------------------------
def test_merging_keeps_the_minimum_of_the_sum():
    a, b = earlier(torch.zeros(1, 3, *SIZE), 0.75), earlier(torch.ones(1, 3, *SIZE), 0.25)
    target, trust = merged([a, b])
    torch.testing.assert_close(target, torch.full_like(target, 0.25))
    torch.testing.assert_close(trust, torch.ones_like(trust))


def test_sharpness_lost_by_warping_is_restored_where_the_mask_says_so():
    before = painting(*SIZE, seed=4)
    blurred = torch.nn.functional.avg_pool2d(
        torch.nn.functional.pad(before, (1, 0, 0, 0), mode="replicate"), (1, 2), 1
    )
    everywhere = torch.ones(1, 1, *SIZE)
    energy = lambda x: float((x[..., 1:] - x[..., :-1]).square().mean())  # noqa: E731
    mended = keep_sharp(blurred, before, everywhere)
    assert energy(blurred) < 0.8 * energy(before)
    assert energy(mended) > 1.2 * energy(blurred)
    assert torch.equal(keep_sharp(blurred, before, 0 * everywhere), blurred)


def test_tones_of_what_stands_still_do_not_creep():
    before = 0.3 + 0.4 * painting(*SIZE)
    still = torch.ones(1, 1, *SIZE)
    held = hold_tones((before + 0.02) * 1.03, before, still)
    assert abs(float(held.mean() - before.mean())) < 1e-4
    assert abs(float(held.mean(1).std() / before.mean(1).std()) - 1) < 1e-3
    assert torch.equal(hold_tones(before + 0.02, before, 0 * still), before + 0.02)


def test_uncovered_places_borrow_from_what_looks_alike():
    frame = torch.zeros(1, 3, *SIZE)
    frame[..., 48:] = 1  # dark left, bright right
    paint = torch.zeros(1, 3, *SIZE)
    paint[:, 0, :, :48], paint[:, 1, :, 48:] = 1, 1  # red where dark, green where bright
    trust = torch.ones(1, 1, *SIZE)
    trust[..., 20:30, 10:25], trust[..., 20:30, 70:85] = 0, 0
    spoilt = torch.where(trust > 0, paint, torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1))
    filled = borrow_texture(frame, [earlier(spoilt, trust)])
    assert float((filled - paint).abs().mean()) < 0.01


# --- options ----------------------------------------------------------------------------------------------
def test_methods_are_one_flag_away():
    assert METHODS["ruder"].gaps == (1, 10, 20, 40)
    assert not METHODS["frame-by-frame"].remembers
    assert all(METHODS[name].remembers for name in METHODS if name != "frame-by-frame")
    with pytest.raises(UnknownNameError, match="Did you mean 'steady'"):
        film_options("stedy")


@pytest.mark.parametrize(("change", "match"), [
    ({"begin": 3.0, "end": 2.0}, "must be after --from 3; got 2"),
    ({"flow": "files"}, "--flow-files"),
    ({"schedule": (4.0, 2.0)}, "must be in ascending order; got 4, 2"),
    ({"flow_weight": -1.0}, "--flow-weight"),
    ({"frame_start": "wrapped"}, "Did you mean 'warped'"),
])  # fmt: skip
def test_options_that_cannot_be(change, match):
    with pytest.raises(UsageError, match=match):
        film_options(**change)
