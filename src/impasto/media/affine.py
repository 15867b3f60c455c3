"""A change of colour without a change of detail: locally affine, like a darkroom's dodging and toning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["transfer_affinely"]


def transfer_affinely(
    content: Tensor, painted: Tensor, full: Tensor, *, radius_px: int, epsilon: float = 1e-3
) -> Tensor:
    """Fits, around every pixel, the affine map from the content's colours to the painted ones, and applies it.

    The guided filter with a colour guide (He, Sun and Tang 2013, eqs. 14 to 16), its coefficients enlarged (He and
    Sun 2015, "Fast Guided Filter"). Edges and texture of the result are those of ``full``.

    Args:
        content: ``(1, 3, h, w)`` in ``[0, 1]``, at the painted size.
        painted: The same shape.
        full: The content in the size to deliver, ``(1, 3, H, W)``.
        radius_px: Of the windows, at the painted size.
        epsilon: Variance of colour below which a window counts as plain and takes the mean change.

    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``.
    """
    guide, wanted = content[0].double(), painted[0].double()  # (3, h, w)
    mean_guide, mean_wanted = _box(guide, radius_px), _box(wanted, radius_px)
    pairs = [(i, j) for i in range(3) for j in range(3)]
    within = _box(torch.stack([guide[i] * guide[j] for i, j in pairs]), radius_px)
    across = _box(torch.stack([guide[i] * wanted[j] for i, j in pairs]), radius_px)
    within = within - torch.stack([mean_guide[i] * mean_guide[j] for i, j in pairs])
    across = across - torch.stack([mean_guide[i] * mean_wanted[j] for i, j in pairs])
    height, width = guide.shape[-2:]
    covariance = within.view(3, 3, height, width).permute(2, 3, 0, 1)  # (h, w, 3, 3)
    covariance = covariance + epsilon * torch.eye(3, dtype=guide.dtype)
    slope = torch.linalg.solve(covariance, across.view(3, 3, height, width).permute(2, 3, 0, 1))
    offset = mean_wanted - torch.einsum("hwij,ihw->jhw", slope, mean_guide)
    slope = _box(slope.permute(2, 3, 0, 1).reshape(9, height, width), radius_px)
    fields = torch.cat([slope, _box(offset, radius_px)]).float()[None]  # (1, 12, h, w)
    fields = F.interpolate(fields, full.shape[-2:], mode="bilinear", align_corners=False)[0]
    slope, offset = fields[:9].view(3, 3, *full.shape[-2:]), fields[9:]
    return (torch.einsum("ijhw,ihw->jhw", slope, full[0]) + offset).clamp(0, 1)[None]


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
