"""The scales of a coarse-to-fine run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from impasto.media.resize import size_to_fit

__all__ = ["Scale", "by_scale", "plan_scales"]

Value = TypeVar("Value")

SHORTEST_PX = 32
"""Shortest side of any scale in pixels; the deepest layers need at least this much."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One image size of the run, with its number of steps."""

    height_px: int
    width_px: int
    steps: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height_px * self.width_px


def plan_scales(
    size: tuple[int, int], steps: tuple[int, ...], coarsest_px: int
) -> tuple[Scale, ...]:
    """Halves the size until the long edge would fall below ``coarsest_px`` or a side below 32 px.

    Args:
        size: Height and width of the finest scale in pixels.
        steps: Steps per scale, coarse to fine. If there are more scales than values, the first value repeats;
            if there are fewer, the last values are used. A single scale uses the first value, because it starts
            from scratch.
        coarsest_px: Smallest long edge of a coarser scale in pixels; 0 for a single scale.

    Returns:
        Scales from coarse to fine, at least one.
    """
    height, width = size
    sizes = [size]
    edge = float(max(size))
    while coarsest_px > 0:
        edge /= 2
        smaller = size_to_fit((height, width), max(1, round(edge)))
        if edge < coarsest_px or min(smaller) < SHORTEST_PX:
            break
        sizes.insert(0, smaller)
    if len(sizes) == 1:
        steps = steps[:1]
    return tuple(
        Scale(height_px=height, width_px=width, steps=count)
        for (height, width), count in zip(sizes, by_scale(steps, len(sizes)), strict=True)
    )


def by_scale(values: tuple[Value, ...], scales: int) -> tuple[Value, ...]:
    """Assigns values to scales, coarse to fine.

    If there are more scales than values, the first value repeats; if there are fewer, the last values are used.
    """
    missing = scales - len(values)
    return (values[0],) * missing + values if missing > 0 else values[-scales:]
