"""Networks as ONNX graphs of any picture size, and graphs as networks, in ONNX Runtime or OpenVINO."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from impasto.errors import UsageError, WeightsError
from impasto.media import pad_to, replacing

__all__ = [
    "MULTIPLE",
    "Graph",
    "Runtime",
    "graph_of_network",
    "largest_difference",
    "refuse_bfloat16",
    "write_graph",
]

Runtime = Literal["torch", "onnx", "openvino", "openvino-bfloat16"]

MULTIPLE = 8
"""Pictures whose sides are multiples of this, and 32 at least, suit every graph that says nothing else."""

ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
KEY = "impasto-look"
LEAST_PX, LARGEST_PX = 4 * MULTIPLE, 32768
EXAMPLE_PX = (128, 160)


def graph_of_network(
    network: nn.Module, marks: Mapping[str, Any], multiple: int = MULTIPLE
) -> bytes:
    """A network as an ONNX model: ``image`` to ``pastiche``, ``(1, 3, H, W)`` each.

    Args:
        network: Takes one picture.
        marks: What the file says of itself.
        multiple: Of which H and W have to be.

    Raises:
        UsageError: The extra ``fast`` is not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise _missing("onnxscript") from error
    network = network.eval().requires_grad_(requires_grad=False)
    least = max(1, LEAST_PX // multiple)
    down, right = (
        torch.export.Dim(name, min=least, max=LARGEST_PX // multiple) for name in ("h", "w")
    )
    example = [multiple * -(-max(side, 2 * multiple + 1) // multiple) for side in EXAMPLE_PX]
    with _quiet():
        program = torch.onnx.export(
            network, (torch.rand(1, 3, *example),), input_names=["image"], output_names=["pastiche"],
            dynamic_shapes={"image": {2: multiple * down, 3: multiple * right}}, dynamo=True,
            verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps({"multiple": multiple, **marks})
    return model.SerializeToString()


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


@torch.no_grad()
def largest_difference(network: nn.Module, graph: bytes, image: Tensor) -> float:
    """Between a graph under ONNX Runtime and its network in torch, of 1.

    Args:
        network: What the graph was made of.
        graph: From `graph_of_network`.
        image: ``(1, 3, H, W)`` of a size that the network takes.
    """
    return float((Graph(graph, "onnx")(image) - network.eval()(image)).abs().max())


def write_graph(path: Path, graph: bytes) -> None:
    """Writes a model; moved into place when whole.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(graph)


class Graph(nn.Module):
    """A graph in another runtime, called like the network that it was.

    Args:
        graph: From `graph_of_network`.
        runtime: Any but torch.
        white: What the network's caller takes white for; that of the graph is 1.

    Raises:
        UsageError: The extra ``fast`` is not installed.
        UsageError: The graph needs float32 and the runtime has less.
        WeightsError: It is no model.
    """

    def __init__(self, graph: bytes, runtime: Runtime, white: float = 1.0) -> None:
        super().__init__()
        self._white, marks = white, _marks_of(graph)
        if marks.get("needs_float32"):
            refuse_bfloat16(runtime)
        self._multiple = int(marks.get("multiple", MULTIPLE))
        self._mirrored = bool(marks.get("mirrored", False))
        self._run: Callable[[Any], Any] = RUNTIMES[runtime](graph)

    def forward(self, image: Tensor, *_style: object) -> Tensor:
        """``(1, 3, H, W)`` of any size."""
        height, width = image.shape[-2:]
        padded = pad_to(
            image / self._white,
            self._multiple,
            least=max(LEAST_PX, self._multiple),
            mirrored=self._mirrored,
        )
        found = torch.from_numpy(self._run(padded.float().contiguous().numpy()).copy())
        return self._white * found[..., :height, :width]


def refuse_bfloat16(runtime: Runtime) -> None:
    """Refuses bfloat16 for networks that invert matrices of statistics, which comes out as noise in it.

    Raises:
        UsageError: The runtime computes in bfloat16.
    """
    if runtime == "openvino-bfloat16":
        raise UsageError(
            "--runtime openvino-bfloat16 got a look that matches colors or features exactly, which needs float32; "
            "use --runtime openvino."
        )


def _marks_of(graph: bytes) -> dict[str, Any]:
    """What the file says of itself."""
    try:
        import onnx
    except ImportError as error:
        raise _missing("onnx") from error
    try:
        model = onnx.load_from_string(graph)
        entries = {entry.key: entry.value for entry in model.metadata_props}
        marks: dict[str, Any] = json.loads(entries.get(KEY, "{}"))
    except Exception as error:
        raise WeightsError("the file is no ONNX model that ONNX Runtime can run.") from error
    return marks


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


def _openvino(graph: bytes, precision: str = "f32") -> Callable[[Any], Any]:
    try:
        import openvino
    except ImportError as error:
        raise _missing("openvino") from error
    with _all_instructions():
        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(graph), "CPU",
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads(),
             "INFERENCE_PRECISION_HINT": precision},
        )  # fmt: skip
    return lambda image: compiled([image])[0]


@contextlib.contextmanager
def _all_instructions() -> Iterator[None]:
    """Hides the limits meant for torch's oneDNN: OpenVINO reads them too, and then crashes on AVX-512 processors."""
    limits = {name: os.environ.pop(name) for name in ISA_LIMITS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(limits)


def _openvino_bfloat16(graph: bytes) -> Callable[[Any], Any]:
    """Left to itself, OpenVINO computes like this wherever the processor has bfloat16."""
    return _openvino(graph, "bf16")


RUNTIMES: Mapping[str, Callable[[bytes], Callable[[Any], Any]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "openvino-bfloat16": _openvino_bfloat16,
}
"""Name -> what makes a function from picture to picture of a graph, in float32 where the name says nothing else."""


def _missing(name: str) -> UsageError:
    return UsageError(f"this needs {name}; install it with pip install 'impasto[fast]'.")
