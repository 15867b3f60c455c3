"""The plan of a film: its shots, and the keyframes of each shot, chosen by what the motion still covers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.config import FilmOptions
from impasto.errors import InputError, UsageError
from impasto.media import pixels_to_tensor
from impasto.media.replace import replacing
from impasto.motion import FlowEstimator, MotionChain, ShotFinder, goes_on, motion_between
from impasto.text import shown
from impasto.types import Frame

__all__ = [
    "FilmPlan",
    "PlannedShot",
    "Planner",
    "parse_keyframe",
    "read_plan",
    "write_plan",
]

FORMAT = 1
MOST_BYTES = 256 * 2**20
COVERED = 0.5
"""Reliability from which a pixel counts as covered."""

TAIL = 0.5
"""A shot's last frame is painted if the keyframe before it is farther away than this share of the largest distance."""


@dataclass(frozen=True, kw_only=True)
class PlannedShot:
    """A shot.

    Attributes:
        first: Number of its first frame.
        last: Number of its last frame.
        keyframes: Numbers of the keyframes, in ascending order; at least one.
    """

    first: int
    last: int
    keyframes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FilmPlan:
    """What is going to be painted, and from what.

    Attributes:
        shots: The shots, without gaps.
        times: Presentation time of each frame in the output, in seconds.
        durations: Display duration of each frame, in seconds.
        coverage: For each frame, the share of it that is reliably seen in the keyframe before, from 0 to 1.
        size: Height and width of the clip.
    """

    shots: tuple[PlannedShot, ...]
    times: tuple[Fraction, ...]
    durations: tuple[Fraction, ...]
    coverage: tuple[float, ...]
    size: tuple[int, int]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.times)

    @property
    def keyframes(self) -> tuple[int, ...]:
        """All keyframes, in order."""
        return tuple(key for shot in self.shots for key in shot.keyframes)

    def shot_of(self, frame: int) -> PlannedShot:
        """Returns the shot that contains a frame."""
        return next(shot for shot in self.shots if shot.first <= frame <= shot.last)

    def frame_at(self, seconds: float) -> int:
        """Returns the frame that is shown at a time of the output."""
        found = [number for number, time in enumerate(self.times) if float(time) <= seconds + 1e-6]
        return found[-1] if found else 0

    def with_given(self, given: Iterable[int], *, painter: bool) -> FilmPlan:
        """Returns the plan with the user's own keyframes: a shot that has any uses only these.

        Args:
            given: Frame numbers.
            painter: Whether the keyframes of other shots can be painted.

        Raises:
            UsageError: A number is outside the film, or a shot has no keyframe and cannot be painted.
        """
        numbers = sorted(given)
        for number in numbers:
            if not 0 <= number < self.frames:
                raise UsageError(
                    f"keyframe {number} is outside the video, whose frames are numbered 0 to {self.frames - 1}."
                )
        shots = []
        for shot in self.shots:
            own = tuple(n for n in numbers if shot.first <= n <= shot.last)
            if not own and not painter:
                raise UsageError(
                    f"the shot of frames {shot.first} to {shot.last} has no keyframe; add one with --keyframe "
                    f"{shot.first}=FILE, or pass a style image to have it painted."
                )
            shots.append(replace(shot, keyframes=own or shot.keyframes))
        return replace(self, shots=tuple(shots))

    def values(self) -> dict[str, Any]:
        """Returns the plan as plain values, the inverse of `from_values`."""
        return {
            "format": FORMAT,
            "height": self.size[0],
            "width": self.size[1],
            "shots": [
                {"first": s.first, "last": s.last, "keyframes": list(s.keyframes)}
                for s in self.shots
            ],
            "times": [str(time) for time in self.times],
            "durations": [str(time) for time in self.durations],
            "coverage": [round(share, 4) for share in self.coverage],
        }

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> FilmPlan:
        """Reads plain values.

        Raises:
            ValueError: They are not a plan.
        """
        try:
            plan = FilmPlan(
                shots=tuple(
                    PlannedShot(
                        first=_whole(shot["first"]),
                        last=_whole(shot["last"]),
                        keyframes=tuple(_whole(key) for key in shot["keyframes"]),
                    )
                    for shot in values["shots"]
                ),
                times=tuple(Fraction(_text(time)) for time in values["times"]),
                durations=tuple(Fraction(_text(time)) for time in values["durations"]),
                coverage=tuple(float(share) for share in values["coverage"]),
                size=(_whole(values["height"]), _whole(values["width"])),
            )
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError("a field is missing or has the wrong type") from error
        if values.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        _check_consistent(plan)
        return plan


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not an integer")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 64:
        raise TypeError("not a short text")
    return value


def _check_consistent(plan: FilmPlan) -> None:
    count = plan.frames
    if not count or len(plan.durations) != count or len(plan.coverage) != count:
        raise ValueError("times, durations and coverage must be of equal length, at least 1")
    expected = 0
    for number, shot in enumerate(plan.shots):
        if shot.first != expected or shot.last < shot.first:
            raise ValueError(f"shot {number} must begin at frame {expected}")
        keys = shot.keyframes
        if not keys or list(keys) != sorted(set(keys)):
            raise ValueError(f"shot {number} needs keyframes in ascending order, each once")
        if keys[0] < shot.first or keys[-1] > shot.last:
            raise ValueError(
                f"shot {number} has keyframes outside frames {shot.first} to {shot.last}"
            )
        expected = shot.last + 1
    if expected != count:
        raise ValueError(f"the shots end at frame {expected - 1} of {count - 1}")


def write_plan(path: Path, plan: FilmPlan) -> None:
    """Writes a plan as JSON, to be looked at and edited.

    Raises:
        OutputError: The file cannot be written.
    """
    values = plan.values()
    shots = ",\n    ".join(json.dumps(shot) for shot in values.pop("shots"))
    rest = ",\n  ".join(
        f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()
    )
    with replacing(path) as beside:
        beside.write_text(f'{{\n  "shots": [\n    {shots}\n  ],\n  {rest}\n}}\n', encoding="utf-8")


def read_plan(path: Path) -> FilmPlan:
    """Reads a plan.

    Raises:
        InputError: The file cannot be read, or is not a plan.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is too large")
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
        return FilmPlan.from_values(values)
    except OSError as error:
        raise InputError(f"the plan {path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not a plan ({shown(str(error))}); make one with impasto plan."
        ) from error


def parse_keyframe(text: str) -> tuple[int | float, Path]:
    """Reads ``96=FILE`` (a frame number) or ``4.0=FILE`` and ``4s=FILE`` (seconds).

    Raises:
        UsageError: It is neither.
    """
    when, _, name = text.partition("=")
    wrong = UsageError(
        f"--keyframe needs a frame number or a time in seconds, and a file, such as 96=frame.png or 4.0=frame.png; "
        f"got {shown(text)}."
    )
    if not name:
        raise wrong
    try:
        number = int(when) if when.isdecimal() else float(when.removesuffix("s"))
    except ValueError:
        raise wrong from None
    if not 0 <= number < 1e9:
        raise wrong
    return number, Path(name)


class Planner:
    """Makes the plan of a film from its frames, one after another; it keeps only two of them.

    A keyframe is placed where less than ``coverage`` of the frame is reliably seen in the keyframe before, at most
    ``keyframe_every`` frames after it, at the first frame of a shot, and at its last if no keyframe is close.

    Args:
        film: Uses ``keyframe_every``, ``coverage``, ``cut_threshold``, ``schedule`` and ``fade``.
        estimator: The flow estimator.
        size: Height and width of the clip.
    """

    def __init__(self, film: FilmOptions, estimator: FlowEstimator, size: tuple[int, int]) -> None:
        self._film, self._estimator, self._size = film, estimator, size
        self._finder = ShotFinder(film.cut_threshold)
        self._before: Frame | None = None
        self._chain: MotionChain | None = None
        self._shots: list[tuple[int, list[int]]] = []
        self._times: list[Fraction] = []
        self._durations: list[Fraction] = []
        self._coverage: list[float] = []
        self._wanted = sorted(_schedule_times(film))

    def take(self, frame: Frame) -> None:
        """Adds the next frame; all must be of one size, which may be smaller than the clip's."""
        number, image = len(self._times), pixels_to_tensor(frame.pixels)
        opens, before = self._finder.opens(frame), self._before
        coverage = 1.0
        if before is not None and self._chain is not None:
            image_before = pixels_to_tensor(before.pixels)
            motion = motion_between(self._estimator, frame, image, before, image_before)
            flow, trust = motion.to_previous()
            opens = opens and not goes_on(trust)
            self._chain.step(image, flow, trust)
            coverage = float((self._chain.seen > COVERED).float().mean())
        opens = opens or self._switches(frame, before)
        if opens or not self._shots:
            self._shots.append((number, [number]))
        elif self._is_due(number, frame, coverage):
            self._shots[-1][1].append(number)
        if self._shots[-1][1][-1] == number:
            self._chain = MotionChain(image)
        self._times.append(frame.pts_seconds)
        self._durations.append(frame.duration_seconds)
        self._coverage.append(0.0 if opens and number else coverage)
        self._before = frame

    def _switches(self, frame: Frame, before: Frame | None) -> bool:
        """Returns whether the schedule changes the style at this frame without a fade."""
        if before is None or self._film.fade > 0:
            return False
        return any(
            before.pts_seconds < time <= frame.pts_seconds for time in self._film.schedule[1:]
        )

    def _is_due(self, number: int, frame: Frame, coverage: float) -> bool:
        """Returns whether a frame inside a shot is to be a keyframe."""
        due = False
        while self._wanted and self._wanted[0] <= frame.pts_seconds:
            due = self._wanted.pop(0) > 0 or due
        distance = number - self._shots[-1][1][-1]
        return due or coverage < self._film.coverage or distance >= self._film.keyframe_every

    def plan(self) -> FilmPlan:
        """Returns the plan of all frames so far; there must be at least one."""
        shots = []
        starts = [first for first, _keys in self._shots]
        for place, (first, keys) in enumerate(self._shots):
            last = (starts[place + 1] if place + 1 < len(starts) else len(self._times)) - 1
            far = last - keys[-1] > TAIL * self._film.keyframe_every
            closes = self._film.loop and last == len(self._times) - 1 and last > keys[-1]
            tail = [last] if far or closes else []
            shots.append(PlannedShot(first=first, last=last, keyframes=(*keys, *tail)))
        return FilmPlan(
            shots=tuple(shots),
            times=tuple(self._times),
            durations=tuple(self._durations),
            coverage=tuple(self._coverage),
            size=self._size,
        )


def _schedule_times(film: FilmOptions) -> Sequence[Fraction]:
    """Returns the times at which cross-fades begin, are half way, and end."""
    if film.fade <= 0:
        return []
    half = Fraction(str(film.fade)) / 2
    return [
        Fraction(str(t)) + side for t in film.schedule[1:] for side in (-half, Fraction(0), half)
    ]
