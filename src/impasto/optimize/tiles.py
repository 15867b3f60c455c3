"""Tiles: how an image is divided, what each tile owns, and feature maps evaluated tile by tile.

A tile owns a rectangle of pixels and the positions of each layer that start in it, so that every pixel and every
position belongs to exactly one tile. It is evaluated on a larger crop: the rectangle and a halo as wide as the
receptive field. Within the rectangle, its features are those of the whole image, because the padding of convolutions
affects only the halo, except at the border of the image, where the crop ends and the padding is the image's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from impasto.backbones import Field, receptive_fields
from impasto.types import Backbone, Features

__all__ = ["WHOLE", "Part", "Parts", "Span", "Tile", "Tiling", "Whole", "see"]

PIXEL_REACH = 4
"""Pixels around a tile that losses of pixels read."""


def see(
    backbone: Backbone, image: Tensor, layers: Sequence[str], *, autocast: bool = False
) -> dict[str, Tensor]:
    """Computes features, returned in float32 regardless of the backbone's precision."""
    if not layers:
        return {}
    context = torch.autocast(image.device.type, torch.bfloat16) if autocast else nullcontext()
    with context:
        features = backbone(image, layers)
    if image.dtype == torch.float64:
        return features
    return {name: value.float() for name, value in features.items()}


class Part(Protocol):
    """The part of an image that statistics are computed from: the whole image, or a tile."""

    def share(self, layer: str) -> float:
        """Returns the part's share of the positions of a layer."""
        ...

    def of(self, layer: str, maps: Tensor) -> Tensor:
        """Cuts the part from maps ``(B, C, H, W)`` on the grid of a layer of the whole image."""
        ...

    def grid(self, layer: str, maps: Tensor) -> tuple[int, int]:
        """Returns the height and width of a layer of the whole image, given the part's own maps."""
        ...

    def pixels(self, image: Tensor, below: int = 0, right: int = 0) -> Tensor:
        """Returns the part's pixels, and some beyond them as far as there are any.

        Args:
            image: ``(1, C, H, W)``, the image that the part is evaluated on.
            below: Number of rows to add below.
            right: Number of columns to add to the right.
        """
        ...

    def pixel_share(self, below: int = 0, right: int = 0) -> float:
        """Returns the part's share of all windows of ``1 + below`` rows and ``1 + right`` columns."""
        ...


class Whole:
    """The whole image as a single part."""

    def share(self, layer: str) -> float:
        """See `Part.share`."""
        return 1.0

    def of(self, layer: str, maps: Tensor) -> Tensor:
        """See `Part.of`."""
        return maps

    def grid(self, layer: str, maps: Tensor) -> tuple[int, int]:
        """See `Part.grid`."""
        return maps.shape[-2], maps.shape[-1]

    def pixels(self, image: Tensor, below: int = 0, right: int = 0) -> Tensor:
        """See `Part.pixels`."""
        return image

    def pixel_share(self, below: int = 0, right: int = 0) -> float:
        """See `Part.pixel_share`."""
        return 1.0


WHOLE = Whole()


class Span(NamedTuple):
    """One axis of a tile, in pixels: it owns ``first`` to ``last`` and reads ``start`` to ``stop``, ends excluded.

    ``length`` is the length of the axis.
    """

    first: int
    last: int
    start: int
    stop: int
    length: int

    def owned(self, field: Field) -> tuple[int, int]:
        """Returns the first owned position of a layer and the one after the last."""
        end = field.positions(self.length)
        if self.last < self.length:
            end = min(end, -(-self.last // field.stride))
        return min(end, -(-self.first // field.stride)), end

    def window_count(self, reach: int) -> int:
        """Returns the number of windows of ``1 + reach`` pixels that start in the owned pixels."""
        return max(0, min(self.last, self.length - reach) - self.first)


@dataclass(frozen=True)
class Tile:
    """A tile of an image; see the module docstring.

    Attributes:
        rows: Its rows.
        columns: Its columns.
        fields: Receptive fields of the layers that are evaluated.
    """

    rows: Span
    columns: Span
    fields: Mapping[str, Field]

    @property
    def crop(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the tile reads."""
        rows, columns = self.rows, self.columns
        return slice(rows.start, rows.stop), slice(columns.start, columns.stop)

    @property
    def owned(self) -> tuple[int, int, int, int]:
        """First owned row, the one after the last, and the same of the columns."""
        return self.rows.first, self.rows.last, self.columns.first, self.columns.last

    def features(self, maps: Features) -> dict[str, Tensor]:
        """Cuts the owned positions from feature maps of the crop."""
        return {layer: self._owned(layer, value) for layer, value in maps.items()}

    def _owned(self, layer: str, maps: Tensor) -> Tensor:
        field = self.fields[layer]
        cuts = []
        for span in (self.rows, self.columns):
            first, end = span.owned(field)
            offset = span.start // field.stride
            cuts.append(slice(first - offset, end - offset))
        return maps[..., cuts[0], cuts[1]]

    def share(self, layer: str) -> float:
        """See `Part.share`."""
        share, field = 1.0, self.fields[layer]
        for span in (self.rows, self.columns):
            first, end = span.owned(field)
            share *= (end - first) / field.positions(span.length)
        return share

    def of(self, layer: str, maps: Tensor) -> Tensor:
        """See `Part.of`."""
        (top, bottom), (left, right) = (
            span.owned(self.fields[layer]) for span in (self.rows, self.columns)
        )
        return maps[..., top:bottom, left:right]

    def grid(self, layer: str, maps: Tensor) -> tuple[int, int]:
        """See `Part.grid`."""
        field = self.fields[layer]
        return field.positions(self.rows.length), field.positions(self.columns.length)

    def pixels(self, image: Tensor, below: int = 0, right: int = 0) -> Tensor:
        """See `Part.pixels`; the image is the tile's crop."""
        (top, bottom), (left, end) = (
            (span.first - span.start, min(span.last + beyond, span.length) - span.start)
            for span, beyond in ((self.rows, below), (self.columns, right))
        )
        return image[..., top:bottom, left:end]

    def pixel_share(self, below: int = 0, right: int = 0) -> float:
        """See `Part.pixel_share`."""
        mine = self.rows.window_count(below) * self.columns.window_count(right)
        return mine / max(1, (self.rows.length - below) * (self.columns.length - right))


@dataclass(frozen=True)
class Tiling:
    """Divides images into tiles of about equal size.

    Attributes:
        tile_px: Largest side of the owned pixels of a tile, apart from rounding to the stride.
        fields: Receptive fields of the layers that are evaluated, by name.
        stride: Multiple of pixels at which tiles and crops start.
    """

    tile_px: int
    fields: Mapping[str, Field] = field(default_factory=dict)
    stride: int = PIXEL_REACH

    @classmethod
    def of(cls, backbone: Backbone, layers: Sequence[str], tile_px: int) -> Tiling | None:
        """Returns the tiling for layers of a backbone; None if the backbone cannot be evaluated in tiles."""
        fields = receptive_fields(backbone, layers)
        if fields is None:
            return None
        strides = [field.stride for field in fields.values()]
        return cls(tile_px, fields, max([PIXEL_REACH, *strides]))

    def only(self, layers: Sequence[str]) -> Tiling:
        """Returns a tiling with the same owned pixels whose halo is as wide as the given layers need."""
        return Tiling(self.tile_px, {layer: self.fields[layer] for layer in layers}, self.stride)

    @property
    def halo(self) -> tuple[int, int]:
        """Pixels that a crop extends before and after the owned pixels, before alignment to the stride."""
        before = [field.before for field in self.fields.values()]
        after = [field.after + 1 - field.stride for field in self.fields.values()]
        return max([PIXEL_REACH, *before]), max([PIXEL_REACH, *after])

    def crop_px(self, length_px: int) -> int:
        """Returns the longest side of the crops along an axis of the given length."""
        return max(span.stop - span.start for span in self.spans(length_px))

    def spans(self, length_px: int) -> list[Span]:
        """Divides an axis."""
        stride, (before, after) = self.stride, self.halo
        count = max(1, -(-length_px // self.tile_px))
        bounds = {round(n * length_px / count / stride) * stride for n in range(count)}
        ends = sorted({*bounds, length_px})
        return [
            Span(
                first,
                last,
                max(0, (first - before) // stride * stride),
                min(length_px, last + after),
                length_px,
            )
            for first, last in itertools.pairwise(ends)
        ]

    def tiles(self, size: tuple[int, int]) -> list[Tile]:
        """Divides an image of the given height and width, row by row."""
        columns = self.spans(size[1])
        return [Tile(row, column, self.fields) for row in self.spans(size[0]) for column in columns]


class Parts:
    """The feature maps of an image, part by part: all at once without a tiling, or computed for one tile at a time.

    Args:
        backbone: Feature extractor.
        image: ``(1, 3, H, W)``.
        layers: Layers to compute.
        tiling: How to divide the image; None to evaluate it whole, once.
        autocast: Whether to run the backbone in bfloat16.
    """

    def __init__(
        self,
        backbone: Backbone,
        image: Tensor,
        layers: Sequence[str],
        tiling: Tiling | None,
        *,
        autocast: bool = False,
    ) -> None:
        self._backbone, self._image, self._autocast = backbone, image, autocast
        self._layers = layers
        self._tiling = None if tiling is None else tiling.only(layers)
        self._whole: dict[str, Tensor] | None = None

    @torch.no_grad()
    def __iter__(self) -> Iterator[tuple[Features, Part]]:
        """Yields the features that each part owns, and the part."""
        if self._tiling is None:
            if self._whole is None:
                self._whole = see(
                    self._backbone, self._image, self._layers, autocast=self._autocast
                )
            yield self._whole, WHOLE
            return
        for tile in self._tiling.tiles((self._image.shape[-2], self._image.shape[-1])):
            yield self._seen(tile), tile

    def _seen(self, tile: Tile) -> dict[str, Tensor]:
        image = self._image[(..., *tile.crop)]
        return tile.features(see(self._backbone, image, self._layers, autocast=self._autocast))

    def joined(self) -> dict[str, Tensor]:
        """Returns the feature maps of the whole image, ``(1, C, h, w)`` by layer."""
        maps: dict[str, Tensor] = {}
        for features, part in self:
            for layer, value in features.items():
                if isinstance(part, Whole):
                    maps[layer] = value
                    continue
                if layer not in maps:
                    shape = (*value.shape[:2], *part.grid(layer, value))
                    maps[layer] = value.new_empty(shape).contiguous(
                        memory_format=torch.channels_last
                    )
                part.of(layer, maps[layer]).copy_(value)
        return maps
