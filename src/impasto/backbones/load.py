"""Loading of backbones by name, with weights from the package, a file or the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.backbones.alexnet import make_alexnet
from impasto.backbones.chain import POOLINGS
from impasto.backbones.fetch import locate
from impasto.backbones.metric_net import load_metric_net
from impasto.backbones.registry import DEFAULT, entry_for
from impasto.backbones.resnet import ResNet50
from impasto.backbones.shipped import WEIGHTS
from impasto.backbones.vgg import VARIANTS, make_vgg, vgg_keys
from impasto.backbones.vgg19_lite import load_vgg19_lite
from impasto.errors import MissingFileError, UsageError, WeightsError, unknown_name
from impasto.types import Backbone
from impasto.weights import read_state as read_tensors

__all__ = ["load_backbone", "read_state"]


def load_backbone(
    name: str = DEFAULT,
    *,
    weights: Path | None = None,
    pooling: str | None = None,
    padding: str | None = None,
    allow_download: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Backbone:
    """Loads a frozen backbone.

    Args:
        name: One of `backbone_names`.
        weights: Weight file, safetensors or a torch state dict, with or without the classifier.
        pooling: ``max``, ``average`` or ``l2``, rescaled to the scale of max pooling; None for the network's default.
        padding: Padding of the first convolution: ``zeros``, ``reflect`` or ``replicate``; None for the network's
            default.
        allow_download: Whether the published weights may be downloaded.
        progress: Called with the number of bytes received and the total.

    Raises:
        UnknownNameError: There is no such backbone or pooling.
        MissingFileError: The weight file does not exist.
        UsageError: The backbone does not support the pooling.
        WeightsError: The weights are not available, are damaged, or belong to another network.
    """
    entry = entry_for(name)
    if pooling is not None and pooling not in POOLINGS:
        raise unknown_name("pooling", pooling, POOLINGS)
    if name in INCLUDED:
        return _included(name, weights, pooling)
    if weights is None:
        weights = locate(entry, allow_download=allow_download, progress=progress)
    network, state = PUBLISHED[name](name, read_state(weights), pooling, padding)
    _fill(network, state, name, weights)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frozen: Backbone = network.requires_grad_(requires_grad=False).eval()  # type: ignore[assignment]
    return frozen


State = dict[str, Tensor]


def _vgg(
    name: str, state: State, pooling: str | None, padding: str | None
) -> tuple[nn.Module, State]:
    state, deepest = vgg_keys(state, name)
    return make_vgg(name, pooling=pooling or "max", padding=padding, deepest=deepest), state  # type: ignore[arg-type]


def _alexnet(
    _name: str, state: State, pooling: str | None, padding: str | None
) -> tuple[nn.Module, State]:
    network = make_alexnet(pooling=pooling or "max", padding=padding or "replicate")  # type: ignore[arg-type]
    return network, {k: v for k, v in state.items() if k.startswith("features.")}


def _resnet(
    name: str, state: State, pooling: str | None, _padding: str | None
) -> tuple[nn.Module, State]:
    if pooling is not None:
        raise UsageError(f"{name} does not support --pooling; remove it.")
    return ResNet50(), {k: v for k, v in state.items() if not k.startswith("fc.")}


PUBLISHED: Mapping[str, Callable[[str, State, str | None, str | None], tuple[nn.Module, State]]] = {
    **dict.fromkeys(VARIANTS, _vgg),
    "alexnet": _alexnet,
    "resnet50": _resnet,
}
"""Networks with published weights: name, tensors of the file, pooling and padding -> network and the tensors that it
takes. To add one, add its entry here, and its weights to `impasto.backbones.registry.ENTRIES`."""


def _lite(_name: str, weights: Path | None, pooling: str | None) -> Backbone:
    network = load_vgg19_lite(weights)
    network.pooling = pooling or "max"
    return network


def _metric_net(name: str, weights: Path | None, pooling: str | None) -> Backbone:
    if pooling not in (None, "average"):
        raise UsageError(f"{name} supports average pooling only, got {pooling}; remove --pooling.")
    return load_metric_net(weights)


INCLUDED: Mapping[str, Callable[[str, Path | None, str | None], Backbone]] = {
    "vgg19-lite": _lite,
    "metric-net": _metric_net,
}
"""Networks whose weights ship with the package: name, file with other weights or None, and pooling -> network."""


def _included(name: str, weights: Path | None, pooling: str | None) -> Backbone:
    """Loads a network that ships with the package, with its own or the user's weights."""
    if weights is not None and not weights.exists():
        raise MissingFileError(f"the weight file {weights} does not exist; check the path.")
    try:
        return INCLUDED[name](name, weights, pooling)
    except RuntimeError as error:  # names or shapes of tensors differ
        raise WeightsError(
            f"{weights} does not contain weights of {name}; remove --weights to use the included weights."
        ) from error


def read_state(path: Path) -> dict[str, Tensor]:
    """Reads tensors from a safetensors or torch file, without executing code from it, and converts them to float32.

    Raises:
        MissingFileError: The file does not exist.
        WeightsError: The file is damaged, or holds anything other than finite tensors by name.
    """
    if not path.exists():
        raise MissingFileError(f"the weight file {path} does not exist; check the path.")
    return read_tensors(path, WEIGHTS)


def _fill(network: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    """Loads the weights; if they do not match, the error says what network the file seems to contain."""
    wanted = network.state_dict()
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = [key for key in wanted if key not in state and key not in optional]
    misshapen = [k for k, v in state.items() if k in wanted and v.shape != wanted[k].shape]
    # Extra convolutions mean a deeper network; truncated files were handled before.
    extra = [k for k in state if k.startswith("features.") and k not in wanted]
    if missing or misshapen or extra:
        raise WeightsError(
            f"{path} does not contain weights of {name}, but probably of {_looks_like(state)} (tensors: {len(missing)} "
            f"missing, {len(misshapen)} with another shape, {len(extra)} unexpected); pass another file."
        )
    network.load_state_dict(state, strict=False)


def _looks_like(state: Mapping[str, Tensor]) -> str:
    if "layer1.0.conv1.weight" in state or "layer1.0.conv3.weight" in state:
        return "a resnet"
    convolutions = [v for k, v in state.items() if k.endswith("weight") and v.ndim == 4]
    if not convolutions:
        return "a network without convolutions"
    first = tuple(convolutions[0].shape)
    known = {(64, 3, 11, 11): "alexnet", (16, 3, 3, 3): "vgg19-16x or vgg19-lite"}
    if first in known:
        return known[first]
    if first == (64, 3, 3, 3):
        return {13: "vgg16", 16: "vgg19"}.get(
            len(convolutions), f"a vgg with {len(convolutions)} convolutions"
        )
    return f"a network whose first convolution has shape {first}"
