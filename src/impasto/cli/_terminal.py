"""Standard streams and signals while a command runs: only impasto's own messages reach the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import TextIO

__all__ = ["interrupts_once", "only_our_words", "open_missing", "standard_output"]

INTERRUPTED = 130
STDERR = 2


def open_missing() -> None:
    """Opens /dev/null for each closed standard descriptor.

    Otherwise the next opened file would get its number, and the output of libraries would be written to that file.
    """
    for descriptor in (0, 1, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # otherwise print() and rich would use the other stream
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


@contextlib.contextmanager
def only_our_words(*, debug: bool) -> Iterator[None]:
    """Suppresses messages from libraries: from C code, Python warnings, logging, and failed threads.

    `sys.stderr` still writes to the real standard error through its own descriptor, with its colors and width.
    Descriptor 2, which C code writes to, is redirected to /dev/null. Everything is restored at the end.

    Args:
        debug: Do nothing.
    """
    if debug:
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet_python())
        stack.enter_context(_quiet_descriptor())
        yield


@contextlib.contextmanager
def _quiet_python() -> Iterator[None]:
    level, on_thread, on_unraisable = (
        logging.root.manager.disable, threading.excepthook, sys.unraisablehook,
    )  # fmt: skip
    logging.disable(logging.CRITICAL)
    threading.excepthook = _say_nothing
    sys.unraisablehook = _say_nothing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        threading.excepthook, sys.unraisablehook = on_thread, on_unraisable


def _say_nothing(_about: object) -> None:
    pass


@contextlib.contextmanager
def _quiet_descriptor() -> Iterator[None]:
    ours, stream = sys.stderr, None
    _flush(ours)
    kept = os.dup(STDERR)
    if _descriptor(ours) == STDERR:
        stream = open(  # noqa: SIM115
            os.dup(STDERR), "w", buffering=1, encoding=ours.encoding, errors="backslashreplace"
        )
        sys.stderr = stream
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDERR)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        if stream is not None:
            sys.stderr = ours
            with contextlib.suppress(OSError):
                stream.close()


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError, AttributeError):  # an in-memory stream
        return None


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """Flushes standard output before exit, so that a full disk or closed pipe raises an error we can report.

    Raises:
        OSError: Standard output cannot be written; the remaining output is discarded.
    """
    try:
        yield
    finally:
        if sys.stdout is not None:
            try:
                sys.stdout.flush()
            except OSError:
                _throw_away_output()
                raise


def _throw_away_output() -> None:
    """Redirects standard output to /dev/null; otherwise Python would report the error again at exit."""
    if _descriptor(sys.stdout) == 1:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)


@contextlib.contextmanager
def interrupts_once() -> Iterator[None]:
    """Makes the first Ctrl-C raise KeyboardInterrupt, and the second one end the process immediately.

    Does nothing if SIGINT is ignored or already handled, or outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _first_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _first_interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _second_interrupt)
    raise KeyboardInterrupt


def _second_interrupt(_number: int, _frame: FrameType | None) -> None:
    stream = sys.stderr
    if stream is not None and stream.isatty():
        stream.write("\x1b[?25h\n")  # show the cursor that a progress bar has hidden
        stream.flush()
    os._exit(INTERRUPTED)
