"""Look files: safetensors with a header, and the published fast_neural_style checkpoints of the PyTorch examples."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import MissingFileError, WeightsError
from impasto.looks.instant import CHANNELS, Instant, Manner
from impasto.looks.networks import FOLD, Johnson, Painter, PainterShape
from impasto.looks.transport import Gaussian
from impasto.media import replacing
from impasto.weights import (
    Fields,
    Kind,
    fill_network,
    is_published,
    read_network,
    read_state,
    write_safetensors,
)

__all__ = ["INSTANT", "Look", "load_look", "save_look"]

FORMAT = 1
KEY = "impasto-look"
INSTANT = "instant"
"""Name of the included any-style look, accepted wherever a look file is expected."""

LOOK = Kind("a look", "retrain it or pass a fast_neural_style checkpoint")
PREFIX = "painter."

LEAST_WIDTH, MOST_WIDTH = 4, 256
"""Number of channels that `TrainOptions` allows."""

MOST_BLOCKS, MOST_DILATION = 32, 64

SINGLE = ("code", "colors", "manner")
"""Prefixes of tensors that are stored in single precision."""


@dataclass
class Look:
    """A stylization network with the parameters of its style.

    Attributes:
        painter: `Painter`, `Johnson` or `Instant`.
        code: Style code of a `Painter`, ``(1, codes)``.
        colors: Mean and covariance of the style's colors for a `Painter`, ``(1, 3, 4)``.
        about: Origin, training options and license.
        manner: Style statistics of an `Instant` that was fine-tuned for one style; None if it takes any style.
        multiple: Sides of the network's input are multiples of this; 1 if the network pads its input itself.
    """

    painter: nn.Module
    code: Tensor | None = None
    colors: Tensor | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    manner: Manner | None = None
    multiple: int = FOLD

    @property
    def instant(self) -> Instant | None:
        """The network, if it can take any style."""
        return self.painter if isinstance(self.painter, Instant) else None

    @property
    def takes_styles(self) -> bool:
        """Whether the look has no style of its own and takes any style."""
        return self.instant is not None and self.manner is None


def save_look(path: str | Path, look: Look, about: Mapping[str, Any] | None = None) -> None:
    """Writes a look in half precision, atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    path = Path(path)
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
        name: value.to(torch.float32 if name.split(".")[0] in SINGLE else torch.float16)
        for name, value in tensors.items()
    }
    header: dict[str, Any] = {"format": FORMAT, "about": dict(about or look.about)}
    kind = next(name for name, kind in KINDS.items() if isinstance(look.painter, kind.network))
    header |= {"kind": kind, **KINDS[kind].header(look.painter)}
    with replacing(path) as beside:
        write_safetensors(beside, halves, {KEY: json.dumps(header)})


def load_look(path: str | Path) -> Look:
    """Loads a look from a file.

    Args:
        path: A file from `save_look`, a fast_neural_style checkpoint of the PyTorch examples, or ``instant``.

    Raises:
        MissingFileError: The file does not exist.
        WeightsError: The file is not a valid look.
    """
    if str(path) == INSTANT:
        with as_file(files("impasto.looks") / "data" / "instant.look") as packaged:
            return _read(packaged)
    path = Path(path)
    if not path.exists():
        near = difflib.get_close_matches(str(path), [INSTANT])
        hint = f" Did you mean {INSTANT!r}?" if near else ""
        raise MissingFileError(
            f"the look {path} does not exist; train one with impasto train, or pass instant or a fast_neural_style "
            f"checkpoint.{hint}"
        )
    return _published(path) if is_published(path) else _read(path)


def _read(path: Path) -> Look:
    header, tensors = read_network(path, LOOK, KEY, FORMAT)
    kind = header.text("kind", tuple(KINDS))
    about = header.mapping("about")
    own = {
        name.removeprefix(PREFIX): tensors.pop(name)
        for name in list(tensors)
        if name.startswith(PREFIX)
    }
    saved = _Saved(header, own, Fields(tensors, path, LOOK), path)
    look = KINDS[kind].read(saved)
    look.about = about
    return look


@dataclass(frozen=True)
class _Saved:
    """The contents of a look file: the header, the network's tensors, and all other tensors."""

    header: Fields
    tensors: Mapping[str, Tensor]
    extra: Fields
    path: Path


def _read_painter(saved: _Saved) -> Look:
    shape = _painter_shape(saved.header.part("shape"))
    saved.extra.only(("code", "colors"))
    code = saved.extra.tensor("code", (1, shape.codes))
    colors = saved.extra.tensor("colors", (1, 3, 4))
    painter = fill_network(lambda: Painter(shape), saved.tensors, saved.path, LOOK)
    return Look(painter, code, colors)


def _read_johnson(saved: _Saved) -> Look:
    a, b, c = saved.header.integers("widths", 1, MOST_WIDTH, (3, 3))
    saved.extra.only(())
    return Look(fill_network(lambda: Johnson((a, b, c)), saved.tensors, saved.path, LOOK))


def _read_instant(saved: _Saved) -> Look:
    return Look(_instant(saved.tensors, saved.path), manner=_manner(saved.extra))


@dataclass(frozen=True, kw_only=True)
class _NetworkKind:
    """A kind of network in look files: its class, what its header states, and how it is read."""

    network: type[nn.Module]
    header: Callable[[Any], dict[str, Any]]
    read: Callable[[_Saved], Look]


KINDS: Mapping[str, _NetworkKind] = {
    "painter": _NetworkKind(
        network=Painter,
        header=lambda network: {"shape": network.shape.to_header()},
        read=_read_painter,
    ),
    "johnson": _NetworkKind(
        network=Johnson,
        header=lambda network: {"widths": list(network.widths)},
        read=_read_johnson,
    ),
    INSTANT: _NetworkKind(network=Instant, header=lambda _network: {}, read=_read_instant),
}
"""The kinds of networks in look files, by the name in the header. To add one, add its entry here."""


def _painter_shape(saved: Fields) -> PainterShape:
    saved.only(("width", "dilations"))
    return PainterShape(
        saved.integer("width", LEAST_WIDTH, MOST_WIDTH),
        saved.integers("dilations", 1, MOST_DILATION, (1, MOST_BLOCKS)),
    )


def _instant(tensors: Mapping[str, Tensor], path: Path) -> Instant:
    """Builds the network, with the included encoder."""
    network = Instant()
    own = {f"encoder.{name}": value for name, value in network.encoder.state_dict().items()}
    return fill_network(lambda: network, {**tensors, **own}, path, LOOK)


def _manner(saved: Fields) -> Manner | None:
    """Reads all levels of the style that an instant look was fine-tuned for; None if there is none."""
    if not saved.names():
        return None
    names = [(f"manner.{number}.mean", f"manner.{number}.root") for number in range(len(CHANNELS))]
    saved.only([name for pair in names for name in pair])
    levels = [
        Gaussian(saved.tensor(mean, (1, size, 1)), saved.tensor(root, (1, size, size)))
        for (mean, root), size in zip(names, CHANNELS, strict=True)
    ]
    return Manner(tuple(levels))


def _published(path: Path) -> Look:
    """Loads a `TransformerNet` of the PyTorch examples, in any precision, with or without running statistics."""
    state = {
        name: value for name, value in read_state(path, LOOK).items() if "running_" not in name
    }
    missing = {"conv1.conv2d.weight", "deconv3.conv2d.weight", "in1.weight"} - set(state)
    if missing:
        raise WeightsError(
            f"{path} is not a fast_neural_style checkpoint (it lacks {', '.join(sorted(missing))}); pass one or a "
            ".look file."
        )
    firsts = (state.get(f"conv{number}.conv2d.weight") for number in (1, 2, 3))
    a, b, c = (1 if first is None or first.ndim != 4 else first.shape[0] for first in firsts)
    if max(a, b, c) > MOST_WIDTH:
        raise LOOK.refusal(
            path, f"it has {max(a, b, c)} channels; at most {MOST_WIDTH} are allowed"
        )
    network = fill_network(lambda: Johnson((a, b, c)), state, path, LOOK)
    return Look(network, about={"source": path.name, "kind": "published fast_neural_style"})
