"""The progress bar shared by all commands."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from impasto.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["make_bar", "make_console", "say"]


def make_console() -> Console:
    """Creates a console on standard error, which leaves standard output to machine-readable output."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, width=_width())


def _width() -> int | None:
    """Returns the terminal width if only standard error is a terminal, which rich does not query, else None."""
    asked = [stream for stream in (sys.stdin, sys.stdout) if stream is not None]
    if any(stream.isatty() for stream in asked) or not sys.stderr.isatty():
        return None
    return os.get_terminal_size(sys.stderr.fileno()).columns or None


def say(console: Console, text: str) -> None:
    """Prints a line, escaping control characters from file names and metadata."""
    console.print(printable(text), markup=False, soft_wrap=True)


def make_bar(console: Console) -> Progress:
    """Creates a bar with progress, losses and time left; its tasks have a ``losses`` field."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[losses]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
