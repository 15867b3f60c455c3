"""Features of one picture given the mean and covariance of another's, by matrix products alone.

The map is the optimal transport between the two Gaussians, which moves features least (Lu et al. 2019, "A Closed-form
Solution to Universal Style Transfer", eq. 9). Its root is found by Newton and Schulz's iteration, so that it can be
trained through and exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.losses.wasserstein import sqrtm

__all__ = ["Gaussian", "blended", "gaussian_of", "inverse_root", "moments", "transport"]

RIDGE = 1e-3
"""Share of the mean variance added to every direction of the content's features, so that none is blown up."""

STYLE_RIDGE = 1e-4
INNER_RIDGE = 1e-4
ITERATIONS = 12


class Gaussian(NamedTuple):
    """A style at one level: mean ``(B, C, 1)`` of its features, and the root of their covariance ``(B, C, C)``."""

    mean: Tensor
    root: Tensor


def moments(maps: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean ``(B, C, 1)`` and covariance ``(B, C, C)`` of ``(B, C, H, W)``.

    Args:
        maps: Features.
        weight: ``(1, 1, H, W)``, what each position counts; all alike when None.
    """
    rows = _rows(maps)  # (B, N, C)
    if weight is None:
        mean = rows.mean(1, keepdim=True)
        # the square of the mean taken off the mean of squares is not always positive
        centered = rows - mean
        return mean.transpose(1, 2), centered.transpose(1, 2) @ centered / rows.shape[1]
    shares = weight.flatten(2).transpose(1, 2) / weight.sum().clamp_min(1e-6)
    mean = (shares * rows).sum(1, keepdim=True)
    centered = rows - mean
    return mean.transpose(1, 2), centered.transpose(1, 2) @ (shares * centered)


def _rows(maps: Tensor) -> Tensor:
    """``(B, C, H, W)`` to ``(B, H W, C)``, which is a view where channels come last in memory."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


@torch.no_grad()
def gaussian_of(maps: Tensor, weight: Tensor | None = None) -> Gaussian:
    """Measures a style's features at one level."""
    mean, covariance = moments(maps.float(), weight)
    root = sqrtm((covariance + _ridge(covariance, STYLE_RIDGE)).double())
    return Gaussian(mean, root.float())


def blended(gaussians: Sequence[Gaussian], weights: Sequence[float]) -> Gaussian:
    """Weighted means of the means and of the roots."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    return Gaussian(
        sum((s * g.mean for s, g in zip(shares, gaussians, strict=True)), torch.zeros(())),
        sum((s * g.root for s, g in zip(shares, gaussians, strict=True)), torch.zeros(())),
    )


def transport(maps: Tensor, style: Gaussian, weight: Tensor | None = None) -> Tensor:
    """Gives features the mean and covariance of a style's.

    With ``A`` the root of the style's covariance and ``S`` the covariance of the maps, the matrix is
    ``A (A S A)^(-1/2) A``.

    Args:
        maps: ``(B, C, H, W)``.
        style: Of as many channels.
        weight: ``(1, 1, H, W)``, where the content's own mean and covariance are measured; everywhere when None.

    Returns:
        Of the same shape.
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
    """``M^(-1/2)`` of symmetric positive definite ``(B, C, C)`` (Higham 2008, eq. 6.35).

    Args:
        matrix: With eigenvalues that are ``1.5 ** (2 * iterations)`` apart at most.
        iterations: Of Newton and Schulz.
    """
    size = matrix.square().sum((1, 2), keepdim=True).sqrt()
    eye = torch.eye(matrix.shape[-1]).to(matrix)
    y, z = matrix / size, eye.expand_as(matrix)
    for _ in range(iterations):
        step = 1.5 * eye - 0.5 * (z @ y)
        y, z = y @ step, step @ z
    return z / size.sqrt()
