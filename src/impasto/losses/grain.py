"""Grain: how strong a picture's finest detail is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["grain"]

FLOOR = 1e-6
"""Added to the mean square: a thousandth of the range, so that a plain style has a grain to compare with."""


def grain(image: Tensor) -> Tensor:
    """Measures the finest detail: the root mean square of a picture after a high-pass filter once, and twice.

    The filter is what a 3x3 binomial blur takes away; it passes half of the amplitude at a period of four pixels along
    one axis. Once it measures the top octave of the spectrum, twice mostly what lies near its end. Optimizers leave
    noise there that statistics of features hardly see.

    Args:
        image: ``(B, 3, H, W)`` in ``[0, 1]``, at least 5x5.

    Returns:
        ``(B, 6)``, three channels for either, at least 0.001.
    """
    side = image.new_tensor([0.25, 0.5, 0.25])
    kernel = -(side[:, None] * side)
    kernel[1, 1] += 1
    kernel = kernel.expand(3, 1, 3, 3)
    once = F.conv2d(image, kernel, groups=3)
    twice = F.conv2d(once, kernel, groups=3)
    energies = [fine.square().mean((2, 3)) for fine in (once, twice)]
    return (torch.cat(energies, 1) + FLOOR).sqrt()
