"""Holding what was painted at once to what was painted before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.media import box_mean
from impasto.types import FrameContext

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["held_to_motion"]

TONES_HELD, GRAIN_HELD = 0.85, 0.95
"""Share of the pastiche before, along the motion: of tones, which follow the light, and of grain, which flickers."""

FIRM = 3.0
"""Motion that is reliable to a third is followed in full: half of one pastiche on half of another is a blur."""

GRAIN_PARTS = 100
"""Tones are what is left of a picture after two means over squares of twice its long edge over this."""


def held_to_motion(image: Tensor, context: FrameContext) -> Tensor:
    """The pastiche, mostly replaced by the one before where that fits and the motion is reliable.

    Args:
        image: ``(1, 3, H, W)``.
        context: With the pastiche before along the motion, where the film knows it.
    """
    for other in context.earlier[:1]:
        trust = other.reliability if other.fits is None else other.reliability * other.fits
        apart = other.warped - image
        reach = max(1, round(max(image.shape[-2:]) / GRAIN_PARTS))
        tones = box_mean(box_mean(apart, reach), reach)
        held = TONES_HELD * tones + GRAIN_HELD * (apart - tones)
        image = image + (FIRM * trust).clamp(0, 1) * held
    return image
