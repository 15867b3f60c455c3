"""The scales of a coarse-to-fine run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from impasto.media.resize import size_to_fit

__all__ = ["Scale", "by_scale", "plan_scales"]

Value = TypeVar("Value")

SHORTEST_PX = 32
"""No side of any scale is shorter: the deepest layers need something to see."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One picture size of the run, and how many steps it gets."""

    height_px: int
    width_px: int
    steps: int

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height_px * self.width_px


def plan_scales(
    size: tuple[int, int], steps: tuple[int, ...], coarsest_px: int
) -> tuple[Scale, ...]:
    """Halves the size until the long edge would fall under ``coarsest_px`` or a side under 32 px.

    Args:
        size: Height and width of the finest scale in pixels.
        steps: Steps from coarse to fine. The first repeats when there are more scales; when there are
            fewer, the last ones count. A single scale gets the first, since nothing has been painted before it.
        coarsest_px: Least long edge of a coarser scale; 0 for a single scale.

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
    """Lays values out over scales, coarse to fine.

    The first value repeats when there are more scales than values; the last ones count when there are fewer.
    """
    missing = scales - len(values)
    return (values[0],) * missing + values if missing > 0 else values[-scales:]
