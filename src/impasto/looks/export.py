"""Export of looks to ONNX, and use of ONNX models as looks."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from impasto.errors import MissingFileError, UsageError
from impasto.looks.file import Look
from impasto.looks.instant import Manner
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
"""An almost colorless photograph has variances that differ by a factor of 1e4, or 1e8 in products with a style's."""


class WholeLook(nn.Module):
    """A complete look as one module, ``(1, 3, H, W)`` in ``[0, 1]`` to the same; constants are buffers.

    Args:
        look: The look; one of the instant kind must have its own style.
        recolors: Whether the module transfers the style's colors to the image itself.

    Raises:
        UsageError: The look has no style of its own.
    """

    def __init__(self, look: Look, *, recolors: bool = True) -> None:
        super().__init__()
        if look.takes_styles:
            raise UsageError(
                "instant has no style of its own; pass the style to export with --style."
            )
        self.network, self._levels = look.painter, 0
        self._recolors, self._coded = recolors and look.colors is not None, look.code is not None
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
        """Whether the module inverts covariance matrices of the photograph."""
        return self._levels > 0 or self._recolors

    def _level(self, number: int) -> Gaussian:
        return Gaussian(getattr(self, f"mean{number}"), getattr(self, f"root{number}"))

    def recolored(self, image: Tensor) -> Tensor:
        """Transfers the style's colors to an image like `LookPainter`, using only matrix products."""
        goal, root = self.get_buffer("color_mean"), self.get_buffer("color_root")
        mean, covariance = color_moments(image)
        matrix = root @ inverse_root(root @ covariance @ root, COLOR_ITERATIONS) @ root
        return (matrix @ image.flatten(2) + (goal - matrix @ mean)).view_as(image)

    def forward(self, image: Tensor) -> Tensor:
        """Returns the pastiche of an image ``(1, 3, H, W)`` in ``[0, 1]``."""
        if self._levels:
            manner = Manner(tuple(self._level(number) for number in range(self._levels)))
            return self.network(image, [manner]).clamp(0, 1)
        if not self._coded:
            return (self.network(255 * image) / 255).clamp(0, 1)
        if self._recolors:
            image = self.recolored(image).clamp(0, 1)
        return self.network(image, self.style_code).clamp(0, 1)


def graph_of(look: Look, *, recolors: bool = True) -> bytes:
    """Exports a look as an ONNX model from ``image`` to ``pastiche``, ``(1, 3, H, W)`` in ``[0, 1]``.

    The sides must be multiples of 8, or of 4 if the look is not of the instant kind.

    Args:
        look: The look; one of the instant kind must have its own style.
        recolors: Whether the model transfers the style's colors itself; otherwise its input must already have them.

    Raises:
        UsageError: The look has no style of its own, or the extra ``fast`` is not installed.
    """
    multiple = look.multiple if look.instant is None else MULTIPLE
    whole = WholeLook(look, recolors=recolors)
    marks = {"recolors": recolors, "needs_float32": whole.inverts, "about": dict(look.about)}
    return graph_of_network(whole, marks, multiple)


def on_runtime(look: Look, runtime: Runtime) -> Look:
    """Returns the same look with its network in another runtime.

    Args:
        look: A look with its own style.
        runtime: Runtime; ``torch`` returns the look unchanged.

    Raises:
        UsageError: The extra ``fast`` is not installed, or the look needs float32 and the runtime uses bfloat16.
    """
    if runtime == "torch":
        return look
    if look.manner is not None:
        refuse_bfloat16(runtime)
    network = Graph(graph_of(look, recolors=False), runtime, _white(look))
    return Look(network, look.code, look.colors, look.about, multiple=1)


def _white(look: Look) -> float:
    """Returns the value of white for the network: without its own colors it takes 0 to 255; see `LookPainter`."""
    return 255.0 if look.colors is None and look.manner is None else 1.0


def read_graph(path: Path, runtime: Runtime = "onnx") -> Look:
    """Loads an exported look or translator from an ONNX file.

    Raises:
        MissingFileError: The file does not exist.
        WeightsError: The file is not a valid model.
    """
    if not path.exists():
        raise MissingFileError(f"the model {path} does not exist; make one with impasto export.")
    return graph_look(read_model(path), runtime, path.name)


def graph_look(graph: bytes, runtime: Runtime, source: str) -> Look:
    """Wraps an exported model as a look.

    Args:
        graph: The ONNX model.
        runtime: Runtime; ``torch`` cannot run ONNX models and is replaced by ONNX Runtime.
        source: Name of the file.
    """
    network = Graph(graph, "onnx" if runtime == "torch" else runtime, 255.0, source)
    return Look(network, about={"source": source}, multiple=1)
