"""Grain: how strong a picture's finest detail is."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["grain"]

FLOOR = 1e-6
"""Added to the mean square: a thousandth of the range, so that a plain style has a grain to compare with."""


def grain(image: Tensor) -> Tensor:
    """Measures the finest detail: the root mean square of what a 3x3 binomial filter takes away, by channel.

    The filter passes half of the amplitude at a period of four pixels along one axis, so this is the energy of the top
    octave of the picture's spectrum. Optimizers leave noise there that statistics of features hardly see.

    Args:
        image: ``(B, 3, H, W)`` in ``[0, 1]``, at least 3x3.

    Returns:
        ``(B, 3)``, at least 0.001.
    """
    side = image.new_tensor([0.25, 0.5, 0.25])
    kernel = (side[:, None] * side).expand(3, 1, 3, 3)
    fine = image[..., 1:-1, 1:-1] - F.conv2d(image, kernel, groups=3)
    return (fine.square().mean((2, 3)) + FLOOR).sqrt()
