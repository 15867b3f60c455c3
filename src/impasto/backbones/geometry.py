"""Receptive fields: which pixels a position of a layer depends on, derived from the layers of a backbone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

from impasto.backbones.layers import resolve_layer

__all__ = ["Field", "Window", "Windowed", "receptive_fields"]


class Window(NamedTuple):
    """A convolution or a pooling, with equal sides: everything that moves the receptive field.

    Attributes:
        kernel: Side in positions of its input.
        stride: Distance of two outputs in positions of its input.
        padding: Positions added on each side of its input.
        dilation: Distance of two taps in positions of its input.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def span(self) -> int:
        """Distance of the first and the last tap in positions of the input."""
        return self.dilation * (self.kernel - 1)


@runtime_checkable
class Windowed(Protocol):
    """A backbone that can be evaluated in tiles: every value depends only on the pixels near it."""

    def windows(self) -> Mapping[str, Sequence[Window]]:
        """Returns, for each layer in order, its windows since the previous layer."""
        ...


@dataclass(frozen=True)
class Field:
    """The receptive field of a layer.

    Position ``n`` depends on the pixels from ``n * stride - before`` to ``n * stride + after``, inclusive. Padding at
    the border repeats or mirrors pixels of this range, or adds constants.

    Attributes:
        windows: All windows from the image to the layer.
    """

    windows: tuple[Window, ...]

    @cached_property
    def stride(self) -> int:
        """Distance of two positions in pixels."""
        return math.prod(window.stride for window in self.windows)

    def _strides(self) -> Iterator[tuple[Window, int]]:
        """Yields each window with the distance of two of its inputs in pixels."""
        stride = 1
        for window in self.windows:
            yield window, stride
            stride *= window.stride

    @cached_property
    def before(self) -> int:
        """Reach to the left and upward in pixels."""
        return sum(window.padding * stride for window, stride in self._strides())

    @cached_property
    def after(self) -> int:
        """Reach to the right and downward in pixels."""
        return sum((window.span - window.padding) * stride for window, stride in self._strides())

    def positions(self, length_px: int) -> int:
        """Returns the number of positions along a side of the given length."""
        for window in self.windows:
            length_px = (length_px + 2 * window.padding - window.span - 1) // window.stride + 1
        return length_px


def receptive_fields(backbone: object, layers: Sequence[str]) -> dict[str, Field] | None:
    """Derives the receptive fields of layers from kernels, strides, dilations and paddings.

    Args:
        backbone: Feature extractor.
        layers: Canonical names or aliases.

    Returns:
        Receptive fields by the names they were requested by; None if a value of the backbone depends on the whole
        image, so that it cannot be evaluated in tiles.

    Raises:
        UnknownNameError: A layer does not exist.
    """
    if not isinstance(backbone, Windowed):
        return None
    fields: dict[str, Field] = {}
    passed: tuple[Window, ...] = ()
    for layer, windows in backbone.windows().items():
        passed += tuple(windows)
        fields[layer] = Field(passed)
    return {asked: fields[resolve_layer(asked, tuple(fields))] for asked in layers}
