"""Speckle, borders, seams and palettes: closed forms, sensitivity and invariance."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.measure import border, large_edges, palette_distance, seam, speckle
from impasto.media import read_image, resize, resize_to_fit


def noise(height=96, width=120, seed=0, amount=0.1):
    generator = torch.Generator().manual_seed(seed)
    gray = 0.5 + amount * torch.randn(1, 1, height, width, generator=generator)
    return gray.expand(1, 3, -1, -1).clamp(0, 1)


def smooth(height=192, width=256, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def wave(frequency, height=128, width=128):
    """A horizontal sine wave with this many cycles per pixel."""
    x = torch.arange(width, dtype=torch.float64)
    return (0.5 + 0.4 * torch.cos(2 * math.pi * frequency * x)).expand(1, 3, height, width)


# --- speckle ----------------------------------------------------------------------------------------------
def test_white_noise_has_the_share_of_the_area_of_frequencies():
    shares = [speckle(noise(seed=seed)) for seed in range(8)]
    assert sum(shares) / 8 == pytest.approx(1 - math.pi / 16, abs=0.01)


@pytest.mark.parametrize(("frequency", "share"), [(0.05, 0.0), (0.2, 0.0), (0.3, 1.0), (0.45, 1.0)])
def test_a_wave_is_on_one_side_of_half_the_nyquist_frequency(frequency, share):
    # Reflecting a wave that is cut mid-cycle creates a kink, which adds two percent of other frequencies.
    assert speckle(wave(frequency)) == pytest.approx(share, abs=0.03)
    assert speckle(wave(frequency, 90, 201).transpose(2, 3)) == pytest.approx(share, abs=0.03)


def test_speckle_counts_alike_wherever_it_lies():
    plain = torch.full((1, 3, 128, 160), 0.5, dtype=torch.float64)
    middle, corner = plain.clone(), plain.clone()
    patch = 0.1 * (noise(32, 32) - 0.5)
    middle[..., 48:80, 64:96] += patch
    corner[..., :32, :32] += patch
    assert speckle(middle) == pytest.approx(speckle(corner), rel=0.02)


def test_a_ramp_has_no_speckle_though_its_edges_differ():
    ramp = torch.linspace(0, 1, 160, dtype=torch.float64).expand(1, 3, 100, 160)
    assert speckle(ramp) < 1e-6
    jump = torch.fft.fft2(ramp[0, 0] - 0.5).abs().square()
    high = torch.fft.fftfreq(160).abs() > 0.25
    assert jump[:, high].sum() / jump.sum() > 1e-3  # removed by reflection


def test_speckle_does_not_depend_on_contrast_brightness_or_size():
    image = (smooth() + 0.02 * (noise(192, 256) - 0.5)).clamp(0, 1)
    share = speckle(image)
    assert speckle(0.3 + 0.5 * image) == pytest.approx(share, rel=1e-3)
    shares = [speckle(noise(height, width)) for height, width in ((80, 200), (200, 80), (128, 128))]
    assert max(shares) - min(shares) < 0.03


@given(st.floats(0.01, 0.05), st.floats(1.3, 3))
@settings(max_examples=8, deadline=None)
def test_more_noise_is_more_speckle(amount, factor):
    image, grain = smooth(), noise(192, 256, amount=1.0) - 0.5
    assert (
        speckle(image) < speckle(image + amount * grain) < speckle(image + factor * amount * grain)
    )


def test_a_flat_picture_has_none():
    assert speckle(torch.full((1, 3, 64, 64), 0.7)) == 0
    assert border(torch.full((1, 3, 64, 64), 0.7)) == 1
    assert seam(torch.full((1, 3, 64, 64), 0.7)) == pytest.approx(1)


# --- borders ----------------------------------------------------------------------------------------------
def test_noise_is_alike_at_the_border_and_inside():
    assert border(noise(200, 300)) == pytest.approx(1, abs=0.05)


def test_a_noisy_ring_has_the_ratio_of_its_energy():
    inside, ring = noise(200, 300, amount=0.02), noise(200, 300, seed=1, amount=0.06)
    image = ring.clone()
    image[..., 6:-6, 6:-6] = inside[..., 6:-6, 6:-6]  # 3 % of 200 px
    assert border(image) == pytest.approx(9, rel=0.1)


def test_a_strip_of_another_color_is_a_seam_and_little_border_energy():
    image = noise(256, 320)
    stripped = image.clone()
    stripped[..., :12] = stripped[..., :12] * 0.85
    assert seam(image) < 2
    assert seam(stripped) > 4 * seam(image)
    assert border(stripped) < 1.2


@given(st.integers(0, 3), st.floats(0.05, 0.3))
@settings(max_examples=8, deadline=None)
def test_a_stronger_seam_on_any_side_has_a_greater_figure(side, step):
    found = []
    for amount in (0, step, 1.5 * step):
        turned = torch.rot90(noise(256, 320), side, (2, 3)).clone()
        turned[..., :12] = turned[..., :12] * (1 - amount)
        found.append(seam(torch.rot90(turned, -side, (2, 3))))
    assert found == sorted(found)


def test_natural_pictures_have_no_seams_and_unrelated_ones_share_edges_by_chance(shared_data):
    folder = shared_data / "photos" / "open"
    images = [
        resize_to_fit(read_image(path).to_tensor(), 320)[..., 32:-32, 32:-32]
        for path in sorted(folder.iterdir())[::8]
    ]
    seams = sorted(seam(image) for image in images)
    assert seams[len(seams) // 2] < 1.8
    assert sum(0.5 < value < 2.5 for value in seams) > 0.75 * len(seams)
    edges = [large_edges(resize(b, a.shape[-2:]), a) for a, b in itertools.pairwise(images)]
    assert 0.4 < sum(edges) / len(edges) < 0.6


# --- palette ----------------------------------------------------------------------------------------------
def test_places_do_not_count_in_a_palette():
    image = smooth(64, 80)
    assert palette_distance(image, image.flip(3)) == pytest.approx(0, abs=1e-5)
    assert palette_distance(image, image.repeat(1, 1, 2, 1)) == pytest.approx(0, abs=0.1)


def test_a_shift_of_lightness_has_half_its_size():
    """The mean absolute cosine to a random direction in 3D is 1 / 2; 32 directions come close."""

    dark, light = (torch.full((1, 3, 20, 20), value) for value in (0.2, 0.6))
    shift = 62.5 - 21.2  # L* of the two grays
    assert palette_distance(dark, light) == pytest.approx(shift / 2, rel=0.15)


def test_a_palette_is_nearer_to_a_similar_one():
    image = smooth(64, 80)
    near, far = image * 0.95, image.flip(1)
    assert palette_distance(image, near) < palette_distance(image, far)
