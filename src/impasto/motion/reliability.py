"""How far a flow is to be trusted, a pixel at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media import box_mean, over_windows
from impasto.motion.warp import warp

__all__ = [
    "closest_first",
    "find_still",
    "forward_backward_check",
    "motion_boundaries",
    "reliability",
]

LOOKS_ALIKE = 0.08
"""Difference of color, root mean square over a few pixels, at which trust has fallen to a third."""

JUMP_PX = 1.0
STILL_PX = 0.1
STILL_CHANGE = 0.016
"""Four levels of 255: about the noise that compression leaves in what does not move."""


def forward_backward_check(to_other: Tensor, back: Tensor) -> Tensor:
    """Tells where a pixel of this frame is seen in the other, by going there and back.

    Ruder, Dosovitskiy and Brox 2016, eq. 5 (after Sundaram et al. 2010): covered where
    ``|w + b|^2 > 0.01 (|w|^2 + |b|^2) + 0.5``, with ``b`` the flow of this frame to the other and ``w`` the flow back,
    taken at the place that ``b`` leads to. Places outside the picture are covered as well.

    Args:
        to_other: ``(B, 2, H, W)`` in pixels, from this frame to the other.
        back: ``(B, 2, H, W)`` from the other to this.

    Returns:
        ``(B, 1, H, W)``, 1 where it is seen, else 0.
    """
    there = warp(back, to_other)
    gone = (there + to_other).square().sum(1, keepdim=True)
    allowed = 0.01 * (there.square() + to_other.square()).sum(1, keepdim=True) + 0.5
    height, width = to_other.shape[-2:]
    x = torch.arange(width, device=to_other.device) + to_other[:, :1]
    y = torch.arange(height, device=to_other.device)[:, None] + to_other[:, 1:]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return ((gone <= allowed) & inside).to(to_other.dtype)


def motion_boundaries(flow: Tensor) -> Tensor:
    """Tells where the flow breaks: ``|grad u|^2 + |grad v|^2 > 0.01 |w|^2 + 0.002`` (Ruder 2016, eq. 6).

    Args:
        flow: ``(B, 2, H, W)`` in pixels.

    Returns:
        ``(B, 1, H, W)``, 1 on a boundary, else 0.
    """
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    steepness = (across.square() + down.square()).sum(1, keepdim=True)
    limit = 0.01 * flow.square().sum(1, keepdim=True) + 0.002
    return (steepness > limit).to(flow.dtype)


def _jump(flow: Tensor, radius_px: int = 2) -> Tensor:
    """The largest difference of either component within a window, ``(B, 1, H, W)``."""
    side = 2 * radius_px + 1
    padded = F.pad(flow, (radius_px,) * 4, mode="replicate")
    most, least = (over_windows(padded, side, join) for join in (torch.maximum, torch.minimum))
    return (most - least).amax(1, keepdim=True)


def reliability(
    to_other: Tensor,
    back: Tensor,
    frame: Tensor | None = None,
    other: Tensor | None = None,
) -> Tensor:
    """Combines the checks: 1 where this frame's pixel is the other's, carried along the flow; 0 where it is not.

    Args:
        to_other: ``(B, 2, H, W)`` in pixels, from this frame to the other.
        back: ``(B, 2, H, W)`` from the other to this.
        frame: This frame, ``(B, 3, H, W)`` in ``[0, 1]``; with it, colors must agree too.
        other: The other frame.

    Returns:
        ``(B, 1, H, W)`` in ``[0, 1]``. Deviates from the paper: a boundary counts where the flow differs by more than
        a pixel within 5x5 px, since what DIS finds in a plain sky trembles by less; colors must agree, which catches
        flow that is wrong both ways alike; and what stands still is trusted.
    """
    boundaries = motion_boundaries(to_other) * (_jump(to_other) > JUMP_PX)
    seen = forward_backward_check(to_other, back) * (1 - boundaries)
    if frame is None or other is None:
        return seen
    apart = box_mean((warp(other, to_other) - frame).square().mean(1, keepdim=True), 2)
    agrees = torch.exp(-apart / LOOKS_ALIKE**2)
    return torch.maximum(seen * agrees, find_still(to_other, frame, other))


def closest_first(reliabilities: Sequence[Tensor]) -> list[Tensor]:
    """Lets each pixel count for the closest frame that sees it (Ruder 2016, eq. 9).

    Args:
        reliabilities: ``(B, 1, H, W)`` each, the closest frame's first.

    Returns:
        As many, ``max(c_j - sum of the closer ones, 0)``.
    """
    left: list[Tensor] = []
    taken = torch.zeros_like(reliabilities[0])
    for one in reliabilities:
        left.append((one - taken).clamp_min(0))
        taken = taken + one
    return left


def find_still(flow: Tensor, frame: Tensor, other: Tensor, most_px: float = STILL_PX) -> Tensor:
    """Tells where nothing moves: no flow to speak of, and colors that stayed.

    Args:
        flow: ``(B, 2, H, W)`` in pixels between the two.
        frame: ``(B, 3, H, W)`` in ``[0, 1]``.
        other: The other frame.
        most_px: Length of flow that passes for none.

    Returns:
        ``(B, 1, H, W)``, 1 where nothing moves, else 0.
    """
    change = box_mean(frame - other, 2).abs().amax(1, keepdim=True)
    length = flow.square().sum(1, keepdim=True).sqrt()
    return ((length < most_px) & (change < STILL_CHANGE)).to(frame.dtype)
