"""`impasto train-translator`: train image-to-image translation between two sets of images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli._options import given, make_overrides
from impasto.cli._show_training import TrainingShow, take_up
from impasto.cli._terminal import INTERRUPTED
from impasto.config import TranslateOptions, translate_options
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.translate.train import TranslatorTraining

__all__ = ["train_translator"]

MARK = "translator"
WRITTEN = ("model.translator", "checkpoint", "samples.png", "curves.png")
LONG_HOURS = 6.0
"""Longer trainings print a warning."""

TranslateOverrides = make_overrides("TranslateOverrides", TranslateOptions)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TranslateRun:
    """Options for outputs and progress of a run."""

    resume: bool = False
    """Resume from OUT/checkpoint."""
    overwrite: bool = False
    """Replace files that impasto did not write."""
    json: bool = False
    """Print one JSON object per step instead of a progress bar."""
    quiet: bool = False
    """Print only errors."""


def train_translator(
    *,
    a: Annotated[Path, Parameter(help="Domain A: folder of images and videos, or one video.")],
    b: Annotated[Path, Parameter(help="Domain B, in the same form; unpaired unless --paired.")],
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Output folder.")],
    run: TranslateRun | None = None,
    options: Annotated[TranslateOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Train a model that translates images from domain A to B and back (CycleGAN; with --paired, pix2pix).

    OUT contains model.translator (for impasto translate), checkpoint, samples.png (held-out images, their translations
    and reconstructions) and curves.png, all updated at every sample. Start the command with torchrun to use several
    GPUs.
    """
    from impasto.machine import join_processes
    from impasto.media import OutputLock, check_outputs, make_folder
    from impasto.optimize import check_new_run
    from impasto.translate.train import TranslatorTraining
    from impasto.translate.worlds import gather_world

    run = run or TranslateRun()
    settled = translate_options(**given(options, TranslateOptions))
    if out.suffix and not out.is_dir():
        raise UsageError(f"--out must be a folder; got {out.name}.")
    check_outputs([out / name for name in WRITTEN], [a, b], overwrite=run.overwrite)
    check_new_run(out / "checkpoint", resume=run.resume, overwrite=run.overwrite)
    writes = join_processes()
    lock = OutputLock(out) if writes else None
    worlds = [gather_world(path, str(path), settled.size) for path in (a, b)]
    training = TranslatorTraining(worlds[0], worlds[1], settled)
    make_folder(out)
    if run.resume:
        take_up(training, out / "checkpoint", MARK)
    show = TrainingShow(json_lines=run.json, quiet=run.quiet or not writes, steps=training.steps)
    for note in [note for world in worlds for note in world.notes]:
        show.say(note)
    counts = f"{len(worlds[0].pictures)} images of A, {len(worlds[1].pictures)} of B"
    hours = training.seconds_a_step() * (training.steps - training.step) / 3600
    show.say(f"{counts}; this will take about {_duration(hours)}")
    if hours > LONG_HOURS:
        show.say(
            f"to shorten this, use --network small (10 times faster), --crop {settled.crop // 2} (4 times) or a GPU"
        )
    interrupted = False
    began = time.monotonic()
    try:
        for step in training:
            show.step(step)
            if step.sample and writes:
                _keep(training, out, a, b)
                _show_progress(training, out)
    except KeyboardInterrupt:
        interrupted = True
        if writes:
            _keep(training, out, a, b)
    finally:
        show.close()
    show.done(
        out / "model.translator", training.step, time.monotonic() - began, interrupted=interrupted
    )
    if lock is not None:
        lock.release()
    return INTERRUPTED if interrupted else 0


def _duration(hours: float) -> str:
    if hours > 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.1f} hours" if hours > 1 else f"{max(1, round(60 * hours))} minutes"


def _keep(training: TranslatorTraining, out: Path, a: Path, b: Path) -> None:
    """Writes the model and the checkpoint atomically."""
    from impasto.optimize import save_checkpoint
    from impasto.translate import save_translator

    save_translator(out / "model.translator", training.translator(a=a.name, b=b.name))
    save_checkpoint(out / "checkpoint", training.state_dict(), MARK)


def _show_progress(training: TranslatorTraining, out: Path) -> None:
    """Writes samples and curves; skipped after Ctrl-C because it takes too long."""
    from impasto.media import draw_curves, draw_rows, write_image

    write_image(out / "samples.png", draw_rows(training.samples()))
    if training.history:
        write_image(out / "curves.png", draw_curves(training.history))
