"""Temporal smoothing for feed-forward looks: blends each frame with the warped previous one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.media import box_mean
from impasto.types import FrameContext

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["held_to_motion", "tones_of"]

TONES_HELD, GRAIN_HELD = 0.85, 0.95
"""Share of the warped previous pastiche: of tones, which follow the lighting, and of grain, which flickers."""

FIRM = 3.0
"""Reliability of a third already gets full weight, because an even blend of two pastiches is blurry."""

GRAIN_PARTS = 100
"""Tones are what remains after two box means whose radius is the long edge divided by this."""


def held_to_motion(image: Tensor, context: FrameContext) -> Tensor:
    """Blends a pastiche with the warped previous one where the motion is reliable and the colors match.

    Args:
        image: The pastiche, ``(1, 3, H, W)``.
        context: The context, including the warped previous pastiche if there is one.
    """
    for other in context.earlier[:1]:
        trust = other.reliability if other.fits is None else other.reliability * other.fits
        apart = other.warped - image
        tones = tones_of(apart)
        held = TONES_HELD * tones + GRAIN_HELD * (apart - tones)
        image = image + (FIRM * trust).clamp(0, 1) * held
    return image


def tones_of(image: Tensor) -> Tensor:
    """Returns what remains of ``(B, C, H, W)`` without grain."""
    reach = max(1, round(max(image.shape[-2:]) / GRAIN_PARTS))
    return box_mean(box_mean(image, reach), reach)
