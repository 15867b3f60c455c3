"""Regions from feature clustering, segmentation networks, boxes and scribbles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.backbones import load_backbone
from impasto.errors import InputError, UsageError
from impasto.regions import (
    PALETTE,
    Segmenter,
    Wish,
    cut_by_box,
    cut_by_scribble,
    group_by_masks,
    group_jointly,
    kind_of,
    match_regions,
    read_masks,
    write_masks,
)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone()


def two_textures(split: float, seed: int, height: int = 96, width: int = 128) -> torch.Tensor:
    """Draws smooth blue above coarse brown noise, with the border at a share of the height."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.empty(1, 3, height, width)
    image[:] = torch.tensor([0.4, 0.6, 0.9]).view(1, 3, 1, 1)
    below = round(split * height)
    noise = torch.rand(1, 1, height - below, width, generator=generator)
    image[:, :, below:] = noise * torch.tensor([0.6, 0.4, 0.2]).view(1, 3, 1, 1)
    return image


def overlap(mask: torch.Tensor, wanted: torch.Tensor) -> float:
    both = torch.minimum(mask, wanted).sum()
    return float(both / torch.maximum(mask, wanted).sum())


def above(split: float, height: int = 96, width: int = 128) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., : round(split * height), :] = 1
    return mask


def test_what_looks_alike_in_both_is_one_region(backbone):
    content, style = two_textures(0.4, 0), two_textures(0.7, 1)
    grouping = group_jointly(content, style, backbone, count=2)
    masks = grouping.masks(content, backbone)
    others = grouping.masks(style, backbone, style=True)
    assert set(masks) == set(others)
    torch.testing.assert_close(
        torch.stack(list(masks.values())).sum(0), torch.ones(1, 1, 96, 128), atol=1e-4, rtol=0
    )
    sky = max(masks, key=lambda name: overlap(masks[name], above(0.4)))
    assert overlap(masks[sky], above(0.4)) > 0.8
    assert overlap(others[sky], above(0.7)) > 0.8


def test_regions_that_one_picture_lacks_are_joined_to_others(backbone):
    content = two_textures(0.5, 0)
    plain = torch.full((1, 3, 96, 128), 0.5)
    grouping = group_jointly(content, plain, backbone, count=6)
    style = grouping.masks(plain, backbone, style=True)
    assert set(style) == set(grouping.masks(content, backbone))


def test_a_frame_with_known_masks_tells_those_of_another(backbone):
    first, second = two_textures(0.4, 0), two_textures(0.6, 5)
    known = {"sky": above(0.4), "earth": 1 - above(0.4)}
    grouping = group_by_masks(first, known, backbone)
    found = grouping.masks(second, backbone)
    assert set(found) == {"sky", "earth"}
    assert overlap(found["sky"], above(0.6)) > 0.8


def disc() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(100.0), torch.arange(120.0), indexing="ij")
    mask = (((y - 50) ** 2 + (x - 70) ** 2) < 900).float()[None, None]
    generator = torch.Generator().manual_seed(0)
    image = 0.2 + 0.1 * torch.rand(1, 3, 100, 120, generator=generator)
    return image + mask * torch.tensor([0.6, 0.1, 0.1]).view(1, 3, 1, 1), mask


def test_a_thing_is_cut_out_from_a_box():
    image, mask = disc()
    masks = cut_by_box(image, (30, 10, 80, 80))
    assert overlap(masks["white"], mask) > 0.9
    with pytest.raises(UsageError, match="within 120x100 px"):
        cut_by_box(image, (30, 10, 800, 80))


def test_a_thing_is_cut_out_from_strokes(tmp_path):
    image, mask = disc()
    strokes = np.full((100, 120), 128, np.uint8)
    strokes[40:60, 60:80], strokes[:10] = 255, 0
    Image.fromarray(strokes).save(tmp_path / "s.png")
    assert overlap(cut_by_scribble(image, tmp_path / "s.png")["white"], mask) > 0.9
    Image.fromarray(np.full((100, 120), 128, np.uint8)).save(tmp_path / "s.png")
    with pytest.raises(InputError, match="must have white and black strokes"):
        cut_by_scribble(image, tmp_path / "s.png")


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("sky", "sky"),
        ("sea", "water"),
        ("palm, palm tree", "plant"),
        ("building, edifice", "building"),
        ("swimming pool", "water"),
        ("person", "person"),
        ("traffic light", "rest"),
    ],
)
def test_classes_are_merged_to_kinds(label, kind):
    assert kind_of(label) == kind


def test_a_network_of_transformers_is_asked(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[4, 2], hidden_sizes=[8, 16], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16,
        id2label={0: "sky", 1: "tree", 2: "sea", 3: "lake"},
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.SegformerForSemanticSegmentation(config)
    network.decode_head.classifier.weight.data *= 30
    network.save_pretrained(tmp_path / "net")
    masks = Segmenter(tmp_path / "net").masks(two_textures(0.5, 0))
    assert set(masks) <= {"sky", "plant", "water"}
    total = torch.stack(list(masks.values())).sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-4, rtol=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"use a folder with config\.json"):
        Segmenter(tmp_path / "empty")


def test_masks_that_are_written_are_read_again(tmp_path):
    masks = {"sky": above(0.4), "white": 1 - above(0.4)}
    colors = write_masks(tmp_path / "m.png", masks)
    assert colors["white"] == "white"
    again = read_masks(tmp_path / "m.png")
    assert overlap(again[colors["sky"]], above(0.4)) == 1


def test_a_folder_holds_a_mask_a_region(tmp_path):
    for name, share in (("sky", 0.4), ("sea", 0.3)):
        gray = above(share)[0, 0] if name == "sky" else above(share)[0, 0].flip(0)
        Image.fromarray((255 * gray.numpy()).astype(np.uint8)).save(tmp_path / f"{name}.png")
    masks = read_masks(tmp_path)
    assert set(masks) == {"sky", "sea", "rest"}
    assert float(masks["rest"].mean()) == pytest.approx(0.3, abs=0.02)


def one_color(path, color):
    Image.new("RGB", (40, 30), color).save(path)
    return read_masks(path)


def test_one_color_is_the_whole_picture(tmp_path):
    masks = one_color(tmp_path / "m.png", (255, 0, 0))
    assert list(masks) == ["red"]
    assert float(masks["red"].min()) == 1
    for other in (masks, one_color(tmp_path / "s.png", (255, 255, 255))):
        matched = match_regions(masks, other)
        assert [float(one.style.min()) for one in matched.regions] == [1]
        assert matched.painted is None
        assert matched.notes == (
            "both masks have a single color, so the whole image uses the entire style image",
        )


def test_one_color_on_one_side(tmp_path):
    red, two = (
        one_color(tmp_path / "m.png", (255, 0, 0)),
        {"red": above(0.5), "blue": 1 - above(0.5)},
    )
    matched = match_regions(red, two)
    assert [one.name for one in matched.regions] == ["red"]
    torch.testing.assert_close(matched.regions[0].style, two["red"])
    assert matched.notes == ("region blue is not in the content mask, so it is ignored",)
    matched = match_regions(two, red)
    assert [float(one.style.mean()) for one in matched.regions] == [1, 1]
    assert matched.notes == (
        "region blue is not in the style mask, so it uses the entire style image",
    )
    green = one_color(tmp_path / "g.png", (0, 255, 0))
    matched = match_regions(two, green)
    assert [float(one.style.mean()) for one in matched.regions] == [1, 1]
    assert matched.notes == (
        "the style mask has a single color, so every region uses the entire style image",
    )
    with pytest.raises(
        InputError, match="has regions green and the style red, blue; they must share"
    ):
        match_regions(green, two)
    with pytest.raises(InputError, match="they must share"):
        match_regions(two, green, Wish(keep=True))


def test_a_mask_without_areas_is_refused(tmp_path):
    """Single pixels of all colors, as in noise or in an image that is not a mask."""
    colors = np.array(list(PALETTE.values()), np.uint8)
    pixels = colors[np.random.default_rng(0).integers(0, len(colors), (60, 80))]
    Image.fromarray(pixels).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="draw larger regions"):
        read_masks(tmp_path / "m.png")


def test_only_and_keep_limit_what_is_painted():
    content = {"red": above(0.5), "green": 1 - above(0.5)}
    only = match_regions(content, {}, Wish(only=("red",), feather=0))
    assert [one.name for one in only.regions] == ["red"]
    torch.testing.assert_close(only.painted, content["red"])
    keep = match_regions(content, {"red": above(0.2)}, Wish(keep=True, feather=0))
    torch.testing.assert_close(keep.painted, content["red"])
    whole = match_regions(content, {"red": above(0.2)}, Wish(feather=0))
    assert whole.painted is None
    two = match_regions(content, {}, Wish(assign={"red": 1, "green": 0}))
    assert [one.number for one in two.regions] == [1, 0]
    with pytest.raises(UsageError, match="Did you mean 'red'"):
        match_regions(content, {}, Wish(only=("rad",)))
