"""A video job: stylizes frame by frame and pass by pass, then writes the file."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto._version import __version__
from impasto.config import FilmOptions
from impasto.errors import OutputError
from impasto.keyframes import FilmPlan
from impasto.media import pixels_to_tensor, tensor_to_pixels
from impasto.media.video import (
    Clip,
    FilmFormat,
    FilmWriter,
    PictureWriter,
    video_times,
)
from impasto.motion import ANCHOR_FRAMES, FlowEstimator, RememberedFlow, make_estimator
from impasto.pipeline.ahead import ahead
from impasto.pipeline.finish import Finisher
from impasto.pipeline.follow import FilmRegions
from impasto.pipeline.image import (
    within,
)
from impasto.pipeline.keyed import (
    KeyedFilm,
    PlannedClip,
    given_at,
    no_frames,
    plan_clip,
    select,
)
from impasto.pipeline.neighbors import Neighbors, blend_at
from impasto.pipeline.repair import repair, without_motion
from impasto.pipeline.store import PaintStore, frame_record
from impasto.types import Frame, FrameContext, Painted, Region, Stylizer

if TYPE_CHECKING:
    import numpy as np

    pass

__all__ = ["FilmJob", "FilmOutput", "FrameDone", "flow_estimator"]

TICKS = {".gif": Fraction(1, 100), ".mkv": Fraction(1, 1000), ".webm": Fraction(1, 1000)}
"""Time resolution of containers that are coarser than the clip's own time base."""

FOUND_EARLY = ("dis", "dis-half", "farneback")
"""OpenCV's estimators, whose threads do not compete with PyTorch's."""


def flow_estimator(film: FilmOptions) -> FlowEstimator | None:
    """Returns the estimator that a video's options name, which remembers its latest results; None if none is needed.

    Raises:
        ImpastoError: Its weights or files are missing or unusable.
    """
    if not film.needs_motion:
        return None
    return RememberedFlow(
        make_estimator(
            film.flow, weights=film.flow_weights, files=film.flow_files, cache=film.flow_cache
        )
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOutput:
    """The video that a job writes.

    Attributes:
        path: Its file.
        format: Codec and pixel format, from `choose_format`.
        settings: Written into the video as metadata.
        finish: Post-processing of the pastiches.
    """

    path: Path
    format: FilmFormat
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    finish: Finisher | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameDone:
    """A progress event: one frame was stylized.

    Attributes:
        index: Frame number in the output, from 0.
        frames: Total number of frames, if known.
        turn: The pass, from 1.
        turns: Number of passes.
        opens_shot: Whether the frame starts a shot.
        terms: Weighted losses of the last step.
        seconds: Total time for this frame.
        pixels: ``(H, W, 3)`` of uint8 or uint16.
        notes: Unusual events, if any.
    """

    index: int
    frames: int | None
    turn: int
    turns: int
    opens_shot: bool
    terms: Mapping[str, float]
    seconds: float
    pixels: np.ndarray
    notes: tuple[str, ...] = ()


class FilmJob:
    """A video that is ready to be stylized: iterate over it, then call `assemble`.

    Stop iterating to cancel; completed frames stay in the store, and `assemble` writes a video of them.

    Args:
        clip: The source clip.
        stylizer: Stylizes each frame.
        store: Contains completed frames and receives new ones.
        film: Temporal and output settings.
        output: The video to write.
        size: Height and width.
        flow: The flow estimator, from `flow_estimator`; None if no flow is needed.
        plan: A plan that was made or edited before; None to make one if the options ask for keyframes.
        given: The user's keyframes, ``(H, W, 3)``, by frame number (an integer) or time in seconds (a float).

    Attributes:
        plan: The plan of a film with keyframes, from `make_plan`; None until then, and for other films.
        flow: The shared flow estimator; None if no flow is needed.
        regions: Matched regions of content and styles; None for whole frames.
    """

    def __init__(
        self,
        clip: Clip,
        stylizer: Stylizer | None,
        store: PaintStore,
        film: FilmOptions,
        *,
        output: FilmOutput,
        size: tuple[int, int],
        flow: FlowEstimator | None,
        plan: FilmPlan | None = None,
        given: Mapping[int | float, np.ndarray] | None = None,
    ) -> None:
        self.clip, self.stylizer, self.store, self.film = clip, stylizer, store, film
        self.out, self.size, self.format = output.path, size, output.format
        self.settings, self._finish = dict(output.settings), output.finish
        self.notes: list[str] = list(self.format.notes)
        if not film.keyframe_every:
            self.notes += [
                str(damage)
                for damage in repair(
                    store, film.passes, loop=film.loop, steps=film.iterate_weight > 0
                )
            ]
        self.plan: FilmPlan | None = None
        self._proposed, self._wishes = plan, dict(given or {})
        self._keyed: KeyedFilm | None = None
        self._deep = clip.info.bits > 8
        self.flow = flow
        self._neighbors = Neighbors(film, self.flow, store)
        self.regions: FilmRegions | None = None
        self.frames = self._count()

    def selected(self) -> Iterator[Frame]:
        """Yields the frames of the clip that are to be stylized."""
        return select(self.clip.frames(self.size), self.clip, self.film)

    def _count(self) -> int | None:
        """Returns the number of frames if known; exact for a loop."""
        film, info = self.film, self.clip.info
        if film.loop:
            return sum(1 for _frame in self.selected())
        if info.frames is None and info.duration_seconds is None:
            return None
        seconds = float(info.duration_seconds or (info.frames or 0) / info.rate)
        rate = min(float(info.rate), film.fps or float(info.rate))
        lasts = min(seconds, film.end if film.end is not None else seconds) - film.begin
        return max(0, round(lasts * rate / film.every))

    def __iter__(self) -> Iterator[FrameDone]:
        """Paints keyframes and the frames between them, or frame by frame, pass after pass; skips completed frames."""
        try:
            if self.film.keyframe_every:
                yield from self._by_keyframes()
                return
            yield from self._first_pass()
            for turn in range(2, self.film.passes + 1):
                yield from self._pass(turn)
        finally:
            self.store.settle()

    def make_plan(self, on_frame: Callable[[int], None] | None = None) -> FilmPlan | None:
        """Makes the plan of a film with keyframes, or reads it from the store; None for other films.

        Args:
            on_frame: Called after each frame with the number of frames so far.

        Raises:
            ImpastoError: The clip is damaged, or the given keyframes or plan do not fit it.
        """
        if not self.film.keyframe_every or self.plan is not None:
            return self.plan
        stored = self.store.plan()
        plan = self._new_plan(on_frame) if stored is None else FilmPlan.from_values(stored)
        assert self.flow is not None
        self.plan, self.frames = plan, plan.frames
        self._keyed = KeyedFilm(
            PlannedClip(self.clip, plan, self.film, self.size), self.stylizer, self.store, self.flow,
            given=given_at(plan, self._wishes), regions=self.regions, deep=self._deep,
        )  # fmt: skip
        self.notes += self._keyed.repair()
        return plan

    def _new_plan(self, on_frame: Callable[[int], None] | None) -> FilmPlan:
        """Makes the plan, with the user's own keyframes, and stores it."""
        plan = self._proposed or plan_clip(self.clip, self.film, on_frame)
        given = given_at(plan, self._wishes)
        if given:
            plan = plan.with_given(given, painter=self.stylizer is not None)
        self.store.save_plan(plan.values())
        return plan

    def _by_keyframes(self) -> Iterator[FrameDone]:
        """Paints a film with keyframes."""
        plan = self.make_plan()
        assert plan is not None
        assert self._keyed is not None
        if self.regions is not None:
            self._follow_regions(plan)
        began = time.monotonic()
        for frame, painted, pixels in self._keyed.paint():
            opens = frame.index == plan.shot_of(frame.index).first
            yield self._event(frame.index, 1, opens, painted, began, pixels)
            began = time.monotonic()

    def _follow_regions(self, plan: FilmPlan) -> None:
        """Finds the regions of every frame before anything is painted, since a frame's depend on the one before."""
        assert self.regions is not None
        starts = {shot.first for shot in plan.shots}
        for frame in ahead(self.selected()):
            known = self.store.masks(frame.index) is not None
            image = pixels_to_tensor(frame.pixels)
            self.regions.take(frame, image, opens=frame.index in starts, painted=known)

    def _first_pass(self) -> Iterator[FrameDone]:
        painted = self.store.painted()
        followed = self._without_motion(painted)
        state: Mapping[str, float] = {}
        count = 0
        for frame in ahead(self._with_motion(painted - followed)):
            began = time.monotonic()
            index, known = frame.index, frame.index in painted
            image = pixels_to_tensor(frame.pixels)
            opens = self._neighbors.take(
                frame, image, painted=known and index not in followed, total=self.frames
            )
            count = index + 1
            regions: tuple[Region, ...] = ()
            if self.regions is not None:
                regions = self.regions.take(frame, image, opens=opens, painted=known)
            if known:
                state = self._pass_over(frame, painted, state)
                continue
            context = self._neighbors.context(
                frame, image, self._blend(frame), {} if opens else state
            )
            context = dataclasses.replace(context, regions=regions)
            assert self.stylizer is not None
            result = self.stylizer.paint(image, context)
            state = result.state
            pixels = self._keep(frame, result, opens)
            yield self._event(index, 1, opens, result, began, pixels)
        if count == 0:
            raise no_frames(self.clip, self.film)
        self.frames = count

    def _without_motion(self, painted: frozenset[int]) -> frozenset[int]:
        """Returns completed frames whose motion must be recomputed for the frames that follow."""
        if self.flow is None or not self.film.anchor:
            return frozenset()
        opens = [
            index in painted and bool(self.store.record(index)["opens"])
            for index in range(max(painted, default=-1) + 1)
        ]
        return without_motion(self.store, opens, painted, ANCHOR_FRAMES - 1)

    def _pass_over(
        self, frame: Frame, painted: frozenset[int], state: Mapping[str, float]
    ) -> Mapping[str, float]:
        """Skips a completed frame and returns the state for the next frame."""
        if self.film.passes > 1 and not self.store.has_source(frame.index):
            self.store.keep_source(frame.index, frame.pixels)
        if frame.index + 1 in painted:
            return state
        known: Mapping[str, float] = self.store.record(frame.index)["state"]
        return known

    def _with_motion(self, known: frozenset[int]) -> Iterator[Frame]:
        """Yields the selected frames and precomputes their motion in the reading thread."""
        before: Frame | None = None
        find = self.flow if self.film.flow in FOUND_EARLY else None
        for frame in self.selected():
            if find is not None and before is not None and frame.index not in known:
                find(frame, before)
                find(before, frame)
            before = frame
            yield frame

    def _blend(self, frame: Frame) -> tuple[float, ...]:
        return blend_at(float(frame.pts_seconds), self.film)

    def _keep(self, frame: Frame, result: Painted, opens: bool) -> np.ndarray:
        pixels = tensor_to_pixels(result.image, deep=self._deep)
        if self.film.passes > 1:
            self.store.keep_source(frame.index, frame.pixels)
        self.store.save(
            frame.index,
            pixels,
            frame_record(frame, result, opens=opens),
            flow=self._neighbors.latest_flow,
            iterates=[tensor_to_pixels(picture, deep=False) for picture in result.iterates],
        )
        return pixels

    def _event(
        self, index: int, turn: int, opens: bool, result: Painted, began: float, pixels: np.ndarray
    ) -> FrameDone:
        return FrameDone(
            index=index, frames=self.frames, turn=turn, turns=self.film.passes, opens_shot=opens,
            terms=result.terms, seconds=time.monotonic() - began, pixels=pixels, notes=result.notes,
        )  # fmt: skip

    def _pass(self, turn: int) -> Iterator[FrameDone]:
        """Runs one further pass over each shot, in the direction opposite to the previous pass."""
        for shot in self._shots():
            order = list(reversed(shot)) if turn % 2 == 0 else shot
            for place, index in enumerate(order):
                if self.store.has(index, turn):
                    continue
                began = time.monotonic()
                result = self._repaint(index, order[place - 1] if place else None, turn)
                pixels = tensor_to_pixels(result.image, deep=self._deep)
                self.store.save(index, pixels, {}, turn=turn)
                yield self._event(index, turn, place == 0, result, began, pixels)

    def _shots(self) -> list[list[int]]:
        shots: list[list[int]] = []
        for index in range(self.store.done()):
            if self.store.record(index)["opens"]:
                shots.append([])
            shots[-1].append(index)
        return shots

    def _repaint(self, index: int, neighbor: int | None, turn: int) -> Painted:
        record = self.store.record(index)
        frame = self._stored(index, record)
        image, earlier = pixels_to_tensor(frame.pixels), []
        if neighbor is not None:
            other = self._stored(neighbor, self.store.record(neighbor))
            earlier = [
                self._neighbors.seen_from(
                    frame, image, other, pixels_to_tensor(self.store.pixels(neighbor, turn))
                )
            ]
        context = FrameContext(
            index=index,
            opens_shot=neighbor is None,
            blend=self._blend(frame),
            earlier=tuple(earlier),
            own=pixels_to_tensor(self.store.pixels(index, turn - 1)),
            state=record["state"],
            regions=() if self.regions is None else self.regions.stored(index).regions,
        )
        assert self.stylizer is not None
        return self.stylizer.paint(image, context)

    def _stored(self, index: int, record: Mapping[str, Any]) -> Frame:
        return Frame(
            pixels=self.store.source(index),
            pts_seconds=Fraction(record["pts"]),
            duration_seconds=Fraction(record["duration"]),
            index=index,
        )

    def assemble(self) -> list[str]:
        """Writes a video of all completed frames, with the clip's audio, and verifies its timestamps.

        Returns:
            Notes for the user.

        Raises:
            OutputError: The file cannot be written or is incomplete.
        """
        count = self.store.done()
        if count == 0:
            return ["no frames have been stylized yet"]
        records = [self.store.record(index) for index in range(count)]
        times = [Fraction(record["pts"]) for record in records]
        lasts = [Fraction(record["duration"]) for record in records]
        writer = self._writer(times[-1] + lasts[-1])
        touched = self._finish is not None or self.regions is not None
        sources = ahead(self.selected()) if touched else None
        try:
            for index, painted in enumerate(ahead(self._last_of(n) for n in range(count))):
                pixels = painted
                if sources is not None:
                    pixels = self._finished(index, painted, next(sources))
                writer.add(pixels, times[index], lasts[index])
            writer.close()
        finally:
            writer.abort()
        if self.format.codec != "png":
            _check_times(self.out, times)
        return list(writer.notes)

    def _last_of(self, index: int) -> np.ndarray:
        """Returns a frame as its last pass left it."""
        turns = range(1, self.film.passes + 1)
        return self.store.pixels(index, max(t for t in turns if self.store.has(index, t)))

    def _finished(self, index: int, pixels: np.ndarray, frame: Frame) -> np.ndarray:
        """Post-processes a pastiche and restores the frame's own pixels where it is not stylized."""
        pastiche, image = pixels_to_tensor(pixels), pixels_to_tensor(frame.pixels)
        if self._finish is not None:
            opens = bool(self.store.record(index)["opens"])
            pastiche = self._finish(pastiche, frame, opens=opens)
        painted = None if self.regions is None else self.regions.stored(index).painted
        if painted is not None:
            pastiche = within(pastiche, image, painted)
        return tensor_to_pixels(pastiche, deep=self._deep)

    def _writer(self, end: Fraction) -> FilmWriter | PictureWriter:
        if self.format.codec == "png":
            return PictureWriter(self.out)
        film, begin = self.film, Fraction(str(self.film.begin))
        copied = film.sound == "copy" and self.clip.info.codec != "pictures"
        whole = film.end is None and self.frames is not None and self.store.done() >= self.frames
        return FilmWriter(
            self.out,
            self.clip.info,
            self.size,
            self.format,
            source=self.clip.path if copied else None,
            span=(begin, None if whole else begin + end),
            metadata={"impasto": __version__, **self.settings},
        )


def _check_times(path: Path, times: Sequence[Fraction]) -> None:
    """Compares the file's timestamps with the intended ones, within one tick of its clock."""
    found = video_times(path)
    if len(found) != len(times):
        raise OutputError(
            f"{path} contains only {len(found)} of {len(times)} frames; they are kept, so try again with --resume."
        )
    tick = TICKS.get(path.suffix.lower(), Fraction(1, 10_000))
    shift = found[0] - times[0]  # some containers shift the whole video to avoid negative times
    worst = max(abs(a - shift - b) for a, b in zip(found, times, strict=True))
    if worst > tick:
        raise OutputError(
            f"{path} has timestamp errors of up to {float(worst):.4f} s; use .mkv or .mp4 instead."
        )
