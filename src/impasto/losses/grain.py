"""Grain: the strength of an image's finest detail relative to its contrast."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["grain", "grain_of", "grain_parts"]

FLOOR = 1e-6
"""Added to the mean square of the detail (0.001 as a root mean square), so that a flat style has nonzero grain."""

CONTRAST_FLOOR = 1e-3
"""Added to the variance (3 percent of the range as a standard deviation)."""


def grain(image: Tensor) -> Tensor:
    """Measures the output of a high-pass filter, applied once and applied twice, relative to the image's contrast.

    The filter is the residual of a 3x3 binomial blur; it passes half of the amplitude at a period of four pixels along
    one axis. Applied once, it measures the top octave of the spectrum; applied twice, mostly the frequencies near its
    upper end. Optimizers leave noise there that feature statistics barely register.

    Args:
        image: ``(B, 3, H, W)`` in ``[0, 1]``, at least 5x5.

    Returns:
        ``(B, 6)``, positive: the ratio of root mean square to standard deviation, three channels per filter.
    """
    once = _residual(image)
    twice = _residual(once)
    detail = torch.cat([fine.square().mean((2, 3)) for fine in (once, twice)], 1)
    contrast = image.var((2, 3), correction=0).repeat(1, 2)
    return ((detail + FLOOR) / (contrast + CONTRAST_FLOOR)).sqrt()


def grain_parts(windows: Sequence[tuple[Tensor, float]]) -> Tensor:
    """Computes a part's contribution to the statistics of `grain`; the contributions of all parts add up.

    Args:
        windows: Three images ``(1, 3, ., .)``, each with the part's share of the whole image: the part itself, the part
            with two more rows below and columns to the right, and with four more, as far as the image extends. The
            shares are those of the pixels, of the 3x3 windows and of the 5x5 windows.

    Returns:
        ``(1, 12)``: means of the pixels, their squares, and the squares of both filters, three channels each.
    """
    (pixels, pixel_share), (near, near_share), (far, far_share) = windows
    once, twice = _residual(near), _residual(_residual(far))
    parts = (
        pixel_share * pixels.mean((2, 3)),
        pixel_share * pixels.square().mean((2, 3)),
        near_share * once.square().mean((2, 3)),
        far_share * twice.square().mean((2, 3)),
    )
    return torch.cat(parts, 1)


def grain_of(parts: Tensor) -> Tensor:
    """Returns the grain ``(1, 6)`` from the sum of `grain_parts`, ``(1, 12)``; see `grain`."""
    mean, square, once, twice = parts.chunk(4, 1)  # (1, 3) each
    contrast = (square - mean.square()).repeat(1, 2)
    detail = torch.cat([once, twice], 1)
    return ((detail + FLOOR) / (contrast + CONTRAST_FLOOR)).sqrt()


def _residual(image: Tensor) -> Tensor:
    """Subtracts a 3x3 binomial blur from ``(B, 3, H, W)``; the result is two pixels smaller on each axis."""
    side = image.new_tensor([0.25, 0.5, 0.25])
    kernel = -(side[:, None] * side)
    kernel[1, 1] += 1
    return F.conv2d(image, kernel.expand(3, 1, 3, 3), groups=3)
