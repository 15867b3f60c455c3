"""Progress display and resuming of training runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from impasto.cli._bar import make_bar, make_console, say
from impasto.errors import MissingFileError

__all__ = ["TrainingShow", "take_up"]


class _Resumable(Protocol):
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def take_up(training: _Resumable, path: Path, mark: str) -> None:
    """Resumes a training run from a checkpoint.

    Args:
        training: Training that receives the state.
        path: The checkpoint.
        mark: Required kind of training, stored in the checkpoint.

    Raises:
        MissingFileError: The checkpoint does not exist.
        CheckpointError: The checkpoint is damaged or of another kind.
    """
    from impasto.optimize import load_checkpoint

    if not path.exists():
        raise MissingFileError(
            f"there is no checkpoint {path}; remove --resume to start a new run."
        )
    training.load_state_dict(load_checkpoint(path, mark))


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

    def step(self, step: Any) -> None:
        """Shows one training step.

        Args:
            step: Event with ``step``, ``steps``, ``terms``, and optionally ``validation``.
        """
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
            if getattr(step, "validation", None) is not None:
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
