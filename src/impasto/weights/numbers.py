"""Checks for non-finite values."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.errors import DivergedError

__all__ = ["all_finite", "finite"]


def all_finite(values: Tensor) -> bool:
    """Whether a tensor has no infinite or NaN values; always true for integers.

    The sum of finite values is finite unless it overflows, and takes one pass without temporary memory. Individual
    values are checked only if the sum is not finite.
    """
    if not values.is_floating_point():
        return True
    total = values.sum(dtype=torch.promote_types(values.dtype, torch.float32))
    return bool(total.isfinite()) or bool(values.isfinite().all())


def finite(painted: Tensor) -> Tensor:
    """Returns the output of a network if all of its values are finite.

    Args:
        painted: Any shape, before clamping, which would hide infinite values.

    Raises:
        DivergedError: A value is infinite or NaN.
    """
    if not all_finite(painted):
        raise DivergedError(
            "the network's output is not finite, so its weights are damaged or unsuitable for this image; use an "
            "undamaged copy of the model or another model."
        )
    return painted
