"""Tracks regions through a video along the optical flow, and detects them again at cuts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.media import is_film, resize
from impasto.media.video import open_clip
from impasto.motion import FlowEstimator, trusted_flow, warp
from impasto.pipeline.regions import Found, RegionFinder
from impasto.pipeline.store import PaintStore
from impasto.regions import PALETTE, Matched, masks_of_pixels
from impasto.types import Frame, Region

__all__ = ["FilmRegions", "is_film_of_masks"]


CARRIED = 0.85
"""Weight of warped masks where the flow is reliable; the rest comes from the current frame, to prevent border drift."""

SHARPEN = 2.5
"""Contrast of a mask around 0.5 in each frame: counteracts resampling blur, and lets reliable motion outvote the
current frame's own segmentation."""

Select = Callable[[Iterator[Frame]], Iterator[Frame]]


def is_film_of_masks(path: Path) -> bool:
    """Returns whether masks are given per frame: a video, ``mask_%05d.png``, or a folder of numbered images."""
    if is_film(path, gif=True) or "%" in path.name:
        return True
    if not path.is_dir():
        return False
    stems = [
        file.stem for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
    ]
    return bool(stems) and all(any(c.isdigit() for c in stem) for stem in stems)


class FilmRegions:
    """Determines the regions of every frame, in order.

    Given or detected masks apply to the first frame of a shot. From there, they are warped along the optical flow, and
    a segmentation of the current frame fills in where the flow is unreliable. A video of masks is used as is while it
    lasts; from there on, its last frame is tracked.

    Args:
        finder: Finds the regions of the first frame of a shot.
        estimator: Flow estimator, used if the video job has none of its own.
        store: Stores the masks of stylized frames.
        masks: A video of masks, or None.
        rate: Frame rate of the clip, for masks given as an image sequence.
        select: Selects the same excerpt of a video of masks as of the clip.

    Attributes:
        notes: Information for the user, one phrase each.
    """

    def __init__(
        self,
        finder: RegionFinder,
        estimator: FlowEstimator,
        store: PaintStore,
        *,
        masks: Path | None = None,
        rate: float | None = None,
        select: Select = iter,
    ) -> None:
        self._finder, self._estimator, self._store = finder, estimator, store
        self._path, self._rate, self._select = masks, rate, select
        self._mask_frames: Iterator[Frame] | None = None
        self._next: Frame | None = None
        self._held: Frame | None = None
        self._found: Found | None = None
        self._masks: Mapping[str, Tensor] = {}
        self._before: tuple[Frame, Tensor] | None = None
        self._shot = -1
        self._shots: dict[int, Found] = {}
        self.notes: list[str] = []

    def take(
        self, frame: Frame, image: Tensor, *, opens: bool, painted: bool
    ) -> tuple[Region, ...]:
        """Processes the next frame and returns its regions.

        Args:
            frame: The clip's frame.
            image: The same frame, ``(1, 3, H, W)`` in ``[0, 1]``.
            opens: Whether the frame starts a shot.
            painted: Whether its masks are in the store.
        """
        given = self._from_film(frame, image)
        if self._found is None or opens:
            self._open(frame, image, given)
        kept = self._store.masks(frame.index) if painted else None
        if kept is not None:
            self._masks = _tensors(kept.masks)
        elif given is not None:
            self._masks = _rounded(self._aligned(given))
        elif self._before is not None and not opens:
            self._masks = _rounded(self._followed(frame, image))
        if kept is None:
            self._store.save_masks(frame.index, self._shot, _bytes(self._masks))
        self._before = (frame, image)
        return self._match(self._masks, self._shot).regions

    def stored(self, index: int) -> Matched:
        """Returns the matched regions of a stored frame and how much of it is stylized."""
        kept = self._store.masks(index)
        assert kept is not None
        return self._match(_tensors(kept.masks), kept.shot)

    def _match(self, masks: Mapping[str, Tensor], shot: int) -> Matched:
        matched = self._finder.match(self._shots[shot], masks, shot)
        for note in matched.notes:
            if note not in self.notes:
                self.notes.append(note)
        return matched

    def _open(self, frame: Frame, image: Tensor, given: Mapping[str, Tensor] | None) -> None:
        """Starts a shot: detects its regions, or segments them from what a mask of the first frame taught."""
        size = (image.shape[-2], image.shape[-1])
        known = self._found
        self._shot += 1
        if given is None and known is not None and self._finder.from_files:
            self._masks = _rounded(self._finder.look(image, known))
        else:
            found = self._finder.find(image, given)
            self._masks = _rounded({n: resize(m, size) for n, m in found.content.items()})
            if self._finder.from_files:
                grouping = self._finder.learn(image, self._masks)
                found = dataclasses.replace(found, grouping=grouping)
            self._found = found
        assert self._found is not None
        self._shots[self._shot] = self._found
        self._before = None

    def _followed(self, frame: Frame, image: Tensor) -> dict[str, Tensor]:
        """Warps the previous frame's masks and uses the current frame's segmentation where the flow is unreliable."""
        assert self._before is not None
        assert self._found is not None
        before, image_before = self._before
        flow, trust = trusted_flow(self._estimator, frame, image, before, image_before)
        trust = CARRIED * trust
        own = self._finder.look(image, self._found)
        carried = {name: warp(mask, flow) for name, mask in self._masks.items()}
        mixed = {}
        for name, mask in carried.items():
            share = trust * mask + (1 - trust) * own.get(name, torch.zeros_like(mask))
            mixed[name] = ((share - 0.5) * SHARPEN + 0.5).clamp(0, 1)
        return mixed

    def _from_film(self, frame: Frame, image: Tensor) -> dict[str, Tensor] | None:
        """Returns the masks for a frame's time from the video of masks; None if there is none or it has ended."""
        if self._path is None:
            return None
        if self._mask_frames is None:
            clip = open_clip(self._path, rate=self._rate)
            self._mask_frames = self._select(clip.frames((image.shape[-2], image.shape[-1])))
            self._next = next(self._mask_frames, None)
        while (
            self._next is not None
            and self._next.pts_seconds <= frame.pts_seconds + frame.duration_seconds / 2
        ):
            self._held, self._next = self._next, next(self._mask_frames, None)
        held = self._held
        if held is None:
            return None
        over = held.pts_seconds + held.duration_seconds
        if self._next is None and over < frame.pts_seconds + frame.duration_seconds / 4:
            self._say(
                f"{self._path} ends at {float(over):.2f} s; its last masks are tracked along the motion from there"
            )
            return None
        pixels = (
            held.pixels if held.pixels.dtype == np.uint8 else (held.pixels // 257).astype(np.uint8)
        )
        masks = masks_of_pixels(pixels, self._path)
        blank = torch.zeros(1, 1, *pixels.shape[:2])
        wished = (*self._finder.wish.only, *self._finder.wish.assign)
        return {name: blank for name in wished if name in PALETTE} | masks

    def _say(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _aligned(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Extends a frame's masks to all names known in the shot."""
        assert self._found is not None
        blank = torch.zeros_like(next(iter(given.values())))
        return {
            name: given.get(name, blank) for name in dict.fromkeys((*self._found.content, *given))
        }


def _rounded(masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rounds masks as they are stored, so that a resumed run sees the same values; they sum to 1 up to rounding."""
    total = torch.stack(list(masks.values())).sum(0).clamp_min(1e-6)
    return {name: torch.round(255 * mask / total) / 255 for name, mask in masks.items()}


def _bytes(masks: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {
        name: np.round(mask[0, 0].numpy() * 255).astype(np.uint8) for name, mask in masks.items()
    }


def _tensors(masks: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Converts stored masks to tensors; the inverse of `_bytes`."""
    return {name: torch.from_numpy(mask)[None, None] / 255 for name, mask in masks.items()}
