"""Training data of looks: crops of photographs, and pairs of neighboring frames with optical flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError, InputError
from impasto.media import (
    FILM_SUFFIXES,
    find_images,
    is_film,
    pixels_to_tensor,
    read_image,
    resize,
    size_to_fit,
)

__all__ = ["FramePair", "TrainingData", "gather_data"]

T = TypeVar("T")

LONG_EDGE_PX = 480
"""Long edge of stored photographs in pixels; crops are taken from them at several scales."""

PAIRS_A_CLIP = 40
HELD_OUT = 8
"""Every eighth photograph is held out for validation if there are enough."""

MOVE, TURN = 0.04, 0.03
"""Largest shift, as a share of the side, and largest rotation and scaling of photographs that replace video frames."""


@dataclass(frozen=True)
class FramePair:
    """Two neighboring frames, the flow from the second to the first, and its reliability; each a batch of one."""

    first: Tensor
    second: Tensor
    flow: Tensor
    trust: Tensor


@dataclass
class TrainingData:
    """Photographs for training and validation, and pairs of frames.

    Attributes:
        photos: Training images, uint8 ``(3, H, W)``.
        held: Validation images, uint8 ``(3, H, W)``; used for training only if there are too few images.
        pairs: Pairs of frames from the clips; may be empty.
        notes: Messages about files that were skipped, one sentence each.
    """

    photos: list[Tensor]
    held: list[Tensor]
    pairs: list[FramePair]
    notes: tuple[str, ...] = ()

    def crops(
        self, count: int, side: int, generator: torch.Generator, *, held: bool = False
    ) -> Tensor:
        """Returns random square crops at several scales, half of them flipped: ``(count, 3, side, side)``, 0 to 1."""
        stock = self.held if held else self.photos
        return torch.cat([_crop(_one_of(stock, generator), side, generator) for _ in range(count)])

    def pair(self, side: int, generator: torch.Generator) -> FramePair:
        """Returns a crop of a pair of frames; without clips, a photograph and the same after a small known motion."""
        if not self.pairs:
            return _moved(self.crops(1, side, generator), generator)
        pair = _one_of(self.pairs, generator)
        height, width = pair.first.shape[-2:]
        side = min(side, height, width)
        top, left = (_whole(0, n - side, generator) for n in (height, width))
        rows, columns = slice(top, top + side), slice(left, left + side)
        cut = [
            part[..., rows, columns] for part in (pair.first, pair.second, pair.flow, pair.trust)
        ]
        place = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy"))
        target = place[None] + cut[2]
        inside = ((target >= 0) & (target <= side - 1)).all(1, keepdim=True)
        return FramePair(cut[0], cut[1], cut[2], cut[3] * inside)


def gather_data(photos: Sequence[Path] = (), clips: Sequence[Path] = ()) -> TrainingData:
    """Reads images and videos; unreadable images are skipped with a note.

    Args:
        photos: Images or folders of images; if there are neither photos nor clips, the images of scikit-image are used.
        clips: Videos or folders of videos; their frames are also used as photographs.

    Raises:
        InputError: There are no usable images.
    """
    notes: list[str] = []
    pictures: list[Tensor] = []
    files = find_images([str(path) for path in photos]) if photos else []
    if not files and not clips:
        pictures = _from_skimage()
        notes.append(
            f"training on {len(pictures)} photographs from scikit-image; pass your own with --photos"
        )
    for path in files:
        try:
            image = read_image(path).to_tensor()
        except ImpastoError as error:
            notes.append(f"skipped: {error}")
            continue
        pictures.append(_small(image))
    pairs: list[FramePair] = []
    for clip in _films(clips):
        found = _pairs_of(clip)
        pairs += found
        pictures += [(255 * pair.second[0]).round().to(torch.uint8) for pair in found[::2]]
    if not pictures:
        raise InputError(
            "there are no training images; pass photographs with --photos, or videos with --clips."
        )
    held = pictures[HELD_OUT - 1 :: HELD_OUT] or pictures[:1]
    if len(pictures) >= 2 * HELD_OUT:
        pictures = [p for number, p in enumerate(pictures) if number % HELD_OUT != HELD_OUT - 1]
    return TrainingData(pictures, held, pairs, tuple(notes))


def _films(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else []
        films = [file for file in inside if is_film(file)]
        if path.is_dir() and not films:
            raise InputError(
                f"the folder {path} contains no videos; supported formats are {', '.join(FILM_SUFFIXES)}."
            )
        found += films or [path]
    return found


def _from_skimage() -> list[Tensor]:
    try:
        from skimage import data
    except ImportError as error:
        raise InputError(
            "there are no training images; pass photographs with --photos, or install impasto[examples] for a few "
            "examples."
        ) from error
    pictures = []
    for name in ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina"):
        pixels = getattr(data, name)()[..., :3]
        pictures.append(_small(pixels_to_tensor(pixels)))
    return pictures


def _small(image: Tensor) -> Tensor:
    size = (image.shape[-2], image.shape[-1])
    if max(size) > LONG_EDGE_PX:
        image = resize(image, size_to_fit(size, LONG_EDGE_PX))
    return (255 * image[0]).round().to(torch.uint8)


def _pairs_of(path: Path) -> list[FramePair]:
    """Returns pairs of neighboring frames spread over a clip, with DIS flow and its reliability."""
    from impasto.media.video import open_clip, painted_size
    from impasto.motion import make_estimator, trusted_flow

    clip = open_clip(path)
    find = make_estimator("dis")
    frames = clip.info.frames or 250
    every = max(2, frames // PAIRS_A_CLIP)
    pairs, before = [], None
    size = painted_size(clip.info, min(LONG_EDGE_PX, max(clip.info.width_px, clip.info.height_px)))
    for number, frame in enumerate(clip.frames(size)):
        if number % every == 1 and before is not None:
            first, second = pixels_to_tensor(before.pixels), pixels_to_tensor(frame.pixels)
            flow, trust = trusted_flow(find, frame, second, before, first)
            if float(trust.mean()) > 0.3:
                pairs.append(FramePair(first, second, flow, trust))
        before = frame if number % every == 0 else None
    return pairs


def _moved(image: Tensor, generator: torch.Generator) -> FramePair:
    """Applies a small random shift, rotation and scaling to an image; returns both with the flow back."""
    side = image.shape[-1]
    numbers = 2 * torch.rand(4, generator=generator) - 1
    angle, scale = float(TURN * numbers[0]), math.exp(float(TURN * numbers[1]))
    turn = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    shift = MOVE * side * numbers[2:]
    place = torch.stack(
        torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy")
    ).float()
    centered = place - (side - 1) / 2
    goal = torch.einsum("ij,jhw->ihw", turn, centered) + (side - 1) / 2 + shift[:, None, None]
    flow = (goal - place)[None]
    inside = ((goal >= 0) & (goal <= side - 1)).all(0)[None, None].float()
    grid = (2 * goal / (side - 1) - 1).permute(1, 2, 0)[None]
    second = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return FramePair(image, second, flow, inside)


def _crop(picture: Tensor, side: int, generator: torch.Generator) -> Tensor:
    image = picture[None].float() / 255
    height, width = image.shape[-2:]
    draw = float(torch.rand((), generator=generator))
    whole = min(height, width, max(1, round(side * math.exp(draw * math.log(2.5)))))
    top, left = (_whole(0, n - whole, generator) for n in (height, width))
    crop = image[..., top : top + whole, left : left + whole]
    crop = F.interpolate(crop, (side, side), mode="bilinear", antialias=True)
    return crop.flip(-1) if float(torch.rand((), generator=generator)) < 0.5 else crop


def _whole(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, max(low, high) + 1, (), generator=generator))


def _one_of(stock: list[T], generator: torch.Generator) -> T:
    return stock[_whole(0, len(stock) - 1, generator)]
