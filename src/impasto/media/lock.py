"""One run per output: a lock that tells who holds it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from impasto.errors import OutputError
from impasto.media.replace import sibling

__all__ = ["OutputLock"]

SAME_START_SECONDS = 1.0
"""Start times of one process, read twice, differ by less: clocks are adjusted."""


WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
"""Errors of file systems that have no locks; there the file alone has to do."""


@dataclass(frozen=True)
class _Owner:
    """A process: its number alone is not enough, because numbers are reused."""

    pid: int
    host: str
    started: float

    @property
    def runs(self) -> bool:
        """Whether the process still runs, if it is of this machine."""
        try:
            began = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
        return abs(began - self.started) < SAME_START_SECONDS


def _this_process() -> _Owner:
    return _Owner(os.getpid(), socket.gethostname(), psutil.Process().create_time())


class OutputLock:
    """Holds an output until `release`, the end of the process, or until nobody refers to it any more.

    The system's own lock on ``.OUT.lock`` ends with the process, whatever ends it; what is written in the file tells
    others who holds it, and refuses where the folder is shared with another machine, whose locks may not be seen here.
    Within one process the lock is held as often as it is asked for: whoever prepares a film a second time has
    abandoned the first.

    Args:
        out: The file or folder that is written.

    Raises:
        OutputError: Another run holds it; the sentence tells which.
    """

    def __init__(self, out: Path) -> None:
        self.path = sibling(out.absolute(), ".lock", hidden=True)
        _hold(self.path, out)
        self._end = weakref.finalize(self, _let_go, self.path)

    def release(self) -> None:
        """Gives the output free; twice is once."""
        self._end()

    def __enter__(self) -> OutputLock:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


_held: dict[Path, tuple[FileLock, int]] = {}
"""Of this process: locks, and how often each is held."""

_holding = threading.RLock()


def _hold(path: Path, out: Path) -> None:
    with _holding:
        if path in _held:
            lock, count = _held[path]
            _held[path] = (lock, count + 1)
            return
        lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise _refused(out, path, _read(path)) from error
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise _not_locked(out, error) from error
        owner = _read(path)
        if owner is not None and (owner.host != socket.gethostname() or owner.runs):
            lock.release()
            raise _refused(out, path, owner)
        try:
            path.write_text(json.dumps(asdict(_this_process())), encoding="utf-8")
        except OSError as error:
            lock.release()
            raise _not_locked(out, error) from error
        _held[path] = (lock, 1)


def _let_go(path: Path) -> None:
    with _holding:
        if path not in _held:
            return
        lock, count = _held[path]
        if count > 1:
            _held[path] = (lock, count - 1)
            return
        del _held[path]
        if _read(path) == _this_process():  # not after a fork, nor where someone took it over
            with contextlib.suppress(OSError):
                path.unlink()  # still locked: whoever waits for this file sees that it has no name any more
        lock.release()


def _read(path: Path) -> _Owner | None:
    """Who holds a lock; None where the file does not say so."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _Owner(int(values["pid"]), str(values["host"]), float(values["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _not_locked(out: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"{out} cannot be locked ({reason}); choose another place.")


def _refused(out: Path, path: Path, owner: _Owner | None) -> OutputError:
    if owner is None:
        return OutputError(f"{out} is being written by another run; wait for it, or stop it first.")
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(owner.started))
    who = f"process {owner.pid} on {owner.host}, which has run since {since}"
    if owner.host != socket.gethostname():
        return OutputError(
            f"{out} is being written by {who}; wait for it, or delete {path} if that run is over."
        )
    return OutputError(f"{out} is being written by {who}; wait for it, or stop it first.")
