"""Output lock: lets only one run at a time write an output, and reports which run holds it."""

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
"""Tolerance when comparing start times of a process, which may shift when the clock is adjusted."""


WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
"""Errors of file systems without lock support; on these, the lock file alone has to suffice."""


@dataclass(frozen=True)
class _Owner:
    """The process that holds a lock, identified by PID, host and start time, because PIDs are reused."""

    pid: int
    host: str
    started: float

    @property
    def runs(self) -> bool:
        """Whether the process is still running; only meaningful on the same machine."""
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
    """Holds an output until `release` is called, the process ends, or the lock is garbage-collected.

    The operating system releases its lock on ``.OUT.lock`` when the process ends for any reason. The contents of the
    file identify the holder for other runs, and also protect folders shared with other machines, whose locks may not
    be visible here. Within one process the lock is reentrant: preparing the same video a second time means that the
    first attempt was abandoned.

    Args:
        out: The file or folder to be written.

    Raises:
        OutputError: Another run holds the lock; the message identifies it.
    """

    def __init__(self, out: Path) -> None:
        self.path = sibling(out.absolute(), ".lock", hidden=True)
        _hold(self.path, out)
        self._end = weakref.finalize(self, _release, self.path)

    def release(self) -> None:
        """Releases the output; further calls have no effect."""
        self._end()

    def __enter__(self) -> OutputLock:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


_held: dict[Path, tuple[FileLock, int]] = {}
"""The locks of this process and how many times each is held."""

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
            with contextlib.suppress(OSError):
                path.unlink()  # it names no owner
            lock.release()
            raise _not_locked(out, error) from error
        _held[path] = (lock, 1)


def _release(path: Path) -> None:
    with _holding:
        if path not in _held:
            return
        lock, count = _held[path]
        if count > 1:
            _held[path] = (lock, count - 1)
            return
        del _held[path]
        if _read(path) == _this_process():  # not after a fork, nor if another run took it over
            with contextlib.suppress(OSError):
                path.unlink()  # still locked, so a waiting process notices that the file was deleted
        lock.release()


def _read(path: Path) -> _Owner | None:
    """Reads the holder of a lock; returns None if the file does not name one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _Owner(int(values["pid"]), str(values["host"]), float(values["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _not_locked(out: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"{out} cannot be locked ({reason}); choose another location.")


def _refused(out: Path, path: Path, owner: _Owner | None) -> OutputError:
    if owner is None:
        return OutputError(
            f"{out} is being written by another run; wait for it to finish or stop it."
        )
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(owner.started))
    who = f"process {owner.pid} on {owner.host}, running since {since}"
    if owner.host != socket.gethostname():
        return OutputError(
            f"{out} is being written by {who}; wait for it to finish, or delete {path} if it has ended."
        )
    return OutputError(f"{out} is being written by {who}; wait for it to finish or stop it.")
