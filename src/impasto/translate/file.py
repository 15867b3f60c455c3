"""Translator files: both directions in one safetensors file, and published checkpoints, recognized by their keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from impasto.errors import MissingFileError, WeightsError
from impasto.media import replacing
from impasto.translate.networks import (
    LEAST_HALVINGS,
    GeneratorShape,
    ResnetGenerator,
    UnetGenerator,
    plain_generator,
    strip_statistics,
)
from impasto.weights import (
    Fields,
    Kind,
    fill_network,
    is_published,
    read_network,
    read_state,
    write_safetensors,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Direction", "Translator", "is_translator", "load_translator", "save_translator"]

Direction = Literal["ab", "ba"]
Generator = ResnetGenerator | UnetGenerator

FORMAT = 1
KEY = "impasto-translator"
SUFFIX = ".translator"
TRANSLATOR = Kind("a translator", "retrain it or pass a generator of pytorch-CycleGAN-and-pix2pix")
DIRECTIONS = ("ab", "ba")

MOST_CHANNELS = 256
BLOCKS = {"resnet": (1, 32), "unet": (LEAST_HALVINGS, 11)}
"""Minimum and maximum that `TranslateOptions` allows; deeper unets would need larger crops than it allows."""

SHOWN = 40
"""Number of characters of a tensor's name that errors quote."""

FIRST_RESNET, FIRST_UNET = "model.1.weight", "model.model.0.weight"


@dataclass
class Translator:
    """Generators between two image domains.

    Attributes:
        generators: Generators by direction, ``ab`` and ``ba``; published checkpoints have only ``ab``.
        about: Origin, training options and license.
    """

    generators: dict[str, Generator]
    about: Mapping[str, Any] = field(default_factory=dict)

    def generator(self, direction: str) -> Generator:
        """Returns the generator of a direction; if there is only one, either name refers to it.

        Raises:
            WeightsError: There is no such direction.
        """
        if len(self.generators) == 1:
            direction = "ab"
        if direction not in self.generators:
            raise WeightsError(
                f"this translator has no direction {direction}; allowed: {', '.join(self.generators)}."
            )
        return self.generators[direction]


def save_translator(path: str | Path, translator: Translator) -> None:
    """Writes all generators in half precision, atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    tensors = {
        f"{direction}.{name}": value.half() if value.is_floating_point() else value
        for direction, generator in translator.generators.items()
        for name, value in generator.state_dict().items()
    }
    shapes = {name: g.shape.to_header() for name, g in translator.generators.items()}
    header = {"format": FORMAT, "shapes": shapes, "about": dict(translator.about)}
    with replacing(Path(path)) as beside:
        write_safetensors(beside, tensors, {KEY: json.dumps(header)})


def is_translator(path: Path) -> bool:
    """Whether a file is a translator rather than a look, by its extension or else by its keys."""
    if path.suffix == SUFFIX:
        return True
    if not is_published(path) or not path.is_file():
        return False
    try:
        state = read_state(path, TRANSLATOR)
    except WeightsError:  # loading the file will report the problem
        return False
    return any(name in state for name in (FIRST_RESNET, FIRST_UNET))


def load_translator(path: str | Path) -> Translator:
    """Loads a translator.

    Args:
        path: A file from `save_translator`, or a generator of pytorch-CycleGAN-and-pix2pix (``latest_net_G_A.pth``,
            ``latest_net_G.pth``), which is read with ``weights_only``.

    Raises:
        MissingFileError: The file does not exist.
        WeightsError: The file is not a valid translator.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(
            f"the translator {path} does not exist; train one with impasto train-translator, or pass a published "
            "checkpoint."
        )
    return _published(path) if is_published(path) else _read(path)


def _read(path: Path) -> Translator:
    header, tensors = read_network(path, TRANSLATOR, KEY, FORMAT)
    about, shapes = header.mapping("about"), header.part("shapes")
    shapes.only(DIRECTIONS)
    if "ab" not in shapes.names():
        raise TRANSLATOR.refusal(path, "it has no direction ab")
    generators: dict[str, Generator] = {}
    for direction in shapes.names():
        shape = _shape_in(shapes.part(direction))
        prefix = direction + "."
        own = {
            name.removeprefix(prefix): tensors.pop(name)
            for name in list(tensors)
            if name.startswith(prefix)
        }
        generators[direction] = _filled(shape, own, path)
    if tensors:
        raise TRANSLATOR.refusal(path, "it has tensors that belong to no direction")
    return Translator(generators, about)


def _shape_in(saved: Fields) -> GeneratorShape:
    """Reads the shape from a header, within the limits of `TranslateOptions`."""
    saved.only([each.name for each in fields(GeneratorShape)])
    kind: Any = saved.text("kind", ("resnet", "unet"))
    norm: Any = saved.text("norm", ("instance", "batch"))
    low, high = BLOCKS[kind]
    return GeneratorShape(
        kind=kind,
        channels=saved.integer("channels", 1, MOST_CHANNELS),
        blocks=saved.integer("blocks", low, high),
        norm=norm,
        dropout=saved.flag("dropout"),
        resized=saved.flag("resized"),
        skip=saved.flag("skip"),
    )


def _filled(shape: GeneratorShape, tensors: Mapping[str, Tensor], path: Path) -> Generator:
    return fill_network(lambda: plain_generator(shape), tensors, path, TRANSLATOR)


def _published(path: Path) -> Translator:
    state = read_state(path, TRANSLATOR)
    shape = _shape_of(state, path)
    low, high = BLOCKS[shape.kind]
    if not (1 <= shape.channels <= MOST_CHANNELS and low <= shape.blocks <= high):
        raise _unlike(shape, path)
    try:
        generator = _filled(shape, strip_statistics(state), path)
    except WeightsError as error:
        raise _unlike(shape, path) from error
    return Translator({"ab": generator}, {"source": path.name, "kind": "published"})


def _unlike(shape: GeneratorShape, path: Path) -> WeightsError:
    return WeightsError(
        f"{path} looks like a {shape.kind} with {shape.channels} channels and {shape.blocks} blocks, but its weights "
        "do not match; pass a generator of pytorch-CycleGAN-and-pix2pix."
    )


def _shape_of(state: Mapping[str, Tensor], path: Path) -> GeneratorShape:
    """Infers kind, width, depth, normalization and dropout from the keys."""
    if FIRST_RESNET in state:
        blocks = {
            int(m[1]) for name in state if (m := re.match(r"model\.(\d{1,4})\.conv_block\.", name))
        }
        batch = "model.2.weight" in state
        dropout = any(re.search(r"conv_block\.6\.weight", name) for name in state)
        return GeneratorShape(
            "resnet",
            state[FIRST_RESNET].shape[0] if state[FIRST_RESNET].ndim else 0,
            len(blocks),
            "batch" if batch else "instance",
            dropout,
        )
    if FIRST_UNET in state:
        depth = max(name.count("model.") for name in state) - 1
        batch = any(name.endswith("model.2.weight") and state[name].ndim == 1 for name in state)
        return GeneratorShape(
            "unet",
            state[FIRST_UNET].shape[0] if state[FIRST_UNET].ndim else 0,
            depth,
            "batch" if batch else "instance",
        )
    inside = ", ".join(name[:SHOWN] for name in sorted(state)[:3])
    raise WeightsError(
        f"{path} is not a generator of pytorch-CycleGAN-and-pix2pix (its first weights are {inside}); pass one of its "
        "resnet or unet generators, or a .translator file."
    )
