"""The look instant: feature statistics, seamless strips, and combinations with other options."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from films import decoded, film, write_film
from helpers import painting, photograph
from PIL import Image

import impasto
from impasto.backbones import load_backbone
from impasto.config import film_options, options
from impasto.errors import UsageError
from impasto.looks import AnyStylePainter, Look, feed_forward_look, load_look, save_look
from impasto.looks.instant import Manner, blend_manners
from impasto.looks.recolor import recolor_batch
from impasto.looks.style import look_terms, measure_style
from impasto.looks.transport import gaussian_of, moments, transport
from impasto.media import Picture
from impasto.media.strips import in_strips
from impasto.pipeline import look_painter, prepare_film
from impasto.types import Region

RED = torch.tensor([0.8, 0.15, 0.1]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def network():
    return load_look("instant").painter


def colored(color: torch.Tensor, seed: int = 1) -> torch.Tensor:
    return (0.6 * color + 0.4 * painting(80, 96, seed)).clamp(0, 1)


def array(image: torch.Tensor) -> np.ndarray:
    return (image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def test_transported_features_have_the_styles_mean_and_covariance():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(12, 12, generator=generator)
    maps = torch.randn(2, 12, 20, 30, generator=generator)
    style = 3 + torch.einsum(
        "ij,bjhw->bihw", mixing, torch.rand(1, 12, 25, 25, generator=generator)
    )
    moved = transport(maps, gaussian_of(style))
    for found, wanted in zip(moments(moved), moments(style), strict=True):
        apart = (found - wanted).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)
        assert float(apart.max()) < 0.03
    weight = torch.zeros(1, 1, 20, 30)
    weight[..., :10] = 1
    part = transport(maps[:1], gaussian_of(style), weight)[..., :10]
    torch.testing.assert_close(moments(part)[0], moments(style)[0], atol=0.02, rtol=0.02)


def test_features_of_one_value_stay_finite():
    flat = torch.full((1, 12, 8, 8), 0.3)
    assert torch.isfinite(transport(flat, gaussian_of(torch.rand(1, 12, 9, 9)))).all()
    assert torch.isfinite(transport(torch.rand(1, 12, 8, 8), gaussian_of(flat))).all()


def test_plain_pictures_and_plain_styles_are_painted(network):
    plain = torch.full((1, 3, 40, 48), 0.02)
    for image, style in ((plain, painting()), (photograph(40, 48), plain), (plain, plain)):
        assert torch.isfinite(AnyStylePainter(network, [style]).picture(image)).all()


def test_strips_have_no_seam(network):
    image = photograph(264, 200)
    manner = network.manner(painting())
    with torch.no_grad():
        whole, strips = network(image, [manner]), network(image, [manner], rows=64)
    assert float((whole - strips).abs().max()) < 1e-3
    calls = []

    def counted(x: torch.Tensor) -> tuple[torch.Tensor]:
        calls.append(x.shape[-2])
        return (x,)

    in_strips(counted, image, 8, 64)
    assert len(calls) == 5
    assert max(calls) == 80


def test_it_comes_nearer_to_a_style_it_never_saw_than_colors_do(network):
    backbone, image, style = load_backbone(), photograph(160, 192), painting(160, 160, 4)
    target = measure_style(style, backbone, 160)
    recolored = recolor_batch(image, [style])
    pastiche = AnyStylePainter(network, [style], style_scale=160 / 192).picture(image)
    near = float(look_terms(pastiche, image, target, backbone)["style"])
    assert near < 0.75 * float(look_terms(recolored, image, target, backbone)["style"])


def test_each_region_takes_its_own_style(network):
    image = photograph(96, 128)
    left = torch.zeros(1, 1, 96, 128)
    left[..., :64] = 1
    whole = torch.ones(1, 1, 80, 96)
    regions = [
        Region(name="left", content=left, style=whole, number=0),
        Region(name="right", content=1 - left, style=whole, number=1),
    ]
    styles = [colored(RED), colored(RED.flip(1))]
    pastiche = AnyStylePainter(network, styles).picture(image, regions)
    tint = (pastiche[:, 0] - pastiche[:, 2]).mean((0, 1))
    assert float(tint[:48].mean()) > 0.2
    assert float(tint[80:].mean()) < -0.2


def test_styles_blend(network):
    image, styles = photograph(64, 64), [colored(RED), colored(RED.flip(1))]
    tints = []
    for blend in ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0)):
        pastiche = AnyStylePainter(network, styles, blend=blend).picture(image)
        tints.append(float((pastiche[:, 0] - pastiche[:, 2]).mean()))
    assert tints[0] > tints[1] + 0.1 > tints[2] + 0.2
    manners = [network.manner(style) for style in styles]
    middle = blend_manners(manners, (2, 2)).levels[0].mean
    torch.testing.assert_close(middle, (manners[0].levels[0].mean + manners[1].levels[0].mean) / 2)


@pytest.mark.parametrize("size", [(33, 47), (9, 20), (64, 64)])
def test_any_size_comes_back_as_it_was(network, size):
    image = photograph(*size)
    assert AnyStylePainter(network, [painting()]).picture(image).shape == image.shape
    unpainted = AnyStylePainter(network, [painting()], strength=0.0).picture(image)
    torch.testing.assert_close(unpainted, image)


def test_a_look_with_a_manner_of_its_own_is_kept_in_a_file(tmp_path, network):
    manner = network.manner(painting())
    save_look(tmp_path / "own.look", Look(network, about={"license": "x"}, manner=manner))
    look = load_look(tmp_path / "own.look")
    assert not look.takes_styles
    one = look_painter(options(look=tmp_path / "own.look"), (), feed_forward_look(look)).picture(
        photograph(64, 64)
    )
    with torch.no_grad():
        other = network(photograph(64, 64), [Manner(manner.levels)]).clamp(0, 1)
    torch.testing.assert_close(one, other, atol=2e-2, rtol=0)
    with pytest.raises(UsageError, match="has a built-in style; remove the style image"):
        look_painter(options(look=tmp_path / "own.look"), [painting()])


def test_the_library_paints_in_any_style():
    content, style = array(photograph(64, 90)), array(painting())
    made = impasto.stylize(content, style, look="instant", size=0)
    assert made.size == (90, 64)
    assert np.abs(np.asarray(made).astype(int) - content).mean() > 10
    kept = impasto.stylize(content, style, look="instant", size=0, keep_colors="luminance")
    own = content - content.mean(2, keepdims=True)
    seen = np.asarray(kept).astype(float)
    assert np.abs(seen - seen.mean(2, keepdims=True) - own).mean() < 12
    with pytest.raises(UsageError, match="requires a style image"):
        impasto.stylize(content, [], look="instant")


def test_regions_are_found_and_painted():
    content, style = array(photograph(96, 128)), array(painting(96, 96))
    quick = {"look": "instant", "size": 0}
    plain, parts = (
        np.asarray(impasto.stylize(content, style, regions=regions, **quick)).astype(int)
        for regions in ("none", "auto")
    )
    assert np.abs(plain - parts).mean() > 1


def test_it_is_the_optimizers_start():
    content, style = array(photograph(64, 80)), array(painting())
    quick = {"size": 80, "steps": [0], "coarsest": 0, "look": "instant"}
    started = np.asarray(impasto.stylize(content, style, start="look", **quick)).astype(int)
    looked = np.asarray(impasto.stylize(content, style, look="instant", size=80)).astype(int)
    assert np.abs(started - looked).max() <= 1


def test_a_film_goes_on_to_the_byte_and_styles_follow_one_another(tmp_path):
    clip = write_film(tmp_path / "c.mp4", film(6), sound=True)
    styles = [Picture.from_pil(Image.fromarray(array(colored(c)))) for c in (RED, RED.flip(1))]

    def job(name, resume=False):
        chosen = film_options("frame-by-frame", codec="ffv1", schedule=(0.0, 0.16))
        return prepare_film(
            clip, styles, tmp_path / name, options(size=0, look="instant"), chosen, resume=resume
        )

    whole = job("a.mkv")
    tints = [float(e.pixels[..., 0].mean() - e.pixels[..., 2].mean()) for e in whole]
    assert tints[0] > 20
    assert tints[-1] < -5
    whole.assemble()
    broken = iter(job("b.mkv"))
    for _ in range(3):
        next(broken)
    broken.close()  # waits until the last frame is on disk
    going = job("b.mkv", resume=True)
    assert len(list(going)) == 3
    going.assemble()
    np.testing.assert_array_equal(decoded(tmp_path / "a.mkv"), decoded(tmp_path / "b.mkv"))


def test_a_photograph_that_moved_by_a_pixel_is_painted_as_before_and_moved(network):
    large = photograph(160, 192)
    manner = network.manner(painting())

    def painted(right: int) -> torch.Tensor:
        with torch.no_grad():
            made = network(large[..., :128, right : right + 160], [manner]).clamp(0, 1)
        return made[..., 24:-24, 32 - right : 128 - right]

    still, cell, pixel = painted(0), painted(8), painted(1)
    contrast = float(still.var())
    assert float((pixel - still).square().mean()) < 0.05 * contrast
    assert float((pixel - still).square().mean()) < 2 * float((cell - still).square().mean())
