"""Looks: files in and out, any style at once, one style, films, and what does not go together."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from films import decoded, film, write_film
from helpers import painting, photograph
from PIL import Image

import impasto
from impasto.backbones import load_backbone
from impasto.config import film_options, options
from impasto.errors import MissingFileError, UsageError, WeightsError
from impasto.looks import (
    Johnson,
    Look,
    LookPainter,
    Mirror,
    Painter,
    PainterShape,
    StyleCode,
    load_look,
    save_look,
)
from impasto.looks.networks import MIRRORED
from impasto.looks.style import StyleTarget, look_terms, measure_style
from impasto.media import Picture
from impasto.pipeline import prepare_film
from impasto.types import FrameContext

DATA = Path(os.environ.get("IMPASTO_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def fresh(seed: int = 0) -> Look:
    """A mirror of random weights."""
    torch.manual_seed(seed)
    backbone = load_backbone()
    maps = backbone(painting(), MIRRORED)
    mirror = Mirror(backbone, tuple(maps[layer].shape[1] for layer in MIRRORED))
    return Look(mirror, StyleCode(mirror.codes), about={"licence": "none"})


def own(rank: int = 0) -> Look:
    """A painter of one style, of random weights."""
    torch.manual_seed(0)
    painter = Painter(PainterShape(width=8, dilations=(1, 2), rank=rank))
    torch.nn.init.normal_(painter.head.weight, std=0.05)
    code = 0.1 * torch.randn(1, painter.shape.codes)
    colors = torch.cat([torch.full((1, 3, 1), 0.5), 0.05 * torch.eye(3)[None]], dim=2)
    return Look(painter, None, code, colors)


@pytest.mark.parametrize("make", [fresh, own, lambda: own(rank=2)])
def test_a_look_is_written_and_read_again(tmp_path, make):
    look = make()
    save_look(tmp_path / "a.look", look)
    again = load_look(tmp_path / "a.look")
    assert again.about == look.about
    styles = [painting()] if look.any_style else []
    one, other = (LookPainter(each, styles).picture(photograph()) for each in (look, again))
    torch.testing.assert_close(one, other, atol=1e-2, rtol=0)  # half precision
    assert not list(tmp_path.glob("*.part"))


def test_a_published_checkpoint_is_read(tmp_path):
    network = Johnson((8, 8, 8), blocks=5)
    state = {name: value.half() for name, value in network.state_dict().items()}
    state["in1.running_mean"] = torch.zeros(8)
    torch.save(state, tmp_path / "candy.pth")
    look = load_look(tmp_path / "candy.pth")
    assert not look.any_style
    pastiche = LookPainter(look).picture(photograph(50, 70))
    assert pastiche.shape == (1, 3, 50, 70)


def test_a_real_published_look_paints_like_candy():
    path = DATA / "looks" / "candy_fp16.pth"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    image = photograph(96, 128)
    pastiche = LookPainter(load_look(path)).picture(image)
    assert float((pastiche - image).abs().mean()) > 0.1
    assert 0.2 < float(pastiche.mean()) < 0.8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"layer.weight": torch.zeros(3)}, "is no look of fast_neural_style"),
        (
            {k: v for k, v in Johnson((8, 8, 8)).state_dict().items() if "res5" not in k},
            "another architecture",
        ),
    ],
)
def test_another_checkpoint_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        load_look(tmp_path / "x.pth")


def test_what_is_no_look_is_refused(tmp_path):
    (tmp_path / "x.look").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read as a look"):
        load_look(tmp_path / "x.look")
    with pytest.raises(MissingFileError, match="there is no look"):
        load_look(tmp_path / "y.look")
    with pytest.raises(UsageError, match="Did you mean 'instant'"):
        load_look("instnat")


def test_the_shipped_look_is_small_and_takes_the_styles_colours():
    look = load_look("instant")
    assert look.any_style
    assert sum(p.numel() for p in look.painter.parameters()) < 1_000_000
    red = painting() * torch.tensor([1.0, 0.3, 0.3]).view(1, 3, 1, 1)
    pastiche = LookPainter(look, [red]).picture(photograph())
    far = (pastiche.mean((2, 3)) - red.mean((2, 3))).abs().max()
    assert float(far) < 0.15


def test_strength_mixes_and_zero_is_the_photograph():
    image = photograph()
    for strength in (0.0, 0.5, 1.0):
        pastiche = LookPainter(fresh(), [painting()], strength=strength).picture(image)
        if strength == 0:
            torch.testing.assert_close(pastiche, image)
    with pytest.raises(UsageError, match="allowed with --look is from 0 to 1"):
        options(look="instant", strength=1.5)


def test_blending_lies_between_two_styles():
    look, styles = fresh(), [painting(seed=1), 1 - painting(seed=2)]
    image = photograph()
    ends = [LookPainter(look, styles, blend).picture(image) for blend in ((1, 0), (0, 1))]
    middle = LookPainter(look, styles, (1, 1)).picture(image)
    for end in ends:
        assert float((middle - end).abs().mean()) < float((ends[0] - ends[1]).abs().mean())
    with pytest.raises(UsageError, match="1 blend weights for 2 styles"):
        LookPainter(look, styles, (1,))


def test_each_picture_of_a_batch_is_held_against_its_own_style():
    backbone = load_backbone()
    styles = [painting(64, 64, seed) for seed in (1, 2)]
    target = StyleTarget.stack([measure_style(style, backbone, 64) for style in styles])
    terms = look_terms(torch.cat(styles), torch.cat(styles), target, backbone)
    assert float(terms["style"]) < 1e-3
    assert float(terms["content"]) < 1e-6
    crossed = look_terms(torch.cat(styles[::-1]), torch.cat(styles), target, backbone)
    assert float(crossed["style"]) > 0.05


def test_the_library_paints_at_once_in_any_size():
    content = (photograph(50, 71)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    style = (painting()[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    assert impasto.stylize(content, style, look="instant", size=0).size == (71, 50)
    kept = np.asarray(
        impasto.stylize(content, style, look="instant", size=0, keep_colors="luminance")
    )
    assert (
        np.abs(
            (kept - kept.mean(2, keepdims=True)) - (content - content.mean(2, keepdims=True))
        ).mean()
        < 25
    )


def test_regions_take_their_own_part_of_the_style(tmp_path):
    halves = np.zeros((64, 80, 3), np.uint8)
    halves[:, :40] = 255
    Image.fromarray(halves).save(tmp_path / "m.png")
    rng = np.random.default_rng(0)
    style = rng.integers(0, 60, (64, 80, 3)).astype(np.uint8)
    style[:, :40, 0] += 180
    style[:, 40:, 2] += 180
    content = rng.integers(90, 150, (64, 80, 3)).astype(np.uint8)
    painted = impasto.stylize(
        content, style, look="instant", size=0,
        content_regions=tmp_path / "m.png", style_regions=tmp_path / "m.png",
    )  # fmt: skip
    left, right = np.split(np.asarray(painted).astype(float), 2, axis=1)
    assert left[..., 0].mean() > left[..., 2].mean() + 40
    assert right[..., 2].mean() > right[..., 0].mean() + 40


def test_a_look_is_the_optimisers_start():
    content = (photograph()[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    style = (painting()[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    quick = {"size": 96, "steps": [0], "coarsest": 0}
    started = np.asarray(impasto.stylize(content, style, start="look", **quick)).astype(int)
    looked = np.asarray(impasto.stylize(content, style, look="instant", size=96)).astype(int)
    assert np.abs(started - looked).max() <= 1


def look_job(clip, out, **changes):
    style = Picture(rgb=np.ascontiguousarray(painting()[0].permute(1, 2, 0).numpy()))
    resume = changes.pop("resume", False)
    return prepare_film(
        clip, [style], out, options(size=0, look="instant"), film_options(codec="ffv1", **changes), resume=resume
    )  # fmt: skip


def test_a_film_is_painted_with_no_flow_and_goes_on_to_the_byte(tmp_path):
    clip = write_film(tmp_path / "c.mp4", film(6, cut=4), sound=True)
    whole = look_job(clip, tmp_path / "a.mkv")
    events = list(whole)
    assert [e.opens_shot for e in events] == [True, False, False, False, True, False]
    whole.assemble()
    broken = look_job(clip, tmp_path / "b.mkv")
    iterator = iter(broken)
    for _ in range(3):
        next(iterator)
    going = look_job(clip, tmp_path / "b.mkv", resume=True)
    assert len(list(going)) == 3
    going.assemble()
    np.testing.assert_array_equal(decoded(tmp_path / "a.mkv"), decoded(tmp_path / "b.mkv"))


def test_the_tone_of_a_shot_follows_its_mean_slowly():
    painter = LookPainter(fresh(), [painting()])
    first = painter.paint(photograph(), FrameContext(index=0, opens_shot=True, blend=()))
    brighter = (photograph() + 0.2).clamp(0, 1)
    second = painter.paint(
        brighter, FrameContext(index=1, opens_shot=False, blend=(), state=first.state)
    )
    moved = second.state["color_0"] - first.state["color_0"]
    assert 0 < moved < 0.05


def test_a_look_of_any_style_wants_one():
    with pytest.raises(UsageError, match="give at least one"):
        LookPainter(fresh())
