"""Wasserstein loss: style as a Gaussian distribution of features, compared by the Wasserstein-2 distance.

The squared distance is from Dowson and Landau 1982 (also Olkin and Pukelsheim 1982):
``|m1 - m2|^2 + tr(S1 + S2 - 2 (S2^(1/2) S1 S2^(1/2))^(1/2))``. It was used as a style loss in Crowson's
style-transfer-pytorch and in Vacher et al. 2020, "Texture Interpolation for Probing Visual Perception".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.losses._shared import EPSILON
from impasto.losses._statistics import averages

__all__ = [
    "Cloud",
    "Moments",
    "cloud",
    "moments",
    "moments_of",
    "sqrtm",
    "wasserstein_loss",
]

RIDGE = 1e-4
"""Added to the eigenvalues under the square root, as a share of their mean: feature maps of small images have
fewer positions than channels, and the derivative of the square root at 0 is infinite."""


class Moments(NamedTuple):
    """Mean ``(B, C)`` and covariance ``(B, C, C)`` of features over positions."""

    mean: Tensor
    covariance: Tensor


class Cloud(NamedTuple):
    """Moments of a style, with the parts of the distance that depend on the style only.

    Attributes:
        mean: ``(B, C)``.
        covariance: ``(B, C, C)``.
        root: ``(B, C, C)``, the symmetric square root of the covariance.
        ridge: ``(B,)``, added to the eigenvalues under the square root of the cross term.
        excess: ``(B,)``, the amount that the ridge adds to the cross term of equal clouds.
    """

    mean: Tensor
    covariance: Tensor
    root: Tensor
    ridge: Tensor
    excess: Tensor


def moments(features: Tensor, weight: Tensor | None = None) -> Moments:
    """Computes the mean and covariance over all positions or over a region.

    Args:
        features: ``(B, C, H, W)`` or ``(B, C, N)``.
        weight: ``(B, 1, H, W)``, relative weight of each position, with a mean of 1; None for equal weights.
    """
    return moments_of(*averages(features, weight))


def moments_of(mean: Tensor, second: Tensor) -> Moments:
    """Computes moments from the results of `averages`."""
    return Moments(mean, second - mean[:, :, None] * mean[:, None, :])


def cloud(target: Moments) -> Cloud:
    """Precomputes the style's part of `wasserstein_loss`, for use in many comparisons."""
    root = sqrtm(target.covariance)
    trace = _trace(target.covariance)
    ridge = (RIDGE * trace / root.shape[-1]).square()  # (B,)
    excess = _trace_of_root(_symmetric(root @ target.covariance @ root), ridge) - trace
    return Cloud(target.mean, target.covariance, root, ridge, excess)


def sqrtm(matrix: Tensor) -> Tensor:
    """Returns the symmetric square root of a symmetric positive semi-definite matrix ``(B, C, C)``."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.transpose(-1, -2)


class _TraceOfRoot(torch.autograd.Function):
    """``tr(M^(1/2))`` with the gradient ``M^(-1/2) / 2``, which stays finite for equal eigenvalues."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, ridge: Tensor) -> Tensor:
        if not matrix.isfinite().all():  # eigh would raise; the loop needs a non-finite loss
            matrix = torch.zeros_like(matrix)
            ridge = torch.full_like(ridge, float("nan"))
        values, vectors = torch.linalg.eigh(matrix)
        roots = (values.clamp_min(0) + ridge[:, None]).sqrt()  # (B, C)
        ctx.save_for_backward(vectors, roots)
        return roots.sum(-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        vectors, roots = ctx.saved_tensors
        inverse = (vectors / (2 * roots[..., None, :])) @ vectors.transpose(-1, -2)
        return gradient[:, None, None] * inverse, None


def _trace_of_root(matrix: Tensor, ridge: Tensor) -> Tensor:
    """Returns ``tr(M^(1/2))`` of ``(B, C, C)``, with ``ridge`` ``(B,)`` added to the eigenvalues."""
    trace: Tensor = _TraceOfRoot.apply(matrix, ridge)  # type: ignore[no-untyped-call]
    return trace


def wasserstein_loss(source: Moments, target: Moments | Cloud, *, relative: bool = True) -> Tensor:
    """Squared Wasserstein-2 distance between two Gaussians (Dowson and Landau 1982).

    Deviates: with ``relative``, the distance is divided by the target's mean square, ``|m|^2 + tr(S)``, so that it
    is 0 for equal moments and 1 for a source of zeros, and does not depend on the backbone's scale or the number of
    channels. A small ridge under the square root keeps the gradient finite; its contribution is subtracted, so that
    equal moments have distance 0.

    Args:
        source: Moments of the pastiche.
        target: Moments of the style; pass a `cloud` of them to avoid repeated work with many sources.
        relative: Whether to divide by the target's mean square.

    Returns:
        Scalar, at least 0 up to rounding.
    """
    style = target if isinstance(target, Cloud) else cloud(target)
    middle = _symmetric(style.root @ source.covariance @ style.root)  # (B, C, C)
    cross = _trace_of_root(middle, style.ridge) - style.excess
    trace = _trace(style.covariance)
    spread = _trace(source.covariance) + trace - 2 * cross
    total = (source.mean - style.mean).square().sum(-1) + spread  # (B,)
    energy = style.mean.square().sum(-1) + trace
    return (total / energy.clamp_min(EPSILON) if relative else total).mean()


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.transpose(-1, -2)) / 2


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)
