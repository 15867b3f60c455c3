"""Figures of one or two pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses import content_loss, gram_loss, gram_matrix
from impasto.types import Backbone

__all__ = ["perceptual_difference", "sharpness", "style_and_content", "warping_error"]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"


def warping_error(image: Tensor, warped: Tensor, trust: Tensor) -> float:
    """Mean square difference where the motion is to be trusted (Lai et al. 2018, section 5.2).

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        warped: The other picture along the motion.
        trust: ``(1, 1, H, W)`` in ``[0, 1]``.

    Returns:
        The mean over trusted pixels and channels; nan when nothing is trusted.
    """
    total = float(trust.sum()) * image.shape[1]
    return float((trust * (image - warped).square()).sum()) / total if total > 0 else float("nan")


def perceptual_difference(
    image: Tensor, warped: Tensor, trust: Tensor, backbone: Backbone
) -> float:
    """Distance of channel-normalised features where the motion is to be trusted.

    After LPIPS (Zhang et al. 2018, eq. 1); deviates: every channel weighs the same, and the backbone is the one given.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        warped: The other picture along the motion; what is not trusted is replaced by ``image``.
        trust: ``(1, 1, H, W)`` in ``[0, 1]``.
        backbone: The network that sees.

    Returns:
        Sum over layers of the mean square distance; 0 for equal pictures.
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
        where: ``(1, 1, H, W)`` weights, or None for everywhere.
    """
    kernel = image.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    padded = F.pad(luminance(image), (1, 1, 1, 1), mode="replicate")
    squares = F.conv2d(padded, kernel).square()
    if where is None:
        return float(squares.mean().sqrt())
    return float(((where * squares).sum() / where.sum().clamp_min(1e-6)).sqrt())


def luminance(image: Tensor) -> Tensor:
    """Rec. 709 luma of ``(B, 3, H, W)``, ``(B, 1, H, W)``."""
    weights = image.new_tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


@torch.no_grad()
def style_and_content(
    pastiche: Tensor, content: Tensor, styles: Sequence[Tensor], backbone: Backbone
) -> tuple[float, float]:
    """Relative error of Gram matrices against the nearest style, and of content features.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: The same shape.
        styles: ``(1, 3, h, w)`` each, at the size they were painted with.
        backbone: The network that sees.

    Returns:
        Style (mean over relu1_1 to relu5_1) and content (relu4_2).
    """
    seen = backbone(pastiche, (*STYLE_LAYERS, CONTENT_LAYER))
    wanted = backbone(content, (CONTENT_LAYER,))
    losses = []
    for style in styles:
        target = backbone(style, STYLE_LAYERS)
        layers = [gram_loss(gram_matrix(seen[n]), gram_matrix(target[n])) for n in STYLE_LAYERS]
        losses.append(float(torch.stack(layers).mean()))
    return min(losses), float(content_loss(seen[CONTENT_LAYER], wanted[CONTENT_LAYER]))
