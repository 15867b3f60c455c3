"""Helpers shared by several losses: shapes, and distances between tensors, selected by name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Distance = Literal["mse", "l1", "huber", "half-sum"]
"""How a difference is reduced to a scalar; ``half-sum`` is half the sum of squares, as in Gatys 2016, eq. 1."""

EPSILON = 1e-8
"""Lower bound on a target's energy, which prevents a division by zero for a black image."""


def flatten(features: Tensor) -> Tensor:
    """Flattens the spatial dimensions: ``(B, C, H, W) -> (B, C, H*W)``; ``(B, C, N)`` is unchanged."""
    return features.flatten(2)


def relative(error: Tensor, target: Tensor) -> Tensor:
    """Divides an error by the target's mean square, so that weights do not depend on the target's scale."""
    return error / target.square().mean().clamp_min(EPSILON)


def distance(difference: Tensor, kind: Distance = "mse", *, delta: float = 1.0) -> Tensor:
    """Reduces a difference to a scalar.

    Args:
        difference: Any shape.
        kind: ``mse``, the mean of squares; ``l1``, the mean of absolute values; ``huber``, the mean of
            ``d**2 / 2`` below ``delta`` and ``delta * (|d| - delta / 2)`` above; ``half-sum``, half the
            sum of squares (Gatys 2016, eq. 1), which grows with the size of the image.
        delta: Point where ``huber`` changes from quadratic to linear, in the unit of the difference.

    Returns:
        Scalar, at least 0.
    """
    if kind == "mse":
        return difference.square().mean()
    if kind == "l1":
        return difference.abs().mean()
    if kind == "huber":
        return torch.nn.functional.huber_loss(difference, torch.zeros_like(difference), delta=delta)
    return difference.square().sum() / 2
