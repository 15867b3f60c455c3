"""Sliced Wasserstein loss: style as the full distribution of features.

Heitz et al. 2021, "A Sliced Wasserstein Loss for Neural Texture Synthesis", eqs. 3-5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.losses._shared import EPSILON, flatten

__all__ = ["random_directions", "sliced_wasserstein_loss"]


def random_directions(channels: int, count: int, generator: torch.Generator) -> Tensor:
    """Draws ``(count, channels)`` unit vectors, uniformly distributed on the sphere, on the CPU."""
    directions = torch.randn(count, channels, generator=generator)
    return directions / directions.norm(dim=1, keepdim=True)


def _sorted_projections(features: Tensor, directions: Tensor) -> Tensor:
    rows = flatten(features)  # (B, C, N)
    return (directions.to(rows) @ rows).sort(dim=2).values  # (B, D, N)


def sliced_wasserstein_loss(features: Tensor, target: Tensor, directions: Tensor) -> Tensor:
    """Mean squared difference of sorted projections (Heitz 2021, eqs. 3-5).

    Deviates: the loss is divided by the target's mean square. If the number of positions differs, the sorted
    target is resampled to the source's quantiles by linear interpolation (the paper repeats pixels instead).

    Args:
        features: ``(B, C, H, W)`` or ``(B, C, N)``, features of the pastiche.
        target: Features of the style in the same layout, with any number of positions.
        directions: Unit vectors ``(D, C)``.

    Returns:
        Scalar, at least 0.
    """
    source = _sorted_projections(features, directions)
    wanted = _sorted_projections(target, directions)
    if wanted.shape[2] != source.shape[2]:
        wanted = torch.nn.functional.interpolate(
            wanted, size=source.shape[2], mode="linear", align_corners=True
        )
    energy = target.square().mean().clamp_min(EPSILON)
    return (source - wanted).square().mean() / energy
