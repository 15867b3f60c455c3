"""Resizing and resampling. Downscaling is antialiased to avoid moire in fine texture."""

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
    """Scales a size to a given long edge, keeping the aspect ratio.

    Args:
        size: Height and width in pixels, each at least 1.
        long_edge_px: At least 1.

    Returns:
        Height and width, each at least 1 for any aspect ratio.
    """
    height, width = size
    scale = long_edge_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: Tensor, size: tuple[int, int], *, clamp: bool = True) -> Tensor:
    """Resamples ``(B, C, H, W)`` to ``(height, width)`` with antialiased bicubic interpolation.

    Args:
        image: Float.
        size: Height and width in pixels.
        clamp: Clamp the result to ``[0, 1]``, because bicubic interpolation overshoots at edges.
    """
    if image.shape[-2:] == size:
        return image
    resampled = F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)
    return resampled.clamp(0, 1) if clamp else resampled


def resize_to_fit(image: Tensor, long_edge_px: int) -> Tensor:
    """Resamples ``(B, C, H, W)`` to a given long edge, keeping the aspect ratio."""
    return resize(image, size_to_fit((image.shape[-2], image.shape[-1]), long_edge_px))


def pad_to(image: Tensor, multiple: int, *, least: int = 1, mirrored: bool = False) -> Tensor:
    """Pads an image at the bottom and right to a multiple and a minimum size; the caller crops the result.

    Args:
        image: ``(B, C, H, W)``.
        multiple: Both sides become multiples of this.
        least: Minimum side length; itself a multiple.
        mirrored: Use reflection padding if the image is large enough; otherwise the edge pixels are replicated.
    """
    height, width = image.shape[-2:]
    down, right = (max(-side % multiple, least - side) for side in (height, width))
    if not down and not right:
        return image
    mode = "reflect" if mirrored and down < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, down), mode=mode)


def box_mean(image: Tensor, radius_px: int) -> Tensor:
    """Computes the mean over a square of ``2 * radius_px + 1`` px in ``(B, C, H, W)``, with replicated edges."""
    side = 2 * radius_px + 1
    padded = F.pad(image, (radius_px,) * 4, mode="replicate")
    return over_windows(padded, side, torch.add) / side**2


def over_windows(image: Tensor, side_px: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Reduces each square window with a binary operation, in a number of steps logarithmic in its side.

    This is several times faster than PyTorch's pooling on a CPU, whose cost is linear in the side.

    Args:
        image: ``(B, C, H, W)``; the output is ``side_px - 1`` smaller in height and width.
        side_px: Side length of the window.
        join: Associative operation on two values, such as `torch.add` or `torch.maximum`.
    """
    for axis in (-1, -2):
        length = image.shape[axis] - side_px + 1
        part, reach, begins = image, 1, 0
        pieces = []
        # part reduces windows of length reach, which doubles; the side is a sum of such lengths
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
    """Shifts the view into ``(B, C, H, W)`` by whole pixels: ``result(y, x) = image(y + down, x + right)``.

    Args:
        image: The image.
        down: In pixels; negative values point up.
        right: In pixels; negative values point left.
        beyond: Value outside the border; the edge pixels are replicated when None.
    """
    height, width = image.shape[-2:]
    edge = (max(abs(down), abs(right)),) * 4
    wide = F.pad(image, edge, "replicate") if beyond is None else F.pad(image, edge, value=beyond)
    top, left = edge[0] + down, edge[0] + right
    return wide[..., top : top + height, left : left + width]
