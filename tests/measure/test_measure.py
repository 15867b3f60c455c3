"""Film metrics: zero for a film that equals its clip, and correct where the value is known."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from films import film
from helpers import painting

from impasto.backbones import load_backbone
from impasto.measure import (
    FilmMeter,
    measure_film,
    perceptual_difference,
    same_frames,
    sharpness,
    style_and_content,
    warping_error,
)


def test_warping_error_counts_what_is_trusted():
    image, other, trust = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    assert math.isnan(warping_error(image, other, trust))
    trust[..., 0] = 0.5
    other[..., 1:] = 7
    assert warping_error(image, other, trust) == 1.0


def test_sharpness_of_a_ramp_is_none():
    ramp = torch.linspace(0, 1, 16).view(1, 1, 1, 16).expand(1, 3, 12, 16)
    assert sharpness(ramp[..., 1:-1], torch.ones(1, 1, 12, 14)) < 0.05
    checks = (
        (torch.arange(12).view(-1, 1) + torch.arange(16)).remainder(2).float().expand(1, 3, 12, 16)
    )
    assert sharpness(checks) > 3


def test_equal_pictures_do_not_differ():
    backbone, image, trust = load_backbone(), painting(64, 64), torch.ones(1, 1, 64, 64)
    assert perceptual_difference(image, image, trust, backbone) == pytest.approx(0, abs=1e-6)
    assert perceptual_difference(image, image.flip(3), trust, backbone) > 0.1
    assert perceptual_difference(image, image.flip(3), 0 * trust, backbone) == pytest.approx(
        0, abs=1e-6
    )
    style, content = style_and_content(image, image, [image.flip(3), image], backbone)
    assert style == pytest.approx(0, abs=1e-6)
    assert content == pytest.approx(0, abs=1e-6)


def noisy(frames, amount, seed=0):
    generator = np.random.default_rng(seed)
    return [
        dataclasses.replace(
            f,
            pixels=np.clip(f.pixels + generator.normal(0, amount, f.pixels.shape), 0, 255).astype(
                np.uint8
            ),
        )
        for f in frames
    ]


def test_flicker_is_seen_and_a_faithful_film_has_the_clips_own():
    frames = film(8, shift=(0, 1))
    meter = FilmMeter(load_backbone(), [painting()], gaps=(1, 4), every=2)
    faithful = measure_film(zip(frames, frames, strict=True), meter)
    assert faithful.error == faithful.error_of_clip
    flickering = measure_film(
        zip(noisy(frames, 20), frames, strict=True),
        FilmMeter(load_backbone(), gaps=(1, 4), every=2),
    )
    # two frames with noise of 20/255 each
    assert flickering.error[1] == pytest.approx(2 * (20 / 255) ** 2, rel=0.4)
    assert flickering.perceptual[1] > 5 * faithful.perceptual[1]
    assert faithful.style is not None
    assert flickering.style is None
    assert len(faithful.brightness) == 8


def test_drift_of_what_stands_still():
    frames = film(6, shift=(0, 0), square=True)
    darker = [
        dataclasses.replace(f, pixels=(f.pixels * (1 - 0.02 * f.index)).astype(np.uint8))
        for f in frames
    ]
    figures = measure_film(zip(darker, frames, strict=True), FilmMeter(load_backbone(), gaps=(1,)))
    assert figures.brightness[5] == pytest.approx(0.9 * figures.brightness[0], rel=0.02)


def test_pairs_across_a_cut_do_not_count():
    frames = film(8, cut=4, shift=(0, 0))
    figures = measure_film(zip(frames, frames, strict=True), FilmMeter(load_backbone(), gaps=(1,)))
    assert figures.error[1] < 1e-6


def test_frames_are_paired_by_their_time():
    clip = film(12)
    every_third = [dataclasses.replace(f, index=i) for i, f in enumerate(clip[3::3])]
    pairs = list(same_frames(every_third, clip))
    assert [source.index for _p, source in pairs] == [3, 6, 9]
    shifted = [
        dataclasses.replace(f, pts_seconds=f.pts_seconds - clip[3].pts_seconds) for f in clip[3:6]
    ]
    pairs = list(same_frames(shifted, clip, float(clip[3].pts_seconds)))
    assert [source.index for _p, source in pairs] == [3, 4, 5]
    late = [dataclasses.replace(f, pts_seconds=f.pts_seconds + Fraction(23, 1000)) for f in clip]
    assert [source.index for _p, source in same_frames(late, clip)] == list(range(12))
