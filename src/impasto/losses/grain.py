"""Grain: the strength of an image's finest detail relative to its contrast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["grain"]

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
    side = image.new_tensor([0.25, 0.5, 0.25])
    kernel = -(side[:, None] * side)
    kernel[1, 1] += 1
    kernel = kernel.expand(3, 1, 3, 3)
    once = F.conv2d(image, kernel, groups=3)
    twice = F.conv2d(once, kernel, groups=3)
    detail = torch.cat([fine.square().mean((2, 3)) for fine in (once, twice)], 1)
    contrast = image.var((2, 3), correction=0).repeat(1, 2)
    return ((detail + FLOOR) / (contrast + CONTRAST_FLOOR)).sqrt()
