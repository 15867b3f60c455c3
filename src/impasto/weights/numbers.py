"""Whether tensors hold only finite numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.errors import DivergedError

__all__ = ["all_finite", "finite"]


def all_finite(values: Tensor) -> bool:
    """Whether no value is infinite or not a number; true for integers.

    The sum of finite numbers is finite unless it overflows, and one pass that writes nothing finds it; only where the
    sum is not finite is each value looked at.
    """
    if not values.is_floating_point():
        return True
    total = values.sum(dtype=torch.promote_types(values.dtype, torch.float32))
    return bool(total.isfinite()) or bool(values.isfinite().all())


def finite(painted: Tensor) -> Tensor:
    """Gives a network's picture back, unless it holds a value that is not finite.

    Args:
        painted: Any shape, before it is clamped, which hides infinite values.

    Raises:
        DivergedError: A value is infinite or not a number.
    """
    if not all_finite(painted):
        raise DivergedError(
            "the network painted values that are not finite, so its weights are damaged or do not suit this picture; "
            "get a whole copy of the model, or use another."
        )
    return painted
