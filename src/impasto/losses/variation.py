"""Total variation: how much neighboring pixels differ.

Rudin, Osher and Fatemi 1992 (L1); Mahendran and Vedaldi 2015 (L2); the 9-point form weighs all eight
neighbors by the inverse of their distance, so that diagonals are not favored.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

__all__ = ["TotalVariationLoss", "VariationKind", "total_variation_loss"]

VariationKind = Literal["l1", "l2", "nine-point"]


def _shifted(image: Tensor, down: int, right: int) -> Tensor:
    """Differences between pixels and their neighbor ``down`` rows and ``right`` columns on."""
    height, width = image.shape[-2:]
    first = image[..., : height - down, max(0, -right) : width - max(0, right)]
    second = image[..., down:, max(0, right) : width + min(0, right)]
    return second - first


def total_variation_loss(image: Tensor, kind: VariationKind = "l2") -> Tensor:
    """Mean difference between neighboring pixels.

    Args:
        image: ``(B, C, H, W)`` with ``H, W >= 2``.
        kind: ``l1`` mean absolute difference to the right and below; ``l2`` mean square; ``nine-point`` mean
            square to right, below and both diagonals, the diagonals at half weight (distance squared is 2).

    Returns:
        Scalar, at least 0; a constant picture has 0, a ramp of slope ``s`` across ``s`` (l1) or ``s**2`` (l2).
    """
    across, below = _shifted(image, 0, 1), _shifted(image, 1, 0)
    if kind == "l1":
        return across.abs().mean() + below.abs().mean()
    straight = across.square().mean() + below.square().mean()
    if kind == "l2":
        return straight
    falling, rising = _shifted(image, 1, 1), _shifted(image, 1, -1)
    return (straight + (falling.square().mean() + rising.square().mean()) / 2) / 2


class TotalVariationLoss(nn.Module):
    """`total_variation_loss` of a fixed kind."""

    def __init__(self, kind: VariationKind = "l2") -> None:
        super().__init__()
        self.kind: VariationKind = kind

    def forward(self, image: Tensor) -> Tensor:
        """Measures ``(B, C, H, W)``."""
        return total_variation_loss(image, self.kind)
