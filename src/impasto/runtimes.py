"""Export of networks to ONNX with dynamic image sizes, and inference in ONNX Runtime or OpenVINO."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError, UsageError
from impasto.media import pad_to, replacing
from impasto.weights import Fields, Kind, parse_json, read_file

__all__ = [
    "MULTIPLE",
    "Graph",
    "Runtime",
    "graph_of_network",
    "largest_difference",
    "read_model",
    "refuse_bfloat16",
    "write_graph",
]

Runtime = Literal["torch", "onnx", "openvino", "openvino-bfloat16"]

MULTIPLE = 8
"""Sides of the input are multiples of this and at least 32 px, unless the graph's metadata says otherwise."""

MODEL = Kind("an ONNX model of a look", "pass a model made by impasto export")

MOST_FILE_BYTES = 1 << 30
MOST_MULTIPLE = 2048
MOST_VALUES = 1 << 28
"""Limit for a tensor whose size does not depend on the image size."""

FLOAT32 = 1
"""ONNX code of the data type."""

FATAL = 4
"""ONNX Runtime code of the log severity; errors are raised as exceptions anyway."""

ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
KEY = "impasto-look"
LEAST_PX, LARGEST_PX = 4 * MULTIPLE, 32768
EXAMPLE_PX = (128, 160)


def graph_of_network(
    network: nn.Module, marks: Mapping[str, Any], multiple: int = MULTIPLE
) -> bytes:
    """Exports a network as an ONNX model from ``image`` to ``pastiche``, both ``(1, 3, H, W)``.

    Args:
        network: Network with one image as its input.
        marks: Metadata stored in the model.
        multiple: Number that H and W must be multiples of.

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
    """Silences the exporter, whose messages concern unrelated networks."""
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
    """Returns the largest absolute difference between the outputs in ONNX Runtime and in torch (image range 0 to 1).

    Args:
        network: Network that was exported.
        graph: Model from `graph_of_network`.
        image: ``(1, 3, H, W)`` of a size that the network supports.
    """
    return float((Graph(graph, "onnx")(image) - network.eval()(image)).abs().max())


def read_model(path: Path) -> bytes:
    """Reads a model file from `write_graph`; the contents are validated by `Graph`.

    Raises:
        WeightsError: The file cannot be read or is too large.
    """
    return read_file(path, MODEL, MOST_FILE_BYTES)


def write_graph(path: Path, graph: bytes) -> None:
    """Writes a model atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(graph)


class Graph(nn.Module):
    """An exported model in another runtime, called like the original network.

    Args:
        graph: Model from `graph_of_network`.
        runtime: Any runtime except torch.
        white: Value of white in the caller's images; in the model it is 1.
        source: Name of the file, for errors.

    Raises:
        UsageError: The extra ``fast`` is not installed, or the model needs float32 and the runtime uses bfloat16.
        WeightsError: The model is damaged, needs other files, or does not map images to images.
    """

    def __init__(
        self, graph: bytes, runtime: Runtime, white: float = 1.0, source: str = "the model"
    ) -> None:
        super().__init__()
        marks = _marks_of(graph, source)
        if marks.flag("needs_float32"):
            refuse_bfloat16(runtime)
        self._white, self._source = white, source
        self._multiple = marks.integer("multiple", 1, MOST_MULTIPLE)
        self._mirrored = marks.flag("mirrored")
        try:
            self._run: Callable[[Any], Any] = RUNTIMES[runtime](graph)
        except ImpastoError:
            raise
        except Exception as error:  # each runtime has its own exceptions
            raise MODEL.refusal(source, f"{_runtime_name(runtime)} cannot run it") from error

    def forward(self, image: Tensor, *_style: object) -> Tensor:
        """Stylizes an image ``(1, 3, H, W)`` of any size.

        Raises:
            WeightsError: The model does not support this size, or its output has another shape or dtype.
        """
        height, width = image.shape[-2:]
        padded = pad_to(
            image / self._white,
            self._multiple,
            least=max(LEAST_PX, self._multiple),
            mirrored=self._mirrored,
        )
        found = torch.from_numpy(self._result(padded.float().contiguous().numpy()).copy())
        return self._white * found[..., :height, :width]

    def _result(self, image: np.ndarray) -> np.ndarray:
        size = f"an image of {image.shape[3]}x{image.shape[2]} px"
        try:
            found = np.asarray(self._run(image))
        except Exception as error:  # each runtime has its own exceptions
            raise MODEL.refusal(self._source, f"it failed on {size}") from error
        if found.shape != image.shape or found.dtype != image.dtype:
            got = f"{found.dtype} of shape {found.shape}"
            raise MODEL.refusal(self._source, f"it returned {got} for {size}")
        return found


def refuse_bfloat16(runtime: Runtime) -> None:
    """Rejects bfloat16 for networks that invert covariance matrices, for which its precision is too low.

    Raises:
        UsageError: The runtime uses bfloat16.
    """
    if runtime == "openvino-bfloat16":
        raise UsageError(
            "--runtime openvino-bfloat16 does not support looks that match colors or features exactly, which needs "
            "float32; use --runtime openvino."
        )


def _marks_of(graph: bytes, source: str) -> Fields:
    """Validates a model and returns its metadata."""
    try:
        import onnx
    except ImportError as error:
        raise _missing("onnx") from error
    try:
        model = onnx.load_from_string(graph)
    except Exception as error:  # protobuf has its own exceptions
        raise MODEL.refusal(source, "it is damaged or not in the ONNX format") from error
    _check_model(model, source)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    marks = Fields(parse_json(entries.get(KEY, "{}"), source, MODEL), source, MODEL)
    defaults = {"multiple": MULTIPLE, "mirrored": False, "needs_float32": False}
    return Fields({**defaults, **marks.values()}, source, MODEL)


def _check_model(model: Any, source: str) -> None:
    """Rejects models that read other files, may not terminate, need huge tensors, or do not map images to images.

    Raises:
        WeightsError: The model is rejected.
    """
    import onnx

    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    attributes = [attribute for node in nodes for attribute in node.attribute]
    tensors = [
        *model.graph.initializer,
        *(tensor for sparse in model.graph.sparse_initializer for tensor in (sparse.values, sparse.indices)),
        *(tensor for attribute in attributes for tensor in (attribute.t, *attribute.tensors)),
    ]  # fmt: skip
    if any(onnx.external_data_helper.uses_external_data(tensor) for tensor in tensors):
        raise MODEL.refusal(source, "it stores weights in other files, which is not supported")
    if any(attribute.HasField("g") or attribute.graphs for attribute in attributes):
        raise MODEL.refusal(source, "it has loops or branches")
    try:
        onnx.checker.check_model(model)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # the checker has its own exceptions
        raise MODEL.refusal(source, "its operators are unknown or inconsistent") from error
    for value in inferred.graph.value_info:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim if dim.dim_value > 0]
        if math.prod(dims) > MOST_VALUES:
            raise MODEL.refusal(source, f"it needs a tensor of more than {MOST_VALUES} values")
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    _check_pictures(inputs, "image", "input", source)
    _check_pictures(list(model.graph.output), "pastiche", "output", source)


def _check_pictures(values: list[Any], name: str, end: str, source: str) -> None:
    """Rejects inputs or outputs other than a single float32 tensor ``(1, 3, H, W)`` with the given name."""
    wanted = f"a single {end} {name!r}, float32 of shape (1, 3, H, W)"
    if [value.name for value in values] != [name]:
        raise MODEL.refusal(source, f"it does not have {wanted}")
    tensor = values[0].type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    shaped = len(dims) == 4 and dims[0] in (0, 1) and dims[1] in (0, 3)
    if tensor.elem_type != FLOAT32 or not shaped:
        raise MODEL.refusal(source, f"it does not have {wanted}")


def _onnx(graph: bytes) -> Callable[[Any], Any]:
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnxruntime") from error
    onnxruntime.set_default_logger_severity(FATAL)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = FATAL
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
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
    """Hides instruction set limits meant for torch's oneDNN, with which OpenVINO crashes on AVX-512 processors."""
    limits = {name: os.environ.pop(name) for name in ISA_LIMITS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(limits)


def _openvino_bfloat16(graph: bytes) -> Callable[[Any], Any]:
    """Uses bfloat16, which is OpenVINO's default on processors that support it."""
    return _openvino(graph, "bf16")


RUNTIMES: Mapping[str, Callable[[bytes], Callable[[Any], Any]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "openvino-bfloat16": _openvino_bfloat16,
}
"""Name -> factory of an image-to-image function for a model, in float32 unless the name says otherwise."""


def _runtime_name(runtime: Runtime) -> str:
    return "ONNX Runtime" if runtime == "onnx" else "OpenVINO"


def _missing(name: str) -> UsageError:
    return UsageError(f"{name} is not installed; install it with pip install 'impasto[fast]'.")
