"""Temporal losses: the distance between the pastiche of a frame and those of its neighboring frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.losses.content import content_loss
from impasto.losses.gram import gram_loss, gram_matrix

__all__ = ["change_loss", "temporal_loss"]


def temporal_loss(image: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Squared difference from a target with per-pixel weights: ``1/D sum_k c_k (x_k - w_k)^2``.

    This is Ruder, Dosovitskiy and Brox 2016, "Artistic Style Transfer for Videos", eq. 7, where ``D`` is the number of
    values. With the weights of eq. 9 it gives the long-term loss of eq. 8. With an unwarped previous pastiche and no
    weight it is the stabilization loss of Sane, Chaurasia and Chaudhary 2019.

    Args:
        image: ``(B, 3, H, W)`` in ``[0, 1]``, the pastiche.
        target: Same shape as ``image``: an earlier pastiche, warped to this frame.
        weight: ``(B, 1, H, W)`` in ``[0, 1]``: reliability of the optical flow, or a mask of static pixels; None
            for equal weights.

    Returns:
        Scalar, at least 0.

    Raises:
        ValueError: The shapes of the images differ, or the weight has another height or width.
    """
    if image.shape != target.shape:
        raise ValueError(
            f"temporal_loss requires images of equal shape; got {tuple(image.shape)} and {tuple(target.shape)}."
        )
    squares = (image - target).square()
    if weight is None:
        return squares.mean()
    if weight.shape[-2:] != image.shape[-2:]:
        raise ValueError(
            f"the weight must have the height and width of the image; got {tuple(weight.shape)} "
            f"for an image of {tuple(image.shape)}."
        )
    return (weight * squares).mean()


def change_loss(
    features: Mapping[str, Tensor],
    before: Mapping[str, Tensor],
    content_layers: Sequence[str],
    style_layers: Sequence[str],
    *,
    style_weight: float = 1.0,
) -> Tensor:
    """Change of content and style since the previous pastiche (Wang and Ren 2022, section 4.3).

    The content part is the relative mean squared difference of feature maps, the style part the relative error of
    Gram matrices; each is averaged over its layers.

    Args:
        features: Features of the pastiche, by layer.
        before: Features of the previous pastiche, by layer.
        content_layers: Layers whose feature maps are compared position by position.
        style_layers: Layers whose Gram matrices are compared.
        style_weight: Weight of the style part relative to the content part.

    Returns:
        Scalar, at least 0.
    """
    content = [content_loss(features[layer], before[layer]) for layer in content_layers]
    style = [
        gram_loss(gram_matrix(features[layer]), gram_matrix(before[layer]))
        for layer in style_layers
    ]
    return torch.stack(content).mean() + style_weight * torch.stack(style).mean()
