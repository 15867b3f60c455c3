"""`impasto export`: a look for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.errors import DivergedError, UsageError

__all__ = ["export"]

AGREES = 1e-3
"""Largest difference of a channel, of 1, between the graph and torch."""

CHECKED_PX = (96, 136)


def export(
    look: Annotated[
        Path, Parameter(help="A .look, a checkpoint of fast_neural_style, or instant with --style.")
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
) -> int:
    """Write LOOK as an ONNX model for pictures of any size.

    Its input `image` and output `pastiche` are RGB, (1, 3, H, W) from 0 to 1; H and W are multiples of 8, and at least
    32. It is compared with torch before it is kept. --look my.onnx paints with it.
    """
    import torch

    from impasto.config import options
    from impasto.looks import AnyStylePainter, Look, graph_of, load_look, write_graph
    from impasto.looks.export import largest_difference
    from impasto.media import read_image
    from impasto.pipeline import look_painter

    if out.suffix != f".{to}":
        raise UsageError(f"a model is written to a .{to}, not to {out.name}; change --out.")
    found = load_look(look)
    if style is not None and not found.takes_styles:
        raise UsageError(f"the look {look} has a style of its own; leave --style away.")
    if found.takes_styles and style is not None:
        painter = look_painter(options(look=look), [read_image(style).to_tensor()], found)
        assert isinstance(painter, AnyStylePainter)
        manner = painter.manners((size, size))[0]
        about = {**found.about, "style": style.name}
        found = Look(found.painter, about=about, manner=manner)
    graph = graph_of(found)
    image = torch.rand(1, 3, *CHECKED_PX, generator=torch.Generator().manual_seed(0))
    apart = largest_difference(found, graph, image)
    if not apart <= AGREES:
        raise DivergedError(
            f"the model differs from torch by {apart:.2g}; allowed is {AGREES:g}. It was not written."
        )
    write_graph(out, graph)
    print(f"exported {out} ({len(graph) / 1e6:.1f} MB, at most {apart:.1g} from torch)")
    return 0
