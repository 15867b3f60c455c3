"""Style as a Gaussian cloud of features: the Wasserstein-2 distance of mean and covariance.

The distance is Dowson and Landau 1982 (also Olkin and Pukelsheim 1982):
``|m1 - m2|^2 + tr(S1 + S2 - 2 (S2^(1/2) S1 S2^(1/2))^(1/2))``. As a style loss: Crowson's
style-transfer-pytorch, and Vacher et al. 2020, "Texture Interpolation for Probing Visual Perception".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from impasto.losses._shared import EPSILON, flatten

__all__ = [
    "Moments",
    "WassersteinLoss",
    "moments",
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


def moments(features: Tensor) -> Moments:
    """Takes mean and covariance over positions of ``(B, C, H, W)`` or ``(B, C, N)`` features."""
    rows = flatten(features)  # (B, C, N)
    mean = rows.mean(2)
    centred = rows - mean[..., None]
    return Moments(mean, torch.bmm(centred, centred.transpose(1, 2)) / rows.shape[2])


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


def wasserstein_loss(
    source: Moments, target: Moments, target_root: Tensor | None = None, *, relative: bool = True
) -> Tensor:
    """Squared Wasserstein-2 distance between two Gaussians.

    Deviates: with ``relative`` it is divided by the target's mean square, ``|m|^2 + tr(S)``, so that 0 is
    equal, 1 is a source of zeros, and the backbone's scale and the number of channels do not matter. The root
    carries a small ridge, the same on both sides, so that equal clouds are at distance 0.

    Args:
        source: Of the pastiche.
        target: Of the style.
        target_root: ``sqrtm(target.covariance)``, when it is at hand already.
        relative: Divide by the target's mean square.

    Returns:
        Scalar, at least 0 up to rounding.
    """
    root = sqrtm(target.covariance) if target_root is None else target_root
    middle = root @ source.covariance @ root  # (B, C, C)
    middle = (middle + middle.transpose(-1, -2)) / 2
    target_trace = _trace(target.covariance)
    ridge = (RIDGE * target_trace / root.shape[-1]).square()  # (B,)
    cross = _trace_of_root(middle, ridge)
    # What the ridge adds for equal clouds is taken off again, so that the minimum is 0.
    square = root @ target.covariance @ root
    excess = _trace_of_root((square + square.transpose(-1, -2)) / 2, ridge) - target_trace
    spread = _trace(source.covariance) + target_trace - 2 * (cross - excess)
    energy = target.mean.square().sum(-1) + target_trace
    total = (source.mean - target.mean).square().sum(-1) + spread  # (B,)
    return (total / energy.clamp_min(EPSILON) if relative else total).mean()


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


class WassersteinLoss(nn.Module):
    """`wasserstein_loss` of feature maps against a style's moments."""

    mean: Tensor
    covariance: Tensor
    root: Tensor

    def __init__(self, target: Moments) -> None:
        super().__init__()
        self.register_buffer("mean", target.mean.detach())
        self.register_buffer("covariance", target.covariance.detach())
        self.register_buffer("root", sqrtm(target.covariance.detach()))

    def forward(self, features: Tensor) -> Tensor:
        """Compares the moments of ``(B, C, H, W)`` features with the target."""
        return wasserstein_loss(moments(features), Moments(self.mean, self.covariance), self.root)
