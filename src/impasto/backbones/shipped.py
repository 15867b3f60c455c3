"""Helpers for the networks that ship with impasto: loading weights, and a pass that stops at the deepest layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors.torch import load
from torch import Tensor, nn

from impasto.backbones.layers import resolve_layers
from impasto.errors import InputError
from impasto.weights import Kind, read_state

__all__ = ["SMALLEST_PX", "WEIGHTS", "collect", "with_weights"]

WEIGHTS = Kind("weights", "pass a state dict saved by torch or a safetensors file")

SMALLEST_PX = 32
"""Smallest side of an image in pixels; the deepest layer then has two positions per side."""


class Named(Protocol):
    """A step of a network, named after the layer that it outputs."""

    @property
    def name(self) -> str:
        """Name of the layer."""
        ...


Step = TypeVar("Step", bound=Named)
Network = TypeVar("Network", bound=nn.Module)


def collect(
    image: Tensor,
    layers: Sequence[str],
    steps: Sequence[Step],
    run: Callable[[Step, Tensor], Tensor],
    *,
    name: str,
) -> dict[str, Tensor]:
    """Runs the steps in order up to the deepest layer requested.

    Args:
        image: ``(B, 3, H, W)``.
        layers: Names or aliases of layers.
        steps: All steps of the network, in order.
        run: Function that applies a step to its input.
        name: Name of the network, for errors.

    Returns:
        The feature maps, by the names they were requested by.

    Raises:
        UnknownNameError: A layer does not exist.
        InputError: A side of the image is below `SMALLEST_PX`.
    """
    resolved = resolve_layers(layers, tuple(step.name for step in steps))
    height, width = image.shape[-2:]
    if min(height, width) < SMALLEST_PX:
        raise InputError(
            f"the image is {width}x{height} px, but {name} needs at least {SMALLEST_PX} px on each side; "
            "use a larger image."
        )
    x = image.contiguous(memory_format=torch.channels_last)
    wanted = set(resolved)
    found: dict[str, Tensor] = {}
    for step in steps:
        if len(found) == len(wanted):
            break
        x = run(step, x)
        if step.name in wanted:
            found[step.name] = x
    return {asked: found[layer] for asked, layer in zip(layers, resolved, strict=True)}


def with_weights(network: Network, packaged: str, path: Path | None, dtype: torch.dtype) -> Network:
    """Loads weights into a network and freezes it.

    Args:
        network: Network with the shapes of the weights.
        packaged: Name of the safetensors file in the package.
        path: File with other weights, used instead.
        dtype: Data type of the parameters.

    Raises:
        WeightsError: The file is damaged or has values that are not finite.
        RuntimeError: The tensors have other names or shapes.
    """
    data = files("impasto.backbones") / "data"
    state = load((data / packaged).read_bytes()) if path is None else read_state(path, WEIGHTS)
    network.load_state_dict({key: value.to(dtype) for key, value in state.items()})
    network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.requires_grad_(False).eval()
