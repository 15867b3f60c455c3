"""Averages over positions, from which Gram matrices, means and covariances are computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["averages"]


class _Averages(torch.autograd.Function):
    """Mean and mean outer product of rows, with a backward pass that reads the features once.

    Autograd would read the features four times and return a gradient in a different memory layout, which makes the
    backward pass of the preceding ReLU fifteen times slower.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(rows)
        count = rows.shape[1]
        second = torch.bmm(rows.transpose(1, 2), rows) / count  # (B, C, C)
        return rows.mean(1), second

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, for_mean: Tensor, for_second: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        count = rows.shape[1]
        both = (for_second + for_second.transpose(1, 2)) / count  # (B, C, C)
        gradient = torch.bmm(rows, both)  # (B, N, C)
        return gradient.add_(for_mean[:, None, :] / count)


def averages(features: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Averages features and their outer products over positions.

    Args:
        features: ``(B, C, H, W)`` or ``(B, C, N)``. Channels-last feature maps are not copied.
        weight: ``(B, 1, H, W)`` or ``(B, 1, N)``, relative weight of each position, with a mean of 1; None for
            equal weights.

    Returns:
        The mean ``(B, C)`` and the mean of ``f f^T`` ``(B, C, C)``.
    """
    rows = features.movedim(1, -1).flatten(1, -2)  # (B, N, C)
    if weight is None:
        mean, second = _Averages.apply(rows)  # type: ignore[no-untyped-call]
        return mean, second
    shares = weight.movedim(1, -1).flatten(1, -2)  # (B, N, 1)
    _mean, second = _Averages.apply(rows * shares.sqrt())  # type: ignore[no-untyped-call]
    return (rows * shares).mean(1), second
