"""Matching of the mean and covariance of features to a style, using only matrix products.

The map is the optimal transport between two Gaussians, which changes features least (Lu et al. 2019, "A Closed-form
Solution to Universal Style Transfer", eq. 9). Its matrix root is computed by the Newton-Schulz iteration, so that it is
differentiable and can be exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.losses.wasserstein import sqrtm

__all__ = ["Gaussian", "blended", "gaussian_of", "inverse_root", "moments", "transport"]

RIDGE = 1e-3
"""Share of the mean variance that is added to the diagonal of the content's covariance, to limit amplification."""

STYLE_RIDGE = 1e-4
INNER_RIDGE = 1e-4
ITERATIONS = 12


class Gaussian(NamedTuple):
    """A style at one level: mean ``(B, C, 1)`` of its features, and square root ``(B, C, C)`` of their covariance."""

    mean: Tensor
    root: Tensor


def moments(maps: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Computes the mean ``(B, C, 1)`` and covariance ``(B, C, C)`` of features.

    Args:
        maps: Features, ``(B, C, H, W)``.
        weight: ``(1, 1, H, W)``, relative weight of each position; None for equal weights.
    """
    rows = _rows(maps)  # (B, N, C)
    if weight is None:
        mean = rows.mean(1, keepdim=True)
        # subtracting the squared mean from the mean square could give negative values
        centered = rows - mean
        return mean.transpose(1, 2), centered.transpose(1, 2) @ centered / rows.shape[1]
    shares = weight.flatten(2).transpose(1, 2) / weight.sum().clamp_min(1e-6)
    mean = (shares * rows).sum(1, keepdim=True)
    centered = rows - mean
    return mean.transpose(1, 2), centered.transpose(1, 2) @ (shares * centered)


def _rows(maps: Tensor) -> Tensor:
    """Reshapes ``(B, C, H, W)`` to ``(B, H W, C)``, which is a view for channels-last tensors."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


@torch.no_grad()
def gaussian_of(maps: Tensor, weight: Tensor | None = None) -> Gaussian:
    """Measures a style's features at one level."""
    mean, covariance = moments(maps.float(), weight)
    root = sqrtm((covariance + _ridge(covariance, STYLE_RIDGE)).double())
    return Gaussian(mean, root.float())


def blended(gaussians: Sequence[Gaussian], weights: Sequence[float]) -> Gaussian:
    """Returns the weighted average of the means and of the square roots."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    return Gaussian(
        sum((s * g.mean for s, g in zip(shares, gaussians, strict=True)), torch.zeros(())),
        sum((s * g.root for s, g in zip(shares, gaussians, strict=True)), torch.zeros(())),
    )


def transport(maps: Tensor, style: Gaussian, weight: Tensor | None = None) -> Tensor:
    """Gives features the mean and covariance of a style.

    With ``A`` the square root of the style's covariance and ``S`` the covariance of the features, the matrix is
    ``A (A S A)^(-1/2) A``.

    Args:
        maps: ``(B, C, H, W)``.
        style: Style statistics with the same number of channels.
        weight: ``(1, 1, H, W)``, mask for the content's mean and covariance; None for all positions.

    Returns:
        Transformed features with the shape of ``maps``.
    """
    mean, covariance = moments(maps, weight)
    inner = style.root @ (covariance + _ridge(covariance, RIDGE)) @ style.root
    inner = inner + _ridge(inner, INNER_RIDGE) + 1e-12 * torch.eye(inner.shape[-1]).to(inner)
    matrix = style.root @ inverse_root(inner) @ style.root
    offset = (style.mean - matrix @ mean).transpose(1, 2)  # (B, 1, C)
    moved = _rows(maps) @ matrix.transpose(1, 2) + offset
    height, width = maps.shape[-2:]
    return moved.view(moved.shape[0], height, width, moved.shape[2]).permute(0, 3, 1, 2)


def _ridge(matrix: Tensor, share: float) -> Tensor:
    size = matrix.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    return share * size * torch.eye(matrix.shape[-1]).to(matrix)


def inverse_root(matrix: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Computes ``M^(-1/2)`` of a symmetric positive definite matrix ``(B, C, C)`` (Higham 2008, eq. 6.35).

    Args:
        matrix: Matrix with a condition number of at most about ``1.5 ** (2 * iterations)``.
        iterations: Number of Newton-Schulz iterations.
    """
    size = matrix.square().sum((1, 2), keepdim=True).sqrt()
    eye = torch.eye(matrix.shape[-1]).to(matrix)
    y, z = matrix / size, eye.expand_as(matrix)
    for _ in range(iterations):
        step = 1.5 * eye - 0.5 * (z @ y)
        y, z = y @ step, step @ z
    return z / size.sqrt()
