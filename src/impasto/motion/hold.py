"""Holding what was painted at once to what was painted before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.types import FrameContext

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["held_to_motion"]

HELD = 0.85
"""Share of the pastiche before, along the motion, where that is reliable."""


def held_to_motion(image: Tensor, context: FrameContext) -> Tensor:
    """The pastiche, mostly replaced by the one before where that fits and the motion is reliable.

    Args:
        image: ``(1, 3, H, W)``.
        context: With the pastiche before along the motion, where the film knows it.
    """
    for other in context.earlier[:1]:
        trust = other.reliability if other.fits is None else other.reliability * other.fits
        image = image + HELD * trust * (other.warped - image)
    return image
