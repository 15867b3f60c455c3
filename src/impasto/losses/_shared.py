"""What several losses share: shapes, and the distance between two tensors by name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Distance = Literal["mse", "l1", "huber", "half-sum"]
"""How a difference becomes a number; ``half-sum`` is the half sum of squares of Gatys' eq. 1."""

EPSILON = 1e-8
"""Below this a target's energy counts as none, so that a black picture does not divide by zero."""


def flatten(features: Tensor) -> Tensor:
    """Lays positions in a row: ``(B, C, H, W) -> (B, C, H*W)``; ``(B, C, N)`` passes."""
    return features.flatten(2)


def relative(error: Tensor, target: Tensor) -> Tensor:
    """Divides an error by the target's mean square, so that no weight depends on its scale."""
    return error / target.square().mean().clamp_min(EPSILON)


def distance(difference: Tensor, kind: Distance = "mse", *, delta: float = 1.0) -> Tensor:
    """Turns a difference into a scalar.

    Args:
        difference: Any shape.
        kind: ``mse`` mean of squares; ``l1`` mean of absolute values; ``huber`` mean of
            ``d**2 / 2`` below ``delta`` and ``delta * (|d| - delta / 2)`` above; ``half-sum`` half
            the sum of squares (Gatys 2016, eq. 1), which grows with the size of the picture.
        delta: Where ``huber`` turns from square to straight, in the unit of the difference.

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
