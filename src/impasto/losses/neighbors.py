"""Nearest-neighbor loss: style as a set of feature vectors, of which each position matches its nearest neighbor.

Kolkin, Salavon and Shakhnarovich 2019 (STROTSS), eqs. 2-4; Kolkin et al. 2022, "Neural Neighbor Style
Transfer" (NNST), section 3; the one-sided form is Li and Wand 2016.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses._shared import flatten

__all__ = ["nearest_neighbors", "neighbor_loss", "unit_rows"]


def unit_rows(features: Tensor, mean: Tensor) -> Tensor:
    """Subtracts a mean from the features and normalizes the vector at each position to unit length.

    Args:
        features: ``(1, C, H, W)`` or ``(1, C, N)``.
        mean: ``(C,)``.

    Returns:
        ``(N, C)``, one unit vector per position.
    """
    rows = flatten(features)[0].T - mean  # (N, C)
    return F.normalize(rows, dim=1, eps=1e-6)


@torch.no_grad()
def nearest_neighbors(query: Tensor, stock: Tensor, chunk: int = 4096) -> Tensor:
    """Finds the stock row with the largest cosine similarity to each query row.

    Args:
        query: Unit rows ``(N, C)``.
        stock: Unit rows ``(M, C)``.
        chunk: Number of query rows per batch, which limits memory to ``chunk * M`` values.

    Returns:
        Indices into ``stock``, ``(N,)``.
    """
    return torch.cat([(rows @ stock.T).argmax(1) for rows in query.split(chunk)])


def neighbor_loss(query: Tensor, stock: Tensor, matches: Tensor | None = None) -> Tensor:
    """Mean cosine distance to the nearest neighbor in the style (STROTSS, eqs. 2-4, one-sided).

    Deviates: one-sided. Every position has to resemble some position of the style; STROTSS also requires the
    reverse, which the moment losses provide here. The gradient does not flow through the matching.

    Args:
        query: Unit rows ``(N, C)`` of the pastiche.
        stock: Unit rows ``(M, C)`` of the style.
        matches: Precomputed neighbor indices ``(N,)``; None to search for them.

    Returns:
        Scalar in ``[0, 2]``.
    """
    if matches is None:
        matches = nearest_neighbors(query.detach(), stock)
    return 1 - (query * stock[matches]).sum(1).mean()
