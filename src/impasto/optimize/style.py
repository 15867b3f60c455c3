"""The style term: distances between feature statistics, for several styles and regions, whole or in tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import PaintOptions, derived_seed
from impasto.losses import (
    Cloud,
    averages,
    cloud,
    gram_loss,
    moments_of,
    neighbor_loss,
    random_directions,
    sliced_wasserstein_loss,
    unit_rows,
    wasserstein_loss,
)
from impasto.optimize.terms import Additive, Statistics, Term, additive_term
from impasto.optimize.tiles import Part, Parts
from impasto.types import Features, Region

__all__ = [
    "STYLE_DISTANCES",
    "StyleDistance",
    "StyleMemory",
    "Target",
    "averages_of",
    "shares",
    "style_term",
]

LEAST_POSITIONS = 2.0
"""A region that covers fewer positions of a layer is ignored in that layer."""

W2_SHARE = 0.3
"""Weight of the Wasserstein distance in ``mixed``, relative to the Gram loss. For the same images the distance is
about three times as large, so both contribute equally."""

MOST_NEIGHBORS = 2048
"""Number of style features that are searched for neighbors, which limits time and memory."""

DIRECTIONS = 32
"""Number of random projections of the sliced Wasserstein distance per step."""


class StyleDistance(Protocol):
    """Distance of the features of one layer from those of a style or a region of it.

    Attributes:
        additive: Whether the statistics of parts add up to those of the whole image.
        linear: Whether the distances of parts add up, too.
    """

    additive: bool
    linear: bool

    @property
    def count(self) -> int:
        """Number of statistics."""
        ...

    def statistics(
        self, features: Tensor, where: Tensor | None, part: Part, layer: str
    ) -> Statistics:
        """Computes the statistics of features ``(1, C, h, w)`` that a part owns.

        Args:
            features: Features of the part.
            where: Weight of each position of the whole layer, ``(1, 1, H, W)`` with a mean of 1; None for equal
                weights.
            part: The part.
            layer: Name of the layer.
        """
        ...

    def distance(self, statistics: Sequence[Tensor], step: int) -> Tensor:
        """Returns the distance as a scalar, given the sums of the statistics."""
        ...


StyleMemory = dict[tuple[int, int, int, str, str, tuple[str, ...]], Mapping[str, StyleDistance]]
"""Cache of style distances by layer, shared by the frames of a film; the key is the style's index, height, width, loss,
region and layers."""


def shares(count: int, weights: Sequence[float]) -> list[float]:
    """Normalizes weights to a sum of 1; equal weights if none are given."""
    given = list(weights) or [1.0] * count
    return [weight / sum(given) for weight in given]


def _scaled(value: Tensor, share: float) -> Tensor:
    return value if share == 1.0 else value * share


def averages_of(
    features: Tensor, where: Tensor | None, part: Part, layer: str
) -> tuple[Tensor, Tensor]:
    """Returns a part's contribution to the mean ``(1, C)`` and the mean outer product ``(1, C, C)``."""
    share = part.share(layer)
    if share == 0.0:  # a tile at the border that is narrower than a position
        channels = features.shape[1]
        return features.new_zeros(1, channels), features.new_zeros(1, channels, channels)
    mean, second = averages(features, None if where is None else part.of(layer, where))
    return _scaled(mean, share), _scaled(second, share)


@dataclass(frozen=True)
class Moments:
    """Gram loss, Wasserstein distance, or both (``mixed``), from the mean and the mean outer product.

    Attributes:
        gram: Gram matrix of the style, ``(1, C, C)``, or None.
        clouds: Moments of the style, or None.
        as_published: Whether the Gram loss is the published one.
    """

    gram: Tensor | None
    clouds: Cloud | None
    as_published: bool = False
    additive = True
    linear = False

    @property
    def count(self) -> int:
        """See `StyleDistance`."""
        return 1 if self.clouds is None else 2

    def statistics(
        self, features: Tensor, where: Tensor | None, part: Part, layer: str
    ) -> Statistics:
        """See `StyleDistance.statistics`."""
        mean, second = averages_of(features, where, part, layer)
        return (second,) if self.clouds is None else (second, mean)

    def distance(self, statistics: Sequence[Tensor], _step: int) -> Tensor:
        """See `StyleDistance.distance`."""
        second = statistics[0]
        if self.clouds is None:
            assert self.gram is not None
            return gram_loss(second, self.gram, as_published=self.as_published)
        w2 = wasserstein_loss(moments_of(statistics[1], second), self.clouds)
        return w2 if self.gram is None else gram_loss(second, self.gram) + W2_SHARE * w2


@dataclass(frozen=True)
class Sliced:
    """Sliced Wasserstein distance, which sorts all positions and therefore has no additive statistics."""

    target: Tensor
    seed: int
    count = 1
    additive = False
    linear = False

    def statistics(
        self, features: Tensor, _where: Tensor | None, _part: Part, _layer: str
    ) -> Statistics:
        """See `StyleDistance.statistics`."""
        return (features,)

    def distance(self, statistics: Sequence[Tensor], step: int) -> Tensor:
        """See `StyleDistance.distance`."""
        features = statistics[0]
        generator = torch.Generator().manual_seed(derived_seed((self.seed << 24) + step))
        directions = random_directions(features.shape[1], DIRECTIONS, generator)
        return sliced_wasserstein_loss(features, self.target, directions.to(features))


@dataclass(frozen=True)
class Neighbors:
    """Nearest-neighbor loss: a mean over positions, each of which is matched by itself."""

    mean: Tensor
    stock: Tensor
    count = 1
    additive = True
    linear = True

    def statistics(
        self, features: Tensor, where: Tensor | None, part: Part, layer: str
    ) -> Statistics:
        """See `StyleDistance.statistics`."""
        rows, share = unit_rows(features, self.mean), part.share(layer)
        if where is not None:
            chosen = _within(where)
            rows = rows[part.of(layer, chosen).flatten()]
            share = len(rows) / int(chosen.sum())
        if len(rows) == 0:
            return (features.new_zeros(()),)
        return (_scaled(neighbor_loss(rows, self.stock), share),)

    def distance(self, statistics: Sequence[Tensor], _step: int) -> Tensor:
        """See `StyleDistance.distance`."""
        return statistics[0]


def _within(where: Tensor) -> Tensor:
    """Selects the positions that lie mostly in a region, as booleans."""
    return where >= 0.5 * where.max()


def _at_layer(mask: Tensor, grid: tuple[int, int], like: Tensor) -> Tensor | None:
    """Resamples a mask ``(1, 1, H, W)`` to a layer's grid, with a mean of 1; returns None if it covers too little."""
    small = F.interpolate(mask.to(like), grid, mode="area")
    if float(small.sum()) < LEAST_POSITIONS:
        return None
    return small / small.mean()


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the statistics of the style term are computed from.

    Attributes:
        parts: Features of each style, part by part.
        sizes: Height and width of each style.
        options: Loss, layers and weights.
        memory: Cache of style distances, which is read and updated.
        regions: Regions of the content, each with its region of a style; empty to match the whole images.
    """

    parts: Sequence[Parts]
    sizes: Sequence[tuple[int, int]]
    options: PaintOptions
    memory: StyleMemory
    regions: Sequence[Region] = ()


@dataclass(frozen=True)
class Piece:
    """One layer of one style or region: weight, layer, distance, and mask of the content region or None."""

    weight: float
    layer: str
    distance: StyleDistance
    mask: Tensor | None


class Pieces:
    """The statistics and the loss of the style term; see `style_term`."""

    def __init__(self, pieces: Sequence[Piece], layers: Sequence[str]) -> None:
        self.pieces, self._layers = pieces, layers
        self._weights: dict[tuple[int, tuple[int, int]], Tensor | None] = {}
        self._grids: dict[str, tuple[int, int]] = {}

    def statistics(self, features: Features, _image: Tensor, part: Part) -> Statistics:
        """See `Additive.statistics`."""
        found: list[Tensor] = []
        for piece in self.pieces:
            maps = features[piece.layer]
            grid = self._grids[piece.layer] = part.grid(piece.layer, maps)
            key = (id(piece.mask), grid)
            if key not in self._weights:
                mask = piece.mask
                self._weights[key] = None if mask is None else _at_layer(mask, grid, maps)
            if self._counts(piece):
                found += piece.distance.statistics(maps, self._weights[key], part, piece.layer)
        return tuple(found) or (features[self._layers[0]].sum() * 0,)

    def loss(self, values: Sequence[Tensor], step: int) -> Tensor:
        """See `Additive.loss`."""
        losses, used = [], 0
        for piece in self.pieces:
            if self._counts(piece):
                own = values[used : used + piece.distance.count]
                losses.append(piece.weight * piece.distance.distance(own, step))
                used += piece.distance.count
        return torch.stack(losses).sum() if losses else values[0]

    def _counts(self, piece: Piece) -> bool:
        """Whether the region is large enough on the grid of the layer."""
        key = (id(piece.mask), self._grids[piece.layer])
        return piece.mask is None or self._weights[key] is not None


def style_term(target: Target) -> Term:
    """Style loss: the blend-weighted mean of the distances to all styles (for w2, its minimum is the barycenter).

    Regions are weighted by their share of the image area (after Luan 2017, eq. 3).

    Returns:
        A term of weight 1; without `Term.additive` for the sliced Wasserstein distance.
    """
    options = target.options
    layer_share = shares(len(options.style_layers), options.style_shares)
    found: list[Piece] = []
    for number, weight, region in _wanted(target):
        distances = _measured(target, number, region)
        mask = None if region is None else region.content
        for share, layer in zip(layer_share, options.style_layers, strict=True):
            if share > 0 and layer in distances:
                found.append(Piece(weight * share, layer, distances[layer], mask))
    pieces = Pieces(found, options.style_layers)
    additive = Additive(
        statistics=pieces.statistics,
        loss=pieces.loss,
        linear=all(piece.distance.linear for piece in found),
    )
    term = additive_term(1.0, additive, options.style_layers)
    if all(piece.distance.additive for piece in found):
        return term
    return replace(term, additive=None)


def _wanted(target: Target) -> list[tuple[int, float, Region | None]]:
    """Lists the styles or regions that count: index of the style, weight, and region."""
    if target.regions:
        found = [(one.number, float(one.content.mean()), one) for one in target.regions]
        return [(number, weight, region) for number, weight, region in found if weight != 0]
    whole = enumerate(shares(len(target.parts), target.options.blend))
    return [(number, blend, None) for number, blend in whole if blend != 0]


def _measured(target: Target, number: int, region: Region | None) -> Mapping[str, StyleDistance]:
    """Returns distances by layer to a style or a region of it, without layers where the region is too small."""
    options = target.options
    name = "" if region is None else f"{region.name}.{region.version}"
    key = (number, *target.sizes[number], options.style_loss, name, options.style_layers)
    if key not in target.memory:
        mask = None if region is None else region.style
        target.memory[key] = _distances(target.parts[number], mask, options)
    return target.memory[key]


def _distances(
    parts: Parts, mask: Tensor | None, options: PaintOptions
) -> Mapping[str, StyleDistance]:
    """Computes the statistics of a style or of a region of it, and returns the distances to them by layer."""
    return STYLE_DISTANCES[options.style_loss](parts, mask, options)


def _averaged(
    parts: Parts, mask: Tensor | None, *, means_only: bool = False
) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor | None]]:
    """Returns `_style_averages` of all parts, and the weight of each position, by layer."""
    weights: dict[str, Tensor | None] = {}
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    for features, part in parts:
        for layer, maps in features.items():
            if layer not in weights:
                grid = part.grid(layer, maps)
                weights[layer] = None if mask is None else _at_layer(mask, grid, maps)
            if mask is not None and weights[layer] is None:
                continue
            own = _style_averages(maps, weights[layer], part, layer, means_only=means_only)
            before = sums.get(layer)
            sums[layer] = own if before is None else (before[0] + own[0], before[1] + own[1])
    return sums, weights


def _style_averages(
    maps: Tensor, where: Tensor | None, part: Part, layer: str, *, means_only: bool
) -> tuple[Tensor, Tensor]:
    """Returns `averages_of` the style; with ``means_only`` just the mean over the whole image, ``(1, C)``."""
    if not means_only:
        return averages_of(maps, where, part, layer)
    share = part.share(layer)
    mean = maps.mean((0, 2, 3)) if share > 0 else maps.sum((0, 2, 3))
    return _scaled(mean, share)[None], maps.new_zeros(())


def _grams(parts: Parts, mask: Tensor | None, options: PaintOptions) -> Mapping[str, StyleDistance]:
    sums, _weights = _averaged(parts, mask)
    return {
        layer: Moments(second, None, options.as_published)
        for layer, (_mean, second) in sums.items()
    }


def _clouds(
    parts: Parts, mask: Tensor | None, _options: PaintOptions
) -> Mapping[str, StyleDistance]:
    sums, _weights = _averaged(parts, mask)
    return {
        layer: Moments(None, cloud(moments_of(mean, second)))
        for layer, (mean, second) in sums.items()
    }


def _both(parts: Parts, mask: Tensor | None, _options: PaintOptions) -> Mapping[str, StyleDistance]:
    sums, _weights = _averaged(parts, mask)
    return {
        layer: Moments(second, cloud(moments_of(mean, second)))
        for layer, (mean, second) in sums.items()
    }


def _sliced(
    parts: Parts, _mask: Tensor | None, options: PaintOptions
) -> Mapping[str, StyleDistance]:
    return {layer: Sliced(maps, options.seed) for layer, maps in parts.joined().items()}


def _neighbors(
    parts: Parts, mask: Tensor | None, _options: PaintOptions
) -> Mapping[str, StyleDistance]:
    """Keeps every k-th feature of each layer, counted over the positions of the region in reading order."""
    sums, weights = _averaged(parts, mask, means_only=True)
    means = {layer: mean[0] for layer, (mean, _second) in sums.items()}
    kept: dict[str, Tensor] = {}
    rows: dict[str, list[Tensor]] = {layer: [] for layer in means}
    for features, part in parts:
        for layer, mean in means.items():
            maps = features[layer]
            if layer not in kept:
                kept[layer] = _every_kth(weights[layer], part.grid(layer, maps), maps)
            mine = part.of(layer, kept[layer]).flatten()
            rows[layer].append(unit_rows(maps, mean)[mine])
    return {layer: Neighbors(mean, torch.cat(rows[layer])) for layer, mean in means.items()}


def _every_kth(where: Tensor | None, grid: tuple[int, int], like: Tensor) -> Tensor:
    """Marks at most `MOST_NEIGHBORS` positions of a layer, ``(1, 1, *grid)`` booleans."""
    inside = torch.ones(1, 1, *grid, dtype=torch.bool, device=like.device)
    if where is not None:
        inside = _within(where)
    flat = inside.flatten()
    places = flat.nonzero()[:, 0]
    chosen = torch.zeros_like(flat)
    chosen[places[:: max(1, -(-len(places) // MOST_NEIGHBORS))]] = True
    return chosen.view_as(inside)


STYLE_DISTANCES: Mapping[
    str, Callable[[Parts, Tensor | None, PaintOptions], Mapping[str, StyleDistance]]
] = {
    "mixed": _both,
    "gram": _grams,
    "w2": _clouds,
    "sliced": _sliced,
    "neighbor": _neighbors,
}
"""The style losses by name: from the features of a style, and the mask of a region of it or None, to the distances by
layer. To add one, add its entry here, and its name and phrase to `impasto.config.STYLE_LOSSES`."""
