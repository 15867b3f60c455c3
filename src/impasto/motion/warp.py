"""Backward warping by optical flow."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["points_inside", "warp"]


def warp(
    image: Tensor, flow: Tensor, *, mode: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
) -> Tensor:
    """Warps an image backward: ``result(x) = image(x + flow(x))``.

    Args:
        image: ``(B, C, H, W)``.
        flow: ``(B, 2, H, W)`` in pixels, right and down, from the result's grid into ``image``.
        mode: ``bicubic`` preserves texture over repeated warping, but overshoots; the caller must clamp.

    Returns:
        ``(B, C, H, W)``, with edge pixels replicated beyond the border.
    """
    height, width = flow.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    x = (columns + flow[:, 0]) * (2 / max(1, width - 1)) - 1
    y = (rows[:, None] + flow[:, 1]) * (2 / max(1, height - 1)) - 1
    grid = torch.stack([x, y], -1)  # (B, H, W, 2)
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)


def points_inside(flow: Tensor) -> Tensor:
    """Returns where a flow, ``(B, 2, H, W)`` in pixels, points into the image: bool ``(B, 1, H, W)``."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, :1]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1:]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
