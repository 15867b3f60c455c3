"""Parts of the default settings: dominant layers, coherence, grain, the initial image, detail of enlargements."""

from __future__ import annotations

import pytest
import torch
from helpers import LAYERS, TinyNetwork, painting, photograph

from impasto.config import PRESETS, film_options, options
from impasto.errors import UsageError
from impasto.losses import grain, moments
from impasto.optimize import FilmOptimizer, Optimization, build_objective
from impasto.optimize.enlarge import detail_strength, enlarged
from impasto.optimize.objective import for_the_finest, without_weak_layers
from impasto.optimize.start import first_picture
from impasto.types import FrameContext, Region

GENERATOR = torch.Generator()


def terms_at(place, **settings):
    chosen = options(**{**LAYERS, **settings})
    return build_objective(photograph(), [painting()], TinyNetwork(), chosen, place=place).terms


def mean_color(image):
    return image.mean((0, 2, 3))


# --- layers -----------------------------------------------------------------------------------------------
def test_each_style_layer_weighs_four_times_the_next_unless_weights_are_given():
    assert options().style_shares == (1, 1 / 4, 1 / 16, 1 / 64, 1 / 256)
    assert set(options(style_falloff=1.0).style_shares) == {1.0}
    assert options(style_layer_weights=(3, 2, 1, 1, 1)).style_shares == (3, 2, 1, 1, 1)


def test_weak_layers_are_left_out_at_the_finest_scale_and_equal_ones_stay():
    assert for_the_finest(options()).style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    equal = options(style_falloff=1.0, style_loss="mixed")
    assert for_the_finest(equal).style_layers == equal.style_layers
    assert for_the_finest(equal).style_loss == "gram"
    assert without_weak_layers(equal).style_loss == "mixed"


@pytest.mark.parametrize("name", ["faithful-gatys", "deep-photo", "photoreal"])
def test_published_presets_have_equal_layers_and_no_terms_of_ours(name):
    preset = PRESETS[name]
    assert set(preset.style_shares) == {1.0}
    assert preset.coherence_weight == (0.0,)
    assert preset.grain_weight == 0
    assert preset.content_layers == ("relu4_2",)


# --- coherence --------------------------------------------------------------------------------------------
def test_coherence_holds_on_coarse_scales_and_leaves_the_finest_alone():
    weights = [terms_at((n, 3))["coherence"].weight for n in (0, 1)]
    assert weights == [200.0, 50.0]
    assert "coherence" not in terms_at((2, 3))
    assert "coherence" not in terms_at((0, 1))
    assert terms_at((0, 4))["coherence"].weight == 200.0  # the first repeats


def test_coherence_is_for_changes_that_part_an_object():
    term = terms_at((0, 3))["coherence"].measure
    photo = photograph()
    changed = 0.9 - 0.7 * photo.flip(1)  # a global change of colors
    parted = changed.clone()
    parted[..., 48:] = parted[..., 48:].flip(1)
    whole = float(term({}, changed, 0))
    assert whole == pytest.approx(0, abs=1e-5)
    assert float(term({}, parted, 0)) > 1e-4 + 100 * whole


def test_coherence_needs_a_number():
    with pytest.raises(UsageError, match="--coherence-weight is empty"):
        options(coherence_weight=())


# --- grain ------------------------------------------------------------------------------------------------
def test_the_picture_takes_the_grain_of_its_style():
    smooth = torch.nn.functional.interpolate(painting(8, 8), (64, 64), mode="bicubic").clamp(0, 1)

    def result(weight):
        run = Optimization(
            painting(64, 96, seed=4), [smooth], TinyNetwork(),
            options(**LAYERS, size=96, coarsest=0, steps=(40,), grain_weight=weight),
        )  # fmt: skip
        for _iterate in run:
            pass
        return float((grain(run.result) / grain(smooth)).log().abs().mean())

    with_grain, without = result(3.0), result(0.0)
    assert with_grain < 0.25
    assert with_grain < 0.3 * without


# --- initial image ----------------------------------------------------------------------------------------
def test_a_recolored_start_has_the_colors_of_every_style_by_its_weight():
    content, styles = photograph(), [painting(seed=1) * 0.4, 0.5 + painting(seed=2) * 0.4]
    start = first_picture("recolored", content, styles, GENERATOR, blend=(3, 1))
    wanted = 0.75 * mean_color(styles[0]) + 0.25 * mean_color(styles[1])
    torch.testing.assert_close(mean_color(start), wanted, atol=0.03, rtol=0)


def test_strength_is_the_share_of_the_recoloring():
    content, styles = photograph(), [0.3 + 0.4 * painting()]  # far from the bounds
    none, half, full, more = (
        first_picture("recolored", content, styles, GENERATOR, amount=a) for a in (0, 0.5, 1, 2)
    )
    torch.testing.assert_close(none, content)
    torch.testing.assert_close(half, (content + full) / 2)
    assert torch.equal(full, more)
    torch.testing.assert_close(
        moments(full).covariance, moments(styles[0]).covariance, atol=0.02, rtol=0
    )


def test_a_region_takes_the_colors_of_its_own_style():
    left = torch.zeros(1, 1, 64, 96)
    left[..., :48] = 1
    styles = [0.2 * painting(), 0.8 + 0.2 * painting()]
    everywhere = torch.ones(1, 1, 64, 64)
    regions = [
        Region(name=name, content=mask, style=everywhere, number=number)
        for number, (name, mask) in enumerate((("left", left), ("right", 1 - left)))
    ]
    start = first_picture("recolored", photograph(), styles, GENERATOR, regions=regions)
    assert float(start[..., :48].mean()) < 0.3
    assert float(start[..., 48:].mean()) > 0.7


# --- enlargement ------------------------------------------------------------------------------------------
def test_detail_is_added_in_full_or_up_to_a_limit():
    source, small = painting(64, 96, seed=3), torch.full((1, 3, 32, 48), 0.5)
    plain = torch.full((1, 3, 64, 96), 0.5)
    full = enlarged(small, source, (64, 96)) - plain
    limited = enlarged(small, source, (64, 96), limit=0.01) - plain
    assert float(full.square().mean().sqrt()) > 0.05
    assert float(limited.square().mean().sqrt()) == pytest.approx(0.01, rel=0.02)
    torch.testing.assert_close(
        limited / 0.01, full / full.square().mean().sqrt(), atol=0.05, rtol=0
    )


def test_the_limit_is_half_the_styles_own_detail():
    style, flat = painting(64, 64), torch.full((1, 3, 64, 64), 0.3)
    assert detail_strength([flat], (), 32, 64) == pytest.approx(0, abs=1e-6)
    alone = detail_strength([style], (), 32, 64)
    assert alone > 0.01
    assert detail_strength([style, flat], (), 32, 64) == pytest.approx(alone / 2, rel=1e-3)
    assert detail_strength([style, flat], (1, 3), 32, 64) == pytest.approx(alone / 4, rel=1e-3)


# --- strength ---------------------------------------------------------------------------------------------
def test_strength_of_zero_keeps_the_photographs_detail_over_several_scales():
    content, flat = painting(128, 160, seed=4), torch.full((1, 3, 64, 64), 0.5)
    run = Optimization(
        content, [flat], TinyNetwork(),
        options(**LAYERS, size=160, coarsest=40, steps=(0,), strength=0.0),
    )  # fmt: skip
    for _iterate in run:
        pass
    assert len(run.scales) > 1
    torch.testing.assert_close(run.result, content, atol=0.02, rtol=0)


def test_later_frames_of_a_film_are_begun_with_the_same_strength_as_the_first():
    settings = options(**LAYERS, size=96, coarsest=0, steps=(0,), strength=0.5)
    film = film_options("frame-by-frame")
    stylizer = FilmOptimizer([0.1 * painting()], TinyNetwork(), settings, film, (64, 96))
    first, later = (
        stylizer.paint(
            photograph(),
            FrameContext(
                index=index, opens_shot=index == 0, blend=(), state=state, previous=painting(64, 96)
            ),
        )
        for index, state in ((0, {}), (3, {"style_weight": 150 * 0.5**3}))
    )
    torch.testing.assert_close(later.image, first.image)
    assert later.state["style_weight"] == pytest.approx(first.state["style_weight"])
