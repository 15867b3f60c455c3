"""A change of color without a change of detail: locally affine, like a darkroom's dodging and toning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["apply_affine", "fit_affine", "guided_filter", "transfer_affinely"]


def transfer_affinely(
    content: Tensor, painted: Tensor, full: Tensor, *, radius_px: int, epsilon: float = 1e-3
) -> Tensor:
    """Fits, around every pixel, the affine map from the content's colors to the painted ones, and applies it.

    Edges and texture of the result are those of ``full``.

    Args:
        content: ``(1, 3, h, w)`` in ``[0, 1]``, at the painted size.
        painted: The same shape.
        full: The content in the size to deliver, ``(1, 3, H, W)``.
        radius_px: Of the windows, at the painted size.
        epsilon: Variance of color below which a window counts as plain and takes the mean change.

    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``.
    """
    return guided_filter(content, painted, full, radius_px=radius_px, epsilon=epsilon).clamp(0, 1)


def guided_filter(
    guide: Tensor, wanted: Tensor, full: Tensor, *, radius_px: int, epsilon: float = 1e-3
) -> Tensor:
    """Smooths maps within the edges of a picture.

    The guided filter with a color guide (He, Sun and Tang 2013, eqs. 14 to 16), its coefficients enlarged (He and
    Sun 2015, "Fast Guided Filter").

    Args:
        guide: ``(1, 3, h, w)`` in ``[0, 1]``.
        wanted: ``(1, C, h, w)``.
        full: The guide in the size of the result, ``(1, 3, H, W)``.
        radius_px: Of the windows.
        epsilon: Variance of color below which a window counts as plain.

    Returns:
        ``(1, C, H, W)``.
    """
    return apply_affine(fit_affine(guide, wanted, radius_px=radius_px, epsilon=epsilon), full)


def fit_affine(guide: Tensor, wanted: Tensor, *, radius_px: int, epsilon: float = 1e-3) -> Tensor:
    """The affine map around every pixel, as `guided_filter` finds it.

    Returns:
        ``(1, 4 C, h, w)``: slopes of the three channels for each of C, then offsets.
    """
    guide, wanted = guide[0].double(), wanted[0].double()  # (3, h, w), (C, h, w)
    channels, height, width = wanted.shape
    mean_guide, mean_wanted = _box(guide, radius_px), _box(wanted, radius_px)
    within = _box(_products(guide, guide), radius_px) - _products(mean_guide, mean_guide)
    across = _box(_products(guide, wanted), radius_px) - _products(mean_guide, mean_wanted)
    covariance = within.view(3, 3, height, width).permute(2, 3, 0, 1)  # (h, w, 3, 3)
    covariance = covariance + epsilon * torch.eye(3, dtype=guide.dtype)
    target = across.view(3, channels, height, width).permute(2, 3, 0, 1)
    slope = torch.linalg.solve(covariance, target)  # (h, w, 3, C)
    offset = mean_wanted - torch.einsum("hwij,ihw->jhw", slope, mean_guide)
    slope = _box(slope.permute(2, 3, 0, 1).reshape(3 * channels, height, width), radius_px)
    return torch.cat([slope, _box(offset, radius_px)]).float()[None]


def apply_affine(fields: Tensor, full: Tensor) -> Tensor:
    """Maps a picture, ``(1, 3, H, W)``, by fields of any size, ``(1, 4 C, h, w)``, to ``(1, C, H, W)``."""
    channels = fields.shape[1] // 4
    fields = F.interpolate(fields, full.shape[-2:], mode="bilinear", align_corners=False)[0]
    slope = fields[: 3 * channels].view(3, channels, *full.shape[-2:])
    return (torch.einsum("ijhw,ihw->jhw", slope, full[0].float()) + fields[3 * channels :])[None]


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Every channel times every channel, ``(A, h, w)`` and ``(B, h, w)`` to ``(A B, h, w)``."""
    return (one[:, None] * other[None]).flatten(0, 1)


def _box(image: Tensor, radius_px: int) -> Tensor:
    """Mean over windows that are cut at the border, ``(C, h, w)``, by running sums."""
    for axis in (-2, -1):
        length = image.shape[axis]
        sums = F.pad(image.cumsum(axis), (1, 0) if axis == -1 else (0, 0, 1, 0))
        place = torch.arange(length, device=image.device)
        first, last = (place - radius_px).clamp_min(0), (place + radius_px + 1).clamp_max(length)
        counts = (last - first).to(image.dtype)
        image = sums.index_select(axis, last) - sums.index_select(axis, first)
        image = image / (counts[:, None] if axis == -2 else counts)
    return image
