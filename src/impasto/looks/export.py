"""A look as an ONNX graph of any picture size, and ONNX graphs as looks."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from impasto.errors import MissingFileError, UsageError, WeightsError
from impasto.looks.file import Look
from impasto.looks.instant import Instant, Manner
from impasto.looks.networks import FOLD, Painter, pad_to
from impasto.looks.transport import Gaussian, transport
from impasto.losses.wasserstein import sqrtm
from impasto.media import replacing

__all__ = [
    "MULTIPLE",
    "Runtime",
    "graph_of",
    "largest_difference",
    "on_runtime",
    "read_graph",
    "write_graph",
]

Runtime = Literal["torch", "onnx", "openvino"]

MULTIPLE = 8
"""Pictures whose sides are multiples of this, and 32 at least, suit every graph."""

KEY = "impasto-look"
LEAST_PX, LARGEST_PX = 4 * MULTIPLE, 32768
EXAMPLE_PX = (128, 160)


class _Whole(nn.Module):
    """All that a look does, ``(1, 3, H, W)`` in ``[0, 1]`` to the same; what is constant is a buffer.

    Args:
        look: With its manner, where it is of the instant kind.
        recolors: Whether it gives the picture the style's colours itself.
    """

    def __init__(self, look: Look, *, recolors: bool) -> None:
        super().__init__()
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

    def _level(self, number: int) -> Gaussian:
        return Gaussian(getattr(self, f"mean{number}"), getattr(self, f"root{number}"))

    def forward(self, image: Tensor) -> Tensor:
        if self._levels:
            manner = Manner(tuple(self._level(number) for number in range(self._levels)))
            return self.network(image, [manner]).clamp(0, 1)
        if not isinstance(self.network, Painter):
            return (self.network(255 * image) / 255).clamp(0, 1)
        if self._recolors:
            image = transport(image, Gaussian(self.color_mean, self.color_root)).clamp(0, 1)  # type: ignore[arg-type]
        return self.network(image, self.style_code).clamp(0, 1)


def graph_of(look: Look, *, recolors: bool = True) -> bytes:
    """A look as an ONNX model: ``image`` to ``pastiche``, ``(1, 3, H, W)`` in ``[0, 1]``, sides multiples of 8.

    Args:
        look: An instant look must have a manner.
        recolors: Whether the graph gives the picture the style's colours; else it has to have them.

    Raises:
        UsageError: The look has no style, or the extra ``fast`` is not installed.
    """
    if look.takes_styles:
        raise UsageError("instant paints in any style; give the one to export with --style.")
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise _missing("onnxscript") from error
    whole = _Whole(look, recolors=recolors).eval().requires_grad_(requires_grad=False)
    multiple = _multiple(look)
    down, right = (torch.export.Dim(name, min=4, max=LARGEST_PX // MULTIPLE) for name in ("h", "w"))
    with _quiet():
        program = torch.onnx.export(
            whole, (torch.rand(1, 3, *EXAMPLE_PX),), input_names=["image"], output_names=["pastiche"],
            dynamic_shapes={"image": {2: multiple * down, 3: multiple * right}}, dynamo=True,
            verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps({"recolors": recolors, "about": dict(look.about)})
    return model.SerializeToString()


@torch.no_grad()
def largest_difference(look: Look, graph: bytes, image: Tensor) -> float:
    """Between a graph under ONNX Runtime and torch, of 1.

    Args:
        look: With a style.
        graph: Of that look, recolouring itself.
        image: ``(1, 3, H, W)`` in ``[0, 1]``, sides multiples of 8.
    """
    wanted = _Whole(look, recolors=True).eval()(image)
    return float((_Session(graph, "onnx")(image) - wanted).abs().max())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of networks that are not ours."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def write_graph(path: Path, graph: bytes) -> None:
    """Writes a model; moved into place when whole.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(graph)


class _Session(nn.Module):
    """A graph in another runtime, called like the network that it was.

    Args:
        graph: From `graph_of`.
        runtime: Which.
        white: What the network's caller takes white for; that of the graph is 1.
        multiple: Of which the sides of its pictures have to be.
    """

    def __init__(
        self, graph: bytes, runtime: Runtime, white: float = 1.0, multiple: int = MULTIPLE
    ) -> None:
        super().__init__()
        self._white, self._multiple = white, multiple
        self._run: Callable[[Any], Any] = {"onnx": _onnx, "openvino": _openvino}[runtime](graph)

    def forward(self, image: Tensor, *_style: object) -> Tensor:
        height, width = image.shape[-2:]
        padded = pad_to(image / self._white, self._multiple, least=LEAST_PX)
        found = torch.from_numpy(self._run(padded.float().contiguous().numpy()).copy())
        return self._white * found[..., :height, :width]


def _onnx(graph: bytes) -> Callable[[Any], Any]:
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnxruntime") from error
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError("the file is no ONNX model that ONNX Runtime can run.") from error
    return lambda image: session.run(["pastiche"], {"image": image})[0]


def _openvino(graph: bytes) -> Callable[[Any], Any]:
    try:
        import openvino
    except ImportError as error:
        raise _missing("openvino") from error
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(graph), "CPU",
        {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()},
    )  # fmt: skip
    return lambda image: compiled([image])[0]


def on_runtime(look: Look, runtime: Runtime) -> Look:
    """The same look with its network in another runtime.

    Args:
        look: With a style of its own.
        runtime: ``torch`` leaves it as it is.

    Raises:
        UsageError: The extra ``fast`` is not installed.
    """
    if runtime == "torch":
        return look
    session = _Session(graph_of(look, recolors=False), runtime, _white(look), _multiple(look))
    return Look(session, look.code, look.colors, look.about)


def _multiple(look: Look) -> int:
    return MULTIPLE if isinstance(look.painter, Instant) else FOLD


def _white(look: Look) -> float:
    """Networks without colours of their own are called with 0 to 255; see `LookPainter`."""
    return 255.0 if look.colors is None and look.manner is None else 1.0


def read_graph(path: Path, runtime: Runtime = "onnx") -> Look:
    """An exported look, for painting.

    Raises:
        MissingFileError: There is no such file.
        WeightsError: The file is no look.
    """
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise MissingFileError(f"there is no look {path}; make one with impasto export.") from error
    session = _Session(graph, "onnx" if runtime == "torch" else runtime, 255.0)
    return Look(session, about={"source": path.name})


def _missing(name: str) -> UsageError:
    return UsageError(f"this needs {name}; install it with pip install 'impasto[fast]'.")
