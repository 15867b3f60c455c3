"""Automatic regions: clusters the features of the content and the style image jointly."""

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
"""Processing size: at larger sizes, the network responds to textures rather than objects."""

LAYERS = ("relu3_1", "relu4_1", "relu5_1")
GRID = 4
"""Pixels per grid cell that is clustered."""

HEIGHT_SHARE = 0.6
"""Weight of the vertical position, relative to 1 for each layer's features; the sky, for example, is at the top."""

COLOR_SHARE = 0.5
SMOOTH_CELLS = 3
COMPONENTS = 24
"""Number of principal components to keep; the rest is texture noise."""

STARTS = 8
CENTERS_A_REGION = 6
"""A region defined by a mask can contain several kinds of objects."""

SMALLEST = 0.03
"""Clusters that cover a smaller share of one of the images are merged into the nearest one."""

SOFTNESS = 0.25
EDGE_SHARE = 0.02
"""Radius of the guided filter that aligns masks with image edges, as a share of the long edge."""


@dataclass(frozen=True)
class Grouping:
    """Feature clusters shared by content and style, which also apply to later frames.

    Attributes:
        centers: ``(K, D)``.
        axes: Principal components, ``(C, D)``.
        names: K names; centers with the same name form one region.
        content: Feature statistics of the content, also used for its later frames.
        style: Feature statistics of the style image.
    """

    centers: np.ndarray
    axes: np.ndarray
    names: tuple[str, ...]
    content: tuple[Tensor, Tensor]
    style: tuple[Tensor, Tensor] | None = None

    def masks(self, image: Tensor, backbone: Backbone, *, style: bool = False) -> dict[str, Tensor]:
        """Segments an image.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            backbone: The backbone that the clusters were computed with.
            style: Whether the image is the style image rather than a content frame.

        Returns:
            ``(1, 1, H, W)`` in ``[0, 1]`` by name, summing to 1.
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
    """Aligns mask borders with image edges and makes the masks nearly exclusive.

    Args:
        masks: ``(1, 1, h, w)`` by name.
        seen: The image at the masks' size, ``(1, 3, h, w)``.
        image: The image at the output size, ``(1, 3, H, W)``.

    Returns:
        Masks at the output size, summing to 1.
    """
    radius = max(1, round(EDGE_SHARE * max(seen.shape[-2:])))
    maps = torch.cat(list(masks.values()), dim=1)
    maps = guided_filter(seen, maps, image, radius_px=radius, epsilon=1e-4)
    sharp = torch.softmax(16 * maps, dim=1)
    return dict(zip(masks, sharp.split(1, dim=1), strict=True))


@torch.no_grad()
def group_jointly(content: Tensor, style: Tensor, backbone: Backbone, count: int = 4) -> Grouping:
    """Clusters the features of two images jointly, so that each cluster is a region of both.

    Features are standardized per image, so that shared structure matters rather than global differences such as day
    and night. They are then reduced to principal components and clustered by k-means with several restarts; clusters
    that are nearly absent in one of the images are merged into the nearest one.

    Args:
        content: ``(1, 3, H, W)`` in ``[0, 1]``.
        style: ``(1, 3, h, w)``.
        backbone: Feature extractor with relu3_1, relu4_1 and relu5_1.
        count: Maximum number of clusters, 2 to 9.
    """
    maps = [_seen(image, backbone)[1] for image in (content, style)]
    statistics = [_statistics(cells) for cells in maps]
    parts = [_rows(cells, known) for cells, known in zip(maps, statistics, strict=True)]
    axes = _axes(np.concatenate(parts))
    centers = _shared_centers([part @ axes for part in parts], count)
    return Grouping(centers, axes, tuple(PALETTE)[: len(centers)], statistics[0], statistics[1])


@torch.no_grad()
def group_by_masks(content: Tensor, masks: Mapping[str, Tensor], backbone: Backbone) -> Grouping:
    """Learns regions from one frame with known masks, in order to segment other frames.

    Args:
        content: ``(1, 3, H, W)`` in ``[0, 1]``.
        masks: ``(1, 1, h, w)`` by name.
        backbone: As for `group_jointly`.
    """
    from scipy.cluster.vq import kmeans2  # slow import: a third of a second

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
    """Returns the resized image and its cells ``(1, C, h, w)``: the features of each layer, color, and height."""
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
    """Standardizes cells and weights each layer equally, regardless of its channel count; returns ``(N, C)``."""
    mean, deviation = statistics
    cells = (cells - mean) / deviation
    channels = cells.shape[1] - 4
    weights = torch.full((1, cells.shape[1], 1, 1), (len(LAYERS) / channels) ** 0.5)
    weights[:, channels : channels + 3] = (COLOR_SHARE / 3) ** 0.5
    weights[:, -1] = HEIGHT_SHARE**0.5
    rows = (cells * weights)[0].flatten(1).T.double().numpy()
    return np.ascontiguousarray(rows)


def _shared_centers(parts: list[np.ndarray], count: int) -> np.ndarray:
    """Returns the best k-means result, without the clusters that one of the images lacks."""
    from scipy.cluster.vq import kmeans2  # slow import: a third of a second

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
