"""The descriptors of the process while a command runs: sentences reach the terminal, messages of libraries do not."""

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
    """Opens /dev/null in place of a standard descriptor that is closed.

    Else the next file that is opened would get its number, and what a library prints would be written into it.
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
        if getattr(sys, name) is None:  # then print() and rich would take the other one
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


@contextlib.contextmanager
def only_our_words(*, debug: bool) -> Iterator[None]:
    """Keeps messages of libraries off the terminal: of C code, Python warnings, logging, and threads that failed.

    `sys.stderr` goes on to the real standard error by a descriptor of its own, with its colors and its width.
    Descriptor 2, which C code writes to, leads nowhere. All is put back at the end.

    Args:
        debug: Change nothing.
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
    except (OSError, ValueError, AttributeError):  # a stream in memory
        return None


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """Writes out what is printed before the end, so that a full disk or a closed pipe is an error and not a message.

    Raises:
        OSError: Standard output cannot be written; what was left of it is thrown away.
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
    """Leads standard output nowhere; else Python would complain again when it ends."""
    if _descriptor(sys.stdout) == 1:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)


@contextlib.contextmanager
def interrupts_once() -> Iterator[None]:
    """Has the first Ctrl-C raise KeyboardInterrupt, and the second end the process at once.

    Where SIGINT is ignored or handled by somebody else, or in another thread than the main one, nothing is changed.
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
        stream.write("\x1b[?25h\n")  # a progress bar has hidden the cursor
        stream.flush()
    os._exit(INTERRUPTED)
