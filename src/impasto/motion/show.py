"""Color-coded visualization of optical flow."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["color_flow"]


def color_flow(flow: Tensor, longest_px: float | None = None) -> Tensor:
    """Encodes direction as hue and magnitude as saturation: white is static, red is right, yellow-green is down.

    Args:
        flow: ``(B, 2, H, W)`` in pixels.
        longest_px: Magnitude at full saturation; by default the maximum of the field.

    Returns:
        ``(B, 3, H, W)`` in ``[0, 1]``.
    """
    length = flow.square().sum(1).sqrt()
    most = max(float(length.max()) if longest_px is None else longest_px, 1e-6)
    saturation = (length / most).clamp(0, 1)
    turn = torch.atan2(flow[:, 1], flow[:, 0]) / (2 * math.pi) % 1
    # Each primary falls off linearly with its distance on the hue circle.
    planes = []
    for primary in (0.0, 1 / 3, 2 / 3):
        apart = (turn - primary).abs()
        apart = torch.minimum(apart, 1 - apart)
        pure = (2 - 6 * apart).clamp(0, 1)
        planes.append(1 - saturation * (1 - pure))
    return torch.stack(planes, 1)
