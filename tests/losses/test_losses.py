"""Closed forms, gradients, invariances and modules of every loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto import losses as L

DOUBLE = torch.float64


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(
        dtype
    )


# --- closed forms -----------------------------------------------------------------------------------------
def test_gram_of_ones_is_ones():
    assert torch.equal(
        L.gram_matrix(torch.ones(1, 3, 4, 5, dtype=DOUBLE)), torch.ones(1, 3, 3, dtype=DOUBLE)
    )


@pytest.mark.parametrize(
    ("normalization", "expected"), [("positions", 1), ("johnson", 1 / 3), ("none", 20)]
)
def test_gram_normalizations(normalization, expected):
    gram = L.gram_matrix(torch.ones(1, 3, 4, 5, dtype=DOUBLE), normalization)
    torch.testing.assert_close(gram, torch.full((1, 3, 3), expected, dtype=DOUBLE))


def test_gram_loss_of_zeros_is_one_and_as_published_follows_equation_4():
    target = L.gram_matrix(randn(1, 4, 6, 6))
    torch.testing.assert_close(
        L.gram_loss(torch.zeros_like(target), target), torch.tensor(1.0, dtype=DOUBLE)
    )
    features, style = randn(1, 4, 6, 6, seed=1), randn(1, 4, 6, 6, seed=2)
    n, m = 4, 36
    raw = (L.gram_matrix(features, "none") - L.gram_matrix(style, "none")).square().sum() / (
        4 * n**2 * m**2
    )
    ours = L.gram_loss(L.gram_matrix(features), L.gram_matrix(style), as_published=True)
    torch.testing.assert_close(ours, raw)


def test_sqrtm_squared_is_the_matrix():
    a = randn(2, 5, 5)
    matrix = a @ a.transpose(1, 2)
    root = L.sqrtm(matrix)
    torch.testing.assert_close(root @ root, matrix)


def test_wasserstein_of_diagonal_gaussians():
    # W2^2 = sum (m1 - m2)^2 + sum (s1 - s2)^2 for covariances diag(s^2).
    m1, m2 = torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[2.0, 1.0]]).double()
    s1, s2 = torch.tensor([1.0, 3.0]).double(), torch.tensor([2.0, 1.0]).double()
    source = L.Moments(m1, torch.diag(s1**2)[None])
    target = L.Moments(m2, torch.diag(s2**2)[None])
    found = L.wasserstein_loss(source, target, relative=False)
    torch.testing.assert_close(
        found, torch.tensor(4.0 + 1.0 + 4.0, dtype=DOUBLE), rtol=1e-3, atol=1e-3
    )
    relative = L.wasserstein_loss(source, target)
    torch.testing.assert_close(relative, found / (4.0 + 1.0 + 5.0))


def test_wasserstein_of_equal_clouds_is_zero_even_when_singular():
    features = randn(1, 8, 2, 2)  # four positions, eight channels
    assert abs(L.wasserstein_loss(L.moments(features), L.moments(features)).item()) < 1e-6


def test_sliced_wasserstein_of_a_shift_is_the_shift():
    features = randn(1, 3, 5, 5)
    directions = torch.eye(3, dtype=DOUBLE)
    shift = torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE)[None, :, None, None]
    found = L.sliced_wasserstein_loss(features + shift, features, directions)
    torch.testing.assert_close(found, (1 + 4 + 9) / 3 / features.square().mean())


def test_sliced_wasserstein_ignores_the_order_of_positions():
    features = randn(1, 3, 6, 6)
    shuffled = features.flatten(2)[..., torch.randperm(36)].view_as(features)
    directions = L.random_directions(3, 8, torch.Generator().manual_seed(0))
    assert L.sliced_wasserstein_loss(shuffled, features, directions).item() < 1e-20


def test_neighbor_loss_is_zero_for_patches_of_the_style_and_finds_them():
    style = randn(1, 6, 4, 4)
    rows = L.unit_rows(style, style.mean((0, 2, 3)))
    order = torch.randperm(16)
    assert torch.equal(L.nearest_neighbors(rows[order], rows, chunk=5), order)
    assert abs(L.neighbor_loss(rows[order], rows).item()) < 1e-12
    assert L.neighbor_loss(-rows, rows).item() > 0.1


def test_total_variation_of_ramp_and_checkerboard():
    ramp = (0.1 * torch.arange(8, dtype=DOUBLE)).expand(1, 3, 5, 8)
    assert math.isclose(L.total_variation_loss(ramp, "l1").item(), 0.1, rel_tol=1e-9)
    assert math.isclose(L.total_variation_loss(ramp, "l2").item(), 0.01, rel_tol=1e-9)
    board = ((torch.arange(6)[:, None] + torch.arange(6)) % 2).double()[None, None]
    assert L.total_variation_loss(board, "l2").item() == pytest.approx(2.0)
    assert L.total_variation_loss(board, "nine-point").item() == pytest.approx(
        1.0
    )  # diagonals are equal
    assert L.total_variation_loss(torch.full((1, 3, 4, 4), 0.3)).item() == 0


def test_nine_point_is_the_same_for_a_mirrored_picture():
    image = randn(1, 3, 7, 6)
    mirrored = L.total_variation_loss(image.flip(-1), "nine-point")
    torch.testing.assert_close(L.total_variation_loss(image, "nine-point"), mirrored)


def test_laplacian_of_a_point_and_of_a_constant():
    point = torch.zeros(1, 3, 5, 5, dtype=DOUBLE)
    point[0, 0, 2, 2] = 1
    found = L.laplacian(point, pool_px=1)[0, 0]
    assert found[2, 2] == 4
    assert found[1, 2] == -1
    assert found[1, 1] == 0
    assert L.laplacian_loss(point, L.laplacian(point + 0.3, 1), 1).item() < 1e-20


@pytest.mark.parametrize(
    ("kind", "expected"), [("mse", 4.0), ("l1", 2.0), ("huber", 1.5), ("half-sum", 8.0)]
)
def test_distances_of_a_constant_difference_of_two(kind, expected):
    assert L.distance(torch.full((4,), 2.0), kind).item() == pytest.approx(expected)


def test_content_loss_against_nothing_is_one():
    target = randn(1, 4, 5, 5)
    assert L.content_loss(torch.zeros_like(target), target).item() == pytest.approx(1.0)
    published = L.content_loss(torch.zeros_like(target), target, "half-sum", normalize=False)
    assert published.item() == pytest.approx(target.square().sum().item() / 2)


# --- wrong input ------------------------------------------------------------------------------------------
def test_content_loss_refuses_other_shapes():
    with pytest.raises(ValueError, match="equal shape"):
        L.content_loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 4))


# --- gradients --------------------------------------------------------------------------------------------
STYLE = randn(1, 3, 4, 4, seed=3)
DIRECTIONS = L.random_directions(3, 4, torch.Generator().manual_seed(1)).double()
FUNCTIONS = {
    "content": lambda x: L.content_loss(x, STYLE),
    "gram": lambda x: L.gram_loss(L.gram_matrix(x), L.gram_matrix(STYLE)),
    "w2": lambda x: L.wasserstein_loss(L.moments(x), L.moments(STYLE)),
    "sliced": lambda x: L.sliced_wasserstein_loss(x, STYLE, DIRECTIONS),
    "neighbor": lambda x: L.neighbor_loss(
        L.unit_rows(x, STYLE.mean((0, 2, 3))),
        L.unit_rows(STYLE, STYLE.mean((0, 2, 3))),
        torch.arange(16),
    ),
    "tv": lambda x: L.total_variation_loss(x, "nine-point"),
    "laplacian": lambda x: L.laplacian_loss(x, L.laplacian(STYLE, 2), 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name):
    x = randn(1, 3, 4, 4, seed=9).requires_grad_(True)
    assert torch.autograd.gradcheck(FUNCTIONS[name], (x,), atol=1e-6)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "tv"])
def test_gradient_is_not_zero_away_from_the_target(name):
    x = randn(1, 3, 4, 4, seed=9).requires_grad_(True)
    (gradient,) = torch.autograd.grad(FUNCTIONS[name](x), x)
    assert gradient.abs().max() > 1e-4


def test_wasserstein_gradient_is_finite_at_the_target():
    x = STYLE.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(FUNCTIONS["w2"](x), x)
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 1e-2


# --- invariances ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["content", "gram", "w2", "sliced"])
def test_the_backbones_scale_does_not_matter(name):
    x, target = randn(1, 3, 4, 4, seed=9), STYLE
    loss = {
        "content": L.content_loss,
        "gram": lambda a, b: L.gram_loss(L.gram_matrix(a), L.gram_matrix(b)),
        "w2": lambda a, b: L.wasserstein_loss(L.moments(a), L.moments(b)),
        "sliced": lambda a, b: L.sliced_wasserstein_loss(a, b, DIRECTIONS),
    }[name]
    torch.testing.assert_close(loss(37 * x, 37 * target), loss(x, target), rtol=1e-5, atol=1e-7)


@given(height=st.integers(2, 9), width=st.integers(2, 9))
@settings(max_examples=20, deadline=None)
def test_statistics_do_not_depend_on_how_often_a_picture_is_tiled(height, width):
    x = randn(1, 3, height, width, seed=height * 10 + width)
    tiled = x.repeat(1, 1, 2, 3)
    torch.testing.assert_close(L.gram_matrix(tiled), L.gram_matrix(x))
    torch.testing.assert_close(L.moments(tiled).covariance, L.moments(x).covariance)


def test_a_batch_of_n_is_n_singles():
    batch = randn(3, 4, 5, 5)
    singles = torch.cat([L.gram_matrix(x[None]) for x in batch])
    torch.testing.assert_close(L.gram_matrix(batch), singles)


def test_moments_are_mean_and_covariance_of_positions():
    x = randn(2, 4, 5, 6)
    mean, covariance = L.moments(x)
    rows = x[1].flatten(1)
    torch.testing.assert_close(mean[1], rows.mean(1))
    torch.testing.assert_close(covariance[1], torch.cov(rows, correction=0))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("weighted", [False, True])
def test_averages_have_the_gradient_of_their_formula_in_any_memory_layout(layout, weighted):
    x = randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_(True)
    weight = 0.5 + torch.rand(1, 1, 4, 5, dtype=DOUBLE) if weighted else None
    assert torch.autograd.gradcheck(lambda maps: L.averages(maps, weight), x)
    mean, second = L.averages(x, weight)
    (gradient,) = torch.autograd.grad(second.square().sum() + mean.sum(), x)
    # otherwise the preceding ReLU is many times slower
    if layout is torch.channels_last and not weighted:
        assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_grain_of_a_checkerboard_is_all_of_its_contrast_and_a_ramp_has_none():
    board = 0.5 + 0.2 * (torch.arange(8)[:, None] + torch.arange(10)).remainder(2).mul(2).sub(1)
    ramp = torch.linspace(0, 1, 10).expand(8, 10)
    image = torch.stack([board, ramp, torch.full((8, 10), 0.3)])[None].to(DOUBLE)
    squares = [
        (0.04 + 1e-6) / (0.04 + 1e-3),
        1e-6 / (float(ramp.var(correction=0)) + 1e-3),
        1e-6 / 1e-3,
    ]
    wanted = torch.tensor([squares * 2], dtype=DOUBLE).sqrt()
    torch.testing.assert_close(L.grain(image), wanted, atol=1e-5, rtol=1e-4)
