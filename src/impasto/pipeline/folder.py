"""The work folder of a video: checks that it belongs to impasto and to the current run."""

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

__all__ = ["PLAN", "PaintFolder", "sealed", "unsealed"]

FORMAT = 4
RUN = "run.json"
PLAN = "plan.json"
FRAME_FILE = re.compile(
    r"plan\.json|(\d{6,})\.(?:json|\d+\.json|\d+\.png|source\.png|flow\.npy|\w+\.npz)"
)
PAINTED = re.compile(r"(\d{6,})\.1\.png")


def sealed(values: Mapping[str, Any], mark: str) -> bytes:
    """Serializes values to JSON with a checksum over the values and the run's fingerprint."""
    text = json.dumps(dict(values), sort_keys=True)
    return json.dumps({"values": values, "seal": _seal(text, mark)}).encode()


def unsealed(data: bytes, mark: str) -> dict[str, Any] | None:
    """Reads the output of `sealed`; returns None if it is damaged or belongs to another run."""
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
    """A work folder marked with a run's fingerprint; no other folder is ever written to or removed.

    Args:
        path: Created if it does not exist. A folder that is empty or contains only unfinished files counts as new.
        mark: Fingerprint of clip, styles and options.
        resume: Continue with the existing frames.
        fresh: Delete the existing frames.

    Raises:
        UsageError: Frames of an earlier run exist, and neither ``resume`` nor ``fresh`` was given.
        CheckpointError: The frames belong to another run.
        OutputError: The folder cannot be created, or was not created by impasto.
    """

    def __init__(self, path: Path, mark: str, *, resume: bool, fresh: bool) -> None:
        self.path, self._mark = path, mark
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            what = "a symbolic link" if path.is_symlink() else "a file"
            raise OutputError(
                f"{path} is {what}, but a folder for stylized frames is needed there; choose another output name."
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
        """Returns whether the folder contains nothing but unfinished files."""
        return all(
            _is_unfinished(name) or (name == RUN and (self.path / name).stat().st_size == 0)
            for name in self._names()
        )

    def _begin(self) -> None:
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be created ({error.strerror}); choose another location for the output."
            ) from error
        self._sweep()
        self._write_run()

    def _write_run(self) -> None:
        text = json.dumps({"format": FORMAT, "mark": self._mark})
        with replacing(self.path / RUN) as beside:
            beside.write_text(text, encoding="utf-8")

    def _sweep(self, *, running: bool = False) -> None:
        """Removes partial files of ended processes; with ``running``, also those of running processes."""
        for name in self._names():
            match = is_partial(name)
            if match and _is_unfinished(name) and (running or not runs(int(match["process"]))):
                with contextlib.suppress(OSError):
                    (self.path / name).unlink()

    def _run(self) -> dict[str, Any] | None:
        """Returns the contents of run.json, or None if it is missing, damaged or not impasto's."""
        try:
            run = json.loads((self.path / RUN).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        own = isinstance(run, dict) and "format" in run and isinstance(run.get("mark"), str)
        return run if own else None

    def _check_own(self) -> None:
        """Checks that the folder is impasto's; if run.json is damaged, frames of this very run suffice as proof."""
        if self._run() is None and not self._vouched():
            raise OutputError(
                f"{self.path} exists and was not created by impasto; move it or choose another output name."
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
                f"{self.path} contains {frames} frames from another clip, style, set of options or version of "
                "impasto; use the same inputs and options again, or delete the frames with --fresh."
            )
        if not resume and frames > 0:
            raise UsageError(
                f"{self.path} contains {frames} stylized frames of this video; continue with --resume or delete "
                "them with --fresh."
            )
        self._sweep()

    def painted(self) -> frozenset[int]:
        """Returns the numbers of the frames that completed the first pass."""
        return frozenset(int(m[1]) for name in self._names() if (m := PAINTED.fullmatch(name)))

    def remove(self) -> None:
        """Removes impasto's own files, and the folder if nothing else is in it."""
        if not self.path.is_symlink() and self._run() is not None:
            self._clear()

    def _clear(self) -> None:
        self._sweep(running=True)
        names = [name for name in self._names() if FRAME_FILE.fullmatch(name)]
        for name in (
            *reversed(names),
            RUN,
        ):  # run.json last: until then it identifies the folder as impasto's
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
