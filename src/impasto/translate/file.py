"""Translators on disk: both directions in one safetensors file, and published checkpoints recognised by their keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import MissingFileError, WeightsError
from impasto.media import replacing
from impasto.translate.networks import (
    GeneratorShape,
    ResnetGenerator,
    UnetGenerator,
    make_generator,
    strip_statistics,
)

__all__ = ["Direction", "Translator", "is_translator", "load_translator", "save_translator"]

Direction = Literal["ab", "ba"]
Generator = ResnetGenerator | UnetGenerator

FORMAT = 1
KEY = "impasto-translator"
SUFFIX = ".translator"
PUBLISHED = (".pth", ".pt")
FIRST_RESNET, FIRST_UNET = "model.1.weight", "model.model.0.weight"


@dataclass
class Translator:
    """Generators between two worlds of pictures.

    Attributes:
        generators: By direction, ``ab`` and ``ba``; a published checkpoint has one, under ``ab``.
        about: Where it comes from, with which settings, under which licence.
    """

    generators: dict[str, Generator]
    about: Mapping[str, Any] = field(default_factory=dict)
    takes_styles: ClassVar[bool] = False

    def generator(self, direction: str) -> Generator:
        """That of a direction; the only one of a published checkpoint goes by either.

        Raises:
            WeightsError: There is none of that direction.
        """
        if len(self.generators) == 1:
            direction = "ab"
        if direction not in self.generators:
            raise WeightsError(
                f"this translator has no direction {direction}; allowed is {', '.join(self.generators)}."
            )
        return self.generators[direction]


def save_translator(path: Path, translator: Translator) -> None:
    """Writes both generators in half precision; moved into place when whole.

    Raises:
        OutputError: The file cannot be written.
    """
    tensors = {
        f"{direction}.{name}": (value.half() if value.is_floating_point() else value)
        .cpu()
        .contiguous()
        for direction, generator in translator.generators.items()
        for name, value in generator.state_dict().items()
    }
    shapes = {name: g.shape.to_header() for name, g in translator.generators.items()}
    header = {"format": FORMAT, "shapes": shapes, "about": dict(translator.about)}
    with replacing(path) as beside:
        save_file(tensors, beside, metadata={KEY: json.dumps(header)})


def is_translator(path: Path) -> bool:
    """Whether a file is a translator and not a look, by its name, or by its keys where that is not enough."""
    if path.suffix == SUFFIX:
        return True
    if path.suffix not in PUBLISHED or not path.is_file():
        return False
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except Exception:  # whoever loads it says what is wrong
        return False
    return isinstance(state, Mapping) and any(name in state for name in (FIRST_RESNET, FIRST_UNET))


def load_translator(path: Path) -> Translator:
    """Loads a translator.

    Args:
        path: What `save_translator` wrote, or a generator of pytorch-CycleGAN-and-pix2pix (``latest_net_G_A.pth``,
            ``latest_net_G.pth``), read with ``weights_only``.

    Raises:
        MissingFileError: There is no such file.
        WeightsError: It holds no translator.
    """
    if not path.exists():
        raise MissingFileError(
            f"there is no translator {path}; make one with impasto train-translator, or give a published checkpoint."
        )
    return _published(path) if path.suffix in PUBLISHED else _read(path)


def _read(path: Path) -> Translator:
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} cannot be read as a translator ({error}); train it anew."
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise WeightsError(f"{path} is no translator of this version of impasto; train it anew.")
    generators: dict[str, Generator] = {}
    for direction, shape in header["shapes"].items():
        generator = make_generator(GeneratorShape(**shape))
        own = {
            name.partition(".")[2]: value.float() if value.is_floating_point() else value
            for name, value in tensors.items()
            if name.startswith(direction + ".")
        }
        try:
            generator.load_state_dict(own)
        except RuntimeError as error:
            raise WeightsError(f"{path} does not fit its own header; train it anew.") from error
        generators[direction] = generator.eval()
    return Translator(generators, header["about"])


def _published(path: Path) -> Translator:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read safely as a checkpoint; give a state dict saved by torch."
        ) from error
    if not isinstance(state, Mapping):
        raise WeightsError(
            f"{path} holds no state dict; give a generator such as latest_net_G_A.pth."
        )
    if hasattr(state, "_metadata"):
        state = dict(state)
    shape = _shape_of(state, path)
    generator = make_generator(shape)
    try:
        generator.load_state_dict(strip_statistics(state))
    except RuntimeError as error:
        raise WeightsError(
            f"{path} looks like a {shape.kind} of {shape.channels} channels and {shape.blocks} blocks, and has other "
            "weights; give a generator of pytorch-CycleGAN-and-pix2pix."
        ) from error
    return Translator({"ab": generator.eval()}, {"source": path.name, "kind": "published"})


def _shape_of(state: Mapping[str, Tensor], path: Path) -> GeneratorShape:
    """Tells kind, width, depth, norm and dropout by the keys."""
    if FIRST_RESNET in state:
        blocks = {
            int(m[1]) for name in state if (m := re.match(r"model\.(\d+)\.conv_block\.", name))
        }
        batch = "model.2.weight" in state
        dropout = any(re.search(r"conv_block\.6\.weight", name) for name in state)
        return GeneratorShape(
            "resnet",
            state[FIRST_RESNET].shape[0],
            len(blocks),
            "batch" if batch else "instance",
            dropout,
        )
    if FIRST_UNET in state:
        depth = max(name.count("model.") for name in state) - 1
        batch = any(name.endswith("model.2.weight") and state[name].ndim == 1 for name in state)
        return GeneratorShape(
            "unet", state[FIRST_UNET].shape[0], depth, "batch" if batch else "instance"
        )
    inside = ", ".join(sorted(state)[:3])
    raise WeightsError(
        f"{path} is no generator of pytorch-CycleGAN-and-pix2pix (its first weights are {inside}); allowed are its "
        "resnet and unet generators, and a .translator."
    )
