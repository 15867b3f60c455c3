"""Metrics in metric-net, and the objects metric: closed forms on synthetic features, ranking of synthetic images."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers import painting, photograph

from impasto.backbones import load_metric_net
from impasto.measure import (
    independent_figures,
    large_edges,
    objects_distance,
    perceptual_distance,
    style_distance,
)
from impasto.media import box_mean, read_image, resize_to_fit

LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2")


def features(seed=0, channels=6, height=9, width=12):
    generator = torch.Generator().manual_seed(seed)
    return {
        layer: torch.rand(1, channels, height, width, generator=generator)
        for layer in (*LAYERS, "relu5_1")
    }


def scaled(maps, factor):
    return {layer: factor * values for layer, values in maps.items()}


# --- closed forms -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_scale_of_features_has_its_closed_form_both_ways(factor):
    """Gram matrices G and s^2 G: |G - s^2 G|^2 / (|G| |s^2 G|) = (s - 1/s)^2."""
    maps = features()
    expected = (factor - 1 / factor) ** 2
    assert style_distance(scaled(maps, factor), maps) == pytest.approx(expected, abs=1e-5)
    assert style_distance(maps, scaled(maps, factor)) == pytest.approx(expected, abs=1e-5)


def test_shuffled_places_have_the_same_style_and_lose_the_objects():
    maps = features(height=24, width=30)
    order = torch.randperm(24 * 30, generator=torch.Generator().manual_seed(1))
    shuffled = {k: v.flatten(2)[..., order].view_as(v) for k, v in maps.items()}
    assert style_distance(shuffled, maps) == pytest.approx(0, abs=1e-5)
    assert objects_distance(shuffled, maps) == pytest.approx(0.5, abs=0.05)
    assert objects_distance(maps, maps) == 0


def test_a_change_of_all_places_alike_loses_no_objects():
    maps = features()
    gain = torch.linspace(0.5, 3, 6).view(1, 6, 1, 1)
    assert objects_distance({k: 0.2 + gain * v for k, v in maps.items()}, maps) == 0


def test_silent_channels_add_nothing():
    maps = features()
    wider = {k: F.pad(v, (0, 0, 0, 0, 0, 5)) for k, v in maps.items()}
    other = features(seed=3)
    wider_other = {k: F.pad(v, (0, 0, 0, 0, 0, 5)) for k, v in other.items()}
    assert style_distance(wider, wider_other) == pytest.approx(
        style_distance(maps, other), rel=1e-5
    )
    assert objects_distance(wider, wider_other) == objects_distance(maps, other)


def test_perceptual_distance_of_orthogonal_and_scaled_features():
    maps = {layer: torch.zeros(1, 2, 4, 5) for layer in LAYERS}
    other = {layer: torch.zeros(1, 2, 4, 5) for layer in LAYERS}
    for layer in LAYERS:
        maps[layer][:, 0], other[layer][:, 1] = 3, 0.5
    assert perceptual_distance(maps, other) == pytest.approx(2)
    assert perceptual_distance(maps, scaled(maps, 7)) == pytest.approx(0, abs=1e-6)


# --- edges of large forms ---------------------------------------------------------------------------------
def test_large_edges_survive_a_new_palette_and_not_another_picture():
    image = photograph(128, 192)
    recolored = 0.8 * image.flip(1) + 0.1
    assert large_edges(image, image) == 1
    assert large_edges(recolored, image) > 0.85
    assert large_edges(image.flip(3), image) < large_edges(recolored, image)
    assert large_edges(torch.full_like(image, 0.5), image) == 0


def test_fine_grain_keeps_70_percent_of_the_large_edges():
    image = photograph(256, 384)
    grain = 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    assert large_edges((image + grain).clamp(0, 1), image) > 0.7


# --- metric-net -------------------------------------------------------------------------------------------
def blurred(image, amount):
    return box_mean(image, amount)


def noisy(image, amount):
    grain = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return (image + amount * grain).clamp(0, 1)


def moved(image, amount):
    return image.roll(round(amount), 3)


@pytest.mark.parametrize(
    ("change", "amounts"),
    [(blurred, (1, 2, 4, 8)), (noisy, (0.02, 0.05, 0.1, 0.2)), (moved, (1, 2, 4, 8))],
)
def test_the_perceptual_distance_grows_with_the_damage(change, amounts):
    image = 0.8 * photograph(128, 160) + 0.2 * painting(128, 160)
    distances = [
        independent_figures(change(image, amount), image, None).perceptual for amount in amounts
    ]
    assert distances == sorted(distances)
    assert distances[0] > 0


def test_the_style_itself_is_nearer_than_another_texture():
    style, content = painting(128, 160), photograph(128, 160)
    same, other, photo = (
        independent_figures(image, content, style).style
        for image in (painting(128, 160).flip(3), painting(128, 160, seed=9), content)
    )
    assert same < other < photo


def test_halves_of_one_painting_are_nearer_than_those_of_others(shared_data):
    """Ten held-out paintings; docs/cards/metric-net.md has the result for all of them."""
    network, maps = load_metric_net(), []
    for path in sorted((shared_data / "paintings" / "open").iterdir())[9::10][:10]:
        image = resize_to_fit(read_image(path).to_tensor(), 320)
        halves = image.chunk(2, 3 if image.shape[3] >= image.shape[2] else 2)
        maps.append([network(half, LAYERS) for half in halves])
    same = [style_distance(*pair) for pair in maps]
    other = [style_distance(a[0], b[1]) for a in maps for b in maps if a is not b]
    ranked = [float(s < o) for s in same for o in other]
    assert sum(ranked) / len(ranked) > 0.85
