"""The library API: content and style images in, a PIL image out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.errors import InputError, UnknownNameError, UsageError

QUICK = {"size": 64, "steps": [2], "coarsest": 0}


def waves(k: int) -> np.ndarray:
    y, x = np.mgrid[0:64, 0:80]
    return (127 + 100 * np.stack([np.sin((x * k + y * c) / 9) for c in (1, 2, 3)], axis=2)).astype(
        np.uint8
    )


def test_paths_images_and_arrays_are_the_same(tmp_path):
    content, style = waves(1), waves(4)
    Image.fromarray(content).save(tmp_path / "c.png")
    Image.fromarray(style).save(tmp_path / "s.png")
    results = [
        impasto.stylize(str(tmp_path / "c.png"), tmp_path / "s.png", **QUICK),
        impasto.stylize(Image.fromarray(content), Image.fromarray(style), **QUICK),
        impasto.stylize(content, [style.astype(np.float64) / 255], **QUICK),
    ]
    assert results[0].size == (64, 51)
    assert results[0].mode == "RGB"
    for other in results[1:]:
        assert np.abs(np.asarray(other).astype(int) - np.asarray(results[0])).max() <= 1


def test_size_zero_keeps_the_photographs_own():
    assert impasto.stylize(waves(1), waves(4), **{**QUICK, "size": 0}).size == (80, 64)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("keep", ["luminance", "linear", "histogram"])
def test_kept_colors_are_nearer_to_the_photographs(keep, when):
    content = np.zeros((64, 80, 3), np.uint8)
    content[...] = (40, 90, 200)
    content[20:40, 30:60] = (200, 180, 40)
    style = 255 - waves(4)[..., ::-1]

    def distance(**kwargs):
        painted = np.asarray(
            impasto.stylize(content, style, **{**QUICK, "steps": [8], **kwargs})
        ).astype(float)
        return np.abs(painted.mean((0, 1)) - content.mean((0, 1))).sum()

    assert distance(keep_colors=keep, keep_colors_when=when) < distance()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), "at least 32 px"),
        (np.zeros((64, 64), np.uint8), "height, width, 3"),
        (np.full((64, 64, 3), 7.0), "floats from 0 to 1"),
        (np.full((64, 64, 3), np.nan), "floats from 0 to 1"),
        (np.zeros((64, 64, 3), np.int64), "must contain uint8"),
    ],
)
def test_pictures_that_cannot_be_painted(content, message):
    with pytest.raises(InputError, match=message):
        impasto.stylize(content, waves(4), **QUICK)


def test_options_that_cannot_be():
    with pytest.raises(UnknownNameError, match="Did you mean 'strength'"):
        impasto.stylize(waves(1), waves(4), strenght=0.5)
    with pytest.raises(UsageError, match="must be between 0 and 4; got"):
        impasto.stylize(waves(1), waves(4), strength=5)


def test_presets_differ_and_faithful_gatys_is_the_paper():
    preset = impasto.PRESETS["faithful-gatys"]
    assert (preset.pooling, preset.style_loss, preset.start, preset.coarsest) == (
        "average",
        "gram",
        "noise",
        0,
    )
    assert preset.content_loss == "half-sum"
    assert preset.style_weight / preset.content_weight == 1000
    assert impasto.PRESETS["draft"] != impasto.PRESETS["standard"]


def test_faithful_gatys_paints():
    painted = impasto.stylize(waves(1), waves(4), preset="faithful-gatys", size=64, steps=[10])
    assert np.asarray(painted).std() > 10


def test_photographs_stay_photographs():
    from skimage.metrics import structural_similarity

    plain = {
        "size": 80,
        "steps": (20, 20),
        "coarsest": 48,
        "style_loss": "gram",
        "balance": "fixed",
    }
    alike = {}
    for name, settings in {
        "painted": {},
        "photoreal": {"photoreal_weight": 1e4, "affine": 0.03},
    }.items():
        result = impasto.stylize(waves(1), waves(4)[..., ::-1].copy(), **plain, **settings)
        gray, wanted = (np.asarray(p.convert("L")) for p in (result, Image.fromarray(waves(1))))
        alike[name] = structural_similarity(gray, wanted)
    assert alike["photoreal"] > alike["painted"] + 0.1


def test_delivers_in_another_size_than_it_paints():
    result = impasto.stylize(waves(1), waves(4), **{**QUICK, "size": 40}, affine=0.05, deliver=0)
    assert result.size == (80, 64)
    with pytest.raises(UsageError, match="--affine"):
        impasto.options(deliver=0)


@pytest.mark.parametrize("loss", ["mixed", "gram", "w2", "neighbor"])
def test_a_region_takes_its_own_part_of_the_style(tmp_path, loss):
    halves = np.zeros((64, 80, 3), np.uint8)
    halves[:, :40] = 255
    Image.fromarray(halves).save(tmp_path / "c.png")
    Image.fromarray(np.ascontiguousarray(halves[:, ::-1])).save(tmp_path / "s.png")
    style = waves(4)
    style[:, :40] = (
        200,
        30,
        30,
    )  # the left of the style is masked black, and the content's black is on the right
    style[:, 40:] = (30, 30, 200)
    painted = impasto.stylize(
        np.full((64, 80, 3), 120, np.uint8), style, size=64, steps=[25], coarsest=0, style_loss=loss,
        style_weight=1000.0, content_regions=tmp_path / "c.png", style_regions=tmp_path / "s.png",
    )  # fmt: skip
    left, right = (
        float(np.subtract(half[..., 2].mean(), half[..., 0].mean()))
        for half in np.split(np.asarray(painted).astype(float), 2, axis=1)
    )
    assert left > 0 > right
    assert (
        left - right > 30
    )  # blue minus red; 46 to 150 depending on loss and instruction set, about 0 without regions


def halves(path, *, flipped: bool = False):
    pixels = np.zeros((64, 80, 3), np.uint8)
    pixels[:, 40:] = 255
    Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if flipped else pixels)).save(path)
    return path


def test_only_a_region_is_painted(tmp_path):
    content = waves(1)
    painted = np.asarray(
        impasto.stylize(
            content, waves(4), **{**QUICK, "size": 0, "steps": [6]}, only=["white"], feather=0.0,
            content_regions=halves(tmp_path / "m.png"),
        )
    )  # fmt: skip
    assert np.abs(painted[:, :39].astype(int) - content[:, :39]).max() <= 1
    assert np.abs(painted[:, 41:].astype(int) - content[:, 41:]).mean() > 3


def test_every_region_takes_the_style_it_is_assigned(tmp_path):
    red = (waves(4) * (1.0, 0.2, 0.2)).astype(np.uint8)
    blue = np.ascontiguousarray(red[..., ::-1])
    painted = np.asarray(
        impasto.stylize(
            np.full((64, 80, 3), 120, np.uint8), [red, blue], size=64, steps=[25], coarsest=0, style_weight=1000.0,
            content_regions=halves(tmp_path / "m.png"), assign=["black=1", "white=2"],
        )
    ).astype(float)  # fmt: skip
    left, right = np.split(painted, 2, axis=1)
    assert left[..., 0].mean() > left[..., 2].mean() + 10
    assert right[..., 2].mean() > right[..., 0].mean() + 10


def test_regions_are_found_without_masks():
    painted = impasto.stylize(waves(1), waves(4), **QUICK, regions="auto", region_count=2)
    assert painted.size == (64, 51)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"style_regions": "m.png"}, "pass both"),
        ({"content_regions": "m.png"}, "--content-regions requires --style-regions"),
        (
            {"content_regions": "m.png", "style_regions": "m.png", "regions": "auto"},
            "are mutually exclusive",
        ),
        ({"regions": "semantic"}, "pass its folder with --segmenter"),
        ({"only": ["white"]}, "--assign, --only and --background keep require regions"),
        ({"regions": "auto", "style_loss": "sliced"}, "sliced does not support regions"),
        ({"regions": "auto", "assign": ["white"]}, "such as white=1"),
        ({"regions": "auto", "assign": ["white=2"]}, "exceeds the number of styles, 1"),
        ({"regions": "auto", "only": ["puce"]}, "puce"),
    ],
)
def test_regions_that_do_not_go_together_are_refused(tmp_path, monkeypatch, given, message):
    halves(tmp_path / "m.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, InputError), match=message):
        impasto.stylize(waves(1), waves(4), **QUICK, **given)


def test_two_styles_need_an_assignment():
    with pytest.raises(UsageError, match="must be assigned"):
        impasto.stylize(waves(1), [waves(4), waves(5)], **QUICK, regions="auto")
