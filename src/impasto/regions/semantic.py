"""Regions by what they show: a published segmentation network, its classes merged to a few."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import InputError, UsageError
from impasto.media import resize, size_to_fit
from impasto.regions.auto import drawn_to_edges

__all__ = ["KINDS", "Segmenter", "kind_of"]

KINDS: Mapping[str, tuple[str, ...]] = {
    "sky": ("sky", "cloud"),
    "water": ("water", "sea", "river", "lake", "pool", "waterfall", "fountain", "falls"),
    "plant": ("tree", "grass", "plant", "flower", "palm", "field", "vegetation", "bush"),
    "building": (
        "building", "house", "skyscraper", "tower", "bridge", "wall", "fence", "hovel", "awning", "roof",
    ),
    "person": ("person", "people", "rider", "human", "face"),
    "ground": (
        "road", "sidewalk", "earth", "floor", "sand", "path", "dirt", "runway", "land", "rug", "pavement", "snow",
        "terrain", "stairs", "pier",
    ),
    "mountain": ("mountain", "hill", "rock", "stone"),
    "thing": (
        "car", "bus", "truck", "boat", "ship", "airplane", "train", "bicycle", "minibike", "motorcycle", "animal",
        "dog", "cat", "horse", "bird", "cow", "sheep", "van",
    ),
}  # fmt: skip
"""Kinds with the words of class names that belong to them (those of ADE20K, COCO-Stuff and Cityscapes); all others
are ``rest``."""

LONG_EDGE_PX = 512
SMALLEST = 0.005
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def kind_of(label: str) -> str:
    """The kind of a class, by the words of its name; the first name counts where several are given."""
    words = label.lower().replace(",", ";").split(";")[0].replace("-", " ").split()
    for kind, known in KINDS.items():
        if any(word in known for word in words):
            return kind
    return "rest"


class Segmenter:
    """A network of `transformers` for semantic segmentation, such as SegFormer trained on ADE20K.

    Args:
        folder: As `save_pretrained` writes it: config.json and the weights.

    Raises:
        UsageError: `transformers` is not installed.
        InputError: The folder holds no such network.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from transformers import AutoModelForSemanticSegmentation
        except ImportError as error:
            raise UsageError(
                "--regions semantic needs transformers; install it with pip install 'impasto[semantic]'."
            ) from error
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{folder} is no network for segmentation; give a folder with config.json and model.safetensors."
            )
        try:
            network: Any = AutoModelForSemanticSegmentation.from_pretrained(
                folder, local_files_only=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{folder} is no network for segmentation ({reason}); give one of transformers, such as SegFormer."
            ) from error
        self._network = network.eval()
        self.kinds = [kind_of(name) for _number, name in sorted(network.config.id2label.items())]

    @torch.no_grad()
    def masks(self, image: Tensor) -> dict[str, Tensor]:
        """Tells the regions of a picture.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.

        Returns:
            ``(1, 1, H, W)`` in ``[0, 1]`` by kind, adding up to 1.
        """
        size = size_to_fit((image.shape[-2], image.shape[-1]), LONG_EDGE_PX)
        seen = resize(image.cpu(), size)
        mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
        logits = self._network(pixel_values=(seen - mean) / deviation).logits
        shares = F.interpolate(logits, seen.shape[-2:], mode="bilinear").softmax(1)
        masks: dict[str, Tensor] = {}
        for number, kind in enumerate(self.kinds):
            part = shares[:, number : number + 1]
            masks[kind] = masks[kind] + part if kind in masks else part
        winner = torch.cat(list(masks.values()), 1).argmax(1)
        large = [
            n for n, _kind in enumerate(masks) if float((winner == n).float().mean()) >= SMALLEST
        ]
        kept = {kind: masks[kind] for n, kind in enumerate(masks) if n in large}
        return drawn_to_edges(kept, seen, image)
