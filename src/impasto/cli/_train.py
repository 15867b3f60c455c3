"""`impasto train`: train a look, a feed-forward network for one style."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli._options import given, make_overrides
from impasto.cli._show_training import TrainingShow, take_up
from impasto.cli._terminal import INTERRUPTED
from impasto.config import TrainOptions, train_options
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.looks.train import Training

__all__ = ["train"]

MARK = "look"
"""Distinguishes a training checkpoint from an image checkpoint; `Training` itself checks that the options match."""

TrainOverrides = make_overrides("TrainOverrides", TrainOptions)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainRun:
    """Options for training data, outputs and progress of a run."""

    photos: str | None = None
    """Training images or folders, comma-separated; without these and --clips, scikit-image's sample photographs."""
    clips: str | None = None
    """Videos or folders for the temporal losses, comma-separated; their frames also serve as training images."""
    resume: bool = False
    """Resume from OUT.checkpoint."""
    overwrite: bool = False
    """Replace files that impasto did not write."""
    json: bool = False
    """Print one JSON object per step instead of a progress bar."""
    quiet: bool = False
    """Print only errors."""


def train(
    style: Annotated[Path, Parameter(help="Style image.")],
    /,
    *more_styles: Annotated[
        Path, Parameter(help="Additional style images; the look blends all of them.")
    ],
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="Look file to write, such as my.look.")
    ],
    run: TrainRun | None = None,
    options: Annotated[TrainOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Train a feed-forward network to paint in the style of STYLE, for --look.

    OUT.checkpoint, OUT.samples.png (images and pastiches) and OUT.curves.png (losses) are updated at every validation.
    Start the command with torchrun to use several GPUs.
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
    from impasto.optimize import check_new_run

    run = run or TrainRun()
    settled = train_options(**given(options, TrainOptions))
    if out.suffix != ".look":
        raise UsageError(f"--out must be a .look file; got {out.name}.")
    check_place(out, "look")
    photos, clips = _paths(run.photos), _paths(run.clips)
    outs = [out, _checkpoint(out), _samples(out), _curves(out)]
    check_outputs(outs, [style, *more_styles, *photos, *clips], overwrite=run.overwrite)
    check_new_run(_checkpoint(out), resume=run.resume, overwrite=run.overwrite)
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
    """Writes the look and the checkpoint atomically."""
    from impasto.looks import save_look
    from impasto.optimize import save_checkpoint

    save_look(out, training.look(styles=[path.name for path in styles]))
    save_checkpoint(_checkpoint(out), training.state_dict(), MARK)


def _show_progress(training: Training, out: Path) -> None:
    """Writes samples and curves; skipped after Ctrl-C because it takes too long."""
    from impasto.media import draw_curves, draw_rows, write_image

    write_image(_samples(out), draw_rows(training.samples()))
    if len(training.history) > 1:
        write_image(_curves(out), draw_curves(training.history))
