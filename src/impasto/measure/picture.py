"""Metrics of single images and of pairs of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses import content_loss, gram_loss, gram_matrix
from impasto.types import Backbone

__all__ = [
    "Structure",
    "perceptual_difference",
    "region_style",
    "sharpness",
    "spill",
    "structure_kept",
    "style_and_content",
    "warping_error",
]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
SSIM_SIGMA_PX = 1.5
SSIM_CONSTANTS = (0.01**2, 0.03**2)
BAND_SHARE = 0.02
"""Width of the band along a region's border in which spill is measured, as a share of the long edge."""


def warping_error(image: Tensor, warped: Tensor, trust: Tensor) -> float:
    """Warping error: mean squared difference where the optical flow is reliable (Lai et al. 2018, section 5.2).

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        warped: The other image, warped to ``image``; same shape.
        trust: ``(1, 1, H, W)`` in ``[0, 1]``, reliability of the flow.

    Returns:
        Mean over channels and pixels, weighted by ``trust``; nan if ``trust`` is 0 everywhere.
    """
    total = float(trust.sum()) * image.shape[1]
    return float((trust * (image - warped).square()).sum()) / total if total > 0 else float("nan")


def perceptual_difference(
    image: Tensor, warped: Tensor, trust: Tensor, backbone: Backbone
) -> float:
    """Distance between channel-normalized features where the optical flow is reliable.

    After LPIPS (Zhang et al. 2018, eq. 1). Deviates: all channels have equal weight, and any backbone can be used.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        warped: The other image, warped to ``image``; same shape. Unreliable pixels are replaced by ``image``.
        trust: ``(1, 1, H, W)`` in ``[0, 1]``, reliability of the flow.
        backbone: Feature extractor.

    Returns:
        Sum over layers of the mean squared distance; 0 for equal images.
    """
    other = trust * warped + (1 - trust) * image
    ours, theirs = (backbone(picture, STYLE_LAYERS) for picture in (image, other))
    total = 0.0
    for layer in STYLE_LAYERS:
        a, b = (F.normalize(maps[layer].float(), dim=1, eps=1e-6) for maps in (ours, theirs))
        where = F.interpolate(trust, a.shape[-2:], mode="area")
        apart = (a - b).square().sum(1, keepdim=True)
        total += float((where * apart).sum() / where.sum().clamp_min(1e-6))
    return total


def sharpness(image: Tensor, where: Tensor | None = None) -> float:
    """Root mean square of the Laplacian of luminance.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        where: ``(1, 1, H, W)`` weights; None for equal weights.
    """
    kernel = image.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    padded = F.pad(luminance(image), (1, 1, 1, 1), mode="replicate")
    squares = F.conv2d(padded, kernel).square()
    if where is None:
        return float(squares.mean().sqrt())
    return float(((where * squares).sum() / where.sum().clamp_min(1e-6)).sqrt())


def luminance(image: Tensor) -> Tensor:
    """Returns the Rec. 709 luma ``(B, 1, H, W)`` of ``(B, 3, H, W)``."""
    weights = image.new_tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


@torch.no_grad()
def style_and_content(
    pastiche: Tensor, content: Tensor, styles: Sequence[Tensor], backbone: Backbone
) -> tuple[float, float]:
    """Relative errors of Gram matrices, to the closest style, and of content features.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: Same shape as ``pastiche``.
        styles: ``(1, 3, h, w)`` in ``[0, 1]`` each, at the size used for the stylization.
        backbone: Feature extractor.

    Returns:
        Style error (mean over relu1_1 to relu5_1) and content error (relu4_2).
    """
    seen = backbone(pastiche, (*STYLE_LAYERS, CONTENT_LAYER))
    wanted = backbone(content, (CONTENT_LAYER,))
    losses = []
    for style in styles:
        target = backbone(style, STYLE_LAYERS)
        layers = [gram_loss(gram_matrix(seen[n]), gram_matrix(target[n])) for n in STYLE_LAYERS]
        losses.append(float(torch.stack(layers).mean()))
    return min(losses), float(content_loss(seen[CONTENT_LAYER], wanted[CONTENT_LAYER]))


class Structure(NamedTuple):
    """Structure metrics, each from -1 to 1, where 1 means fully preserved.

    Attributes:
        ssim: Structural similarity of luminance (Wang et al. 2004, eq. 13), which also falls with changes of tone.
        structure: Its third factor alone (eq. 10), which is invariant to changes of brightness and contrast.
        gradient: Correlation of gradient magnitudes.
    """

    ssim: float
    structure: float
    gradient: float


def structure_kept(image: Tensor, content: Tensor) -> Structure:
    """Measures how much of the structure of a photograph a pastiche preserves.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``, the pastiche.
        content: Same shape as ``image``, the photograph.
    """
    a, b = luminance(image).double(), luminance(content).double()
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a = (_blurred(a * a) - mean_a * mean_a).clamp_min(0)
    variance_b = (_blurred(b * b) - mean_b * mean_b).clamp_min(0)
    covariance = _blurred(a * b) - mean_a * mean_b
    c1, c2 = SSIM_CONSTANTS
    light = (2 * mean_a * mean_b + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
    likeness = (2 * covariance + c2) / (variance_a + variance_b + c2)
    shape = (covariance + c2 / 2) / ((variance_a * variance_b).sqrt() + c2 / 2)
    steep_a, steep_b = _steepness(a), _steepness(b)
    return Structure(
        ssim=float((light * likeness).mean()),
        structure=float(shape.mean()),
        gradient=float(torch.corrcoef(torch.stack([steep_a, steep_b]))[0, 1]),
    )


def _blurred(image: Tensor) -> Tensor:
    radius = min(5, (min(image.shape[-2:]) - 1) // 2)
    place = torch.arange(-radius, radius + 1, dtype=image.dtype)
    bell = torch.exp(-place.square() / (2 * SSIM_SIGMA_PX**2))
    bell = bell / bell.sum()
    edge = (radius, radius, radius, radius)
    padded = F.pad(image, edge, mode="reflect")
    return F.conv2d(F.conv2d(padded, bell.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1))


def _steepness(image: Tensor) -> Tensor:
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    right = image[..., :-1, 1:] - image[..., :-1, :-1]
    return (down.square() + right.square()).sqrt().flatten()


@torch.no_grad()
def region_style(
    image: Tensor,
    style: Tensor,
    regions: Sequence[tuple[Tensor, Tensor]],
    backbone: Backbone,
) -> float:
    """Style error by region: mean relative Gram error of five layers, with regions weighted by their area.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        style: ``(1, 3, h, w)`` in ``[0, 1]``.
        regions: Pairs of masks for the image and the style, each with a shape of ``(1, 1, h, w)`` of any size.
        backbone: Evaluation network.

    Returns:
        At least 0; 0 for the style itself.
    """
    seen, wanted = backbone(image, STYLE_LAYERS), backbone(style, STYLE_LAYERS)
    total = area = 0.0
    for mask, other in regions:
        errors = []
        for layer in STYLE_LAYERS:
            ours, theirs = (
                gram_matrix(maps[layer].float(), weight=_at(where, maps[layer]))
                for maps, where in ((seen, mask), (wanted, other))
            )
            errors.append(float(gram_loss(ours, theirs)))
        share = float(mask.mean())
        total, area = total + share * sum(errors) / len(errors), area + share
    return total / area


def _at(mask: Tensor, maps: Tensor) -> Tensor:
    small = F.interpolate(mask, maps.shape[-2:], mode="area").clamp_min(1e-6)
    return small / small.mean()


def spill(image: Tensor, content: Tensor, masks: Mapping[str, Tensor]) -> float:
    """Measures how much the colors of regions bleed across their borders.

    In a band along each region's border, 2% of the long edge wide, the mean color is projected onto the line from the
    region's mean color (0) to the mean color of the rest of the image (1). The value of the content is subtracted,
    because its borders are naturally soft. Regions are weighted by their area.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: Same shape as ``image``.
        masks: Masks by name, ``(1, 1, H, W)`` each, binary or nearly so.

    Returns:
        0 for no bleeding, 1 if the border has completely taken the color of the other side.
    """
    found = [(_run_over(image, mask) - _run_over(content, mask)) for mask in masks.values()]
    shares = [float(mask.mean()) for mask in masks.values()]
    return sum(f * s for f, s in zip(found, shares, strict=True)) / sum(shares)


def _run_over(image: Tensor, mask: Tensor) -> float:
    width = max(1, round(BAND_SHARE * max(image.shape[-2:])))
    rest = F.max_pool2d(1 - mask, 2 * width + 1, 1, width)
    band, inside, outside = mask * rest, mask * (1 - rest), 1 - mask
    if min(float(part.sum()) for part in (band, inside, outside)) < 1:
        return 0.0
    at_border, own, other = (
        (image * part).sum((2, 3)) / part.sum() for part in (band, inside, outside)
    )
    way = other - own
    return float(((at_border - own) * way).sum() / way.square().sum().clamp_min(1e-6))
