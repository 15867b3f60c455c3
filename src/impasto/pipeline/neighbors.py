"""Temporal context of a frame: warped earlier pastiches and their reliability."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.config import FilmOptions
from impasto.media import pixels_to_tensor
from impasto.motion import (
    FlowEstimator,
    Motion,
    ShotFinder,
    Tracker,
    closest_first,
    goes_on,
    warp,
)
from impasto.motion.carry import keep_sharp
from impasto.pipeline.store import PaintStore
from impasto.types import Earlier, Frame, FrameContext

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Neighbors", "blend_at"]

LOOP_FRAMES = 16
"""Number of frames at the end over which a loop returns to its first pastiche."""


class Neighbors:
    """Tracks the frames of a video and creates their contexts; keeps only as many frames as the largest gap requires.

    Args:
        film: Temporal settings.
        estimator: Flow estimator, or None if no motion is needed.
        store: Stylized frames.

    Attributes:
        latest_flow: Motion of the latest frame, ``(1, 2, H, W)``, to be stored; None if no later frame needs it.
    """

    def __init__(
        self, film: FilmOptions, estimator: FlowEstimator | None, store: PaintStore
    ) -> None:
        self._film, self._store = film, store
        self._tracker = None if estimator is None else Tracker(estimator, correct=film.anchor)
        self._shots = ShotFinder(film.cut_threshold)
        self._frames: deque[Frame] = deque(maxlen=max(film.gaps) + 1)
        self._opening: Frame | None = None
        self._motion: Motion | None = None
        self._shot_start = 0
        self._total: int | None = None
        self.latest_flow: np.ndarray | None = None

    def take(self, frame: Frame, image: Tensor, *, painted: bool, total: int | None) -> bool:
        """Processes the next frame and returns whether it starts a shot.

        Args:
            frame: The clip's frame.
            image: The same frame, ``(1, 3, H, W)`` in ``[0, 1]``.
            painted: Whether it is already stylized, so that its motion is read from the store if still needed.
            total: Total number of frames, for a loop.
        """
        opens = self._shots.opens(frame) and not self._moves_on(frame, image)
        self._total = total
        if self._opening is None:
            self._opening = frame
        if opens:
            self._frames.clear()
            self._shot_start = frame.index
            if self._tracker is not None:
                self._tracker.reset()
        self._motion, self.latest_flow = None, None
        if self._tracker is not None:
            self._follow(frame, image, opens=opens, painted=painted)
        self._frames.append(frame)
        return opens

    def _moves_on(self, frame: Frame, image: Tensor) -> bool:
        """Returns whether an apparent cut is fast motion or a flash; after a real cut, no motion is reliable."""
        if self._tracker is None or not self._frames:
            return False
        before = self._frames[-1]
        trust = self._tracker.between(frame, image, before, pixels_to_tensor(before.pixels))[1]
        return goes_on(trust)

    def _follow(self, frame: Frame, image: Tensor, *, opens: bool, painted: bool) -> None:
        assert self._tracker is not None
        if opens:
            self._tracker.add(frame, image)
        elif painted:
            self._tracker.add(frame, image)
            kept = self._store.flow(frame.index)
            if kept is not None:
                self._tracker.flows.append(torch.from_numpy(kept))
        else:
            self._motion = self._tracker.follow(frame, image)
            self.latest_flow = self._motion.flow.numpy() if self._film.anchor else None

    def context(
        self, frame: Frame, image: Tensor, blend: tuple[float, ...], state: Mapping[str, float]
    ) -> FrameContext:
        """Returns the context of the latest frame."""
        opens = frame.index == self._shot_start
        alone = opens or not self._film.remembers
        previous = None if alone else self._pastiche(frame.index - 1)
        earlier = () if alone or self._tracker is None else self._earlier(frame, image)
        iterates = None
        if self._film.iterate_weight > 0 and not opens:
            kept = self._store.iterates(frame.index - 1)
            iterates = [pixels_to_tensor(pixels) for pixels in kept] or None
        return FrameContext(
            index=frame.index,
            opens_shot=alone,
            blend=blend,
            previous=previous,
            earlier=earlier,
            still=None if self._motion is None else self._motion.still,
            iterates=iterates,
            state=state,
        )

    def _earlier(self, frame: Frame, image: Tensor) -> tuple[Earlier, ...]:
        seen: list[Earlier] = []
        for gap in sorted(self._film.gaps):
            if gap < len(self._frames):
                other = self._frames[-gap - 1]
                seen.append(self._previous(frame) if gap == 1 else self._seen(frame, image, other))
        if not seen:
            return ()
        trusts = closest_first([one.reliability for one in seen])
        seen = [
            dataclasses.replace(one, reliability=trust)
            for one, trust in zip(seen, trusts, strict=True)
        ]
        return (*seen, *self._loop(frame, image)) if self._film.loop else tuple(seen)

    def _previous(self, frame: Frame) -> Earlier:
        assert self._motion is not None
        pastiche, motion = self._pastiche(frame.index - 1), self._motion
        warped = warp(pastiche, motion.flow, mode="bicubic").clamp(0, 1)
        if self._film.hold:
            warped = keep_sharp(warped, pastiche, motion.trust * (1 - motion.still))
        return Earlier(gap=1, warped=warped, reliability=motion.trust, fits=motion.fits)

    def _seen(self, frame: Frame, image: Tensor, other: Frame) -> Earlier:
        return self.seen_from(frame, image, other, self._pastiche(other.index))

    def seen_from(self, frame: Frame, image: Tensor, other: Frame, pastiche: Tensor) -> Earlier:
        """Warps another frame's pastiche, ``(1, 3, H, W)``, to this frame by the flow between the two."""
        assert self._tracker is not None
        flow, trust = self._tracker.between(frame, image, other, pixels_to_tensor(other.pixels))
        warped = warp(pastiche, flow, mode="bicubic").clamp(0, 1)
        return Earlier(gap=frame.index - other.index, warped=warped, reliability=trust)

    def _loop(self, frame: Frame, image: Tensor) -> tuple[Earlier, ...]:
        """Returns the video's first pastiche as a following frame, with weight that grows over the last frames."""
        if self._total is None or self._opening is None:
            return ()
        left = self._total - frame.index
        if left > LOOP_FRAMES or frame.index < LOOP_FRAMES // 2:
            return ()
        first = self._seen(frame, image, self._opening)
        share = 1 - (left - 1) / LOOP_FRAMES
        return (Earlier(gap=-left, warped=first.warped, reliability=share * first.reliability),)

    def _pastiche(self, index: int) -> Tensor:
        return pixels_to_tensor(self._store.pixels(index))


def blend_at(seconds: float, film: FilmOptions) -> tuple[float, ...]:
    """Returns the weight of each style at a time: empty without a schedule, else one style or a crossfade of two.

    Args:
        seconds: Time in the output.
        film: Uses ``schedule`` and ``fade``; a crossfade is centered on the second at which a style starts.
    """
    if not film.schedule:
        return ()
    shares = [1.0] + [0.0] * (len(film.schedule) - 1)
    for number, begins in enumerate(film.schedule[1:], 1):
        since = seconds - begins
        come = min(max(since / film.fade + 0.5, 0.0), 1.0) if film.fade > 0 else float(since >= 0)
        shares = [share * (1 - come) for share in shares]
        shares[number] += come
    return tuple(shares)
