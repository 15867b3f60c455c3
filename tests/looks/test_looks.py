"""Looks: reading and writing files, any style, one style, films, and incompatible options."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from films import decoded, film, write_film
from helpers import painting, photograph
from PIL import Image
from safetensors.torch import save_file

import impasto
from impasto.backbones import load_backbone
from impasto.config import film_options, options
from impasto.errors import MissingFileError, UsageError, WeightsError
from impasto.looks import (
    Johnson,
    Look,
    LookPainter,
    Painter,
    PainterShape,
    load_look,
    save_look,
)
from impasto.looks.networks import doubled
from impasto.looks.style import StyleTarget, look_terms, measure_style
from impasto.media import Picture
from impasto.pipeline import prepare_film
from impasto.types import FrameContext

DATA = Path(os.environ.get("IMPASTO_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def own() -> Look:
    """A painter with random weights."""
    torch.manual_seed(0)
    painter = Painter(PainterShape(width=8, dilations=(1, 2)))
    torch.nn.init.normal_(painter.head.weight, std=0.05)
    code = 0.1 * torch.randn(1, painter.shape.codes)
    red = torch.tensor([0.7, 0.3, 0.3]).view(1, 3, 1)
    colors = torch.cat([red, 0.02 * torch.eye(3)[None]], dim=2)
    return Look(painter, code, colors, {"license": "none"})


@pytest.fixture
def look_file(tmp_path):
    save_look(tmp_path / "my.look", own())
    return tmp_path / "my.look"


def test_a_look_is_written_and_read_again(look_file):
    look, again = own(), load_look(look_file)
    assert again.about == {"license": "none"}
    assert again.painter.shape == look.painter.shape
    one, other = (LookPainter(each).picture(photograph()) for each in (look, again))
    torch.testing.assert_close(one, other, atol=1e-2, rtol=0)  # half precision
    assert not list(look_file.parent.glob("*.part"))


def test_a_published_checkpoint_is_read(tmp_path):
    network = Johnson((8, 8, 8), blocks=5)
    state = {name: value.half() for name, value in network.state_dict().items()}
    state["in1.running_mean"] = torch.zeros(8)
    torch.save(state, tmp_path / "candy.pth")
    look = load_look(tmp_path / "candy.pth")
    assert look.code is None
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
        ({"layer.weight": torch.zeros(3)}, "is not a fast_neural_style checkpoint"),
        (
            {k: v for k, v in Johnson((8, 8, 8)).state_dict().items() if "res5" not in k},
            "lacks the tensor .res5",
        ),
    ],
)
def test_another_checkpoint_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        load_look(tmp_path / "x.pth")


def test_what_is_no_look_is_refused(tmp_path):
    header = {"format": 1, "kind": "painter", "shape": {"breadth": 3}, "about": {}}
    save_file({"code": torch.zeros(1)}, tmp_path / "z.look", {"impasto-look": json.dumps(header)})
    with pytest.raises(WeightsError, match=r"field shape\.breadth is 3, not a field"):
        load_look(tmp_path / "z.look")
    (tmp_path / "x.look").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read safely as a look"):
        load_look(tmp_path / "x.look")
    with pytest.raises(MissingFileError, match="does not exist; train one"):
        load_look(tmp_path / "y.look")


class Same(torch.nn.Module):
    def forward(self, image, _code):
        return image


def test_the_photograph_is_shown_in_the_styles_colors():
    shown = LookPainter(dataclasses.replace(own(), painter=Same())).picture(photograph())
    assert float(shown[:, 0].mean() - shown[:, 2].mean()) > 0.2


def test_strength_mixes_and_zero_is_the_photograph():
    image = photograph()
    for strength in (0.0, 0.5, 1.0):
        pastiche = LookPainter(own(), strength=strength).picture(image)
        if strength == 0:
            torch.testing.assert_close(pastiche, image)
    with pytest.raises(UsageError, match="--strength must be between 0 and 1 with --look"):
        options(look="x.look", strength=1.5)


def test_each_picture_of_a_batch_is_held_against_its_own_style():
    backbone = load_backbone()
    styles = [painting(64, 64, seed) for seed in (1, 2)]
    target = StyleTarget.stack([measure_style(style, backbone, 64) for style in styles])
    terms = look_terms(torch.cat(styles), torch.cat(styles), target, backbone)
    assert float(terms["style"]) < 1e-3
    assert float(terms["content"]) < 1e-6
    crossed = look_terms(torch.cat(styles[::-1]), torch.cat(styles), target, backbone)
    assert float(crossed["style"]) > 0.05


def pixels() -> np.ndarray:
    return (photograph(50, 71)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def test_the_library_paints_at_once_in_any_size(look_file):
    assert impasto.stylize(pixels(), [], look=look_file, size=0).size == (71, 50)
    assert impasto.stylize(pixels(), [], look=look_file, size=40).size == (40, 28)
    plain, kept = (
        np.asarray(impasto.stylize(pixels(), [], look=look_file, size=0, keep_colors=keep)).astype(
            float
        )
        for keep in ("none", "luminance")
    )
    own_color = pixels() - pixels().mean(2, keepdims=True)
    far = [np.abs(p - p.mean(2, keepdims=True) - own_color).mean() for p in (plain, kept)]
    assert far[1] < far[0]


def test_only_a_region_is_painted(tmp_path, look_file):
    mask = np.zeros((50, 71, 3), np.uint8)
    mask[:, :35] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    painted = np.asarray(
        impasto.stylize(
            pixels(), [], look=look_file, size=0, only=["white"], feather=0.0,
            content_regions=tmp_path / "m.png",
        )
    ).astype(int)  # fmt: skip
    assert np.abs(painted[:, 36:] - pixels()[:, 36:]).max() <= 1
    assert np.abs(painted[:, :34] - pixels()[:, :34]).mean() > 5


def test_a_look_is_the_optimizers_start(look_file):
    style = (painting()[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    quick = {"size": 71, "steps": [0], "coarsest": 0, "look": look_file}
    started = np.asarray(impasto.stylize(pixels(), style, start="look", **quick)).astype(int)
    looked = np.asarray(impasto.stylize(pixels(), [], look=look_file, size=71)).astype(int)
    assert np.abs(started - looked).max() <= 1
    with pytest.raises(UsageError, match="pass one with --look"):
        options(start="look")


def test_enlarging_and_convolving_at_once_is_the_same_as_in_turn():
    generator = torch.Generator().manual_seed(3)
    convolution = torch.nn.Conv2d(5, 4, 3)
    h = torch.randn(2, 5, 7, 6, generator=generator)
    large = F.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=False)
    wanted = convolution(F.pad(large, (1, 1, 1, 1), mode="replicate"))
    torch.testing.assert_close(doubled(convolution, h), wanted)


def look_job(clip, out, look, method="steady", resume=False):
    film = film_options(method, codec="ffv1")
    return prepare_film(clip, [], out, options(size=0, look=look), film, resume=resume)


def test_a_film_is_steadier_with_the_motion_and_needs_none(tmp_path, look_file):
    clip = write_film(tmp_path / "c.mp4", film(5, shift=(0, 2)))
    changes = {}
    for method in ("steady", "frame-by-frame"):
        made = look_job(clip, tmp_path / f"{method}.mkv", look_file, method)
        frames = [event.pixels.astype(float) for event in made]
        assert (made.flow is None) == (method == "frame-by-frame")
        assert made.store.flow(1) is None  # results of a look need no long-term consistency
        moved = [np.roll(frame, 2, 1)[:, 8:-8] for frame in frames[:-1]]
        pairs = zip(moved, frames[1:], strict=True)
        changes[method] = np.mean([np.square(a - b[:, 8:-8]).mean() for a, b in pairs])
    assert changes["steady"] < 0.7 * changes["frame-by-frame"]


def test_a_film_goes_on_to_the_byte(tmp_path, look_file):
    clip = write_film(tmp_path / "c.mp4", film(6, cut=4), sound=True)
    whole = look_job(clip, tmp_path / "a.mkv", look_file)
    events = list(whole)
    assert [e.opens_shot for e in events] == [True, False, False, False, True, False]
    whole.assemble()
    broken = look_job(clip, tmp_path / "b.mkv", look_file)
    iterator = iter(broken)
    for _ in range(3):
        next(iterator)
    iterator.close()  # waits until the last frame is on disk
    going = look_job(clip, tmp_path / "b.mkv", look_file, resume=True)
    assert len(list(going)) == 3
    going.assemble()
    np.testing.assert_array_equal(decoded(tmp_path / "a.mkv"), decoded(tmp_path / "b.mkv"))


def test_a_film_in_any_style_goes_on_beside_other_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = write_film(tmp_path / "c.mp4", film(3))
    style = Picture.from_tensor(painting(64, 64))

    def made(resume=False):
        return prepare_film(clip, [style], Path("o.mkv"), options(size=0, look="instant"),
                            film_options("frame-by-frame"), resume=resume)  # fmt: skip

    next(iter(made()))
    Path("other.txt").write_text("a file that comes meanwhile")
    assert len(list(made(resume=True))) == 2


def test_the_tone_of_a_shot_follows_its_mean_slowly():
    painter = LookPainter(own())
    first = painter.paint(photograph(), FrameContext(index=0, opens_shot=True, blend=()))
    brighter = (photograph() + 0.2).clamp(0, 1)
    second = painter.paint(
        brighter, FrameContext(index=1, opens_shot=False, blend=(), state=first.state)
    )
    moved = second.state["color_0"] - first.state["color_0"]
    assert 0 < moved < 0.05
