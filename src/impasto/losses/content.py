"""Content loss: the distance between the feature maps of the pastiche and of the content image.

Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", eq. 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.losses._shared import EPSILON, Distance, distance

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["content_loss", "content_scale"]


def content_loss(
    features: Tensor, target: Tensor, kind: Distance = "mse", *, normalize: bool = True
) -> Tensor:
    """Distance between two feature maps, position by position (Gatys 2016, eq. 1).

    Deviates: with ``normalize``, both maps are divided by the target's root mean square (also for
    ``half-sum``), so that the loss does not depend on the backbone's scale: it is 0 for equal maps, and for
    ``mse`` it is 1 when the features are zero. ``half-sum`` without ``normalize`` is eq. 1 as published.

    Args:
        features: ``(B, C, H, W)``.
        target: Same shape as ``features``.
        kind: See `impasto.losses.distance`.
        normalize: Whether to divide by the target's root mean square first.

    Returns:
        Scalar, at least 0.

    Raises:
        ValueError: The shapes differ.
    """
    if features.shape != target.shape:
        raise ValueError(
            f"content_loss requires feature maps of equal shape; got {tuple(features.shape)} and "
            f"{tuple(target.shape)}; resize the content image to the size of the pastiche first."
        )
    difference = features - target
    if normalize:
        difference = difference / content_scale(target)
    return distance(difference, kind)


def content_scale(target: Tensor) -> Tensor:
    """Returns the root mean square of a target, by which `content_loss` divides with ``normalize``; a scalar."""
    return target.square().mean().clamp_min(EPSILON).sqrt()
