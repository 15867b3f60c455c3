"""`impasto export`: convert a look or a translator for other runtimes."""

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
"""Maximum difference between the exported graph and torch (image range 0 to 1)."""

MOST_SIZE_PX = 32768

CHECKED_PX = (96, 136)


def export(
    look: Annotated[
        Path,
        Parameter(
            help="A .look, a fast_neural_style checkpoint, instant (with --style), or a translator."
        ),
    ],
    /,
    *,
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="Model file to write, such as my.onnx.")
    ],
    to: Annotated[Literal["onnx"], Parameter(help="Output format.")] = "onnx",
    style: Annotated[
        Path | None, Parameter(help="Style image, for a look that accepts any style.")
    ] = None,
    size: Annotated[
        int,
        Parameter(
            help="Long edge of the intended input images in pixels, which sets the scale of the style."
        ),
    ] = 512,
    direction: Annotated[
        Literal["ab", "ba"] | None,
        Parameter(
            help="Direction of a translator: from domain A to B (the default), or from B to A."
        ),
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace a file that impasto did not write.")
    ] = False,
) -> int:
    """Export LOOK as an ONNX model for images of any size.

    The input `image` and the output `pastiche` are RGB, (1, 3, H, W), from 0 to 1. H and W must be multiples of 8 and
    at least 32; for a unet with eight levels, multiples of 256. The output of the model is compared with that of
    PyTorch before the model is written. Use it with --look my.onnx.
    """
    import torch

    from impasto.media import check_outputs, check_place
    from impasto.runtimes import largest_difference, write_graph
    from impasto.translate import is_translator

    if not 16 <= size <= MOST_SIZE_PX:
        raise UsageError(f"--size must be between 16 and {MOST_SIZE_PX}; got {size}.")
    if out.suffix != f".{to}":
        raise UsageError(f"--out must be a .{to} file; got {out.name}.")
    check_place(out, "model")
    check_outputs([out], [look, style], overwrite=overwrite)
    if is_translator(look):
        if style is not None:
            raise UsageError("--style cannot be used with a translator; remove it.")
        network, graph, multiple = _translator(look, direction or "ab")
    else:
        if direction is not None:
            raise UsageError("--direction can only be used with a translator; remove it.")
        network, graph, multiple = _look(look, style, size)
    sides = (multiple * max(2, -(-side // multiple)) for side in CHECKED_PX)
    image = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(0))
    apart = largest_difference(network, graph, image)
    if not apart <= AGREES:
        raise DivergedError(
            f"the model was not written because it differs from torch by {apart:.2g}; the limit is {AGREES:g}."
        )
    write_graph(out, graph)
    print(
        printable(
            f"exported {out} ({len(graph) / 1e6:.1f} MB, maximum difference from torch {apart:.1g})"
        )
    )
    return 0


def _translator(path: Path, direction: str) -> tuple[nn.Module, bytes, int]:
    """Returns the network, its graph, and the number that image sides must be multiples of."""
    from impasto.translate import WholeTranslator, graph_of_translator, load_translator

    found = load_translator(path)
    multiple = found.generator(direction).shape.multiple
    whole = WholeTranslator(found, direction)
    _print_notice()
    return whole, graph_of_translator(found, direction), multiple


def _look(path: Path, style: Path | None, size: int) -> tuple[nn.Module, bytes, int]:
    from impasto.looks import WholeLook, graph_of, load_look, with_style
    from impasto.media import read_image
    from impasto.runtimes import MULTIPLE

    found = load_look(path)
    if style is not None and not found.takes_styles:
        raise UsageError(f"the look {path} has a style of its own; remove --style.")
    if found.takes_styles and style is not None:
        found = with_style(found, read_image(style).to_tensor(), size, style.name)
    whole = WholeLook(found)
    _print_notice()
    return whole, graph_of(found), MULTIPLE


def _print_notice() -> None:
    print("exporting the model, which takes up to 30 seconds", file=sys.stderr)
