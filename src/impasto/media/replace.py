"""Atomic file writes: a file appears complete or not at all, even after a crash or power failure."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from impasto.errors import OutputError

__all__ = [
    "create_partial",
    "is_partial",
    "move_into_place",
    "partial_path",
    "remove_partials",
    "replacing",
    "runs",
    "sibling",
]

LONGEST_STEM_BYTES = 100
"""Longer names are truncated and made unique with a hash: file systems allow 255 bytes per name, some fewer."""

LISTED_SECONDS = 10.0
"""Minimum time between scans of a folder for leftovers, so that writing thousands of files to it stays fast."""

PARTIAL = re.compile(r"\.(?P<stem>.+)\.part(?P<process>\d+)(?P<suffix>\.[^.]*)?", re.DOTALL)

_partials: dict[Path, tuple[float, list[str]]] = {}


def sibling(path: Path, ending: str, *, hidden: bool = False) -> Path:
    """Returns the path of a file next to another: ``out.mp4`` with ``.frames`` gives ``out.mp4.frames``.

    Args:
        path: The file.
        ending: Appended to the name, which is truncated if it is long.
        hidden: Whether to prefix the name with a dot.
    """
    return path.with_name(("." if hidden else "") + _short(path.name) + ending)


def _short(name: str) -> str:
    """Returns a name of at most `LONGEST_STEM_BYTES` bytes; deterministic."""
    whole = os.fsencode(name)
    if len(whole) <= LONGEST_STEM_BYTES:
        return name
    kept = whole[: LONGEST_STEM_BYTES - 9].decode("utf-8", errors="ignore")
    return f"{kept}-{hashlib.sha256(whole).hexdigest()[:8]}"


def partial_path(path: Path) -> Path:
    """Returns the temporary path that this process uses while writing a file: ``.out.part1234.mp4``."""
    return _partial(path, str(os.getpid()))


def _partial(path: Path, process: str) -> Path:
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_STEM_BYTES else ""
    return path.with_name(f".{_short(path.stem)}.part{process}{suffix}")


def is_partial(name: str) -> re.Match[str] | None:
    """Matches a file name created by `partial_path`, with groups ``stem``, ``process`` and ``suffix``."""
    return PARTIAL.fullmatch(name)


def create_partial(path: Path) -> Path:
    """Removes leftovers, creates this process's empty temporary file, and returns its path.

    A link planted at this predictable name by another user of a shared folder is never followed.

    Raises:
        OSError: The file cannot be created.
    """
    remove_partials(path)
    beside = partial_path(path)
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return beside


def remove_partials(path: Path) -> None:
    """Removes partial files left by processes that have ended; running processes keep theirs."""
    for name in _listed(path.absolute().parent):
        match = is_partial(name)
        if match is None or name != _partial(path, match["process"]).name:
            continue
        if not runs(int(match["process"])):
            with contextlib.suppress(OSError):
                path.with_name(name).unlink()


def _listed(folder: Path) -> list[str]:
    """Returns the partial file names in a folder, from a listing at most `LISTED_SECONDS` old."""
    now = time.monotonic()
    known = _partials.get(folder)
    if known is None or now - known[0] >= LISTED_SECONDS:
        try:
            names = [entry.name for entry in os.scandir(folder) if is_partial(entry.name)]
        except OSError:
            names = []
        known = _partials[folder] = (now, names)
    return known[1]


def runs(process: int) -> bool:
    """Returns whether a process on this machine is still running."""
    import psutil

    return bool(psutil.pid_exists(process))


def move_into_place(beside: Path, path: Path, *, durable: bool = True) -> None:
    """Replaces a file with a complete one.

    Args:
        beside: The new file, in the same folder.
        path: The destination.
        durable: Whether to flush the content and then the folder entry to disk, so that a power failure leaves either
            the complete old file or the complete new one.

    Raises:
        OSError: The file cannot be moved or flushed to disk.
    """
    if durable:
        _sync(beside)
    os.replace(beside, path)
    if durable:
        _sync_folder(path.absolute().parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Flushes a folder entry; ignored where unsupported (Windows, some network file systems)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def replacing(
    path: Path, remedy: str = "choose another location", *, durable: bool = True
) -> Iterator[Path]:
    """Yields a temporary path to write to and moves the file into place when the block completes.

    Partial files left by an earlier process that was killed are removed.

    Args:
        path: The destination.
        remedy: What the error message suggests if the file cannot be written.
        durable: See `move_into_place`.

    Raises:
        OutputError: The file cannot be written; no partial file is left.
    """
    beside = partial_path(path)
    try:
        create_partial(path)
        yield beside
        move_into_place(beside, path, durable=durable)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}); {remedy}.") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
