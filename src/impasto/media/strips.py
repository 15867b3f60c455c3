"""Processes large images in horizontal strips, to bound the memory of functions with a limited receptive field."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["in_strips"]


def in_strips(
    run: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor, reach: int, rows: int
) -> tuple[Tensor, ...]:
    """Applies a function with a limited receptive field to strips of rows and joins the results.

    Args:
        run: The function; its outputs must scale with the number of input rows.
        x: ``(B, C, H, W)``.
        reach: Rows that the receptive field extends beyond a strip; strips overlap their neighbors by as much.
        rows: Rows per strip; 0 processes everything at once.
    """
    height = x.shape[-2]
    if rows <= 0 or height <= rows + 2 * reach:
        return run(x)
    whole: list[Tensor] = []
    for top in range(0, height, rows):
        first, last = max(0, top - reach), min(height, top + rows + reach)
        end = min(top + rows, height)
        for number, part in enumerate(run(x[..., first:last, :])):
            scale = part.shape[-2] / (last - first)
            if number == len(whole):
                shape = (*part.shape[:2], round(height * scale), part.shape[-1])
                whole.append(part.new_empty(shape))
            cut = part[..., round((top - first) * scale) : round((end - first) * scale), :]
            whole[number][..., round(top * scale) : round(end * scale), :] = cut
    return tuple(whole)
