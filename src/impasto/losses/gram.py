"""Gram loss: style as the correlations between channels.

Gatys, Ecker and Bethge 2015/2016, eqs. 3-5; Johnson, Alahi and Fei-Fei 2016, section 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from impasto.losses._shared import relative
from impasto.losses._statistics import averages

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GramNormalization", "gram_loss", "gram_matrix"]

GramNormalization = Literal["positions", "johnson", "none"]
"""``positions``: F F^T / (H W). ``johnson``: F F^T / (C H W). ``none``: F F^T (Gatys' eq. 3)."""


def gram_matrix(
    features: Tensor,
    normalization: GramNormalization = "positions",
    weight: Tensor | None = None,
) -> Tensor:
    """Gram matrix of the channels over all positions (Gatys 2016, eq. 3) or over a region (Gatys 2017, eq. 4).

    Args:
        features: ``(B, C, H, W)`` or ``(B, C, N)``.
        normalization: Divisor of the sum over positions. ``positions`` makes the matrix independent of the
            image size; ``johnson`` makes it independent of the number of channels too; ``none`` is as
            published, where the loss has the factor ``1 / (4 N^2 M^2)`` instead.
        weight: ``(B, 1, H, W)``, relative weight of each position, with a mean of 1; None for equal weights.

    Returns:
        ``(B, C, C)``, symmetric, positive semi-definite.
    """
    _mean, second = averages(features, weight)  # (B, C, C)
    channels, positions = features.shape[1], features[0, 0].numel()
    factor = {"positions": 1.0, "johnson": 1 / channels, "none": float(positions)}[normalization]
    return second if factor == 1 else second * factor


def gram_loss(gram: Tensor, target: Tensor, *, as_published: bool = False) -> Tensor:
    """Distance between two Gram matrices.

    Deviates: the error is divided by the target's mean square, so that the loss is 0 for equal matrices and 1
    for a Gram matrix of zeros, and does not depend on the image size, the number of channels or the backbone's
    scale. ``as_published`` gives Gatys 2016, eq. 4, for matrices with normalization ``positions``:
    ``sum((G - A)^2) / (4 N^2)`` with ``N`` channels.

    Args:
        gram: ``(B, C, C)``, Gram matrix of the pastiche.
        target: ``(B, C, C)``, Gram matrix of the style, with the same normalization.
        as_published: Whether to use the published scale instead of the relative one.

    Returns:
        Scalar, at least 0.
    """
    difference = gram - target
    if as_published:
        return difference.square().sum() / (4 * gram.shape[-1] ** 2)
    return relative(difference.square().mean(), target)
