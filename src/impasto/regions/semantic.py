"""Semantic regions: a published segmentation network with its classes merged into a few categories."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError, InputError, UsageError
from impasto.media import resize, size_to_fit
from impasto.regions.auto import drawn_to_edges
from impasto.weights import Kind, all_finite, parse_json, read_file, read_safetensors

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
"""Categories and the words of class names that belong to them (from ADE20K, COCO-Stuff and Cityscapes); all others are
``rest``."""

NETWORK = Kind(
    "a segmentation network", "use a transformers model folder, such as SegFormer", InputError
)
MOST_SETTINGS_BYTES = 1 << 20
MOST_LAYERS, MOST_NUMBER = 256, 1 << 16
"""Limits for numbers in config.json; published networks are far below them."""

LONG_EDGE_PX = 512
SMALLEST = 0.005
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def kind_of(label: str) -> str:
    """Returns the category of a class from the words of its name; if several names are given, the first one counts."""
    words = label.lower().replace(",", ";").split(";")[0].replace("-", " ").split()
    for kind, known in KINDS.items():
        if any(word in known for word in words):
            return kind
    return "rest"


class Segmenter:
    """A `transformers` network for semantic segmentation, such as SegFormer trained on ADE20K.

    Args:
        folder: A folder written by `save_pretrained`: config.json and the weights.

    Raises:
        UsageError: `transformers` is not installed.
        InputError: The folder does not contain such a network.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from transformers import AutoModelForSemanticSegmentation
        except ImportError as error:
            raise UsageError(
                "--regions semantic requires transformers; run pip install 'impasto[semantic]'."
            ) from error
        _check_files(folder)
        try:
            with _quiet():
                network, report = AutoModelForSemanticSegmentation.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
                    output_loading_info=True,
                )  # fmt: skip
            if report["missing_keys"] or report["mismatched_keys"]:
                raise NETWORK.refusal(folder, "config.json does not match the weights")
            labels = [str(name) for _number, name in sorted(network.config.id2label.items())]
        except ImpastoError:
            raise
        except Exception as error:  # each architecture validates its settings differently
            reason = "transformers cannot load it"
            raise NETWORK.refusal(folder, reason) from error
        self._folder, self._network = folder, network.eval()
        self.kinds = [kind_of(label) for label in labels]

    @torch.no_grad()
    def masks(self, image: Tensor) -> dict[str, Tensor]:
        """Segments an image.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.

        Returns:
            ``(1, 1, H, W)`` in ``[0, 1]`` by category, summing to 1.

        Raises:
            InputError: The network cannot process the image, or its output is not one finite map per class.
        """
        size = size_to_fit((image.shape[-2], image.shape[-1]), LONG_EDGE_PX)
        seen = resize(image.cpu(), size)
        mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
        logits = self._logits((seen - mean) / deviation)
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

    def _logits(self, pixels: Tensor) -> Tensor:
        try:
            logits: Tensor = self._network(pixel_values=pixels).logits
        except Exception as error:  # inconsistent settings may raise anything
            raise NETWORK.refusal(self._folder, "it cannot process this image") from error
        if logits.ndim != 4 or logits.shape[:2] != (1, len(self.kinds)) or not all_finite(logits):
            reason = f"its output is not one finite map for each of its {len(self.kinds)} classes"
            raise NETWORK.refusal(self._folder, reason)
        return logits


def _check_files(folder: Path) -> None:
    """Rejects settings that would build huge networks, and damaged weights.

    Raises:
        InputError: The message states the reason.
    """
    settings = folder / "config.json"
    if not settings.is_file():
        raise InputError(
            f"{folder} is not a segmentation network; use a folder with config.json and model.safetensors."
        )
    text = read_file(settings, NETWORK, MOST_SETTINGS_BYTES).decode(errors="replace")
    for name, value in _numbers_in(parse_json(text, settings, NETWORK)):
        most = MOST_LAYERS if re.search(r"depth|layers|blocks|stages", name) else MOST_NUMBER
        if abs(value) > most:
            reason = f"its setting {name[:40]!r} is larger than {most}"
            raise NETWORK.refusal(settings, reason)
    for path in sorted(folder.glob("*.safetensors")):
        read_safetensors(path, NETWORK)


def _numbers_in(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yields every number in nested settings, with the key it is stored under."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers_in(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers_in(inner, name)
    elif isinstance(value, (int, float)):
        yield name, value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the verbose output of transformers while a network is loaded."""
    from transformers.utils import logging as reports

    progress: Any = reports
    level, bars = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity(logging.CRITICAL)
    progress.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        reports.set_verbosity(level)
        if bars:
            progress.enable_progress_bar()
