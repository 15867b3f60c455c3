"""A look as an ONNX graph, and graphs as looks."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from impasto.errors import MissingFileError, UsageError
from impasto.looks.file import Look
from impasto.looks.instant import Instant, Manner
from impasto.looks.networks import FOLD, Painter
from impasto.looks.transport import Gaussian, inverse_root
from impasto.losses.wasserstein import sqrtm
from impasto.media import color_moments
from impasto.runtimes import (
    MULTIPLE,
    Graph,
    Runtime,
    graph_of_network,
    read_model,
    refuse_bfloat16,
)

__all__ = ["WholeLook", "graph_look", "graph_of", "on_runtime", "read_graph"]

COLOR_ITERATIONS = 24
"""A photograph of hardly any color has variances that are 1e4 apart, and their products with a style's 1e8."""


class WholeLook(nn.Module):
    """All that a look does, ``(1, 3, H, W)`` in ``[0, 1]`` to the same; what is constant is a buffer.

    Args:
        look: With its manner, where it is of the instant kind.
        recolors: Whether it gives the picture the style's colors itself.

    Raises:
        UsageError: The look has no style.
    """

    def __init__(self, look: Look, *, recolors: bool = True) -> None:
        super().__init__()
        if look.takes_styles:
            raise UsageError("instant paints in any style; give the one to export with --style.")
        self.network, self._levels = look.painter, 0
        self._recolors = recolors and look.colors is not None
        if look.code is not None:
            self.register_buffer("style_code", look.code)
        if look.colors is not None:
            root = sqrtm(look.colors[..., 1:].double())
            self.register_buffer("color_mean", look.colors[..., :1].clone())
            self.register_buffer("color_root", root.float())
        if look.manner is not None:
            self._levels = len(look.manner.levels)
            for number, level in enumerate(look.manner.levels):
                self.register_buffer(f"mean{number}", level.mean)
                self.register_buffer(f"root{number}", level.root)

    @property
    def inverts(self) -> bool:
        """Whether it inverts matrices of the photograph's statistics."""
        return self._levels > 0 or self._recolors

    def _level(self, number: int) -> Gaussian:
        return Gaussian(getattr(self, f"mean{number}"), getattr(self, f"root{number}"))

    def recolored(self, image: Tensor) -> Tensor:
        """The picture in the style's colors, as `LookPainter` gives them, by matrix products alone."""
        goal, root = self.get_buffer("color_mean"), self.get_buffer("color_root")
        mean, covariance = color_moments(image)
        matrix = root @ inverse_root(root @ covariance @ root, COLOR_ITERATIONS) @ root
        return (matrix @ image.flatten(2) + (goal - matrix @ mean)).view_as(image)

    def forward(self, image: Tensor) -> Tensor:
        """``(1, 3, H, W)`` in ``[0, 1]`` to the pastiche."""
        if self._levels:
            manner = Manner(tuple(self._level(number) for number in range(self._levels)))
            return self.network(image, [manner]).clamp(0, 1)
        if not isinstance(self.network, Painter):
            return (self.network(255 * image) / 255).clamp(0, 1)
        if self._recolors:
            image = self.recolored(image).clamp(0, 1)
        return self.network(image, self.style_code).clamp(0, 1)


def graph_of(look: Look, *, recolors: bool = True) -> bytes:
    """A look as an ONNX model: ``image`` to ``pastiche``, ``(1, 3, H, W)`` in ``[0, 1]``, sides multiples of 8.

    Args:
        look: An instant look must have a manner.
        recolors: Whether the graph gives the picture the style's colors; else it has to have them.

    Raises:
        UsageError: The look has no style, or the extra ``fast`` is not installed.
    """
    multiple = MULTIPLE if isinstance(look.painter, Instant) else FOLD
    whole = WholeLook(look, recolors=recolors)
    marks = {"recolors": recolors, "needs_float32": whole.inverts, "about": dict(look.about)}
    return graph_of_network(whole, marks, multiple)


def on_runtime(look: Look, runtime: Runtime) -> Look:
    """The same look with its network in another runtime.

    Args:
        look: With a style of its own.
        runtime: ``torch`` leaves it as it is.

    Raises:
        UsageError: The extra ``fast`` is not installed, or the look needs float32 and the runtime has less.
    """
    if runtime == "torch":
        return look
    if look.manner is not None:
        refuse_bfloat16(runtime)
    network = Graph(graph_of(look, recolors=False), runtime, _white(look))
    return Look(network, look.code, look.colors, look.about)


def _white(look: Look) -> float:
    """Networks without colors of their own are called with 0 to 255; see `LookPainter`."""
    return 255.0 if look.colors is None and look.manner is None else 1.0


def read_graph(path: Path, runtime: Runtime = "onnx") -> Look:
    """An exported look or translator, for painting.

    Raises:
        MissingFileError: There is no such file.
        WeightsError: The file is no model.
    """
    if not path.exists():
        raise MissingFileError(f"there is no look {path}; make one with impasto export.")
    return graph_look(read_model(path), runtime, path.name)


def graph_look(graph: bytes, runtime: Runtime, source: str) -> Look:
    """A graph that does all of its own, for painting; in ONNX Runtime where torch is asked for, which runs none.

    Args:
        graph: The model.
        runtime: Which.
        source: Where it comes from.
    """
    network = Graph(graph, "onnx" if runtime == "torch" else runtime, 255.0, source)
    return Look(network, about={"source": source})
