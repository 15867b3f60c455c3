"""Films by keyframes: plans a clip, paints its keyframes, and derives the frames between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from impasto.config import FilmOptions
from impasto.errors import InputError, UsageError
from impasto.keyframes import FilmPlan, Planner, Stretch, carry_side, paint_between
from impasto.media import pixels_to_tensor, tensor_to_pixels
from impasto.media.resize import size_to_fit
from impasto.media.video import Clip, select_frames
from impasto.motion import FlowEstimator, make_estimator, trusted_flow, warp
from impasto.pipeline.ahead import ahead
from impasto.pipeline.follow import FilmRegions
from impasto.pipeline.neighbors import blend_at
from impasto.pipeline.store import PaintStore, frame_record
from impasto.types import Earlier, Frame, FrameContext, Painted, Stylizer

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["Interval", "KeyedFilm", "PlannedClip", "given_at", "no_frames", "plan_clip", "select"]

PLANNED_PX = 320
"""Long edge at which motion is estimated for the plan."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A unit of work: frames that depend on nothing but one or two keyframes.

    Attributes:
        first: First frame; a keyframe if ``left`` is.
        last: Last frame; a keyframe if ``right`` is.
        left: Whether the first frame is a keyframe.
        right: Whether the last frame is a keyframe.
    """

    first: int
    last: int
    left: bool
    right: bool

    @property
    def between(self) -> range:
        """Numbers of the frames that are not keyframes."""
        return range(self.first + self.left, self.last + 1 - self.right)


def plan_clip(
    clip: Clip, film: FilmOptions, on_frame: Callable[[int], None] | None = None
) -> FilmPlan:
    """Plans a clip in one pass over its frames at a small size; memory does not grow with the number of frames.

    Args:
        clip: The clip.
        film: Uses the excerpt, the options of keyframes, and the schedule.
        on_frame: Called after each frame with the number of frames so far.

    Raises:
        InputError: The clip has no frames in the excerpt, or is damaged.
    """
    whole = (clip.info.height_px, clip.info.width_px)
    small = size_to_fit(whole, min(PLANNED_PX, max(whole)))
    planner = Planner(film, make_estimator("dis"), whole)
    count = 0
    for count, frame in enumerate(ahead(select(clip.frames(small), clip, film)), 1):
        planner.take(frame)
        if on_frame is not None:
            on_frame(count)
    if count == 0:
        raise no_frames(clip, film)
    return planner.plan()


def select(frames: Iterable[Frame], clip: Clip, film: FilmOptions) -> Iterator[Frame]:
    """Selects the excerpt that a film's options choose from frames that run parallel to the clip."""
    rate = None if clip.info.codec == "pictures" else film.fps
    return select_frames(frames, start=film.begin, end=film.end, fps=rate, every=film.every)


def no_frames(clip: Clip, film: FilmOptions) -> InputError:
    """Returns the error for an excerpt without frames."""
    end = "" if film.end is None else f" and before --to {film.end:g}"
    return InputError(
        f"{clip.path} has no frames at or after --from {film.begin:g}{end}; choose an earlier time."
    )


@dataclass(frozen=True)
class PlannedClip:
    """A clip whose frames are read by their numbers in the plan.

    Attributes:
        clip: The clip.
        plan: Its plan, which knows the time of each frame.
        film: The film's options, of which the beginning of the excerpt is used.
        size: Height and width of the frames.
    """

    clip: Clip
    plan: FilmPlan
    film: FilmOptions
    size: tuple[int, int]

    def frames(self, first: int, last: int) -> list[Frame]:
        """Reads the frames from one number to another, without decoding those before where the file allows it.

        Raises:
            InputError: The clip is damaged, or is not the one of the plan.
        """
        begin, plan = Fraction(str(self.film.begin)), self.plan
        wanted = {plan.times[number] + begin: number for number in range(first, last + 1)}
        found: list[Frame] = []
        for frame in self.clip.frames(self.size, since=plan.times[first] + begin):
            number = wanted.get(frame.pts_seconds)
            if number is not None:
                found.append(
                    replace(
                        frame,
                        index=number,
                        pts_seconds=plan.times[number],
                        duration_seconds=plan.durations[number],
                    )
                )
            if len(found) == len(wanted):
                return found
        raise InputError(
            f"{self.clip.path} does not have all frames from {first} to {last} of its plan; was it replaced? Plan it "
            "again."
        )


def given_at(plan: FilmPlan, wishes: Mapping[int | float, np.ndarray]) -> dict[int, np.ndarray]:
    """Returns the user's keyframes by frame number; times are in seconds of the output.

    Raises:
        UsageError: Two keyframes belong to the same frame, or a time is after the end.
    """
    found: dict[int, np.ndarray] = {}
    end = float(plan.times[-1] + plan.durations[-1])
    for when, pixels in wishes.items():
        if isinstance(when, float) and when >= end:
            raise UsageError(f"keyframe at {when:g} s is after the end of the video at {end:g} s.")
        number = when if isinstance(when, int) else plan.frame_at(when)
        if number in found:
            raise UsageError(f"frame {number} has two keyframes; pass only one.")
        found[number] = pixels
    return found


class KeyedFilm:
    """Paints the keyframes of a planned film and the frames between them.

    Args:
        source: The clip, its plan, and the film's options.
        stylizer: Paints keyframes; None if all of them are given.
        store: Receives the frames.
        estimator: The flow estimator.
        given: The user's keyframes by frame number, ``(H, W, 3)`` of the store's type.
        regions: Matched regions of all frames; None for whole frames.
        deep: Whether frames have 16 bits per channel instead of 8.
    """

    def __init__(
        self,
        source: PlannedClip,
        stylizer: Stylizer | None,
        store: PaintStore,
        estimator: FlowEstimator,
        *,
        given: Mapping[int, np.ndarray],
        regions: FilmRegions | None,
        deep: bool,
    ) -> None:
        self._source, self._plan, self._film = source, source.plan, source.film
        self._stylizer, self._store, self._estimator = stylizer, store, estimator
        self._given, self._regions, self._deep = given, regions, deep

    def units(self) -> list[Interval]:
        """Returns the intervals of all shots, in order."""
        found = []
        for shot in self._plan.shots:
            keys = shot.keyframes
            if shot.first < keys[0]:
                found.append(Interval(first=shot.first, last=keys[0], left=False, right=True))
            found += [
                Interval(first=a, last=b, left=True, right=True)
                for a, b in itertools.pairwise(keys)
            ]
            if shot.last > keys[-1] or len(keys) == 1:
                found.append(Interval(first=keys[-1], last=shot.last, left=True, right=False))
        return found

    def paint(self) -> Iterator[tuple[Frame, Painted, np.ndarray]]:
        """Paints what the store lacks, interval after interval, and yields each frame when it is saved."""
        for unit in self.units():
            if all(self._store.has(number) for number in range(unit.first, unit.last + 1)):
                continue
            stretch = Stretch(self._source.frames(unit.first, unit.last), self._estimator)
            yield from self._keyframes(unit, stretch)
            yield from self._between(unit, stretch)

    def _keyframes(
        self, unit: Interval, stretch: Stretch
    ) -> Iterator[tuple[Frame, Painted, np.ndarray]]:
        """Paints the missing keyframes of an interval; the one on the right begins with the one on the left."""
        ends = [(unit.first, unit.left), (unit.last, unit.right)]
        for number, is_key in ends:
            if is_key and not self._store.has(number):
                frame = stretch.frames[number - unit.first]
                yield self._save(frame, self._keyframe(unit, stretch, number))

    def _keyframe(self, unit: Interval, stretch: Stretch, number: int) -> Painted:
        if number in self._given:
            return Painted(image=pixels_to_tensor(self._given[number]))
        if self._stylizer is None:
            raise UsageError(
                f"keyframe {number} is not given, and there is no style to paint it in."
            )
        frame = stretch.frames[number - unit.first]
        image = pixels_to_tensor(frame.pixels)
        blend = blend_at(float(frame.pts_seconds), self._film)
        regions = () if self._regions is None else self._regions.stored(number).regions
        if number == unit.first or not unit.left:
            return self._stylizer.paint(
                image, FrameContext(index=number, opens_shot=True, blend=blend, regions=regions)
            )
        before = self._pastiche(unit.first)
        earlier: Sequence[Earlier] = [carry_side(stretch, before)]
        if self._film.loop and number == self._plan.frames - 1:
            earlier = [*earlier, self._loop(frame, image)]
        context = FrameContext(
            index=number,
            opens_shot=False,
            blend=blend,
            previous=before,
            earlier=tuple(earlier),
            state=self._store.record(unit.first)["state"],
            regions=regions,
        )
        return self._stylizer.paint(image, context)

    def _loop(self, frame: Frame, image: Tensor) -> Earlier:
        """Returns the film's first pastiche as a frame that follows the last one."""
        first = self._source.frames(0, 0)[0]
        flow, trust = trusted_flow(
            self._estimator, frame, image, first, pixels_to_tensor(first.pixels)
        )
        warped = warp(self._pastiche(0), flow, mode="bicubic").clamp(0, 1)
        return Earlier(gap=-1, warped=warped, reliability=trust)

    def _between(
        self, unit: Interval, stretch: Stretch
    ) -> Iterator[tuple[Frame, Painted, np.ndarray]]:
        """Paints the missing frames of an interval whose keyframes are in the store."""
        if all(self._store.has(number) for number in unit.between):
            return
        left = self._pastiche(unit.first) if unit.left else None
        right = self._pastiche(unit.last) if unit.right else None
        for place, image in paint_between(stretch, left, right, self._film):
            frame = stretch.frames[place]
            if not self._store.has(frame.index):
                yield self._save(frame, Painted(image=image))

    def _pastiche(self, number: int) -> Tensor:
        self._store.settle()
        return pixels_to_tensor(self._store.pixels(number))

    def _save(self, frame: Frame, painted: Painted) -> tuple[Frame, Painted, np.ndarray]:
        pixels = tensor_to_pixels(painted.image, deep=self._deep)
        opens = frame.index == self._plan.shot_of(frame.index).first
        self._store.save(frame.index, pixels, frame_record(frame, painted, opens=opens))
        return frame, painted, pixels

    def repair(self) -> list[str]:
        """Drops damaged frames and all frames that depend on them; returns a note for each damaged one."""
        painted = self._store.painted()
        lost = {number for number in painted if self._store.whole(number) is None}
        dropped = set(lost)
        for unit in self.units():
            if unit.left and unit.right and unit.first in dropped and unit.last not in self._given:
                dropped.add(unit.last)
            ends = {unit.first} if unit.left else set()
            ends |= {unit.last} if unit.right else set()
            if ends & dropped:
                dropped.update(unit.between)
        for number in sorted(dropped & painted):
            self._store.drop(number)
        return [f"frame {number} was damaged and is processed again" for number in sorted(lost)]
