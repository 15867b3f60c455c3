"""Looks on disk: safetensors with a header, and the published checkpoints of the PyTorch examples."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.errors import MissingFileError, WeightsError
from impasto.looks.instant import Instant, Manner
from impasto.looks.networks import Johnson, Painter, PainterShape
from impasto.looks.transport import Gaussian
from impasto.media import replacing

__all__ = ["INSTANT", "Look", "load_look", "save_look"]

FORMAT = 1
KEY = "impasto-look"
INSTANT = "instant"
"""The look that ships, for any style; everywhere where a file is asked for, its name will do."""

SINGLE = ("code", "colors", "manner")
"""What is kept in single precision."""


@dataclass
class Look:
    """A network that paints, with what it needs to be told of its style.

    Attributes:
        painter: `Painter`, `Johnson` or `Instant`.
        code: ``(1, codes)`` of a painter.
        colors: Mean and covariance of its colours, ``(1, 3, 4)``, of a painter.
        manner: Of an `Instant` that was trained on for one style; None where it takes any.
        about: Where it comes from, with which settings, under which licence.
    """

    painter: nn.Module
    code: Tensor | None = None
    colors: Tensor | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    manner: Manner | None = None

    @property
    def takes_styles(self) -> bool:
        """Whether it has no style of its own."""
        return isinstance(self.painter, Instant) and self.manner is None


def save_look(path: Path, look: Look, about: Mapping[str, Any] | None = None) -> None:
    """Writes a look in half precision; moved into place when whole.

    Raises:
        OutputError: The file cannot be written.
    """
    tensors = {
        f"painter.{name}": value
        for name, value in look.painter.state_dict().items()
        if not name.startswith("encoder.")
    }
    if look.code is not None:
        tensors["code"] = look.code.detach()
    if look.colors is not None:
        tensors["colors"] = look.colors.detach()
    if look.manner is not None:
        for number, level in enumerate(look.manner.levels):
            tensors |= {f"manner.{number}.mean": level.mean, f"manner.{number}.root": level.root}
    halves = {
        name: value.detach()
        .to("cpu", torch.float32 if name.split(".")[0] in SINGLE else torch.float16)
        .contiguous()
        for name, value in tensors.items()
    }
    header: dict[str, Any] = {"format": FORMAT, "about": dict(about or look.about)}
    if isinstance(look.painter, Painter):
        header |= {"kind": "painter", "shape": look.painter.shape.to_header()}
    elif isinstance(look.painter, Instant):
        header |= {"kind": INSTANT}
    else:
        header |= {"kind": "johnson", "widths": list(look.painter.widths)}  # type: ignore[arg-type]
    with replacing(path) as beside:
        save_file(halves, beside, metadata={KEY: json.dumps(header)})


def load_look(path: Path) -> Look:
    """Loads a look from a file.

    Args:
        path: What `save_look` wrote, a checkpoint of the PyTorch examples' fast_neural_style, or ``instant``.

    Raises:
        MissingFileError: There is no such file.
        WeightsError: The file holds no look.
    """
    if str(path) == INSTANT:
        with as_file(files("impasto.looks") / "data" / "instant.look") as packaged:
            return _read(packaged)
    if not path.exists():
        near = difflib.get_close_matches(str(path), [INSTANT])
        hint = f" Did you mean {INSTANT!r}?" if near else ""
        raise MissingFileError(
            f"there is no look {path}; train one with impasto train, or give instant, or a checkpoint of "
            f"fast_neural_style.{hint}"
        )
    return _published(path) if path.suffix in (".pth", ".pt", ".model") else _read(path)


def _read(path: Path) -> Look:
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a look ({error}); train it anew.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise WeightsError(f"{path} is no look of this version of impasto; train it anew.")
    try:
        painter = _network(header)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} has a header of another version; train it anew.") from error
    _fill(painter, tensors, "painter.", path)
    code, colors = tensors.get("code"), tensors.get("colors")
    return Look(painter.eval(), code, colors, header["about"], _manner(tensors))


def _manner(tensors: Mapping[str, Tensor]) -> Manner | None:
    count = sum(1 for name in tensors if name.startswith("manner.") and name.endswith(".mean"))
    levels = [
        Gaussian(tensors[f"manner.{number}.mean"], tensors[f"manner.{number}.root"])
        for number in range(count)
    ]
    return Manner(tuple(levels)) if levels else None


def _network(header: Mapping[str, Any]) -> nn.Module:
    if header["kind"] == "johnson":
        return Johnson(tuple(header["widths"]))
    if header["kind"] == INSTANT:
        return Instant()
    shape = header["shape"]
    return Painter(PainterShape(**{**shape, "dilations": tuple(shape["dilations"])}))


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    own = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    if isinstance(network, Instant):
        own |= {f"encoder.{name}": value for name, value in network.encoder.state_dict().items()}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its own header; train it anew.") from error


def _published(path: Path) -> Look:
    """A `TransformerNet` of the PyTorch examples, of half or full precision, with or without old statistics."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read safely as a checkpoint; give a state dict saved by torch."
        ) from error
    state = {name: value.float() for name, value in state.items() if "running_" not in name}
    missing = {"conv1.conv2d.weight", "deconv3.conv2d.weight", "in1.weight"} - set(state)
    if missing:
        raise WeightsError(
            f"{path} is no look of fast_neural_style (it lacks {', '.join(sorted(missing))}); give one, or a .look."
        )
    widths = tuple(state[f"conv{n}.conv2d.weight"].shape[0] for n in (1, 2, 3))
    network = Johnson(widths)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} is of another architecture than fast_neural_style's."
        ) from error
    return Look(network.eval(), about={"source": path.name, "kind": "published fast_neural_style"})
