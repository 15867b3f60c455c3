"""Propagation of pastiches to the next frame: sharpness, tones, and texture for disoccluded areas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media import box_mean, shifted
from impasto.types import Earlier

__all__ = ["borrow_texture", "hold_tones", "keep_sharp", "merged"]

BORROWED_FROM = 48
"""Number of candidate shifts per pixel."""

REACH = 0.3
"""Largest shift, as a share of the long edge."""

LEAST_STILL = 0.01
"""Share of static pixels below which tones are not matched."""

COMPARED_PX = 160
"""Long edge at which colors are compared, in pixels."""


def merged(earlier: Sequence[Earlier]) -> tuple[Tensor, Tensor]:
    """Combines several pastiches into one target and reliability, with the same minimum as the sum of their losses."""
    trust = torch.stack([one.reliability for one in earlier]).sum(0)
    weighted = torch.stack([one.reliability * one.warped for one in earlier]).sum(0)
    return weighted / trust.clamp_min(1e-6), trust


def keep_sharp(warped: Tensor, before: Tensor, moved: Tensor) -> Tensor:
    """Restores the sharpness that resampling removed, so that repeated warping does not blur fine texture.

    Applies an unsharp mask whose amount restores the energy of the Laplacian.

    Args:
        warped: ``(1, 3, H, W)`` in ``[0, 1]``, the warped pastiche.
        before: ``(1, 3, H, W)`` in ``[0, 1]``, the pastiche before warping.
        moved: ``(1, 1, H, W)`` in ``[0, 1]``, mask of pixels that were resampled and are reliable.

    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``; unchanged where nothing moved.
    """
    area = float(moved.sum())
    if area < 1:
        return warped
    detail = warped - box_mean(warped, 1)
    wanted = float((moved * _laplacian(before).square()).sum())
    a, b = _laplacian(warped), _laplacian(detail)
    aa, ab, bb = (float((moved * product).sum()) for product in (a * a, a * b, b * b))
    # aa + 2 t ab + t^2 bb = wanted
    root = ab * ab - bb * (aa - wanted)
    amount = 0.0 if bb <= 0 or root < 0 else (-ab + math.sqrt(root)) / bb
    return (warped + min(max(amount, 0.0), 1.0) * moved * detail).clamp(0, 1)


def hold_tones(image: Tensor, before: Tensor, still: Tensor) -> Tensor:
    """Matches the mean and standard deviation of brightness of static areas to the previous frame, to prevent drift.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``, the pastiche.
        before: ``(1, 3, H, W)`` in ``[0, 1]``, the previous pastiche.
        still: ``(1, 1, H, W)`` in ``[0, 1]``, mask of static pixels.

    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``; unchanged where pixels moved, or if less than 1% of them are static.
    """
    area = float(still.sum())
    if area < LEAST_STILL * still.numel():
        return image

    def tones(picture: Tensor) -> tuple[float, float]:
        gray = picture.mean(1, keepdim=True)
        mean = float((still * gray).sum()) / area
        return mean, math.sqrt(float((still * (gray - mean).square()).sum()) / area)

    (mean, spread), (wanted, wanted_spread) = tones(image), tones(before)
    gain = min(max(wanted_spread / max(spread, 1e-4), 0.9), 1.1)
    held = (image - mean) * gain + wanted
    return (image + still * (held - image)).clamp(0, 1)


def borrow_texture(frame: Tensor, earlier: Sequence[Earlier]) -> Tensor:
    """Fills disoccluded areas with the painted texture of similar areas.

    For each uncovered pixel, a few dozen shifts of the frame are tried, nearest first. The pixel takes the pastiche at
    the shift whose frame colors match best and where the pastiche is reliable. The result only initializes the solver.

    Args:
        frame: ``(1, 3, H, W)`` in ``[0, 1]``.
        earlier: Earlier pastiches, warped to this frame.

    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``.
    """
    target, trust = (part.to(frame) for part in merged(earlier))
    trust = trust.clamp(0, 1)
    height, width = frame.shape[-2:]
    scale = max(1, round(max(height, width) / COMPARED_PX))
    small = F.avg_pool2d(frame, scale, ceil_mode=True)
    paid = F.avg_pool2d(1 - trust, scale, ceil_mode=True)
    best = torch.full_like(paid, torch.inf)
    chosen = torch.zeros_like(paid, dtype=torch.long)
    shifts = _shifts(max(small.shape[-2:]) * REACH)
    for number, (down, right) in enumerate(shifts):
        there = shifted(torch.cat([small, paid], 1), down, right, beyond=1.0)
        apart = (there[:, :3] - small).square().sum(1, keepdim=True)
        cost = box_mean(apart + 0.5 * there[:, 3:], 2) + 1e-4 * math.hypot(down, right)
        better = cost < best
        best, chosen = torch.where(better, cost, best), torch.where(better, number, chosen)
    picked = torch.tensor(shifts, device=frame.device, dtype=torch.long)[chosen[0, 0]] * scale
    picked = picked.repeat_interleave(scale, 0).repeat_interleave(scale, 1)[:height, :width]
    rows = (torch.arange(height, device=frame.device)[:, None] + picked[..., 0]).clamp(
        0, height - 1
    )
    columns = (torch.arange(width, device=frame.device) + picked[..., 1]).clamp(0, width - 1)
    lent = target[..., rows, columns]  # (1, 3, H, W)
    return trust * target + (1 - trust) * lent


def _shifts(reach: float) -> list[tuple[int, int]]:
    """Returns shifts on a spiral of uniform density around the origin, nearest first (Vogel 1979)."""
    golden = math.pi * (3 - math.sqrt(5))
    spiral = []
    for number in range(1, BORROWED_FROM + 1):
        radius = reach * math.sqrt(number / BORROWED_FROM)
        angle = number * golden
        spiral.append((round(radius * math.sin(angle)), round(radius * math.cos(angle))))
    return list(dict.fromkeys(spiral))


def _laplacian(image: Tensor) -> Tensor:
    return 9 / 4 * (image - box_mean(image, 1))
