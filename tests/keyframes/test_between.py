"""Frames between keyframes: they follow the motion, keep their detail, and are filled where nothing is known."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers import painting, photograph

from impasto.config import film_options
from impasto.keyframes import Stretch, carry_side, join_sides, learn_tones, paint_between
from impasto.media import resize
from impasto.motion import DIS, MotionChain
from impasto.types import Frame

HEIGHT, WIDTH = 64, 96
STEP_PX = 2


def panned(count, width=160):
    """Returns frames of a pan of two pixels per frame, and the wide picture."""
    wide = resize(photograph(HEIGHT, width), (HEIGHT, width))
    return [wide[..., STEP_PX * n : STEP_PX * n + WIDTH] for n in range(count)], wide


def stretch_of(images):
    return Stretch(
        [
            Frame(
                pixels=np.round(255 * image[0].permute(1, 2, 0).numpy()).astype(np.uint8).copy(),
                pts_seconds=Fraction(number, 10),
                duration_seconds=Fraction(1, 10),
                index=number,
            )
            for number, image in enumerate(images)
        ],
        DIS(),
    )


def inverted(image):
    """A "pastiche" whose every pixel is known: the negative."""
    return 1 - image


def test_a_chain_follows_a_pan_over_many_frames():
    images, _ = panned(9)
    stretch = stretch_of(images)
    chain = MotionChain(stretch.image(0))
    for place in range(1, 9):
        chain.step(stretch.image(place), *stretch.motion(place).to_previous())
    middle = chain.way[..., 16:-16, 16:-32]
    assert float(middle[:, 0].median()) == pytest.approx(8 * STEP_PX, abs=1)
    assert float(middle[:, 1].abs().median()) < 0.5
    assert float(chain.seen[..., 16:-16, 16:-32].mean()) > 0.8
    assert float(chain.seen[..., -2 * STEP_PX :].mean()) < 0.2


def test_frames_between_two_keyframes_are_close_to_the_painted_ones():
    images, _ = panned(7)
    stretch = stretch_of(images)
    left, right = inverted(stretch.image(0)), inverted(stretch.image(6))
    film = film_options("keyframes")
    found = dict(paint_between(stretch, left, right, film))
    assert sorted(found) == [1, 2, 3, 4, 5]
    for place, image in found.items():
        apart = (image - inverted(stretch.image(place))).abs()
        assert float(apart.mean()) < 0.03


def test_one_keyframe_is_enough_on_either_side():
    images, _ = panned(4)
    stretch = stretch_of(images)
    film = film_options("keyframes")
    ahead = dict(paint_between(stretch, inverted(stretch.image(0)), None, film))
    back = dict(paint_between(stretch, None, inverted(stretch.image(3)), film))
    assert sorted(ahead) == [1, 2, 3]
    assert sorted(back) == [0, 1, 2]
    for found in (ahead, back):
        for place, image in found.items():
            assert float((image - inverted(stretch.image(place))).abs().mean()) < 0.06


def test_the_result_does_not_depend_on_what_was_computed_before():
    images, _ = panned(5)
    film = film_options("keyframes")
    first = stretch_of(images)
    left, right = inverted(first.image(0)), inverted(first.image(4))
    carry_side(first, left)
    one = dict(paint_between(first, left, right, film))
    other = dict(paint_between(stretch_of(images), left, right, film))
    assert all(torch.equal(one[place], other[place]) for place in one)


def test_joining_keeps_the_energy_of_detail_where_a_plain_mean_would_lose_it():
    one, other = (
        torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(n)) for n in (0, 1)
    )
    half = torch.full((1, 1, 64, 64), 0.5)
    joined = join_sides(one, half, other, half)
    assert float(((one + other) / 2).std()) < 0.8 * float(one.std())
    assert float(joined.std()) > 0.88 * float(one.std())


def test_joining_one_pastiche_with_itself_changes_nothing():
    image, half = painting(48, 64), torch.full((1, 1, 48, 64), 0.5)
    torch.testing.assert_close(join_sides(image, half, image, half), image, atol=1e-4, rtol=0)


def test_a_thing_that_enters_is_visible_in_the_colors_that_the_keyframes_teach():
    images, _ = panned(5)
    images = [image.clone() for image in images]
    for place in (2, 3):
        images[place][..., 20:36, 30:46] = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1)
    stretch = stretch_of(images)
    left, right = inverted(stretch.image(0)), inverted(stretch.image(4))
    plain = dict(paint_between(stretch_of(panned(5)[0]), left, right, film_options("keyframes")))
    found = dict(paint_between(stretch, left, right, film_options("keyframes")))
    inside = (..., slice(22, 34), slice(32, 44))
    assert float((found[2][inside] - plain[2][inside]).abs().mean()) > 0.05


def test_a_network_learns_the_colors_of_a_painted_frame():
    image = photograph(HEIGHT, WIDTH)
    before = float((image - inverted(image)).abs().mean())
    network = learn_tones([image], [inverted(image)], steps=80)
    assert float((network.paint(image) - inverted(image)).abs().mean()) < 0.6 * before


def test_training_repeats_exactly_and_leaves_the_global_generator_alone():
    image = photograph(HEIGHT, WIDTH)
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    one = learn_tones([image], [inverted(image)], steps=3)
    assert torch.equal(torch.rand(1), drawn)
    other = learn_tones([image], [inverted(image)], steps=3)
    assert torch.equal(one.paint(image), other.paint(image))
