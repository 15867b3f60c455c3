"""Closed forms of color transfers, and sizes that never become zero."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.media import (
    box_mean,
    keep_luminance_only,
    luminance,
    match_histogram,
    over_windows,
    resize,
    size_to_fit,
    to_lab,
    transfer_linear,
)


def noise(*shape, seed=0, low=0.3, high=0.7):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(1, 3, *shape, generator=generator, dtype=torch.float64)


def statistics(image):
    rows = image.flatten(2)[0]
    return rows.mean(1), torch.cov(rows, correction=0)


@pytest.mark.parametrize("whiten", [False, True])
def test_linear_transfer_gives_the_targets_mean_and_covariance(whiten):
    source, target = noise(20, 30), noise(25, 15, seed=1, low=0.4, high=0.6)
    mean, covariance = statistics(transfer_linear(source, target, whiten=whiten))
    wanted_mean, wanted_covariance = statistics(target)
    torch.testing.assert_close(mean, wanted_mean, atol=1e-9, rtol=0)
    torch.testing.assert_close(covariance, wanted_covariance, atol=3e-5, rtol=0)


def test_linear_transfer_to_itself_changes_nothing():
    source = noise(9, 9)
    torch.testing.assert_close(transfer_linear(source, source), source, atol=1e-6, rtol=0)


def test_linear_transfer_of_one_color_is_finite():
    flat = torch.full((1, 3, 8, 8), 0.4, dtype=torch.float64)
    result = transfer_linear(flat, noise(8, 8))
    assert result.isfinite().all()
    torch.testing.assert_close(result.mean(), noise(8, 8).mean(), atol=0.05, rtol=0)


def test_luminance_of_white_is_one_and_green_is_brightest():
    assert luminance(torch.ones(1, 3, 1, 1)).item() == pytest.approx(1.0)
    assert luminance(torch.eye(3)[:, :, None, None]).argmax() == 1


def test_kept_colors_have_the_pastiches_luminance_and_the_contents_chrominance():
    pastiche, content = noise(6, 6, seed=2, low=0.45, high=0.55), noise(6, 6, low=0.4, high=0.6)
    kept = keep_luminance_only(pastiche, content)
    torch.testing.assert_close(luminance(kept), luminance(pastiche))
    torch.testing.assert_close(kept[:, 0] - kept[:, 2], content[:, 0] - content[:, 2])


def test_histogram_match_is_a_permutation_of_the_target():
    source, target = noise(7, 8), noise(8, 7, seed=3)
    matched = match_histogram(source, target)
    torch.testing.assert_close(matched.flatten(2).sort().values, target.flatten(2).sort().values)
    order = source[0, 0].flatten().argsort()
    assert (matched[0, 0].flatten()[order].diff() >= 0).all()


def test_histogram_match_keeps_ties_together():
    source = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    target = torch.tensor([0.1, 0.3, 0.5, 0.9]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    expected = torch.tensor([0.2, 0.2, 0.7, 0.7])
    torch.testing.assert_close(match_histogram(source, target)[0, 0].flatten(), expected)


@given(height=st.integers(1, 20000), width=st.integers(1, 20000), edge=st.integers(1, 5000))
def test_no_side_is_ever_0_and_the_long_edge_is_as_asked(height, width, edge):
    fitted = size_to_fit((height, width), edge)
    assert min(fitted) >= 1
    assert max(fitted) == edge
    assert (fitted[0] >= fitted[1]) == (height >= width) or fitted[0] == fitted[1]


def test_the_size_that_vanished_elsewhere():
    assert size_to_fit((10, 4000), 100) == (1, 100)


def test_shrinking_averages_and_stays_within_bounds():
    board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float().expand(1, 3, 64, 64)
    small = resize(board, (8, 8))
    torch.testing.assert_close(small, torch.full_like(small, 0.5), atol=0.02, rtol=0)
    large = resize((board[..., :8, :8] > 0.5).float(), (50, 70))
    assert large.min() >= 0
    assert large.max() <= 1


@settings(deadline=None)
@given(side=st.integers(1, 20), more=st.integers(0, 5), seed=st.integers(0, 9))
def test_windows_are_joined_as_poolings_join_them(side, more, seed):
    image = noise(side + more, side + 7, seed=seed, low=-1, high=1)
    assert torch.equal(over_windows(image, side, torch.maximum), F.max_pool2d(image, side, 1))
    mean = over_windows(image, side, torch.add) / side**2
    torch.testing.assert_close(mean, F.avg_pool2d(image, side, 1))


def test_a_box_mean_repeats_the_edges():
    image = torch.tensor([[0.0, 0.0, 9.0]]).expand(1, 1, 4, 3)
    torch.testing.assert_close(box_mean(image, 1)[0, 0, 1], torch.tensor([0.0, 3.0, 6.0]))


def test_lab_of_known_colors():
    """Published values for sRGB primaries under D65, and the gray axis."""
    colors = torch.tensor(
        [[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]],
        dtype=torch.float64,
    )
    expected = torch.tensor(
        [[0.0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86],
         [53.39, 0, 0]], dtype=torch.float64,
    )  # fmt: skip
    lab = to_lab(colors.T.reshape(1, 3, 2, 3)).flatten(2)[0].T
    torch.testing.assert_close(lab, expected, atol=0.02, rtol=0)


def test_lab_is_that_of_another_library():
    color = pytest.importorskip("skimage.color")
    image = noise(12, 9, low=0, high=1)
    theirs = torch.from_numpy(color.rgb2lab(image[0].permute(1, 2, 0).numpy())).permute(2, 0, 1)
    torch.testing.assert_close(to_lab(image)[0], theirs, atol=0.02, rtol=0)
