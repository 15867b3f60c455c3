"""The photograph in the style's colors, before a painter sees it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.media import transfer_linear

__all__ = ["recolor_batch"]


def recolor_batch(content: Tensor, styles: Sequence[Tensor]) -> Tensor:
    """Gives each picture of a batch the mean and covariance of color of its style.

    Args:
        content: ``(B, 3, H, W)`` in ``[0, 1]``.
        styles: B of ``(1, 3, h, w)``.
    """
    return torch.cat(
        [transfer_linear(one, style) for one, style in zip(content.split(1), styles, strict=True)]
    )
