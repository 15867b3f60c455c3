"""Per-pixel reliability of optical flow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media import box_mean, over_windows
from impasto.motion.warp import points_inside, warp

__all__ = [
    "closest_first",
    "find_still",
    "forward_backward_check",
    "motion_boundaries",
    "reliability",
]

LOOKS_ALIKE = 0.08
"""Color difference (root mean square over a small window) at which the reliability drops to ``1/e``."""

JUMP_PX = 1.0
STILL_PX = 0.1
STILL_CHANGE = 0.016
"""Four levels of 255, about the compression noise in static regions."""


def forward_backward_check(to_other: Tensor, back: Tensor) -> Tensor:
    """Detects occlusions with a forward-backward consistency check.

    Ruder, Dosovitskiy and Brox 2016, eq. 5 (after Sundaram et al. 2010): a pixel is occluded where ``|w + b|^2 > 0.01
    (|w|^2 + |b|^2) + 0.5``, with ``b`` the flow from this frame to the other and ``w`` the flow back, sampled where
    ``b`` points. Pixels whose flow points outside the image also count as occluded.

    Args:
        to_other: Flow from this frame to the other, ``(B, 2, H, W)`` in pixels.
        back: Flow from the other frame to this one, ``(B, 2, H, W)``.

    Returns:
        ``(B, 1, H, W)``, 1 where the pixel is visible in the other frame, else 0.
    """
    there = warp(back, to_other)
    gone = (there + to_other).square().sum(1, keepdim=True)
    allowed = 0.01 * (there.square() + to_other.square()).sum(1, keepdim=True) + 0.5
    return ((gone <= allowed) & points_inside(to_other)).to(to_other.dtype)


def motion_boundaries(flow: Tensor) -> Tensor:
    """Detects motion boundaries: ``|grad u|^2 + |grad v|^2 > 0.01 |w|^2 + 0.002`` (Ruder 2016, eq. 6).

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
    """Returns the largest range of either flow component within a window, ``(B, 1, H, W)``."""
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
    """Combines the checks into one mask: 1 where the flow maps a pixel to the same scene point, 0 where it does not.

    Args:
        to_other: Flow from this frame to the other, ``(B, 2, H, W)`` in pixels.
        back: Flow from the other frame to this one, ``(B, 2, H, W)``.
        frame: This frame, ``(B, 3, H, W)`` in ``[0, 1]``; if given, colors must match as well.
        other: The other frame.

    Returns:
        ``(B, 1, H, W)`` in ``[0, 1]``. Deviates from the paper: a boundary counts only where the flow varies by more
        than a pixel within 5x5 px, because DIS noise in a clear sky is smaller than that; colors must match, which
        catches flow that is wrong in both directions; and static pixels are trusted.
    """
    boundaries = motion_boundaries(to_other) * (_jump(to_other) > JUMP_PX)
    seen = forward_backward_check(to_other, back) * (1 - boundaries)
    if frame is None or other is None:
        return seen
    apart = box_mean((warp(other, to_other) - frame).square().mean(1, keepdim=True), 2)
    agrees = torch.exp(-apart / LOOKS_ALIKE**2)
    return torch.maximum(seen * agrees, find_still(to_other, frame, other))


def closest_first(reliabilities: Sequence[Tensor]) -> list[Tensor]:
    """Assigns each pixel to the closest frame in which it is visible (Ruder 2016, eq. 9).

    Args:
        reliabilities: ``(B, 1, H, W)`` each, ordered from the closest frame to the farthest.

    Returns:
        One mask per input: ``max(c_j - sum of the closer ones, 0)``.
    """
    left: list[Tensor] = []
    taken = torch.zeros_like(reliabilities[0])
    for one in reliabilities:
        left.append((one - taken).clamp_min(0))
        taken = taken + one
    return left


def find_still(flow: Tensor, frame: Tensor, other: Tensor, most_px: float = STILL_PX) -> Tensor:
    """Detects static pixels: negligible flow and unchanged color.

    Args:
        flow: Flow between the two frames, ``(B, 2, H, W)`` in pixels.
        frame: ``(B, 3, H, W)`` in ``[0, 1]``.
        other: The other frame.
        most_px: Maximum flow magnitude of a static pixel.

    Returns:
        ``(B, 1, H, W)``, 1 where nothing moves, else 0.
    """
    change = box_mean(frame - other, 2).abs().amax(1, keepdim=True)
    length = flow.square().sum(1, keepdim=True).sqrt()
    return ((length < most_px) & (change < STILL_CHANGE)).to(frame.dtype)
