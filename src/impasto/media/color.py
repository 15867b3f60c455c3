"""Color operations: luminance, CIE Lab, and linear and histogram color transfer.

Gatys, Bethge, Hertzmann and Shechtman 2017, "Controlling Perceptual Factors in Neural Style Transfer", section 5.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "color_map",
    "color_moments",
    "keep_luminance_only",
    "luminance",
    "match_histogram",
    "to_lab",
    "transfer_linear",
]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of YIQ (ITU-R BT.601)."""

XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""Matrix from linear sRGB to CIE XYZ under D65 (IEC 61966-2-1)."""

WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of the D65 white point."""

STRIP_PIXELS = 1 << 22
"""Images with more pixels are processed in strips of this many."""

FLAT = 1e-5
"""Added to variances so that the covariance of a single-color image is invertible."""


def luminance(image: Tensor) -> Tensor:
    """Returns luma Y of YIQ: ``(B, 3, H, W) -> (B, 1, H, W)``, in ``[0, 1]``."""
    weights = image.new_tensor(LUMA)[:, None, None]
    return (image * weights).sum(1, keepdim=True)


def to_lab(image: Tensor) -> Tensor:
    """Converts sRGB ``(B, 3, H, W)`` in ``[0, 1]`` to CIE L*a*b* under D65 (CIE 15:2004, section 8.2.1).

    L* ranges from 0 to 100; a* and b* of sRGB colors stay within about -110 and 110.
    """
    image = image.clamp(0, 1)
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    white = image.new_tensor(WHITE)[:, None]
    xyz = (image.new_tensor(XYZ) / white) @ linear.flatten(2)  # (B, 3, H W)
    root = torch.where(
        xyz > (6 / 29) ** 3, xyz.clamp_min(1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29
    )
    x, y, z = root.unbind(1)
    lab = torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
    return lab.view_as(image)


def keep_luminance_only(pastiche: Tensor, content: Tensor) -> Tensor:
    """Combines the pastiche's luminance with the content's chrominance (section 5.1, luminance-only transfer).

    In YIQ, changing Y at fixed I and Q adds the same value to red, green and blue, so no color conversion is needed.

    Args:
        pastiche: ``(B, 3, H, W)`` in ``[0, 1]``.
        content: The same shape.
    """
    return (content + luminance(pastiche) - luminance(content)).clamp(0, 1)


def color_moments(image: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns the mean ``(B, 3, 1)`` and covariance ``(B, 3, 3)`` of the colors of ``(B, 3, H, W)``.

    Args:
        image: Values in any range.
        weight: Weight of each pixel, ``(B, 1, H, W)``; uniform when None.
    """
    rows = image.flatten(2)  # (B, 3, N)
    if weight is None:
        mean = rows.mean(2, keepdim=True)  # (B, 3, 1)
        centered = rows - mean
        covariance = centered @ centered.transpose(1, 2) / rows.shape[2]
    else:
        shares = weight.flatten(2).to(rows) / weight.sum().clamp_min(1e-6)
        mean = (shares * rows).sum(2, keepdim=True)
        centered = rows - mean
        covariance = (shares * centered) @ centered.transpose(1, 2)
    return mean, covariance + FLAT * torch.eye(3, dtype=image.dtype, device=image.device)


def _power(matrix: Tensor, exponent: float, least: float = FLAT / 10) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(least) ** exponent) @ vectors.transpose(-1, -2)


def transfer_linear(
    source: Tensor,
    target: Tensor,
    source_weight: Tensor | None = None,
    target_weight: Tensor | None = None,
    *,
    whiten: bool = False,
) -> Tensor:
    """Matches the color mean and covariance of one image to another (section 5.2, color histogram matching).

    The linear map is the symmetric one, ``S^(-1/2) (S^(1/2) T S^(1/2))^(1/2) S^(-1/2)``, which changes colors the
    least (Monge-Kantorovich; Pitie and Kokaram 2007).

    Args:
        source: ``(1, 3, H, W)`` in ``[0, 1]``.
        target: ``(1, 3, h, w)``.
        source_weight: Weight of each source pixel, ``(1, 1, H, W)``; uniform when None.
        target_weight: Weight of each target pixel, ``(1, 1, h, w)``; uniform when None.
        whiten: Use whitening and coloring instead (Li et al. 2017, "Universal Style Transfer", eqs. 1 and 2, applied
            to colors): ``T^(1/2) S^(-1/2)``, which changes colors more.

    Returns:
        An image of the source's shape, clamped to ``[0, 1]``.
    """
    own = _moments_in_strips(source, source_weight)
    wanted = _moments_in_strips(target, target_weight)
    matrix, offset = color_map(own, wanted)
    if whiten:
        matrix = _power(wanted[1], 0.5) @ _power(own[1], -0.5)
        offset = wanted[0] - matrix @ own[0]
    moved = torch.empty_like(source)
    for rows in _strips(source):
        part = source[..., rows, :]
        moved[..., rows, :] = (matrix @ part.double().flatten(2) + offset).view_as(part)
    return moved.clamp_(0, 1)


def _strips(image: Tensor) -> list[slice]:
    """Divides the rows of an image into strips of at most `STRIP_PIXELS`, to bound the memory of float64 copies."""
    height, width = image.shape[-2:]
    rows = max(1, STRIP_PIXELS // width) if height * width > STRIP_PIXELS else height
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _moments_in_strips(image: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns `color_moments` in float64, computed from sums over strips if the image is large."""
    strips = _strips(image)
    if len(strips) == 1:
        return color_moments(image.double(), weight)
    total = torch.zeros((), dtype=torch.float64, device=image.device)
    first = image.new_zeros(1, 3, 1, dtype=torch.float64)
    second = image.new_zeros(1, 3, 3, dtype=torch.float64)
    for strip in strips:
        rows = image[..., strip, :].double().flatten(2)  # (1, 3, N)
        if weight is None:
            weighted, share = rows, torch.tensor(float(rows.shape[2]), dtype=torch.float64)
        else:
            own = weight[..., strip, :].double().flatten(2)
            weighted, share = rows * own, own.sum()
        total = total + share.to(total)
        first += weighted.sum(2, keepdim=True)
        second += weighted @ rows.transpose(1, 2)
    mean = first / total.clamp_min(1e-6)
    covariance = second / total.clamp_min(1e-6) - mean @ mean.transpose(1, 2)
    return mean, covariance + FLAT * torch.eye(3, dtype=torch.float64, device=image.device)


def color_map(
    source: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns the symmetric linear map between two `color_moments`: matrix ``(B, 3, 3)`` and offset ``(B, 3, 1)``."""
    root, inverse = _power(source[1], 0.5), _power(source[1], -0.5)
    matrix = inverse @ _power(root @ target[1] @ root, 0.5, FLAT**2 / 10) @ inverse
    return matrix, target[0] - matrix @ source[0]


def match_histogram(source: Tensor, target: Tensor) -> Tensor:
    """Matches the histogram of each channel to that of another image.

    Equal values stay equal: ties share the mean of the quantiles they cover.

    Args:
        source: ``(1, 3, H, W)``.
        target: ``(1, 3, h, w)``.

    Returns:
        An image of the source's shape.
    """
    matched = [
        _match_channel(s.flatten(), t.flatten()).view_as(s)
        for s, t in zip(source[0], target[0], strict=True)
    ]
    return torch.stack(matched)[None]


def _match_channel(source: Tensor, target: Tensor) -> Tensor:
    values, inverse, counts = source.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    middle = (last - (counts.double() + 1) / 2) / max(1, len(source) - 1)  # (U,), in [0, 1]
    ordered = target.sort().values
    place = middle.clamp(0, 1) * (len(ordered) - 1)
    below = place.floor().long()
    above = (below + 1).clamp_max(len(ordered) - 1)
    mixed = torch.lerp(ordered[below].double(), ordered[above].double(), place - below)
    return mixed.to(values)[inverse]
