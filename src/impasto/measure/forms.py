"""Whether a photograph's things and large forms are still where they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from impasto.media import resize_to_fit, to_lab

__all__ = ["THINGS_LAYERS", "large_edges", "things_distance"]

THINGS_LAYERS = ("relu4_2", "relu5_1")
MOST_CELLS = 40
LARGE_FORMS_PX = 64
EDGE_SHARE = 0.15


def things_distance(
    seen: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    layers: Sequence[str] = THINGS_LAYERS,
) -> float:
    """How often a painted place resembles another place of the photograph more than its own.

    Each channel of both pictures is brought to mean 0 and variance 1 over places, as AdaIN does (Huang and Belongie
    2017, eq. 8), so that what a style does to all places alike, such as a new palette, does not count. Then each
    painted place ranks all places of the photograph by the cosine of their features; the figure is the share that
    ranks before its own place. Maps above 40 cells are averaged in pairs first.

    Args:
        seen: ``(1, C, H, W)`` by layer.
        wanted: The photograph's, the same shapes.
        layers: Layers to average over.

    Returns:
        0 where every place still resembles itself most, 0.5 where nothing of the photograph is left.
    """
    shares = []
    for layer in layers:
        painted, own = (_places(maps[layer].float()) for maps in (seen, wanted))  # (H W, C)
        alike = painted @ own.T
        shares.append(float((alike > alike.diagonal()[:, None] + 1e-5).float().mean()))
    return sum(shares) / len(shares)


def _places(maps: Tensor) -> Tensor:
    """Unit vectors of standardized features, a row per place."""
    while max(maps.shape[-2:]) > MOST_CELLS:
        maps = F.avg_pool2d(maps, 2, ceil_mode=True)
    rows = maps[0].flatten(1).T  # (H W, C)
    spread = rows.std(0, correction=0)
    rows = (rows - rows.mean(0)) / (spread + 1e-3 * spread.max() + 1e-9)
    return F.normalize(rows, dim=1)


def large_edges(image: Tensor, content: Tensor) -> float:
    """F-measure of the edges of large forms, seen at a long edge of 64 px in CIE Lab.

    Edges are the steepest 15 % of each picture. An edge may lie one pixel of 64 beside the other picture's
    (Martin, Fowlkes and Malik 2004, section 3: precision, recall and their harmonic mean).

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: The same shape.

    Returns:
        0 to 1; 1 for the photograph itself, about 0.5 for unrelated pictures, 0 where a picture has no edges.
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
