"""Metrics for whether the objects and large shapes of a photograph are preserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from impasto.media import resize_to_fit, to_lab

__all__ = ["OBJECT_LAYERS", "large_edges", "objects_distance"]

OBJECT_LAYERS = ("relu4_2", "relu5_1")
MOST_CELLS = 40
LARGE_FORMS_PX = 64
EDGE_SHARE = 0.15


def objects_distance(
    seen: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    layers: Sequence[str] = OBJECT_LAYERS,
) -> float:
    """Measures how often a position of the pastiche resembles other positions of the photograph more than its own.

    Each channel of both feature maps is normalized to mean 0 and variance 1 over positions, as in AdaIN (Huang and
    Belongie 2017, eq. 8), so that global effects of a style, such as a new palette, do not count. For each position of
    the pastiche, all positions of the photograph are ranked by the cosine similarity of their features; the metric is
    the mean share of positions that rank above the same position. Maps with a side above 40 are average-pooled first.

    Args:
        seen: Features of the pastiche by layer, ``(1, C, H, W)`` each.
        wanted: Features of the photograph by layer, with the same shapes.
        layers: Layers to average over.

    Returns:
        0 if every position resembles itself most, 0.5 if nothing of the photograph is left.
    """
    shares = []
    for layer in layers:
        painted, own = (_places(maps[layer].float()) for maps in (seen, wanted))  # (H W, C)
        alike = painted @ own.T
        shares.append(float((alike > alike.diagonal()[:, None] + 1e-5).float().mean()))
    return sum(shares) / len(shares)


def _places(maps: Tensor) -> Tensor:
    """Returns unit vectors of standardized features, one row per position."""
    while max(maps.shape[-2:]) > MOST_CELLS:
        maps = F.avg_pool2d(maps, 2, ceil_mode=True)
    rows = maps[0].flatten(1).T  # (H W, C)
    spread = rows.std(0, correction=0)
    rows = (rows - rows.mean(0)) / (spread + 1e-3 * spread.max() + 1e-9)
    return F.normalize(rows, dim=1)


def large_edges(image: Tensor, content: Tensor) -> float:
    """F-measure of the edges of large shapes, computed in CIE Lab with a long edge of 64 px.

    Edges are the 15% steepest pixels of each image and match within one pixel at that size (Martin, Fowlkes and Malik
    2004, section 3: precision, recall and their harmonic mean).

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: Same shape as ``image``.

    Returns:
        0 to 1: 1 for the photograph itself, about 0.5 for unrelated images, 0 if an image has no edges.
    """
    maps = []
    for picture in (image, content):
        lab = to_lab(resize_to_fit(picture, min(LARGE_FORMS_PX, max(picture.shape[-2:]))))
        down, right = lab.diff(dim=2)[..., :-1], lab.diff(dim=3)[..., :-1, :]
        steep = (down.square() + right.square()).sum(1, keepdim=True)
        maps.append((steep > steep.flatten().quantile(1 - EDGE_SHARE).clamp_min(1e-3)).float())
    ours, theirs = maps
    wide_ours, wide_theirs = (F.max_pool2d(edges, 3, 1, 1) for edges in maps)
    precision = float((ours * wide_theirs).sum() / ours.sum().clamp_min(1))
    recall = float((theirs * wide_ours).sum() / theirs.sum().clamp_min(1))
    return 2 * precision * recall / max(precision + recall, 1e-9)
