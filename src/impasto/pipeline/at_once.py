"""Feed-forward stylization: creates the stylizer for a look or translator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impasto.config import PaintOptions
from impasto.errors import UsageError
from impasto.looks import (
    AnyStylePainter,
    Instant,
    Look,
    LookPainter,
    graph_look,
    load_look,
    on_runtime,
    read_graph,
)
from impasto.translate import (
    Translator,
    TranslatorPainter,
    graph_of_translator,
    is_translator,
    load_translator,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Painter", "look_of", "look_painter"]

Painter = LookPainter | AnyStylePainter | TranslatorPainter


def look_of(options: PaintOptions) -> Look | Translator:
    """Loads the look specified by the options: a file, ``instant``, an exported graph, or a translator.

    Raises:
        UsageError: No look was given.
        MissingFileError, WeightsError: The look cannot be read.
    """
    if options.look is None:
        raise UsageError("no look was given; pass one with --look.")
    if options.look.suffix == ".onnx":
        return read_graph(options.look, options.runtime)
    if is_translator(options.look):
        return load_translator(options.look)
    look = load_look(options.look)
    return look if isinstance(look.painter, Instant) else on_runtime(look, options.runtime)


def look_painter(
    options: PaintOptions, styles: Sequence[Tensor] = (), look: Look | Translator | None = None
) -> Painter:
    """Creates the stylizer specified by the options.

    Args:
        options: Uses the look, strength, blend, stroke size, direction, device and runtime.
        styles: ``(1, 3, h, w)`` each; empty for a look with a built-in style.
        look: A look that is already loaded.

    Raises:
        UsageError: The look and the styles are incompatible.
    """
    look = look or look_of(options)
    if look.takes_styles and not styles:
        raise UsageError(f"the look {options.look} requires a style image; pass at least one.")
    if styles and not look.takes_styles and options.paints_at_once:
        raise UsageError(
            f"the look {options.look} has a built-in style; remove the style image or use --look instant."
        )
    if isinstance(look, Translator):
        direction = options.direction
        if options.runtime == "torch":
            return TranslatorPainter(look, direction, options.strength, device=options.device)
        graph = graph_of_translator(look, direction)
        look = graph_look(graph, options.runtime, str(options.look))
    if not isinstance(look.painter, Instant):
        return LookPainter(look, options.strength, device=options.device)
    return AnyStylePainter(
        look.painter, styles, manner=look.manner, strength=options.strength, blend=options.blend,
        style_scale=options.style_scale, device=options.device, runtime=options.runtime,
    )  # fmt: skip
