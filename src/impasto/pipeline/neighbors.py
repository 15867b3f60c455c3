"""What a frame is told of its neighbors: earlier pastiches along the motion, and how far to trust them."""

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
    warp,
)
from impasto.optimize.carry import keep_sharp
from impasto.pipeline.store import PaintStore
from impasto.types import Earlier, Frame, FrameContext

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Neighbors", "blend_at"]

LOOP_FRAMES = 16
"""Over so many last frames a loop is led back to its first pastiche."""

GOES_ON = 0.75
"""Mean reliability of the motion above which what looks like a cut is none. After cuts it was 0.00 on the teaching
clips, in the midst of a dissolve 0.59, and in a pan of a thirtieth of the width a frame 0.95."""


class Neighbors:
    """Follows the frames of a film and makes their contexts; holds no more frames than the longest gap.

    Args:
        film: How frames hang together.
        estimator: Of flow, or None when no motion is needed.
        store: Painted frames.

    Attributes:
        latest_flow: Motion of the latest frame, ``(1, 2, H, W)``, to be kept with it; None where no later one asks.
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
        """Takes the next frame; tells whether it opens a shot.

        Args:
            frame: From the clip.
            image: The same, ``(1, 3, H, W)`` in ``[0, 1]``.
            painted: Whether it is painted already, so that its motion is read where it is still wanted.
            total: How many frames there are, for a loop.
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
        """Whether what passes for a cut is a fast move or a flash: after a cut no motion is reliable anywhere."""
        if self._tracker is None or not self._frames:
            return False
        before = self._frames[-1]
        trust = self._tracker.between(frame, image, before, pixels_to_tensor(before.pixels))[1]
        return float(trust.mean()) > GOES_ON

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
        """The context of the frame that was taken last."""
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
        """Another frame's pastiche, ``(1, 3, H, W)``, carried to this frame by the flow between the two."""
        assert self._tracker is not None
        flow, trust = self._tracker.between(frame, image, other, pixels_to_tensor(other.pixels))
        warped = warp(pastiche, flow, mode="bicubic").clamp(0, 1)
        return Earlier(gap=frame.index - other.index, warped=warped, reliability=trust)

    def _loop(self, frame: Frame, image: Tensor) -> tuple[Earlier, ...]:
        """The film's first pastiche, ever stronger over the last frames, as what comes next."""
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
    """Share of each style at a time: none without a schedule, else one style or a cross-fade of two.

    Args:
        seconds: On the film's clock.
        film: With ``schedule`` and ``fade``; a fade is centered on the second at which a style begins.
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
