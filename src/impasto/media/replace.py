"""Files that appear whole or not at all, whatever ends the process or the power."""

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
    "is_partial",
    "move_into_place",
    "partial_path",
    "remove_partials",
    "replacing",
    "runs",
    "sibling",
]

LONGEST_STEM_BYTES = 100
"""Longer names are cut and told apart by a hash: file systems allow 255 bytes a name, some fewer."""

LISTED_SECONDS = 10.0
"""A folder is searched for leftovers at most this often, so that writing thousands of files into one stays fast."""

PARTIAL = re.compile(r"\.(?P<stem>.+)\.part(?P<process>\d+)(?P<suffix>\.[^.]*)?", re.DOTALL)

_partials: dict[Path, tuple[float, list[str]]] = {}


def sibling(path: Path, ending: str, *, hidden: bool = False) -> Path:
    """Names a file beside another: ``out.mp4`` with ``.frames`` is ``out.mp4.frames``.

    Args:
        path: The file.
        ending: Appended to its name, which is cut when it is long.
        hidden: Whether the name begins with a dot.
    """
    return path.with_name(("." if hidden else "") + _short(path.name) + ending)


def _short(name: str) -> str:
    """A name of at most `LONGEST_STEM_BYTES` bytes, always the same for the same name."""
    whole = os.fsencode(name)
    if len(whole) <= LONGEST_STEM_BYTES:
        return name
    kept = whole[: LONGEST_STEM_BYTES - 9].decode("utf-8", errors="ignore")
    return f"{kept}-{hashlib.sha256(whole).hexdigest()[:8]}"


def partial_path(path: Path) -> Path:
    """Where this process writes a file until it is whole: ``.out.part1234.mp4``."""
    return _partial(path, str(os.getpid()))


def _partial(path: Path, process: str) -> Path:
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_STEM_BYTES else ""
    return path.with_name(f".{_short(path.stem)}.part{process}{suffix}")


def is_partial(name: str) -> re.Match[str] | None:
    """Matches the name of a file that `partial_path` gave, with groups ``stem``, ``process`` and ``suffix``."""
    return PARTIAL.fullmatch(name)


def remove_partials(path: Path) -> None:
    """Removes what processes that are gone left of a file; those that still run keep theirs."""
    for name in _listed(path.absolute().parent):
        match = is_partial(name)
        if match is None or name != _partial(path, match["process"]).name:
            continue
        if not runs(int(match["process"])):
            with contextlib.suppress(OSError):
                path.with_name(name).unlink()


def _listed(folder: Path) -> list[str]:
    """Names of unfinished files in a folder, at most `LISTED_SECONDS` old."""
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
    """Whether a process of this machine still runs."""
    import psutil

    return bool(psutil.pid_exists(process))


def move_into_place(beside: Path, path: Path, *, durable: bool = True) -> None:
    """Moves a whole file over the one of its name.

    Args:
        beside: In the same folder.
        path: Where to.
        durable: Whether content, and then the name, reach the disk first, so that a power cut leaves the old file or
            the new one, whole.

    Raises:
        OSError: It cannot be moved, or its content cannot be written to the disk.
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
    """Passed over by systems that cannot (Windows, some network file systems)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def replacing(
    path: Path, remedy: str = "choose another place", *, durable: bool = True
) -> Iterator[Path]:
    """Gives a file beside to write to, and moves it into place when it is whole.

    What an earlier process that was killed left of the same file is removed.

    Args:
        path: Where to.
        remedy: What to do where that cannot be written.
        durable: See `move_into_place`.

    Raises:
        OutputError: The place cannot be written; nothing half-written is left.
    """
    remove_partials(path)
    beside = partial_path(path)
    try:
        yield beside
        move_into_place(beside, path, durable=durable)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}); {remedy}.") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
