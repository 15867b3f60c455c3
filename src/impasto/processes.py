"""Child processes that never outlive their parent, and work that is shared among some of them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

__all__ = ["Failed", "end_with_parent", "in_processes"]

PR_SET_PDEATHSIG = 1
"""Of Linux' prctl: the signal that a process gets when its parent dies."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failed:
    """Stands in place of a result: the work raised an exception, or its process ended.

    Attributes:
        reason: In words.
    """

    reason: str


def end_with_parent() -> None:
    """Makes this child process of `multiprocessing` end at once when its parent does, by whatever signal.

    On Linux the kernel kills it (``PR_SET_PDEATHSIG``, which acts when the thread that started the child ends; start
    children from a thread that lives as long as they do). Everywhere a thread watches the pipe that
    `multiprocessing` keeps to the parent. Ctrl-C in the terminal is left to the parent, which ends its children.

    Raises:
        RuntimeError: This process is no child of `multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent() is for child processes of multiprocessing")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # it died before that
            os._exit(1)

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def in_processes(
    call: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    prepare: Callable[[], object] | None = None,
) -> Generator[tuple[Item, Result | Failed], None, None]:
    """Calls a function on every item in processes of their own; yields each item with its result as it is done.

    A process that dies costs its item alone. When the iterator is closed, or an exception such as KeyboardInterrupt
    passes through it, the processes are killed at once; they also end with this process.

    Args:
        call: Takes an item; it, the items and the results have to be picklable.
        items: In the order in which they are begun.
        workers: Most processes at a time.
        prepare: Called first in every process.
    """
    waiting = deque(items)
    busy: list[_Worker[Item, Result]] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                busy.append(_Worker(call, prepare))
                busy[-1].give(waiting.popleft())
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                item, result = worker.take()
                if worker.lost or not waiting:
                    busy.remove(worker)
                    worker.end()
                else:
                    worker.give(waiting.popleft())
                yield item, result
    finally:
        for worker in busy:
            worker.end()


class _Worker(Generic[Item, Result]):
    """A process, and the item that it has."""

    def __init__(
        self, call: Callable[[Item], Result], prepare: Callable[[], object] | None
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, call, prepare), daemon=True)
        self._process.start()
        theirs.close()
        self.lost = False
        self._items: list[Item] = []

    def give(self, item: Item) -> None:
        """Sends an item; one at a time."""
        self._items = [item]
        try:
            self.pipe.send(item)
        except OSError:  # the process has ended, as `take` finds
            return

    def take(self) -> tuple[Item, Result | Failed]:
        """Receives the result of the item, or notices that the process has ended."""
        result: Result | Failed
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self.lost = True
            self._process.join()
            result = Failed(f"its process ended with status {self._process.exitcode}")
        return self._items.pop(), result

    def end(self) -> None:
        """Kills the process; it keeps nothing that is not whole on disk."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(
    pipe: Connection, call: Callable[[Any], Any], prepare: Callable[[], object] | None
) -> None:
    end_with_parent()
    if prepare is not None:
        prepare()
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            result = call(item)
        except Exception as error:  # a result like any other
            result = Failed(f"{type(error).__name__}: {error}")
        pipe.send(result)
