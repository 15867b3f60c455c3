"""Progress display of a run, for a terminal or as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from impasto.cli._bar import make_bar, make_console, say

if TYPE_CHECKING:
    from impasto.media import Picture
    from impasto.pipeline import Job
    from impasto.types import Iterate

__all__ = ["Show", "described", "duration", "make_show", "where"]

PROGRESS_SECONDS = 5.0
"""Time between two reports of the progress within a step."""


class Show(Protocol):
    """Receives the events of a run; used as a context manager."""

    def __enter__(self) -> Show: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def download(self, done_bytes: int, total_bytes: int) -> None: ...
    def task(self, number: int, count: int, content: Path, styles: Sequence[Path]) -> None: ...
    def header(self, job: Job, content: Picture) -> None: ...
    def iterate(self, iterate: Iterate) -> None: ...
    def progress(self, fraction: float) -> None: ...
    def say(self, text: str) -> None: ...
    def done(self, out: Path, picture: Picture, seconds: float, *, interrupted: bool) -> None: ...


def make_show(*, json_lines: bool, quiet: bool) -> Show:
    """Creates a display: a progress bar, JSON lines, or nothing."""
    if json_lines:
        return JsonShow()
    return QuietShow() if quiet else BarShow()


class QuietShow:
    """Shows nothing."""

    def __enter__(self) -> QuietShow:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Reports the download progress of weights."""

    def task(self, number: int, count: int, content: Path, styles: Sequence[Path]) -> None:
        """Reports that the next image is starting."""

    def header(self, job: Job, content: Picture) -> None:
        """Describes the run before it starts."""

    def iterate(self, iterate: Iterate) -> None:
        """Reports one optimizer step."""

    def progress(self, fraction: float) -> None:
        """Reports the completed fraction of a step that is evaluated in tiles."""

    def say(self, text: str) -> None:
        """Shows a note to the user."""

    def done(self, out: Path, picture: Picture, seconds: float, *, interrupted: bool) -> None:
        """Reports that the image was written."""


class JsonShow(QuietShow):
    """Prints one JSON object per line to standard output."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def progress(self, fraction: float) -> None:
        """Reports the completed fraction of a step, every few seconds."""
        if time.monotonic() - self._began > PROGRESS_SECONDS:
            self._began = time.monotonic()
            self._say("progress", fraction=round(fraction, 3))

    @staticmethod
    def _say(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), flush=True)

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Reports the download progress of weights."""
        self._say("download", done_bytes=done_bytes, total_bytes=total_bytes)

    def task(self, number: int, count: int, content: Path, styles: Sequence[Path]) -> None:
        """Reports that the next image is starting."""
        names = [str(style) for style in styles]
        self._say("task", number=number, count=count, content=str(content), styles=names)

    def header(self, job: Job, content: Picture) -> None:
        """Describes the run before it starts."""
        self._say("start", **described(job, content))

    def iterate(self, iterate: Iterate) -> None:
        """Reports one optimizer step."""
        values = {k: v for k, v in vars(iterate).items() if k != "image"}
        self._began = time.monotonic()
        self._say("iterate", **(values | {"terms": dict(iterate.terms)}))

    def say(self, text: str) -> None:
        """Shows a note to the user."""
        self._say("note", text=text)

    def done(self, out: Path, picture: Picture, seconds: float, *, interrupted: bool) -> None:
        """Reports that the image was written."""
        self._say(
            "done", output=str(out), width_px=picture.width_px, height_px=picture.height_px,
            seconds=round(seconds, 3), interrupted=interrupted,
        )  # fmt: skip


class BarShow(QuietShow):
    """Prints a header, a bar with scale, step, losses and time left, and the path of the result."""

    def __init__(self) -> None:
        self._console = make_console()
        self._bar = make_bar(self._console)
        self._task: Any = None
        self._steps = 0

    def __enter__(self) -> BarShow:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def _print(self, text: str) -> None:
        say(self._console, text)

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Reports the download progress of weights."""
        if self._task is None:
            self._task = self._bar.add_task("downloading weights", total=total_bytes, losses="")
        self._bar.update(self._task, completed=done_bytes)

    def task(self, number: int, count: int, content: Path, styles: Sequence[Path]) -> None:
        """Reports that the next image is starting."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        place = f"{number}/{count} " if count > 1 else ""
        styled = f" in the style of {', '.join(s.name for s in styles)}" if styles else ""
        self._print(f"{place}{content.name}{styled}")

    def header(self, job: Job, content: Picture) -> None:
        """Describes the run before it starts."""
        about = described(job, content)
        size = f"{about['width_px']}x{about['height_px']} px"
        own = f"{content.width_px}x{content.height_px}"
        if own != size.removesuffix(" px"):
            size += f" (the content image is {own}; --size 0 keeps its size)"
        self._print(
            f"{size}, {about['backbone']}, {about['precision']}, {where(about)}; about "
            f"{duration(about['seconds_foretold'])} and {about['memory_gib_foretold']:.1f} GiB"
        )
        for note in about["notes"]:
            self._print(f"note: {note}")
        total = sum(scale.steps for scale in job.optimization.scales)
        self._task = self._bar.add_task("starting", total=total, losses="")
        self._steps = 0

    def progress(self, fraction: float) -> None:
        """Reports the completed fraction of a step that is evaluated in tiles."""
        if self._task is not None:
            self._bar.update(self._task, completed=self._steps + fraction)

    def iterate(self, iterate: Iterate) -> None:
        """Reports one optimizer step."""
        if iterate.note:
            self._print(f"step {iterate.total_step}: {iterate.note}")
        self._steps = iterate.total_step
        terms = "  ".join(f"{name} {value:.3f}" for name, value in iterate.terms.items())
        self._bar.update(
            self._task,
            completed=iterate.total_step,
            description=f"scale {iterate.scale + 1}/{iterate.scales} ({iterate.width_px}x"
            f"{iterate.height_px}) step {iterate.step}/{iterate.steps}",
            losses=terms,
        )

    def say(self, text: str) -> None:
        """Shows a note to the user."""
        self._print(f"note: {text}")

    def done(self, out: Path, picture: Picture, seconds: float, *, interrupted: bool) -> None:
        """Reports that the image was written."""
        how = "interrupted; wrote the current image to" if interrupted else "painted"
        self._print(f"{how} {out} ({picture.width_px}x{picture.height_px} px, {seconds:.1f} s)")


def where(about: Mapping[str, Any]) -> str:
    """Describes the device, with the number of threads for the CPU."""
    return f"cpu, {about['threads']}" if about["device"] == "cpu" else str(about["device"])


def duration(seconds: float) -> str:
    """Formats a duration: ``12 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def described(job: Job, content: Picture) -> dict[str, Any]:
    """Describes a job as plain values."""
    from impasto.machine import thread_notes, threads_used

    optimization = job.optimization
    height, width = optimization.size
    plan = optimization.plan
    return {
        "width_px": width,
        "height_px": height,
        "backbone": optimization.backbone.name,
        "device": str(optimization.device),
        "threads": threads_used(),
        "precision": optimization.precision,
        "scales": [[s.width_px, s.height_px, s.steps] for s in optimization.scales],
        "seconds_foretold": round(plan.forecast.seconds, 2),
        "memory_gib_foretold": round(plan.forecast.memory_bytes / 2**30, 2),
        "memory_gib_available": round(plan.limit_bytes / 2**30, 2),
        "plan": plan.described(),
        "notes": [*content.notes, *job.notes, *plan.notes, *thread_notes(optimization.device)],
    }
