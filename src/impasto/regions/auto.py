"""Regions found without being told: features of two pictures, grouped together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media import guided_filter, resize, size_to_fit
from impasto.regions.masks import PALETTE
from impasto.types import Backbone

__all__ = ["Grouping", "drawn_to_edges", "group_by_masks", "group_jointly"]

LONG_EDGE_PX = 384
"""Size at which pictures are seen: larger ones show the network textures and not things."""

LAYERS = ("relu3_1", "relu4_1", "relu5_1")
GRID = 4
"""Pixels of the seen picture to one cell that is grouped."""

HEIGHT_SHARE = 0.6
"""What the place from top to bottom counts beside the features, of which each layer counts 1: skies are above."""

COLOR_SHARE = 0.5
SMOOTH_CELLS = 3
COMPONENTS = 24
"""Principal components that are kept of the features; the rest is texture's noise."""

STARTS = 8
CENTERS_A_REGION = 6
"""A region that is known from its mask may hold several kinds of things."""

SMALLEST = 0.03
"""A group that covers less of one of the pictures is joined to the nearest."""

SOFTNESS = 0.25
EDGE_SHARE = 0.02
"""Radius of the filter that draws borders to the picture's edges, as a share of the long edge."""


@dataclass(frozen=True)
class Grouping:
    """Groups of features that hold for both pictures, and for the frames that follow.

    Attributes:
        centers: ``(K, D)``.
        axes: ``(C, D)``, the principal components.
        names: K of them; centers of one name are one region.
        content: Statistics of the content, by which its later frames are judged.
        style: Those of the style.
    """

    centers: np.ndarray
    axes: np.ndarray
    names: tuple[str, ...]
    content: tuple[Tensor, Tensor]
    style: tuple[Tensor, Tensor] | None = None

    def masks(self, image: Tensor, backbone: Backbone, *, style: bool = False) -> dict[str, Tensor]:
        """Tells the regions of a picture.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            backbone: The one the groups were made with.
            style: Whether it is the style, or a frame of the content.

        Returns:
            ``(1, 1, H, W)`` in ``[0, 1]`` by name, adding up to 1.
        """
        seen, cells = _seen(image, backbone)
        known = self.style if style and self.style is not None else self.content
        rows = _rows(cells, known) @ self.axes  # (N, D)
        far = ((rows[:, None] - self.centers[None]) ** 2).sum(2)  # (N, K)
        scale = SOFTNESS * float(np.median(far.min(1))) + 1e-9
        soft = torch.softmax(torch.from_numpy(-far / scale).float(), dim=1)
        maps = soft.T.reshape(1, -1, *cells.shape[-2:])
        maps = F.interpolate(maps, seen.shape[-2:], mode="bilinear", align_corners=False)
        masks: dict[str, Tensor] = {}
        for name, part in zip(self.names, maps.split(1, dim=1), strict=True):
            masks[name] = masks[name] + part if name in masks else part
        return drawn_to_edges(masks, seen, image)


def drawn_to_edges(masks: Mapping[str, Tensor], seen: Tensor, image: Tensor) -> dict[str, Tensor]:
    """Draws the borders of regions to the edges of their picture, and decides who has what.

    Args:
        masks: ``(1, 1, h, w)`` by name.
        seen: The picture at that size, ``(1, 3, h, w)``.
        image: The picture at the size that is wanted, ``(1, 3, H, W)``.

    Returns:
        Of the picture's size, adding up to 1.
    """
    radius = max(1, round(EDGE_SHARE * max(seen.shape[-2:])))
    maps = torch.cat(list(masks.values()), dim=1)
    maps = guided_filter(seen, maps, image, radius_px=radius, epsilon=1e-4)
    sharp = torch.softmax(16 * maps, dim=1)
    return dict(zip(masks, sharp.split(1, dim=1), strict=True))


@torch.no_grad()
def group_jointly(content: Tensor, style: Tensor, backbone: Backbone, count: int = 4) -> Grouping:
    """Groups the features of two pictures together, so that each group is a region of both.

    Features are standardized for each picture by itself, so that what they have in common counts and not that one
    is by night; then principal components, k-means from several starts, and groups that one of the
    pictures all but lacks are joined to the nearest.

    Args:
        content: ``(1, 3, H, W)`` in ``[0, 1]``.
        style: ``(1, 3, h, w)``.
        backbone: The network that sees, with relu3_1, relu4_1 and relu5_1.
        count: Most groups, 2 to 9.
    """
    maps = [_seen(image, backbone)[1] for image in (content, style)]
    statistics = [_statistics(cells) for cells in maps]
    parts = [_rows(cells, known) for cells, known in zip(maps, statistics, strict=True)]
    axes = _axes(np.concatenate(parts))
    centers = _shared_centers([part @ axes for part in parts], count)
    return Grouping(centers, axes, tuple(PALETTE)[: len(centers)], statistics[0], statistics[1])


@torch.no_grad()
def group_by_masks(content: Tensor, masks: Mapping[str, Tensor], backbone: Backbone) -> Grouping:
    """Learns regions from one frame whose masks are known, so that others can be told theirs.

    Args:
        content: ``(1, 3, H, W)`` in ``[0, 1]``.
        masks: ``(1, 1, h, w)`` by name.
        backbone: As for `group_jointly`.
    """
    from scipy.cluster.vq import kmeans2  # takes a third of a second

    _image, cells = _seen(content, backbone)
    statistics = _statistics(cells)
    rows = _rows(cells, statistics)
    axes = _axes(rows)
    rows = rows @ axes
    small = [F.interpolate(mask, cells.shape[-2:], mode="area") for mask in masks.values()]
    winner = torch.cat(small, 1).argmax(1).flatten().numpy()
    centers, names = [], []
    for number, name in enumerate(masks):
        part = rows[winner == number]
        if len(part):
            count = min(CENTERS_A_REGION, len(part))
            centers.append(kmeans2(part, count, minit="++", seed=0, missing="warn")[0])
            names += [name] * count
    return Grouping(np.concatenate(centers), axes, tuple(names), statistics)


def _axes(rows: np.ndarray) -> np.ndarray:
    _values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    return np.ascontiguousarray(vectors[:, ::-1][:, :COMPONENTS])


def _seen(image: Tensor, backbone: Backbone) -> tuple[Tensor, Tensor]:
    """The picture as it is seen, and its cells ``(1, C, h, w)``: features of each layer, color, height."""
    size = size_to_fit((image.shape[-2], image.shape[-1]), LONG_EDGE_PX)
    seen = resize(image.cpu(), size)
    grid = (max(2, size[0] // GRID), max(2, size[1] // GRID))
    with torch.no_grad():
        features = backbone(seen, LAYERS)
    cells = []
    for layer in LAYERS:
        maps = F.interpolate(features[layer].float(), grid, mode="bilinear", align_corners=False)
        cells.append(maps / maps.square().sum(1, keepdim=True).sqrt().add(1e-6))
    cells.append(F.interpolate(seen, grid, mode="area"))
    height = torch.linspace(-1, 1, grid[0])[None, None, :, None].expand(1, 1, *grid)
    stacked = torch.cat([*cells, height], dim=1)
    return seen, F.avg_pool2d(stacked, SMOOTH_CELLS, 1, SMOOTH_CELLS // 2, count_include_pad=False)


def _statistics(cells: Tensor) -> tuple[Tensor, Tensor]:
    return cells.mean((2, 3), keepdim=True), cells.std((2, 3), keepdim=True) + 1e-4


def _rows(cells: Tensor, statistics: tuple[Tensor, Tensor]) -> np.ndarray:
    """Standardized and weighed so that a layer counts as a whole, however many channels it has, ``(N, C)``."""
    mean, deviation = statistics
    cells = (cells - mean) / deviation
    channels = cells.shape[1] - 4
    weights = torch.full((1, cells.shape[1], 1, 1), (len(LAYERS) / channels) ** 0.5)
    weights[:, channels : channels + 3] = (COLOR_SHARE / 3) ** 0.5
    weights[:, -1] = HEIGHT_SHARE**0.5
    rows = (cells * weights)[0].flatten(1).T.double().numpy()
    return np.ascontiguousarray(rows)


def _shared_centers(parts: list[np.ndarray], count: int) -> np.ndarray:
    """The best of several starts, less the groups that one of the pictures lacks."""
    from scipy.cluster.vq import kmeans2  # takes a third of a second

    rows = np.concatenate(parts)
    best, least = None, np.inf
    for seed in range(STARTS):
        centers, labels = kmeans2(rows, count, minit="++", seed=seed, missing="warn")
        spread = float(((rows - centers[labels]) ** 2).sum())
        if spread < least:
            best, least = centers, spread
    assert best is not None
    while len(best) > 1:
        shares = np.array(
            [np.bincount(_nearest(part, best), minlength=len(best)) / len(part) for part in parts]
        )
        weakest = int(shares.min(0).argmin())
        if shares.min(0)[weakest] >= SMALLEST:
            break
        best = np.delete(best, weakest, axis=0)
    area = np.bincount(_nearest(rows, best), minlength=len(best))
    return best[np.argsort(-area)]


def _nearest(rows: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return ((rows[:, None] - centers[None]) ** 2).sum(2).argmin(1)
