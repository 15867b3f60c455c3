"""Locally affine color transfer: changes the color of an image while keeping its detail."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["apply_affine", "fit_affine", "guided_filter", "transfer_affinely"]


def transfer_affinely(
    content: Tensor, painted: Tensor, full: Tensor, *, radius_px: int, epsilon: float = 1e-3
) -> Tensor:
    """Fits a local affine color map from the content to the stylized image and applies it to ``full``.

    The result keeps the edges and texture of ``full``.

    Args:
        content: ``(1, 3, h, w)`` in ``[0, 1]``, at the size of the stylized image.
        painted: The stylized image, with the same shape.
        full: The content at the output size, ``(1, 3, H, W)``.
        radius_px: Window radius, in pixels of ``content``.
        epsilon: Color variance below which a window counts as flat and gets the mean change only.

    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``.
    """
    return guided_filter(content, painted, full, radius_px=radius_px, epsilon=epsilon).clamp(0, 1)


def guided_filter(
    guide: Tensor, wanted: Tensor, full: Tensor, *, radius_px: int, epsilon: float = 1e-3
) -> Tensor:
    """Smooths maps while preserving the edges of a guide image.

    This is the guided filter with a color guide (He, Sun and Tang 2013, eqs. 14 to 16), with upsampled coefficients
    (He and Sun 2015, "Fast Guided Filter").

    Args:
        guide: ``(1, 3, h, w)`` in ``[0, 1]``.
        wanted: The maps to filter, ``(1, C, h, w)``.
        full: The guide at the output size, ``(1, 3, H, W)``.
        radius_px: Window radius.
        epsilon: Color variance below which a window counts as flat.

    Returns:
        ``(1, C, H, W)``.
    """
    return apply_affine(fit_affine(guide, wanted, radius_px=radius_px, epsilon=epsilon), full)


def fit_affine(guide: Tensor, wanted: Tensor, *, radius_px: int, epsilon: float = 1e-3) -> Tensor:
    """Fits an affine map around every pixel; see `guided_filter`.

    Returns:
        ``(1, 4 C, h, w)``: the slopes of the three guide channels for each of the C maps, then the offsets.
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
    """Applies affine fields ``(1, 4 C, h, w)`` of any size to an image ``(1, 3, H, W)``; returns ``(1, C, H, W)``."""
    channels = fields.shape[1] // 4
    fields = F.interpolate(fields, full.shape[-2:], mode="bilinear", align_corners=False)[0]
    slope = fields[: 3 * channels].view(3, channels, *full.shape[-2:])
    return (torch.einsum("ijhw,ihw->jhw", slope, full[0].float()) + fields[3 * channels :])[None]


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Returns all products of channels: ``(A, h, w)`` and ``(B, h, w)`` give ``(A B, h, w)``."""
    return (one[:, None] * other[None]).flatten(0, 1)


def _box(image: Tensor, radius_px: int) -> Tensor:
    """Computes a box mean of ``(C, h, w)`` with running sums; windows are clipped at the border."""
    for axis in (-2, -1):
        length = image.shape[axis]
        sums = F.pad(image.cumsum(axis), (1, 0) if axis == -1 else (0, 0, 1, 0))
        place = torch.arange(length, device=image.device)
        first, last = (place - radius_px).clamp_min(0), (place + radius_px + 1).clamp_max(length)
        counts = (last - first).to(image.dtype)
        image = sums.index_select(axis, last) - sums.index_select(axis, first)
        image = image / (counts[:, None] if axis == -2 else counts)
    return image
