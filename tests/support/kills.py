"""Ends a run after its Nth file operation, or at a given time, like a kill or a power failure.

A run is a function that is called in a separate process, forked from a server that has imported everything, so that a
kill costs a fraction of a second. No cleanup code runs: the process exits through ``os._exit``.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import io
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DIED = 86
"""Exit code of a run that was ended on purpose."""

PRELOADED = [
    "torch", "cv2", "av", "scenedetect", "scipy.ndimage", "tifffile", "impasto.cli", "impasto.cli._image",
    "impasto.cli._video", "impasto.cli._train", "impasto.cli._study", "impasto.pipeline.video", "impasto.study",
    "impasto.looks.train", "impasto.media.timelapse",
]  # fmt: skip

Run = Callable[[Path, bool], None]
"""A module-level function that does its work in a folder; the flag says whether the run was ended there before."""


class Boundaries:
    """Counts the file operations in a folder: open, write, fsync, rename, create and delete."""

    def __init__(self, folder: Path, dies_at: int | None) -> None:
        self.count = 0
        self._folder, self._dies_at = str(folder), dies_at
        self._counting = threading.Lock()

    def cross(self) -> None:
        """Counts one operation, and exits the process at the requested one."""
        with self._counting:
            self.count += 1
            if self.count == self._dies_at:
                os._exit(DIED)

    def falls_next(self) -> bool:
        """Returns whether the process exits at the next operation."""
        return self.count + 1 == self._dies_at

    def concerns(self, path: Any) -> bool:
        """Returns whether a path is inside the folder."""
        if isinstance(path, int):
            return False
        return os.path.abspath(os.fsdecode(path)).startswith(self._folder)

    def install(self) -> None:
        """Patches the file functions of this process permanently."""
        for name in ("replace", "rename", "mkdir", "unlink", "remove", "rmdir", "open"):
            setattr(os, name, self._wrapped(getattr(os, name)))
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            sync(descriptor)
            self.cross()

        os.fsync = fsync
        builtins.open = io.open = self._opener(io.open)  # type: ignore[assignment]

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            done = real(path, *args, **kwargs)
            if self.concerns(path):
                self.cross()
            return done

        return call

    def _opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if not set(mode) & set("wax+") or isinstance(path, int) or not self.concerns(path):
                return real(path, mode, *args, **kwargs)
            raw = _HalfWritten(path, mode.replace("b", "").replace("t", ""))
            raw.boundaries = self
            self.cross()
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            encoding = kwargs.get("encoding") or "utf-8"
            return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding)

        return call


class _HalfWritten(io.FileIO):
    """A file whose last write before the exit is truncated to half."""

    boundaries: Boundaries

    def write(self, data: Any) -> int:
        if self.boundaries.falls_next():
            super().write(memoryview(data)[: len(data) // 2])
            self.boundaries.cross()
        written = super().write(data)
        self.boundaries.cross()
        return written


def _child(run: Run, folder: Path, again: bool, dies_at: int | None) -> None:
    import torch

    torch.set_num_threads(1)
    os.chdir(folder)
    output = os.open(folder.parent / f"{folder.name}.output", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    boundaries = Boundaries(folder, dies_at)
    boundaries.install()
    code: Any = 0
    try:
        run(folder, again)
    except SystemExit as leaving:
        code = leaving.code or 0
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    Path(folder.parent / f"{folder.name}.count").write_text(str(boundaries.count))
    os._exit(code if isinstance(code, int) else 1)


class Killer:
    """Runs a function in subfolders of a folder, and kills it.

    Args:
        place: An empty folder.
        run: The function to run.
        result: Returns a folder's results, to compare with those of an uninterrupted run.
        prepare: Creates the inputs in a folder.
    """

    def __init__(
        self,
        place: Path,
        run: Run,
        result: Callable[[Path], Any],
        prepare: Callable[[Path], None],
    ) -> None:
        self._place, self._run, self._result, self._prepare = place, run, result, prepare
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        began = time.monotonic()
        whole = self.folder("whole")
        assert self.start(whole) == 0, self.said(whole)
        self.seconds = time.monotonic() - began
        self.boundaries = int((place / "whole.count").read_text())
        self._wanted = result(whole)
        self._names = names_in(whole)

    def folder(self, name: str) -> Path:
        """Creates a folder with the inputs."""
        folder = self._place / name
        folder.mkdir()
        self._prepare(folder)
        return folder

    def start(
        self, folder: Path, *, again: bool = False, dies_at: int | None = None, after: float | None = None
    ) -> int:  # fmt: skip
        """Runs until completion or until killed; returns the exit code."""
        process = self._context.Process(target=_child, args=(self._run, folder, again, dies_at))
        process.start()
        process.join(after)
        if after is not None and process.is_alive():
            process.kill()
        process.join(300)
        assert process.exitcode is not None, f"{folder} hangs: {self.said(folder)}"
        return process.exitcode

    def said(self, folder: Path) -> str:
        """Returns the output of a run."""
        path = self._place / f"{folder.name}.output"
        return path.read_text() if path.exists() else ""

    def check(self, folder: Path) -> None:
        """Resumes an interrupted run and compares the results."""
        code = self.start(folder, again=True)
        assert code == 0, f"{folder.name}: {self.said(folder)}"
        assert self._result(folder) == self._wanted, f"{folder.name}: different result"
        assert names_in(folder) == self._names, f"{folder.name}: different files"

    def kill_at_boundary(self, number: int) -> None:
        """Ends a run after the Nth operation, and checks the resumed run."""
        folder = self.folder(f"boundary{number}")
        assert self.start(folder, dies_at=number) == DIED, self.said(folder)
        self.check(folder)

    def kill_after(self, seconds: float, name: str) -> None:
        """Kills a run at a given time, twice, and checks the resumed run."""
        folder = self.folder(name)
        for again in (False, True):
            self.start(folder, again=again, after=seconds)
        self.check(folder)


def names_in(folder: Path) -> list[str]:
    """Lists every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def spread(count: int, of: int) -> list[int]:
    """Returns ``count`` evenly spaced numbers from 1 to ``of``."""
    return sorted({1 + round(n * (of - 1) / max(1, count - 1)) for n in range(min(count, of))})
