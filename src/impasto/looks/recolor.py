"""Color transfer from the style to the photograph, before a painter processes it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.media import transfer_linear

__all__ = ["recolor_batch"]


def recolor_batch(content: Tensor, styles: Sequence[Tensor]) -> Tensor:
    """Gives each image of a batch the color mean and covariance of its style.

    Args:
        content: ``(B, 3, H, W)`` in ``[0, 1]``.
        styles: B styles, ``(1, 3, h, w)`` each.
    """
    return torch.cat(
        [transfer_linear(one, style) for one, style in zip(content.split(1), styles, strict=True)]
    )
