"""Style as a Gaussian cloud of features: the Wasserstein-2 distance of mean and covariance.

The distance is Dowson and Landau 1982 (also Olkin and Pukelsheim 1982):
``|m1 - m2|^2 + tr(S1 + S2 - 2 (S2^(1/2) S1 S2^(1/2))^(1/2))``. As a style loss: Crowson's
style-transfer-pytorch, and Vacher et al. 2020, "Texture Interpolation for Probing Visual Perception".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from impasto.losses._shared import EPSILON
from impasto.losses._statistics import averages

__all__ = [
    "Cloud",
    "Moments",
    "WassersteinLoss",
    "cloud",
    "moments",
    "moments_of",
    "sqrtm",
    "wasserstein_loss",
]

RIDGE = 1e-4
"""Added to the eigenvalues under the root, as a share of their mean: features of small pictures have
fewer positions than channels, and the root's slope at 0 is infinite."""


class Moments(NamedTuple):
    """Mean ``(B, C)`` and covariance ``(B, C, C)`` of features over positions."""

    mean: Tensor
    covariance: Tensor


class Cloud(NamedTuple):
    """A style's moments, with what of the distance to them is always the same.

    Attributes:
        mean: ``(B, C)``.
        covariance: ``(B, C, C)``.
        root: Its symmetric square root.
        ridge: ``(B,)``, under the roots of the cross term.
        excess: ``(B,)``, what the ridge adds to the cross term of equal clouds.
    """

    mean: Tensor
    covariance: Tensor
    root: Tensor
    ridge: Tensor
    excess: Tensor


def moments(features: Tensor, weight: Tensor | None = None) -> Moments:
    """Takes mean and covariance over positions, or over a region.

    Args:
        features: ``(B, C, H, W)`` or ``(B, C, N)``.
        weight: ``(B, 1, H, W)``, relative weight of each position, with a mean of 1; None for equal weights.
    """
    return moments_of(*averages(features, weight))


def moments_of(mean: Tensor, second: Tensor) -> Moments:
    """Moments from the results of `averages`."""
    return Moments(mean, second - mean[:, :, None] * mean[:, None, :])


def cloud(target: Moments) -> Cloud:
    """Prepares a style's moments for many comparisons."""
    root = sqrtm(target.covariance)
    trace = _trace(target.covariance)
    ridge = (RIDGE * trace / root.shape[-1]).square()  # (B,)
    excess = _trace_of_root(_symmetric(root @ target.covariance @ root), ridge) - trace
    return Cloud(target.mean, target.covariance, root, ridge, excess)


def sqrtm(matrix: Tensor) -> Tensor:
    """Symmetric square root of a symmetric positive semi-definite ``(B, C, C)`` matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.transpose(-1, -2)


class _TraceOfRoot(torch.autograd.Function):
    """``tr(M^(1/2))`` with the gradient ``M^(-1/2) / 2``, which stays finite for equal eigenvalues."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, ridge: Tensor) -> Tensor:
        if not matrix.isfinite().all():  # eigh would raise; the loop wants to be told by the loss
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
    """``tr(M^(1/2))`` of ``(B, C, C)`` with ``ridge`` ``(B,)`` under the root."""
    trace: Tensor = _TraceOfRoot.apply(matrix, ridge)  # type: ignore[no-untyped-call]
    return trace


def wasserstein_loss(source: Moments, target: Moments | Cloud, *, relative: bool = True) -> Tensor:
    """Squared Wasserstein-2 distance between two Gaussians.

    Deviates: with ``relative`` it is divided by the target's mean square, ``|m|^2 + tr(S)``, so that 0 is
    equal, 1 is a source of zeros, and the backbone's scale and the number of channels do not matter. The root
    carries a small ridge, taken off again, so that equal clouds are at distance 0 and the slope there is finite.

    Args:
        source: Of the pastiche.
        target: Of the style; a `cloud` of it spares work when there are many sources.
        relative: Divide by the target's mean square.

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


class WassersteinLoss(nn.Module):
    """`wasserstein_loss` of feature maps against a style's moments."""

    def __init__(self, target: Moments) -> None:
        super().__init__()
        for name, value in cloud(target)._asdict().items():
            self.register_buffer(name, value.detach())

    def forward(self, features: Tensor) -> Tensor:
        """Compares the moments of ``(B, C, H, W)`` features with the target."""
        target = Cloud(*(getattr(self, name) for name in Cloud._fields))
        return wasserstein_loss(moments(features), target)
