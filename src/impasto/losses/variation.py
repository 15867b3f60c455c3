"""Total variation loss: the differences between neighboring pixels.

Rudin, Osher and Fatemi 1992 (L1); Mahendran and Vedaldi 2015 (L2). The 9-point form includes all eight neighbors,
weighted by the inverse of their squared distance, so that diagonals are not favored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VariationKind", "total_variation_loss", "variation_parts"]

VariationKind = Literal["l1", "l2", "nine-point"]


def _shifted(image: Tensor, down: int, right: int) -> Tensor:
    """Returns the differences between pixels and those ``down`` rows below and ``right`` columns to their right."""
    height, width = image.shape[-2:]
    first = image[..., : height - down, max(0, -right) : width - max(0, right)]
    second = image[..., down:, max(0, right) : width + min(0, right)]
    return second - first


def total_variation_loss(image: Tensor, kind: VariationKind = "l2") -> Tensor:
    """Mean absolute or squared difference between neighboring pixels.

    Args:
        image: ``(B, C, H, W)`` with ``H, W >= 2``.
        kind: ``l1``, the mean absolute difference from the pixel to the right plus that from the pixel below;
            ``l2``, the same with squares; ``nine-point``, half the sum of ``l2`` and the mean squared differences along
            both diagonals at half weight (their squared distance is 2).

    Returns:
        Scalar, at least 0. A constant image has 0; a horizontal ramp of slope ``s`` has ``s`` (l1) or ``s**2`` (l2).
    """
    across, below = _shifted(image, 0, 1), _shifted(image, 1, 0)
    if kind == "l1":
        return across.abs().mean() + below.abs().mean()
    straight = across.square().mean() + below.square().mean()
    if kind == "l2":
        return straight
    falling, rising = _shifted(image, 1, 1), _shifted(image, 1, -1)
    return (straight + (falling.square().mean() + rising.square().mean()) / 2) / 2


def variation_parts(image: Tensor, kind: VariationKind, below: int, right: int) -> Tensor:
    """One of the three parts that `total_variation_loss` is the sum of.

    Args:
        image: ``(B, C, H, W)``.
        kind: See `total_variation_loss`.
        below: 1 for differences from the row below, else 0.
        right: 1 for differences from the column to the right, else 0. With both, the differences along both diagonals,
            which only ``nine-point`` includes.

    Returns:
        Scalar, at least 0.
    """
    if below and right:
        if kind != "nine-point":
            return image.new_zeros(())
        falling, rising = _shifted(image, 1, 1), _shifted(image, 1, -1)
        return (falling.square().mean() + rising.square().mean()) / 4
    change = _shifted(image, below, right)
    if kind == "l1":
        return change.abs().mean()
    return change.square().mean() / (1 if kind == "l2" else 2)
