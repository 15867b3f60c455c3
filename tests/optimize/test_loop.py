"""The loop: the loss decreases, runs are reproducible and resumable, and failures are reported."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from helpers import LAYERS, TinyNetwork, painting, photograph

from impasto.backbones import load_backbone
from impasto.config import options
from impasto.errors import CheckpointError, DivergedError, OutOfMemoryError, UsageError
from impasto.machine import resolve_device
from impasto.optimize import (
    Optimization,
    build_objective,
    fingerprint,
    load_checkpoint,
    save_checkpoint,
)

FAST = {"size": 96, "coarsest": 24, "steps": (8, 6), "balance": "fixed", **LAYERS}


def run(styles=None, network=None, content=None, **overrides):
    settings = options(**{**FAST, **overrides})
    return Optimization(
        photograph() if content is None else content,
        styles or [painting()],
        network or TinyNetwork(),
        settings,
    )


def painted(optimization):
    for _ in optimization:
        pass
    return optimization.result


# --- it paints --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("style_loss", ["gram", "w2", "mixed", "sliced", "neighbor"])
@pytest.mark.parametrize("solver", ["lbfgs", "adam", "sgd"])
def test_every_loss_comes_down_with_every_solver(style_loss, solver):
    losses = [i.loss for i in run(style_loss=style_loss, solver=solver, coarsest=0, steps=(12,))]
    assert min(losses) < 0.97 * losses[0]


@pytest.mark.parametrize("start", ["content", "recolored", "noise", "style", "gray"])
def test_every_start_gives_a_picture_of_the_size_asked_for(start):
    result = painted(run(start=start, steps=(2,)))
    assert result.shape == (1, 3, 64, 96)
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.std() > 0.01


def test_iterates_tell_where_the_run_is():
    iterates = list(run())
    assert [i.total_step for i in iterates] == list(range(1, 15))
    assert iterates[0].total_steps == 14
    assert (iterates[0].scale, iterates[-1].scale, iterates[-1].scales) == (0, 1, 2)
    assert (iterates[-1].height_px, iterates[-1].width_px) == (64, 96)
    assert iterates[3].loss == pytest.approx(sum(iterates[3].terms.values()), rel=1e-5)


def test_strength_of_zero_is_the_photograph():
    content = photograph(64, 96)
    assert torch.allclose(
        painted(run(content=content, strength=0.0, coarsest=0)), content, atol=1e-4
    )


def test_more_strength_changes_more():
    content = photograph(64, 96)
    change = [
        (painted(run(content=content, strength=s, coarsest=0)) - content).square().mean()
        for s in (0.2, 0.5, 1.0)
    ]
    assert change == sorted(change)


def test_the_margin_is_cut_off():
    assert painted(run(margin=0.1)).shape == (1, 3, 64, 96)


def test_averaged_images_change_less_from_step_to_step_than_the_steps_themselves():
    def changes(averaging):
        optimization = run(
            averaging=averaging, solver="adam", learning_rate=0.1, steps=(12,), coarsest=0
        )
        images = [iterate.image.clone() for iterate in optimization]
        assert torch.equal(optimization.result, optimization.image) == (averaging == 0)
        return torch.tensor([float((a - b).square().mean()) for a, b in itertools.pairwise(images)])

    assert float(changes(0.8)[4:].mean()) < 0.5 * float(changes(0.0)[4:].mean())


def test_tolerance_leaves_a_scale_early():
    assert len(list(run(tolerance=0.9, steps=(40,), coarsest=0))) < 40


# --- several styles ---------------------------------------------------------------------------------------
def test_the_order_of_styles_does_not_matter():
    a, b = painting(seed=1), painting(seed=2)
    one = painted(run(styles=[a, b], blend=(0.3, 0.7), steps=(3,)))
    other = painted(run(styles=[b, a], blend=(0.7, 0.3), steps=(3,)))
    torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


def test_a_blend_of_one_is_that_style():
    a, b = painting(seed=1), painting(seed=2)
    assert torch.equal(painted(run(styles=[a, b], blend=(1.0, 0.0))), painted(run(styles=[a])))


def test_a_style_keeps_its_own_shape():
    seen = []

    class Spy(TinyNetwork):
        def forward(self, image, layers):
            seen.append(tuple(image.shape[-2:]))
            return super().forward(image, layers)

    painted(run(styles=[painting(32, 128)], network=Spy(), coarsest=0, steps=(1,)))
    assert (32, 128) in seen  # the long edge would be 96, but every side is at least 32
    assert (64, 96) in seen


# --- weights mean the same everywhere ---------------------------------------------------------------------
def test_term_weights_do_not_depend_on_the_backbones_scale_or_the_number_of_layers():
    content, style = photograph(), painting(96, 96)
    terms = []
    for network, style_layers in (
        (TinyNetwork(), ("relu1_1",)), (TinyNetwork(50.0), ("relu1_1",)), (TinyNetwork(), ("relu1_1", "relu1_1"))
    ):  # fmt: skip
        settings = options(**{**FAST, "style_layers": style_layers, "style_falloff": 1.0})
        terms.append(
            build_objective(content, [style], network, settings).evaluate(painting(64, 96)).terms
        )
    for other in terms[1:]:  # square roots of eigenvalues have only half the digits of float32
        assert other == pytest.approx(terms[0], rel=3e-3)


def test_term_weights_do_not_depend_on_the_size_of_the_picture():
    # The same texture, tiled twice in each direction, has the same statistics at four times the pixels.
    content, style, image = photograph(64, 64), painting(), painting(seed=2)
    settings = options(**{**FAST, "grain_weight": 0.0})  # tiling adds edges, which change the grain
    small = build_objective(content, [style], TinyNetwork(), settings).evaluate(image).terms
    tile = lambda x: x.repeat(1, 1, 2, 2)  # noqa: E731
    large = build_objective(tile(content), [tile(style)], TinyNetwork(), settings)
    assert large.evaluate(tile(image)).terms == pytest.approx(small, rel=1e-3)


def test_balance_guards_the_photograph():
    left = list(run(balance="fixed", steps=(120,), coarsest=0, style_weight=1e4))[-1]
    guarded = list(
        run(balance="guard", steps=(120,), coarsest=0, style_weight=1e4, content_budget=0.1)
    )[-1]
    assert guarded.terms["content"] < 0.7 * left.terms["content"]


def test_auto_balance_raises_a_weight_that_is_too_small():
    optimization = run(
        balance="auto", steps=(40,), coarsest=0, style_weight=0.01, content_budget=0.2
    )
    painted(optimization)
    assert optimization.balancer.weight > 0.05


# --- the same again ---------------------------------------------------------------------------------------
def test_the_same_run_gives_the_same_bytes():
    for settings in ({"start": "noise"}, {"style_loss": "sliced"}):
        assert torch.equal(painted(run(**settings)), painted(run(**settings)))
    assert not torch.equal(painted(run(start="noise")), painted(run(start="noise", seed=1)))


@pytest.mark.parametrize("stop", [1, 7, 8, 9, 13])
@pytest.mark.parametrize(
    "extra",
    [{}, {"solver": "adam", "averaging": 0.5}, {"style_loss": "sliced", "carry_state": True}],
)
def test_a_run_that_was_stopped_goes_on_exactly(tmp_path, stop, extra):
    whole = painted(run(balance="guard", **extra))
    first = run(balance="guard", **extra)
    for _ in itertools.islice(first, stop):
        pass
    save_checkpoint(tmp_path / "run", first.state_dict(), "mark")
    second = run(balance="guard", **extra)
    second.load_state_dict(load_checkpoint(tmp_path / "run", "mark"))
    assert len(list(second)) == 14 - stop
    assert torch.equal(second.result, whole)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    pictures = [photograph(), painting()]
    mark = fingerprint(pictures, options(**FAST))
    assert mark != fingerprint(pictures, options(**{**FAST, "seed": 1}))
    assert mark != fingerprint([photograph(), painting(seed=3)], options(**FAST))
    assert mark == fingerprint(pictures, options(**{**FAST, "memory_gib": 3.0}))
    save_checkpoint(tmp_path / "run", {"step": 1}, mark)
    with pytest.raises(CheckpointError, match="other images or options"):
        load_checkpoint(tmp_path / "run", "another")
    (tmp_path / "run").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a complete impasto checkpoint"):
        load_checkpoint(tmp_path / "run", mark)


# --- when something is wrong ------------------------------------------------------------------------------
class Breaking(TinyNetwork):
    """Returns non-finite features at the given steps."""

    def __init__(self, when):
        super().__init__()
        self.when, self.calls = when, 0

    def forward(self, image, layers):
        found = super().forward(image, layers)
        if image.requires_grad and image.shape[-1] == 96:
            self.calls += 1
            if self.when(self.calls):
                found = {k: v * float("nan") for k, v in found.items()}
        return found


def test_a_loss_that_is_not_finite_is_told_and_survived():
    iterates = list(run(network=Breaking(lambda n: n == 5), coarsest=0, steps=(12,)))
    assert "restored the best image" in iterates[4].note
    assert iterates[-1].loss < iterates[0].loss
    assert iterates[-1].image.isfinite().all()


def test_a_loss_that_stays_broken_ends_the_run():
    with pytest.raises(DivergedError, match="smaller --learning-rate"):
        painted(run(network=Breaking(lambda n: n > 3), coarsest=0, steps=(30,)))


def test_too_little_memory_is_refused_with_a_size_that_fits():
    with pytest.raises(OutOfMemoryError, match=r"largest size that fits is --size \d+"):
        run(content=photograph(2000, 3000), size=3000, memory_gib=0.6)


def test_memory_that_is_short_turns_on_checkpointing():
    assert not big_plan(memory_gib=64.0).checkpointing
    folded = big_plan(memory_gib=64.0, checkpointing="on").forecast.memory_bytes / 2**30
    tight = big_plan(memory_gib=1.05 * folded)
    assert tight.checkpointing
    assert "gradient checkpointing" in tight.notes[0]


def big_plan(**overrides):
    """A plan for a large image and the real network, without running it."""
    settings = {"size": 4000, "coarsest": 0, "steps": (12,), "start": "content", **overrides}
    content = photograph(3000, 4000)
    return Optimization(content, [painting()], load_backbone(), options(**settings)).plan


def test_the_ladder_goes_down_to_small_tiles_and_few_pairs():
    needed = big_plan(memory_gib=64.0).forecast.memory_bytes
    found = []
    limit = needed / 2**30
    while not found or found[-1] != (False, 128, True, 1):
        limit *= 0.97
        plan = big_plan(memory_gib=limit)
        assert plan.forecast.memory_bytes <= limit * 2**30
        found.append((plan.checkpointing, plan.tile_px, plan.half_pairs, plan.history))
    assert found[0][:2] == (True, 0)
    assert (False, 1024, False, None) in found
    assert (False, 512, True, None) in found
    with pytest.raises(OutOfMemoryError, match=r"largest size that fits is --size \d+"):
        big_plan(memory_gib=0.9 * limit)
    tiles = [tile for _on, tile, half, _history in found if tile and not half]
    assert tiles == sorted(tiles, reverse=True)


def test_a_run_that_cannot_be_divided_says_why():
    with pytest.raises(OutOfMemoryError, match="divided into tiles: --style-loss sliced sorts"):
        big_plan(memory_gib=1.0, style_loss="sliced")


def test_tiles_and_small_pairs_paint_nearly_the_same():
    """Tiles differ in rounding only; pairs in bfloat16 change the path, not where it leads."""
    content = photograph(130, 170)

    def make(**overrides):
        settings = options(size=170, steps=(20,), coarsest=0, style_loss="gram", **overrides)
        return Optimization(content, [painting()], load_backbone(), settings)

    whole, tiled, small = make(), make(tile=128), make(tile=128)
    small.plan = replace(small.plan, half_pairs=True)
    small._limit_solver()
    losses = [list(run)[-1].loss for run in (whole, tiled, small)]
    assert small.solver.steps == []  # a finished run frees its pairs
    assert 0 < 255 * (tiled.result - whole.result).abs().mean() < 2
    assert losses == pytest.approx([losses[0]] * 3, rel=0.05)


def test_scales_that_a_tile_covers_are_evaluated_whole():
    """Coarse scales, which decide where the picture goes, are then the same byte for byte."""
    content = photograph(180, 240)

    def images(tile):
        settings = options(size=240, steps=(4, 2), tile=tile)
        run = Optimization(content, [painting()], load_backbone(), settings)
        return [iterate.image for iterate in run]

    whole, tiled = images(0), images(128)
    assert all(torch.equal(a, b) for a, b in zip(whole[:4], tiled[:4], strict=True))
    assert not torch.equal(whole[-1], tiled[-1])
    assert 255 * (whole[-1] - tiled[-1]).abs().mean() < 0.5


def test_a_resumed_run_keeps_its_tiles():
    content = photograph(130, 170)

    def make(**overrides):
        return Optimization(
            content, [painting()], load_backbone(), options(size=170, steps=(6, 4), **overrides)
        )

    first = make(tile=128)
    first.plan = replace(first.plan, half_pairs=True, history=3)
    first._limit_solver()
    for _ in itertools.islice(first, 5):
        pass
    second = make()
    second.load_state_dict(first.state_dict())
    assert (second.plan.tile_px, second.plan.half_pairs, second.plan.history) == (128, True, 3)
    assert torch.equal(painted(second), painted(first))


@pytest.mark.parametrize("hardware", ["on", "off"])
def test_auto_is_float32_on_the_cpu(monkeypatch, hardware):
    """The default on every processor: bfloat16 gains little there, and its gradient is off by a tenth."""
    monkeypatch.setenv("IMPASTO_BFLOAT16", hardware)
    assert run(device="cpu").precision == "float32 (default on the CPU)"
    assert run(device="cpu", precision="bfloat16").precision == "bfloat16 (as requested)"


def test_auto_turns_to_bfloat16_when_memory_is_short(monkeypatch):
    monkeypatch.setenv("IMPASTO_BFLOAT16", "on")
    big = {"content": photograph(2000, 3000), "size": 3000, "device": "cpu"}
    folded = run(**big, memory_gib=20.0, checkpointing="on").plan.forecast.memory_bytes / 2**30
    short = run(**big, memory_gib=0.9 * folded)
    assert short.precision == "bfloat16 (to save memory)"
    monkeypatch.setenv("IMPASTO_BFLOAT16", "off")
    with pytest.raises(OutOfMemoryError):
        run(**big, memory_gib=0.9 * folded)


def test_bfloat16_paints_nearly_the_same():
    exact, near = (painted(run(precision=name, device="cpu")) for name in ("float32", "bfloat16"))
    assert near.dtype == torch.float32
    assert 0 < (near - exact).abs().mean() < 0.03


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"blend": (1.0, 2.0)}, "weights: 2, styles: 1"),
        ({"blend": (0.0,)}, "at least one weight above 0"),
        ({"device": "abacus"}, "must be auto, cpu"),
    ],
)
def test_settings_that_cannot_be(overrides, message):
    with pytest.raises(UsageError, match=message):
        run(**overrides)


def test_no_style_is_refused():
    with pytest.raises(UsageError, match="no style"):
        Optimization(photograph(), [], TinyNetwork(), options(**FAST))


def test_the_cpu_is_always_there():
    assert resolve_device("cpu").type == "cpu"
