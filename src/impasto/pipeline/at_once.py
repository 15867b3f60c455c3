"""Feed-forward stylization: kinds of trained networks, and the stylizer for a look or translator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.config import FeedForwardOptions, PaintOptions
from impasto.errors import UsageError
from impasto.looks import feed_forward_look, graph_look, load_look, on_runtime, read_graph
from impasto.translate import (
    feed_forward_translator,
    graph_of_translator,
    is_translator,
    load_translator,
)
from impasto.types import FeedForward, Stylizer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NETWORK_KINDS", "is_network", "look_of", "look_painter"]


@dataclass(frozen=True, kw_only=True)
class NetworkKind:
    """A kind of trained network.

    Attributes:
        suffixes: Extensions of its files, which tell them from style images.
        recognizes: Whether a file, or the name of an included network, is of this kind.
        load: Loads it in the runtime that the options name.
    """

    suffixes: tuple[str, ...]
    recognizes: Callable[[Path], bool]
    load: Callable[[Path, FeedForwardOptions], FeedForward]


def _graph(path: Path, options: FeedForwardOptions) -> FeedForward:
    return feed_forward_look(read_graph(path, options.runtime))


def _translator(path: Path, options: FeedForwardOptions) -> FeedForward:
    translator = load_translator(path)
    if options.runtime == "torch":
        return feed_forward_translator(translator)
    graph = graph_of_translator(translator, options.direction)
    return feed_forward_look(graph_look(graph, options.runtime, str(path)))


def _look(path: Path, options: FeedForwardOptions) -> FeedForward:
    look = load_look(path)
    return feed_forward_look(look if look.instant else on_runtime(look, options.runtime))


NETWORK_KINDS: Mapping[str, NetworkKind] = {
    "graph": NetworkKind(
        suffixes=(".onnx",), recognizes=lambda path: path.suffix == ".onnx", load=_graph
    ),
    "translator": NetworkKind(
        suffixes=(".translator", ".pth"), recognizes=is_translator, load=_translator
    ),
    "look": NetworkKind(
        suffixes=(".look", ".pth", ".pt", ".model"), recognizes=lambda _path: True, load=_look
    ),
}
"""The kinds that `--look` accepts, in the order in which they are tried; the last one takes every other file. To add a
kind, add its entry here."""


def is_network(path: Path) -> bool:
    """Whether a file is a trained network rather than a style image, by its extension."""
    return any(path.suffix in kind.suffixes for kind in NETWORK_KINDS.values())


def look_of(options: FeedForwardOptions) -> FeedForward:
    """Loads the network specified by the options: a file, or the name of an included one.

    Raises:
        UsageError: No look was given.
        MissingFileError, WeightsError: The look cannot be read.
    """
    path = options.look
    if path is None:
        raise UsageError("no look was given; pass one with --look.")
    kind = next(kind for kind in NETWORK_KINDS.values() if kind.recognizes(path))
    return kind.load(path, options)


def look_painter(
    options: PaintOptions, styles: Sequence[Tensor] = (), look: FeedForward | None = None
) -> Stylizer:
    """Creates the stylizer specified by the options.

    Args:
        options: Uses the look, strength, blend, stroke size, direction, device and runtime.
        styles: ``(1, 3, h, w)`` each; empty for a look with a built-in style.
        look: A look that is already loaded.

    Raises:
        UsageError: The look and the styles are incompatible.
    """
    look = look or look_of(options.feedforward)
    if look.takes_styles and not styles:
        raise UsageError(f"the look {options.look} requires a style image; pass at least one.")
    if styles and not look.takes_styles and options.paints_at_once:
        raise UsageError(
            f"the look {options.look} has a built-in style; remove the style image or use --look instant."
        )
    return look.stylizer(styles, options)
