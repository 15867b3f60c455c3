"""The folder that the paint of a film is kept in: whether it is ours, and what in it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.errors import CheckpointError, OutputError, UsageError
from impasto.media.replace import is_partial, replacing, runs

__all__ = ["PaintFolder", "sealed", "unsealed"]

FORMAT = 4
RUN = "run.json"
FRAME_FILE = re.compile(r"(\d{6,})\.(?:json|\d+\.json|\d+\.png|source\.png|flow\.npy|\w+\.npz)")
PAINTED = re.compile(r"(\d{6,})\.1\.png")


def sealed(values: Mapping[str, Any], mark: str) -> bytes:
    """JSON of plain values with a checksum of them and of the run's mark."""
    text = json.dumps(dict(values), sort_keys=True)
    return json.dumps({"values": values, "seal": _seal(text, mark)}).encode()


def unsealed(data: bytes, mark: str) -> dict[str, Any] | None:
    """Reads what `sealed` wrote; None where it is damaged or of another run."""
    try:
        record = json.loads(data)
        values = record["values"]
        whole = record["seal"] == _seal(json.dumps(values, sort_keys=True), mark)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return values if whole and isinstance(values, dict) else None


def _seal(text: str, mark: str) -> str:
    return hashlib.sha256(f"{mark}\n{text}".encode()).hexdigest()


class PaintFolder:
    """A folder that carries the mark of a run; nothing else is ever written to or removed.

    Args:
        path: Made when it is not there. A folder that is empty, or holds only what a killed run did not finish, is
            taken like a new one.
        mark: Of clip, styles and options.
        resume: Take it with what is painted.
        fresh: Throw away what is painted.

    Raises:
        UsageError: There is paint of an earlier run, and it was not said what to do with it.
        CheckpointError: The paint is of another run.
        OutputError: It cannot be made, or was not made by impasto.
    """

    def __init__(self, path: Path, mark: str, *, resume: bool, fresh: bool) -> None:
        self.path, self._mark = path, mark
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            what = "a symbolic link" if path.is_symlink() else "a file"
            raise OutputError(
                f"{path} is {what}, and a folder for painted frames is needed there; choose another name for the film."
            )
        new = self._is_new()
        if fresh and not new:
            self._check_own()
            self._clear()
        if fresh or new:
            self._begin()
        else:
            self._take_up(resume=resume)

    def _names(self) -> list[str]:
        return sorted(os.listdir(self.path)) if self.path.is_dir() else []

    def _is_new(self) -> bool:
        """Whether there is nothing in it but what was never finished."""
        return all(
            _is_unfinished(name) or (name == RUN and (self.path / name).stat().st_size == 0)
            for name in self._names()
        )

    def _begin(self) -> None:
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be made ({error.strerror}); choose another place for the film."
            ) from error
        self._sweep()
        self._write_run()

    def _write_run(self) -> None:
        text = json.dumps({"format": FORMAT, "mark": self._mark})
        with replacing(self.path / RUN) as beside:
            beside.write_text(text, encoding="utf-8")

    def _sweep(self, *, running: bool = False) -> None:
        """Removes what processes left unfinished; of those that run, this one among them, only when asked to."""
        for name in self._names():
            match = is_partial(name)
            if match and _is_unfinished(name) and (running or not runs(int(match["process"]))):
                with contextlib.suppress(OSError):
                    (self.path / name).unlink()

    def _run(self) -> dict[str, Any] | None:
        """What run.json says; None where it is missing, damaged or somebody else's."""
        try:
            run = json.loads((self.path / RUN).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        own = isinstance(run, dict) and "format" in run and isinstance(run.get("mark"), str)
        return run if own else None

    def _check_own(self) -> None:
        """Refuses a folder of somebody else; frames of this very run stand in for a run.json that is damaged."""
        if self._run() is None and not self._vouched():
            raise OutputError(
                f"{self.path} exists and was not made by impasto; move it away, or choose another name for the film."
            )

    def _vouched(self) -> bool:
        for name in self._names():
            if FRAME_FILE.fullmatch(name) and name.endswith(".json"):
                with contextlib.suppress(OSError):
                    if unsealed((self.path / name).read_bytes(), self._mark) is not None:
                        return True
        return False

    def _take_up(self, *, resume: bool) -> None:
        self._check_own()
        run = self._run()
        frames = len(self.painted())
        if run is None:
            self._write_run()
        elif run != {"format": FORMAT, "mark": self._mark}:
            raise CheckpointError(
                f"{self.path} holds {frames} frames of another clip, style or options, or of another version of "
                "impasto; give those again, or --fresh to throw them away."
            )
        if not resume and frames > 0:
            raise UsageError(
                f"{self.path} holds {frames} painted frames of this film; --resume goes on with them, --fresh throws "
                "them away."
            )
        self._sweep()

    def painted(self) -> frozenset[int]:
        """Numbers of the frames that went through the first pass."""
        return frozenset(int(m[1]) for name in self._names() if (m := PAINTED.fullmatch(name)))

    def remove(self) -> None:
        """Removes the files that are named like ours, and the folder if nothing else is in it."""
        if not self.path.is_symlink() and self._run() is not None:
            self._clear()

    def _clear(self) -> None:
        self._sweep(running=True)
        names = [name for name in self._names() if FRAME_FILE.fullmatch(name)]
        for name in (
            *reversed(names),
            RUN,
        ):  # run.json last: until then the folder tells whose it is
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _is_unfinished(name: str) -> bool:
    match = is_partial(name)
    if match is None:
        return False
    whole = match["stem"] + (match["suffix"] or "")
    return whole == RUN or FRAME_FILE.fullmatch(whole) is not None
