"""Progress display of a video run, for a terminal or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from impasto.cli._bar import make_bar, make_console, say
from impasto.cli._show import where

if TYPE_CHECKING:
    from impasto.pipeline import FilmJob, FrameDone
    from impasto.types import RunForecast

__all__ = ["FilmShow", "make_film_show"]


class FilmShow(Protocol):
    """Receives the events of a run; `close` ends the display."""

    def planned(self, frames: int) -> None: ...
    def header(self, job: FilmJob) -> None: ...
    def frame(self, event: FrameDone) -> None: ...
    def say(self, text: str) -> None: ...
    def done(self, out: Path, frames: int, seconds: float, *, interrupted: bool) -> None: ...
    def close(self) -> None: ...


def make_film_show(*, json_lines: bool, quiet: bool) -> FilmShow:
    """Creates a display: a progress bar, JSON lines, or nothing."""
    if json_lines:
        return JsonFilmShow()
    return QuietFilmShow() if quiet else BarFilmShow()


class QuietFilmShow:
    """Shows nothing."""

    def planned(self, frames: int) -> None:
        """Reports the number of frames that the plan covers so far."""

    def header(self, job: FilmJob) -> None:
        """Describes the run before it starts."""

    def frame(self, event: FrameDone) -> None:
        """Reports a painted frame."""

    def say(self, text: str) -> None:
        """Shows a note to the user."""

    def done(self, out: Path, frames: int, seconds: float, *, interrupted: bool) -> None:
        """Reports that the video was written."""

    def close(self) -> None:
        """Ends the display."""


class JsonFilmShow(QuietFilmShow):
    """Prints one JSON object per line to standard output."""

    @staticmethod
    def _say(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), flush=True)

    def header(self, job: FilmJob) -> None:
        """Describes the run before it starts."""
        self._say("start", **described(job))

    def frame(self, event: FrameDone) -> None:
        """Reports a painted frame."""
        values = {k: v for k, v in vars(event).items() if k != "pixels"}
        self._say("frame", **(values | {"terms": dict(event.terms)}))

    def say(self, text: str) -> None:
        """Shows a note to the user."""
        self._say("note", text=text)

    def done(self, out: Path, frames: int, seconds: float, *, interrupted: bool) -> None:
        """Reports that the video was written."""
        self._say(
            "done",
            output=str(out),
            frames=frames,
            seconds=round(seconds, 3),
            interrupted=interrupted,
        )


class BarFilmShow(QuietFilmShow):
    """Prints a header, a bar with frame, losses and time left, and the path of the result."""

    def __init__(self) -> None:
        self._console = make_console()
        self._bar = make_bar(self._console)
        self._task = self._bar.add_task("opening", total=None, losses="")
        self._bar.start()

    def planned(self, frames: int) -> None:
        """Reports the number of frames that the plan covers so far."""
        self._bar.update(self._task, description=f"planning, frame {frames}")

    def _print(self, text: str) -> None:
        say(self._console, text)

    def header(self, job: FilmJob) -> None:
        """Describes the run before it starts."""
        about = described(job)
        frames = "" if about["frames"] is None else f", {about['frames']} frames"
        text = f"{about['width_px']}x{about['height_px']} px{frames}, {about['method']}"
        if "backbone" in about:
            unit = "keyframe" if "keyframes" in about else "frame"
            text += (
                f", {about['backbone']}, {about['precision']}, {where(about)}; about "
                f"{about['seconds_a_frame_foretold']:.1f} s per {unit} and {about['memory_gib_foretold']:.1f} GiB"
            )
        if "keyframes" in about:
            text = f"{_counted(about['shots'], 'shot')}, {_counted(about['keyframes'], 'keyframe')}; {text}"
        self._print(text)
        for name, path in about["writes"].items():
            self._print(f"also writes to {path} ({name.replace('_', ' ')})")
        for note in about["notes"]:
            self._print(f"note: {note}")
        if about["done"]:
            self._print(f"resuming after {about['done']} frames that are already painted")
        turns = job.film.passes
        total = None if about["frames"] is None else about["frames"] * turns
        self._bar.update(self._task, total=total, completed=about["done"])

    def frame(self, event: FrameDone) -> None:
        """Reports a painted frame."""
        for note in event.notes:
            self._print(f"frame {event.index}: {note}")
        terms = "  ".join(f"{name} {value:.3f}" for name, value in event.terms.items())
        of = "" if event.frames is None else f"/{event.frames}"
        turn = f"pass {event.turn}/{event.turns} " if event.turns > 1 else ""
        cut = " (cut)" if event.opens_shot and event.index else ""
        self._bar.update(
            self._task,
            advance=1,
            description=f"{turn}frame {event.index + 1}{of}{cut}",
            losses=f"{terms}  {event.seconds:.1f} s",
        )

    def say(self, text: str) -> None:
        """Shows a note to the user."""
        self._print(text)

    def done(self, out: Path, frames: int, seconds: float, *, interrupted: bool) -> None:
        """Reports that the video was written."""
        how = "interrupted; wrote" if interrupted else "painted"
        more = "; continue with --resume" if interrupted else ""
        self._print(f"{how} {out} ({frames} frames, {seconds:.1f} s){more}")

    def close(self) -> None:
        """Ends the display."""
        self._bar.stop()


def described(job: FilmJob) -> dict[str, Any]:
    """Describes a job as plain values."""
    shared = {
        "width_px": job.size[1],
        "height_px": job.size[0],
        "frames": job.frames,
        "done": job.store.done(),
        "method": _method(job),
        "writes": _writes(job),
        "notes": list(job.notes),
    }
    if job.plan is not None:
        shared |= {"shots": len(job.plan.shots), "keyframes": len(job.plan.keyframes)}
    forecast = None if job.stylizer is None else job.stylizer.forecast
    return shared if forecast is None else shared | _foretold(forecast, job)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _method(job: FilmJob) -> str:
    """Returns the name of the look or of the method."""
    from impasto.config import METHODS

    if job.stylizer is not None and job.stylizer.forecast is None:
        return f"look {Path(str(job.settings['options']['look'])).stem}"
    return next((name for name, film in METHODS.items() if _like(film, job.film)), "custom method")


def _foretold(forecast: RunForecast, job: FilmJob) -> dict[str, Any]:
    from impasto.machine import threads_used

    return {
        "backbone": forecast.backbone,
        "device": forecast.device,
        "threads": threads_used(),
        "precision": forecast.precision,
        "seconds_a_frame_foretold": round(forecast.seconds_per_frame, 2),
        "memory_gib_foretold": round(forecast.memory_bytes / 2**30, 2),
        "notes": [*job.notes, *forecast.notes],
    }


def _writes(job: FilmJob) -> dict[str, str]:
    """Returns the additional paths that the settings write to, by field."""
    from impasto.config import path_fields

    given = {name: getattr(job.film, name) for name in path_fields(type(job.film), "write")}
    return {name: str(path) for name, path in given.items() if path is not None}


def _like(method: Any, film: Any) -> bool:
    """Whether a video's options match a method, apart from its time range and output."""
    decides = (
        "frame_start", "frame_steps", "flow_weight", "gaps", "still_weight", "previous_weight", "iterate_weight",
        "change_weight", "passes", "hold", "anchor", "keyframe_every", "coverage", "keyframe_steps", "keyframe_weight",
        "between",
    )  # fmt: skip
    return all(getattr(method, name) == getattr(film, name) for name in decides)
