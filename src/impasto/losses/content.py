"""Content: how far the feature maps are from the photograph's, place by place.

Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", eq. 1.
"""

from __future__ import annotations

from torch import Tensor, nn

from impasto.losses._shared import EPSILON, Distance, distance

__all__ = ["ContentLoss", "content_loss"]


def content_loss(
    features: Tensor, target: Tensor, kind: Distance = "mse", *, normalize: bool = True
) -> Tensor:
    """Distance between two feature maps, place by place.

    Deviates: with ``normalize`` the target's root mean square is the unit of both maps (for
    ``half-sum`` too), so that the number does not depend on the backbone's scale: 0 for equal maps,
    1 for ``mse`` against a map of zeros. Without it and with ``half-sum`` this is eq. 1 as written.

    Args:
        features: ``(B, C, H, W)``.
        target: The same shape.
        kind: See `impasto.losses.distance`.
        normalize: Divide by the target's root mean square first.

    Returns:
        Scalar, at least 0.

    Raises:
        ValueError: The shapes differ.
    """
    if features.shape != target.shape:
        raise ValueError(
            f"content loss compares maps of one shape, not {tuple(features.shape)} with "
            f"{tuple(target.shape)}; resize the content to the picture first"
        )
    difference = features - target
    if normalize:
        difference = difference / target.square().mean().clamp_min(EPSILON).sqrt()
    return distance(difference, kind)


class ContentLoss(nn.Module):
    """`content_loss` with its target held."""

    target: Tensor

    def __init__(self, target: Tensor, kind: Distance = "mse", *, normalize: bool = True) -> None:
        super().__init__()
        self.register_buffer("target", target.detach())
        self.kind = kind
        self.normalize = normalize

    def forward(self, features: Tensor) -> Tensor:
        """Compares ``(B, C, H, W)`` features with the target."""
        return content_loss(features, self.target, self.kind, normalize=self.normalize)
