"""Mask input: palette colors, soft grays, and masks that do not match."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import InputError
from impasto.regions import PALETTE, Wish, check_shape, match_regions, read_masks


def painted_mask(path, colors, height=40, width=60):
    """Writes vertical bands in palette colors."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for number, color in enumerate(colors):
        pixels[:, number * width // len(colors) : (number + 1) * width // len(colors)] = PALETTE[
            color
        ]
    Image.fromarray(pixels).save(path)
    return path


def test_colors_are_regions_that_add_up_to_one(tmp_path):
    masks = read_masks(painted_mask(tmp_path / "m.png", ["blue", "white", "gray"]))
    assert set(masks) == {"blue", "white", "gray"}
    torch.testing.assert_close(torch.stack(list(masks.values())).sum(0), torch.ones(1, 1, 40, 60))
    assert float(masks["blue"][..., :20].mean()) == 1


def test_antialiased_edges_belong_to_the_nearest_color(tmp_path):
    path = painted_mask(tmp_path / "m.png", ["red", "green"])
    Image.open(path).resize((45, 31), Image.Resampling.BICUBIC).save(path)
    masks = read_masks(path)
    assert set(masks) == {"red", "green"}
    assert abs(float(masks["red"].mean()) - 0.5) < 0.03


def test_shades_of_gray_are_one_soft_mask(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    Image.fromarray(ramp).save(tmp_path / "m.png")
    masks = read_masks(tmp_path / "m.png")
    assert set(masks) == {"white", "black"}
    assert float(masks["white"][0, 0, 5, 30]) == pytest.approx(0.5, abs=0.02)


def test_another_palette_is_refused(tmp_path):
    pixels = np.full((40, 60, 3), (200, 130, 60), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="matches the mask palette; use pure black"):
        read_masks(tmp_path / "m.png")


def test_another_shape_is_refused_and_another_size_is_not(tmp_path):
    masks = read_masks(painted_mask(tmp_path / "m.png", ["red", "green"]))
    check_shape(masks, tmp_path / "m.png", 120, 80)
    with pytest.raises(InputError, match="is 60x40 px, but its image is 100x100 px"):
        check_shape(masks, tmp_path / "m.png", 100, 100)


def test_regions_that_lack_a_partner_are_told(tmp_path):
    content = read_masks(painted_mask(tmp_path / "c.png", ["red", "green"]))
    style = read_masks(painted_mask(tmp_path / "s.png", ["red", "blue"]))
    matched = match_regions(content, style)
    assert [region.name for region in matched.regions] == ["red", "green"]
    assert float(matched.regions[1].style.mean()) == 1
    assert len(matched.notes) == 2
    with pytest.raises(InputError, match="they must share at least one"):
        match_regions({"red": content["red"]}, {"blue": style["blue"]})


def test_feathering_keeps_the_sum_and_opens_no_gap(tmp_path):
    masks = read_masks(painted_mask(tmp_path / "c.png", ["red", "green"]))
    regions = match_regions(masks, masks, Wish(feather=0.05)).regions
    total = sum(region.content for region in regions)
    torch.testing.assert_close(total, torch.ones_like(total))
    edge = regions[0].content[0, 0, 20]
    assert 0.3 < float(edge[29]) < 0.7
    assert float(edge[0]) == 1
