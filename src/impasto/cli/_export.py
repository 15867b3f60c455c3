"""`impasto export`: a look or a translator for other runtimes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from impasto.errors import DivergedError, UsageError
from impasto.text import printable

if TYPE_CHECKING:
    from torch import nn

__all__ = ["export"]

AGREES = 1e-3
"""Largest difference of a channel, of 1, between the graph and torch."""

MOST_SIZE_PX = 32768

CHECKED_PX = (96, 136)


def export(
    look: Annotated[
        Path,
        Parameter(
            help="A .look, a checkpoint of fast_neural_style, instant with --style, or a translator."
        ),
    ],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Model to write: my.onnx.")],
    to: Annotated[Literal["onnx"], Parameter(help="Format.")] = "onnx",
    style: Annotated[
        Path | None, Parameter(help="Painting, for a look that takes any style.")
    ] = None,
    size: Annotated[
        int,
        Parameter(
            help="Long edge of the pictures it is for, which decides how large the style is seen."
        ),
    ] = 512,
    direction: Annotated[
        Literal["ab", "ba"] | None,
        Parameter(help="Of a translator: from world A to B, which is the default, or back."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace a file that impasto did not make.")] = False,
) -> int:
    """Write LOOK as an ONNX model for pictures of any size.

    Its input `image` and output `pastiche` are RGB, (1, 3, H, W) from 0 to 1; H and W are multiples of 8, and at least
    32; of a unet of eight levels, multiples of 256. It is compared with torch before it is kept, and --look my.onnx
    paints with it.
    """
    import torch

    from impasto.media import check_outputs, check_place
    from impasto.runtimes import largest_difference, write_graph
    from impasto.translate import is_translator

    if not 16 <= size <= MOST_SIZE_PX:
        raise UsageError(f"--size got {size}; allowed is from 16 to {MOST_SIZE_PX}.")
    if out.suffix != f".{to}":
        raise UsageError(f"a model is written to a .{to}, not to {out.name}; change --out.")
    check_place(out, "model")
    check_outputs([out], [look, style], overwrite=overwrite)
    if is_translator(look):
        if style is not None:
            raise UsageError("a translator has no style; leave --style away.")
        network, graph, multiple = _translator(look, direction or "ab")
    else:
        if direction is not None:
            raise UsageError("a look has no direction; leave --direction away.")
        network, graph, multiple = _look(look, style, size)
    sides = (multiple * max(2, -(-side // multiple)) for side in CHECKED_PX)
    image = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(0))
    apart = largest_difference(network, graph, image)
    if not apart <= AGREES:
        raise DivergedError(
            f"the model differs from torch by {apart:.2g}; allowed is {AGREES:g}. It was not written."
        )
    write_graph(out, graph)
    print(printable(f"exported {out} ({len(graph) / 1e6:.1f} MB, at most {apart:.1g} from torch)"))
    return 0


def _translator(path: Path, direction: str) -> tuple[nn.Module, bytes, int]:
    """Its network, the graph of it, and what its sides are multiples of."""
    from impasto.translate import WholeTranslator, graph_of_translator, load_translator

    found = load_translator(path)
    multiple = found.generator(direction).shape.multiple
    whole = WholeTranslator(found, direction)
    _say_it_takes_time()
    return whole, graph_of_translator(found, direction), multiple


def _look(path: Path, style: Path | None, size: int) -> tuple[nn.Module, bytes, int]:
    from impasto.config import options
    from impasto.looks import AnyStylePainter, Look, WholeLook, graph_of, load_look
    from impasto.media import read_image
    from impasto.pipeline import look_painter
    from impasto.runtimes import MULTIPLE

    found = load_look(path)
    if style is not None and not found.takes_styles:
        raise UsageError(f"the look {path} has a style of its own; leave --style away.")
    if found.takes_styles and style is not None:
        painter = look_painter(options(look=path), [read_image(style).to_tensor()], found)
        assert isinstance(painter, AnyStylePainter)
        manner = painter.manners((size, size))[0]
        about = {**found.about, "style": style.name}
        found = Look(found.painter, about=about, manner=manner)
    whole = WholeLook(found)
    _say_it_takes_time()
    return whole, graph_of(found), MULTIPLE


def _say_it_takes_time() -> None:
    print("making the model, which takes up to half a minute", file=sys.stderr)
