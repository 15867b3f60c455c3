"""How a training is shown."""

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
    """Goes on from a checkpoint.

    Args:
        training: Where to.
        path: The checkpoint.
        mark: The kind of training that it has to be of.

    Raises:
        MissingFileError: There is none.
        CheckpointError: It is damaged, or of another kind.
    """
    from impasto.optimize import load_checkpoint

    if not path.exists():
        raise MissingFileError(f"there is no checkpoint {path}; leave --resume away to start anew.")
    training.load_state_dict(load_checkpoint(path, mark))


class TrainingShow:
    """A bar, JSON lines, or nothing."""

    def __init__(self, *, json_lines: bool, quiet: bool, steps: int) -> None:
        self._json, self._quiet = json_lines, quiet
        self._bar: Any = None
        if not self._json and not self._quiet:
            self._console = make_console()
            self._bar = make_bar(self._console)
            self._task = self._bar.add_task("training", total=steps, losses="")
            self._bar.start()

    def say(self, text: str) -> None:
        """Something that a person should know."""
        if self._json:
            print(json.dumps({"event": "note", "text": text}), flush=True)
        elif not self._quiet:
            say(self._console, text)

    def step(self, step: Any) -> None:
        """One step was taken.

        Args:
            step: Of a training, with ``step``, ``steps``, ``terms``, and perhaps ``validation``.
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
        """What was trained is written."""
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
            how = "interrupted; so far" if interrupted else "trained"
            say(self._console, f"{how} {out} ({steps} steps, {seconds:.0f} s)")

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
