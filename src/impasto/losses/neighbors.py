"""Style as a stock of patches: every place takes after its nearest neighbor in the style.

Kolkin, Salavon and Shakhnarovich 2019 (STROTSS), eqs. 2-4; Kolkin et al. 2022, "Neural Neighbor Style
Transfer" (NNST), section 3; the one-sided form is Li and Wand 2016.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.losses._shared import flatten

__all__ = ["NeighborLoss", "nearest_neighbors", "neighbor_loss", "unit_rows"]


def unit_rows(features: Tensor, mean: Tensor) -> Tensor:
    """Centers features on a mean and makes each position's vector a unit one.

    Args:
        features: ``(1, C, H, W)`` or ``(1, C, N)``.
        mean: ``(C,)``.

    Returns:
        ``(N, C)``.
    """
    rows = flatten(features)[0].T - mean  # (N, C)
    return F.normalize(rows, dim=1, eps=1e-6)


@torch.no_grad()
def nearest_neighbors(query: Tensor, stock: Tensor, chunk: int = 4096) -> Tensor:
    """Finds for each query row the stock row of the largest cosine.

    Args:
        query: Unit rows ``(N, C)``.
        stock: Unit rows ``(M, C)``.
        chunk: Query rows at a time, which bounds memory to ``chunk * M`` numbers.

    Returns:
        Indices into the stock, ``(N,)``.
    """
    return torch.cat([(rows @ stock.T).argmax(1) for rows in query.split(chunk)])


def neighbor_loss(query: Tensor, stock: Tensor, matches: Tensor | None = None) -> Tensor:
    """Mean cosine distance to the nearest neighbor in the style.

    Deviates: one-sided (every place looks like somewhere in the style; STROTSS also asks the reverse,
    which the moment losses do here), and the match is not differentiated through.

    Args:
        query: Unit rows ``(N, C)`` of the pastiche.
        stock: Unit rows ``(M, C)`` of the style.
        matches: Known neighbors ``(N,)``; found here when not given.

    Returns:
        Scalar in ``[0, 2]``.
    """
    if matches is None:
        matches = nearest_neighbors(query.detach(), stock)
    return 1 - (query * stock[matches]).sum(1).mean()


class NeighborLoss(nn.Module):
    """`neighbor_loss` against a style's features, of which at most ``most`` evenly spread rows are searched."""

    stock: Tensor
    mean: Tensor

    def __init__(self, target: Tensor, *, most: int = 8192) -> None:
        super().__init__()
        mean = flatten(target.detach())[0].mean(1)  # (C,)
        rows = unit_rows(target.detach(), mean)  # (M, C)
        self.register_buffer("mean", mean)
        self.register_buffer("stock", rows[:: max(1, -(-len(rows) // most))])

    def forward(self, features: Tensor) -> Tensor:
        """Compares ``(1, C, H, W)`` features with the style's."""
        return neighbor_loss(unit_rows(features, self.mean), self.stock)
