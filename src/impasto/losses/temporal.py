"""Temporal losses: how far a frame's pastiche is from those of its neighbors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from impasto.losses.content import content_loss
from impasto.losses.gram import gram_loss, gram_matrix

__all__ = ["TemporalLoss", "change_loss", "temporal_loss"]


def temporal_loss(image: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Squared difference from a target, weighted a pixel at a time: ``1/D sum_k c_k (x_k - w_k)^2``.

    Ruder, Dosovitskiy and Brox 2016, "Artistic Style Transfer for Videos", eq. 7, with ``D`` the number of values; with
    the reliabilities of eq. 9, the long-term loss of eq. 8. With a previous pastiche that is not warped and no
    weight it is the stabilization loss of Sane, Chaurasia and Chaudhary 2019.

    Args:
        image: ``(B, 3, H, W)`` the pastiche, in ``[0, 1]``.
        target: The same shape: an earlier pastiche, warped to this frame.
        weight: ``(B, 1, H, W)`` in ``[0, 1]``: the flow's reliability, or where nothing moves; 1 when not given.

    Returns:
        Scalar, at least 0.

    Raises:
        ValueError: The weight has no place of its own for each pixel.
    """
    if image.shape != target.shape:
        raise ValueError(
            f"pictures of {tuple(image.shape)} and {tuple(target.shape)} differ in shape"
        )
    squares = (image - target).square()
    if weight is None:
        return squares.mean()
    if weight.shape[-2:] != image.shape[-2:]:
        raise ValueError(
            f"a weight of {tuple(weight.shape)} does not lie on a picture of {tuple(image.shape)}"
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
    """Change of content and of style since the previous pastiche (Wang and Ren 2022, section 4.3).

    Content is the relative mean square of feature maps, style the relative error of Gram matrices, each the mean over
    its layers.

    Args:
        features: Of the pastiche, by layer.
        before: Of the previous pastiche.
        content_layers: Compared place by place.
        style_layers: Compared by Gram matrix.
        style_weight: Of style against content.

    Returns:
        Scalar, at least 0.
    """
    content = [content_loss(features[layer], before[layer]) for layer in content_layers]
    style = [
        gram_loss(gram_matrix(features[layer]), gram_matrix(before[layer]))
        for layer in style_layers
    ]
    return torch.stack(content).mean() + style_weight * torch.stack(style).mean()


class TemporalLoss(nn.Module):
    """`temporal_loss` with its target and weight held."""

    target: Tensor
    weight: Tensor | None

    def __init__(self, target: Tensor, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("target", target.detach())
        self.register_buffer("weight", None if weight is None else weight.detach())

    def forward(self, image: Tensor) -> Tensor:
        """Compares ``(B, 3, H, W)`` with the target."""
        return temporal_loss(image, self.target, self.weight)
