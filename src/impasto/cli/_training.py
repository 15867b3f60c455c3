"""What `impasto train` and `impasto train-translator` share: output files, resuming, saving, and progress."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cyclopts import Parameter

from impasto.cli._bar import make_bar, make_console, say
from impasto.cli._terminal import INTERRUPTED
from impasto.errors import MissingFileError

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.training import TrainStep

__all__ = ["RunFlags", "Started", "TrainingFiles", "TrainingShow", "run_training"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """Options for outputs and progress of a run."""

    resume: bool = False
    """Resume from the checkpoint of an earlier run."""
    overwrite: bool = False
    """Replace files that impasto did not write."""
    json: bool = False
    """Print one JSON object per step instead of a progress bar."""
    quiet: bool = False
    """Print only errors."""


@dataclass(frozen=True, kw_only=True)
class TrainingFiles:
    """The files that a training writes.

    Attributes:
        out: Output named on the command line; one run at a time may write to it.
        model: The trained model.
        checkpoint: The state to resume from.
        samples: Image of held-out images and results.
        curves: Image of the loss curves.
        mark: Kind of training, stored in the checkpoint.
    """

    out: Path
    model: Path
    checkpoint: Path
    samples: Path
    curves: Path
    mark: str


class Training(Protocol):
    """A training of looks or of translators."""

    @property
    def step(self) -> int:
        """Number of steps taken."""
        ...

    @property
    def steps(self) -> int:
        """Total number of steps."""
        ...

    @property
    def history(self) -> list[dict[str, float]]:
        """Losses at each sample."""
        ...

    def __iter__(self) -> Iterator[TrainStep]:
        """Trains."""
        ...

    def samples(self) -> list[Tensor]:
        """Returns rows of held-out images and results."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to resume."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Started:
    """A training that is ready to run.

    Attributes:
        training: The training.
        save: Writes the model in its current state to a file.
        notes: Returns messages to show before the first step.
    """

    training: Training
    save: Callable[[Path], None]
    notes: Callable[[], Sequence[str]]


def run_training(
    start: Callable[[], Started], files: TrainingFiles, inputs: Sequence[Path], flags: RunFlags
) -> int:
    """Trains, and writes model, checkpoint, samples and curves at every sample and at the end; returns the exit code.

    With several processes, only the first one writes and prints.

    Args:
        start: Reads the training data and creates the training, once the outputs have been checked.
        files: The files to write.
        inputs: Files and folders that must not be replaced.
        flags: Options of the run.

    Raises:
        OutputError: An output would replace an input, or a file that impasto did not write.
        MissingFileError: There is no checkpoint to resume from.
        CheckpointError: The checkpoint is damaged, of another kind, or in the way of a new run.
    """
    from impasto.machine import join_processes
    from impasto.media import OutputLock, check_outputs, make_folder
    from impasto.optimize import check_new_run, load_checkpoint

    outs = [files.model, files.checkpoint, files.samples, files.curves]
    check_outputs(outs, inputs, overwrite=flags.overwrite)
    check_new_run(files.checkpoint, resume=flags.resume, overwrite=flags.overwrite)
    writes = join_processes()
    lock = OutputLock(files.out) if writes else None
    started = start()
    training = started.training
    make_folder(files.model.parent)
    if flags.resume:
        if not files.checkpoint.exists():
            raise MissingFileError(
                f"there is no checkpoint {files.checkpoint}; remove --resume to start a new run."
            )
        training.load_state_dict(load_checkpoint(files.checkpoint, files.mark))
    show = TrainingShow(
        json_lines=flags.json and writes, quiet=flags.quiet or not writes, steps=training.steps
    )
    interrupted, began = False, time.monotonic()
    try:
        for note in started.notes():
            show.say(note)
        for step in training:
            show.step(step)
            if step.sample and writes:
                _keep(started, files)
                _draw(training, files)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        show.close()
    if writes:
        _keep(started, files)
    show.done(files.model, training.step, time.monotonic() - began, interrupted=interrupted)
    if lock is not None:
        lock.release()
    return INTERRUPTED if interrupted else 0


def _keep(started: Started, files: TrainingFiles) -> None:
    """Writes the model and the checkpoint, each atomically."""
    from impasto.optimize import save_checkpoint

    started.save(files.model)
    save_checkpoint(files.checkpoint, started.training.state_dict(), files.mark)


def _draw(training: Training, files: TrainingFiles) -> None:
    """Writes samples and curves; skipped after Ctrl-C because it takes too long."""
    from impasto.media import draw_curves, draw_rows, write_image

    write_image(files.samples, draw_rows(training.samples()))
    if training.history:
        write_image(files.curves, draw_curves(training.history))


class TrainingShow:
    """Shows a progress bar, JSON lines, or nothing."""

    def __init__(self, *, json_lines: bool, quiet: bool, steps: int) -> None:
        self._json, self._quiet = json_lines, quiet
        self._bar: Any = None
        if not self._json and not self._quiet:
            self._console = make_console()
            self._bar = make_bar(self._console)
            self._task = self._bar.add_task("training", total=steps, losses="")
            self._bar.start()

    def say(self, text: str) -> None:
        """Shows a note to the user."""
        if self._json:
            print(json.dumps({"event": "note", "text": text}), flush=True)
        elif not self._quiet:
            say(self._console, text)

    def step(self, step: TrainStep) -> None:
        """Shows one training step."""
        if self._json:
            print(json.dumps({"event": "step", **vars(step)}), flush=True)
        elif not self._quiet:
            terms = "  ".join(f"{name} {value:.3f}" for name, value in step.terms.items())
            self._bar.update(
                self._task,
                completed=step.step,
                description=f"step {step.step}/{step.steps}",
                losses=terms,
            )
            if step.validation is not None:
                found = "  ".join(f"{name} {value:.4f}" for name, value in step.validation.items())
                say(self._console, f"step {step.step}: {found}")

    def done(self, out: Path, steps: int, seconds: float, *, interrupted: bool) -> None:
        """Shows that the model was written."""
        if self._json:
            print(
                json.dumps(
                    {
                        "event": "done",
                        "output": str(out),
                        "steps": steps,
                        "interrupted": interrupted,
                    }
                )
            )
        elif not self._quiet:
            how = "interrupted; wrote" if interrupted else "trained"
            say(self._console, f"{how} {out} ({steps} steps, {seconds:.0f} s)")

    def close(self) -> None:
        """Restores the terminal."""
        if self._bar is not None:
            self._bar.stop()
