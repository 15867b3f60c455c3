"""Child processes that never outlive their parent, and a pool of worker processes."""

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
"""Linux prctl option that sets the signal a process receives when its parent dies."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failed:
    """Result of a call that raised an exception or whose process ended.

    Attributes:
        reason: Description of the failure.
    """

    reason: str


def end_with_parent() -> None:
    """Makes this `multiprocessing` child process end immediately when its parent ends, even if the parent is killed.

    On Linux, the kernel kills the child (``PR_SET_PDEATHSIG``, which takes effect when the thread that started the
    child ends, so start children from a thread that lives as long as they do). On all systems, a thread watches the
    pipe that `multiprocessing` keeps open to the parent. Ctrl-C in the terminal is handled by the parent, which ends
    its children.

    Raises:
        RuntimeError: This process is not a child of `multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent() is for child processes of multiprocessing")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # the parent died before the prctl call
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
    """Calls a function on every item in worker processes, and yields each item with its result when it is done.

    If a process dies, only its current item fails. The processes are killed immediately when the iterator is closed or
    an exception such as KeyboardInterrupt passes through it; they also end with this process.

    Args:
        call: Function of one item. The function, the items and the results must be picklable.
        items: Items, in the order in which they are started.
        workers: Maximum number of concurrent processes.
        prepare: Called once at the start of every process.
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
    """A worker process and its current item."""

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
        """Sends the next item; only one may be in progress."""
        self._items = [item]
        try:
            self.pipe.send(item)
        except OSError:  # the process has ended; `take` handles that
            return

    def take(self) -> tuple[Item, Result | Failed]:
        """Receives the result of the item, or a `Failed` if the process has ended."""
        result: Result | Failed
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self.lost = True
            self._process.join()
            result = Failed(f"its process ended with status {self._process.exitcode}")
        return self._items.pop(), result

    def end(self) -> None:
        """Kills the process, which is safe because its files on disk are always complete."""
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
        except Exception as error:  # reported as a result
            result = Failed(f"{type(error).__name__}: {error}")
        pipe.send(result)
