"""Handling of Ctrl-C and SIGTERM in commands that hold a resource such as a camera or a port."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

__all__ = ["stopping_on_signal"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stopping_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` as soon as SIGINT or SIGTERM arrives, and raises KeyboardInterrupt inside the block.

    Python runs signal handlers only between operations of the main thread, and one network operation can take seconds.
    `stop` therefore runs on a separate thread, without waiting for the main thread.

    Args:
        stop: Releases resources that other programs may wait for; it must be safe to call from any thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while arrived := reader.recv(1):
            if arrived[0] in SIGNALS:
                stop()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        writer.close()
        watcher.join()
        reader.close()
