"""Network files: a header that describes the network, and its tensors, validated before memory is allocated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from impasto.weights.fields import Fields
from impasto.weights.files import Kind, read_safetensors

__all__ = ["fill_network", "is_published", "parse_json", "read_network"]

PUBLISHED = (".pth", ".pt", ".model")
"""File extensions of checkpoints published by other projects."""

OPTIONAL = "num_batches_tracked"
"""Counters of batch normalization, which old checkpoints lack and inference does not use."""

Network = TypeVar("Network", bound=nn.Module)


def is_published(path: Path) -> bool:
    """Whether a path has the extension of a state dict saved by torch."""
    return path.suffix in PUBLISHED


def read_network(
    path: Path, kind: Kind, key: str, version: int
) -> tuple[Fields, dict[str, Tensor]]:
    """Reads a safetensors file that holds one or more networks.

    Args:
        path: Path of an existing file.
        kind: Expected kind of file.
        key: Metadata key of the JSON header.
        version: Required value of the header's ``format``.

    Returns:
        The header and the tensors by name.

    Raises:
        ImpastoError: The file is damaged, or has another kind or version. The error has the kind's class.
    """
    tensors, metadata = read_safetensors(path, kind)
    if key not in metadata:
        raise kind.refusal(path, "its header does not describe a network of this kind")
    header = Fields(parse_json(metadata[key], path, kind), path, kind)
    header.integer("format", version, version)
    return header, tensors


def parse_json(text: str, source: Path | str, kind: Kind) -> Any:
    """Parses a JSON header.

    Raises:
        ImpastoError: The text is not valid JSON or is nested too deeply. The error has the kind's class.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise kind.refusal(source, "its header is not valid JSON") from error


def fill_network(
    make: Callable[[], Network], tensors: Mapping[str, Tensor], path: Path, kind: Kind
) -> Network:
    """Builds a network with given tensors as parameters, without allocating memory for initial weights.

    Args:
        make: Function that returns the network, whose size must already be validated.
        tensors: Tensors by their names in the network's state dict.
        path: Path of their file.
        kind: Expected kind of file.

    Returns:
        The network in evaluation mode, with the tensors as parameters in the network's dtypes.

    Raises:
        ImpastoError: A tensor is missing, unexpected, or has another shape or type. The error has the kind's class.
    """
    with torch.device("meta"):
        network = make()
    wanted = network.state_dict()
    state = {
        name: torch.zeros(own.shape, dtype=own.dtype)
        for name, own in wanted.items()
        if name.endswith(OPTIONAL)
    } | dict(tensors)
    for name in sorted(state.keys() - wanted.keys()):
        raise kind.refusal(path, f"it has an unexpected tensor {name[:80]!r}")
    for name, own in wanted.items():
        if name not in state:
            raise kind.refusal(path, f"it lacks the tensor {name!r}")
        found = state[name]
        if found.shape != own.shape or found.is_floating_point() != own.is_floating_point():
            raise kind.refusal(
                path,
                f"its tensor {name!r} has shape {tuple(found.shape)}, not {tuple(own.shape)}",
            )
    network.load_state_dict(
        {name: state[name].to(own.dtype) for name, own in wanted.items()}, assign=True
    )
    return network.eval()
