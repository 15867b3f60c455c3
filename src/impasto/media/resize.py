"""Sizes and resampling. Shrinking averages over area, so that fine texture does not turn into moire."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "box_mean",
    "over_windows",
    "pad_to",
    "resize",
    "resize_to_fit",
    "shifted",
    "size_to_fit",
]


def size_to_fit(size: tuple[int, int], long_edge_px: int) -> tuple[int, int]:
    """Scales a size so that its long edge is as asked, keeping the aspect.

    Args:
        size: Height and width in pixels, each at least 1.
        long_edge_px: At least 1.

    Returns:
        Height and width, each at least 1 whatever the aspect.
    """
    height, width = size
    scale = long_edge_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: Tensor, size: tuple[int, int], *, clamp: bool = True) -> Tensor:
    """Resamples ``(B, C, H, W)`` to ``(height, width)``, bicubic, antialiased.

    Args:
        image: Float.
        size: Height and width in pixels.
        clamp: Hold the result within ``[0, 1]``, which bicubic overshoots at edges.
    """
    if image.shape[-2:] == size:
        return image
    resampled = F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)
    return resampled.clamp(0, 1) if clamp else resampled


def resize_to_fit(image: Tensor, long_edge_px: int) -> Tensor:
    """Resamples ``(B, C, H, W)`` so that its long edge is as asked, keeping the aspect."""
    return resize(image, size_to_fit((image.shape[-2], image.shape[-1]), long_edge_px))


def pad_to(image: Tensor, multiple: int, *, least: int = 1, mirrored: bool = False) -> Tensor:
    """Enlarges a picture down and to the right up to a multiple and to ``least``; the caller cuts that off again.

    Args:
        image: ``(B, C, H, W)``.
        multiple: Of which both sides are to be.
        least: What they are at least; itself a multiple.
        mirrored: Mirror the picture where it is large enough for that; else the last rows and columns are repeated.
    """
    height, width = image.shape[-2:]
    down, right = (max(-side % multiple, least - side) for side in (height, width))
    if not down and not right:
        return image
    mode = "reflect" if mirrored and down < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, down), mode=mode)


def box_mean(image: Tensor, radius_px: int) -> Tensor:
    """Mean over a square of ``2 * radius_px + 1`` px of ``(B, C, H, W)``; edges are repeated."""
    side = 2 * radius_px + 1
    padded = F.pad(image, (radius_px,) * 4, mode="replicate")
    return over_windows(padded, side, torch.add) / side**2


def over_windows(image: Tensor, side_px: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Joins all values of each square window, in steps that grow as the logarithm of its side.

    Several times faster than the poolings of torch on a CPU, whose steps grow as the side.

    Args:
        image: ``(B, C, H, W)``; ``side_px - 1`` less of height and width come out.
        side_px: Of the window.
        join: Of two values, in any grouping: `torch.add`, `torch.maximum`.
    """
    for axis in (-1, -2):
        length = image.shape[axis] - side_px + 1
        part, reach, begins = image, 1, 0
        pieces = []
        # part joins windows of reach, which doubles; the side is a sum of some of those
        while reach <= side_px:
            if side_px & reach:
                pieces.append(part.narrow(axis, begins, length))
                begins += reach
            left = part.shape[axis] - reach
            if 2 * reach <= side_px:
                part = join(part.narrow(axis, 0, left), part.narrow(axis, reach, left))
            reach *= 2
        image = functools.reduce(join, pieces)
    return image


def shifted(image: Tensor, down: int, right: int, *, beyond: float | None = None) -> Tensor:
    """What lies so many whole pixels down and to the right in ``(B, C, H, W)``; nothing is resampled.

    Args:
        image: The picture.
        down: In pixels; upwards where negative.
        right: In pixels; to the left where negative.
        beyond: Value beyond the border; its edges are repeated when None.
    """
    height, width = image.shape[-2:]
    edge = (max(abs(down), abs(right)),) * 4
    wide = F.pad(image, edge, "replicate") if beyond is None else F.pad(image, edge, value=beyond)
    top, left = edge[0] + down, edge[0] + right
    return wide[..., top : top + height, left : left + width]
