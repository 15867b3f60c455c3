"""Networks in files: the header that describes them, and tensors that fit them, checked before memory is taken."""

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
"""Endings of checkpoints that other projects publish."""

OPTIONAL = "num_batches_tracked"
"""Counters of batch norms, which old checkpoints lack and painting does not use."""

Network = TypeVar("Network", bound=nn.Module)


def is_published(path: Path) -> bool:
    """Whether a file is a state dict saved by torch, by its ending."""
    return path.suffix in PUBLISHED


def read_network(
    path: Path, kind: Kind, key: str, version: int
) -> tuple[Fields, dict[str, Tensor]]:
    """Reads a safetensors file of networks.

    Args:
        path: A file that exists.
        kind: What it should hold.
        key: Under which the metadata holds the header, as JSON.
        version: The header's ``format``.

    Returns:
        The header, and the tensors by name.

    Raises:
        ImpastoError: Of the kind's class: the file is damaged, or of another kind or version.
    """
    tensors, metadata = read_safetensors(path, kind)
    if key not in metadata:
        raise kind.refusal(path, "its header describes no network of this kind")
    header = Fields(parse_json(metadata[key], path, kind), path, kind)
    header.integer("format", version, version)
    return header, tensors


def parse_json(text: str, source: Path | str, kind: Kind) -> Any:
    """Parses a header.

    Raises:
        ImpastoError: Of the kind's class: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise kind.refusal(source, "its header is not valid JSON") from error


def fill_network(
    make: Callable[[], Network], tensors: Mapping[str, Tensor], path: Path, kind: Kind
) -> Network:
    """Builds a network around tensors; memory is taken only for those.

    Args:
        make: Builds the network, whose sizes must be bounded, or gives one that is built.
        tensors: By the names of the network's state dict.
        path: Where they are from.
        kind: What the file should hold.

    Returns:
        In evaluation mode, with the tensors as parameters in the network's dtypes.

    Raises:
        ImpastoError: Of the kind's class: a tensor is missing, superfluous, or of another shape or type.
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
        raise kind.refusal(path, f"it holds a tensor {name[:80]!r} that its network does not have")
    for name, own in wanted.items():
        if name not in state:
            raise kind.refusal(path, f"it lacks the tensor {name!r}")
        found = state[name]
        if found.shape != own.shape or found.is_floating_point() != own.is_floating_point():
            raise kind.refusal(
                path,
                f"its tensor {name!r} has the shape {tuple(found.shape)}, not {tuple(own.shape)}",
            )
    network.load_state_dict(
        {name: state[name].to(own.dtype) for name, own in wanted.items()}, assign=True
    )
    return network.eval()
