"""`impasto train`: teach a network a style of your own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli._options import given, make_overrides
from impasto.cli._show_training import TrainingShow, take_up
from impasto.config import TrainOptions, train_options
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.looks.train import Training

__all__ = ["train"]

INTERRUPTED = 130
MARK = "look"
"""Tells a training's checkpoint from a picture's; whether the options fit, `Training` sees itself."""

TrainOverrides = make_overrides("TrainOverrides", TrainOptions)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainRun:
    """What is learned from, and how the run is kept and shown."""

    photos: str | None = None
    """Photographs, or folders of them, separated by commas; some that come with scikit-image when nothing is given."""
    clips: str | None = None
    """Films, or folders of them, separated by commas: for steadiness, and their frames as photographs."""
    resume: bool = False
    """Go on from OUT.checkpoint."""
    overwrite: bool = False
    """Replace files that impasto did not make."""
    json: bool = False
    """Print one JSON object a step instead of a progress bar."""
    quiet: bool = False
    """Print nothing but errors."""


def train(
    style: Annotated[Path, Parameter(help="Painting.")],
    /,
    *more_styles: Annotated[Path, Parameter(help="Further paintings; the look is their blend.")],
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Look to write: my.look.")],
    run: TrainRun | None = None,
    options: Annotated[TrainOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Teach a network to paint in the manner of STYLE at once, for --look.

    Beside OUT are kept OUT.checkpoint, OUT.samples.png (photographs and pastiches) and OUT.curves.png (losses), anew at
    every validation. Start it with torchrun to use several GPUs.
    """
    from impasto.looks.lessons import gather_lessons
    from impasto.looks.train import Training
    from impasto.machine import join_processes
    from impasto.media import (
        OutputLock,
        check_outputs,
        check_place,
        read_image,
    )
    from impasto.optimize import check_checkpoint_place

    run = run or TrainRun()
    settled = train_options(**given(options, TrainOptions))
    if out.suffix != ".look":
        raise UsageError(f"a look is written to a .look, not to {out.name}; change --out.")
    check_place(out, "look")
    photos, clips = _paths(run.photos), _paths(run.clips)
    outs = [out, _checkpoint(out), _samples(out), _curves(out)]
    check_outputs(outs, [style, *more_styles, *photos, *clips], overwrite=run.overwrite)
    check_checkpoint_place(_checkpoint(out))
    writes = join_processes()
    lock = OutputLock(out) if writes else None
    lessons = gather_lessons(photos, clips)
    styles = [read_image(path).to_tensor() for path in (style, *more_styles)]
    training = Training(styles, lessons, settled)
    if run.resume:
        take_up(training, _checkpoint(out), MARK)
    show = TrainingShow(json_lines=run.json, quiet=run.quiet or not writes, steps=settled.steps)
    for note in lessons.notes:
        show.say(note)
    interrupted = False
    began = time.monotonic()
    try:
        for step in training:
            show.step(step)
            if step.validation is not None and writes:
                _keep(training, out, (style, *more_styles))
                _show_progress(training, out)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        show.close()
    if writes:
        _keep(training, out, (style, *more_styles))
        if not interrupted:
            _show_progress(training, out)
        show.done(out, training.step, time.monotonic() - began, interrupted=interrupted)
    if lock is not None:
        lock.release()
    return INTERRUPTED if interrupted else 0


def _paths(text: str | None) -> list[Path]:
    return [Path(part) for part in text.split(",")] if text else []


def _checkpoint(out: Path) -> Path:
    return out.with_name(out.name + ".checkpoint")


def _samples(out: Path) -> Path:
    return out.with_name(out.name + ".samples.png")


def _curves(out: Path) -> Path:
    return out.with_name(out.name + ".curves.png")


def _keep(training: Training, out: Path, styles: Sequence[Path]) -> None:
    """Writes look and checkpoint, each beside and moved into place."""
    from impasto.looks import save_look
    from impasto.optimize import save_checkpoint

    save_look(out, training.look(styles=[path.name for path in styles]))
    save_checkpoint(_checkpoint(out), training.state_dict(), MARK)


def _show_progress(training: Training, out: Path) -> None:
    """Writes samples and curves, which takes too long after Ctrl-C."""
    from impasto.media import draw_curves, draw_rows, write_image

    write_image(_samples(out), draw_rows(training.samples()))
    if len(training.history) > 1:
        write_image(_curves(out), draw_curves(training.history))
