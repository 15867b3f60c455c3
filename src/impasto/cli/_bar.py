"""The progress bar of every command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["make_bar", "make_console"]


def make_console() -> Console:
    """Prints to standard error, so that standard output is for programs."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False)


def make_bar(console: Console) -> Progress:
    """A bar with what is done, losses and time left; its tasks have a field ``losses``."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[losses]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
