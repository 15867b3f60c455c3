"""Grain: how strong a picture's finest detail is beside its contrast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["grain"]

FLOOR = 1e-6
"""Added to the mean square of the detail, a thousandth of the range, so that a plain style has a grain to match."""

CONTRAST_FLOOR = 1e-3
"""Added to the variance, 3 percent of the range."""


def grain(image: Tensor) -> Tensor:
    """Measures the finest detail: what a high-pass filter passes, applied once and twice, as a share of the contrast.

    The filter is what a 3x3 binomial blur takes away; it passes half of the amplitude at a period of four pixels along
    one axis. Once it measures the top octave of the spectrum, twice mostly what lies near its end. Optimizers leave
    noise there that statistics of features hardly see.

    Args:
        image: ``(B, 3, H, W)`` in ``[0, 1]``, at least 5x5.

    Returns:
        ``(B, 6)``, root mean squares over standard deviations, three channels for either, above 0.
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
