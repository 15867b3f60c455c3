"""Ends a run after the n-th thing that it does to the disk, or at a moment, as a kill or a power cut would.

A run is a function that is called in a process of its own, forked from a server that has imported everything, so that a
kill costs a fraction of a second. Nothing of the run's own cleanup happens: the process leaves by ``os._exit``.
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
"""Exit code of a run that was ended."""

PRELOADED = [
    "torch", "cv2", "av", "scenedetect", "scipy.ndimage", "tifffile", "impasto.cli", "impasto.cli._image",
    "impasto.cli._video", "impasto.cli._train", "impasto.cli._study", "impasto.pipeline.video", "impasto.study",
    "impasto.looks.train", "impasto.media.timelapse",
]  # fmt: skip

Run = Callable[[Path, bool], None]
"""Does its work in a folder; told whether it was ended there before. A function of a module."""


class Boundaries:
    """Counts what is done to the files of a folder: open, write, fsync, rename, make and remove."""

    def __init__(self, folder: Path, dies_at: int | None) -> None:
        self.count = 0
        self._folder, self._dies_at = str(folder), dies_at
        self._counting = threading.Lock()

    def cross(self) -> None:
        """Ends the process where it is to be ended."""
        with self._counting:
            self.count += 1
            if self.count == self._dies_at:
                os._exit(DIED)

    def falls_next(self) -> bool:
        """Whether the process is ended at the next boundary."""
        return self.count + 1 == self._dies_at

    def concerns(self, path: Any) -> bool:
        """Whether a path lies in the folder."""
        if isinstance(path, int):
            return False
        return os.path.abspath(os.fsdecode(path)).startswith(self._folder)

    def install(self) -> None:
        """Wraps the calls, in this process for good."""
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
    """A file whose last write before the end is cut in half."""

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
    """Runs in folders below a place, and ends runs.

    Args:
        place: An empty folder.
        run: What is run.
        result: What a folder holds, to be compared with that of a run that nobody ended.
        prepare: Puts the inputs into a folder.
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
        """A folder with the inputs."""
        folder = self._place / name
        folder.mkdir()
        self._prepare(folder)
        return folder

    def start(
        self, folder: Path, *, again: bool = False, dies_at: int | None = None, after: float | None = None
    ) -> int:  # fmt: skip
        """Runs to its end, or until it is ended; gives the exit code."""
        process = self._context.Process(target=_child, args=(self._run, folder, again, dies_at))
        process.start()
        process.join(after)
        if after is not None and process.is_alive():
            process.kill()
        process.join(300)
        assert process.exitcode is not None, f"{folder} hangs: {self.said(folder)}"
        return process.exitcode

    def said(self, folder: Path) -> str:
        """What a run has printed."""
        path = self._place / f"{folder.name}.output"
        return path.read_text() if path.exists() else ""

    def check(self, folder: Path) -> None:
        """Goes on where a run was ended, and compares."""
        code = self.start(folder, again=True)
        assert code == 0, f"{folder.name}: {self.said(folder)}"
        assert self._result(folder) == self._wanted, f"{folder.name}: another result"
        assert names_in(folder) == self._names, f"{folder.name}: other files"

    def kill_at_boundary(self, number: int) -> None:
        """Ends a run after the n-th boundary, and checks."""
        folder = self.folder(f"boundary{number}")
        assert self.start(folder, dies_at=number) == DIED, self.said(folder)
        self.check(folder)

    def kill_after(self, seconds: float, name: str) -> None:
        """Kills a run at a moment, twice, and checks."""
        folder = self.folder(name)
        for again in (False, True):
            self.start(folder, again=again, after=seconds)
        self.check(folder)


def names_in(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def spread(count: int, of: int) -> list[int]:
    """So many numbers from 1 to ``of``, evenly."""
    return sorted({1 + round(n * (of - 1) / max(1, count - 1)) for n in range(min(count, of))})
