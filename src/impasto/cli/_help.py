"""How much ``--help`` shows. This is settled before the commands are imported."""

from __future__ import annotations

__all__ = ["HELP_ALL", "show_every_option", "shows_every_option"]

HELP_ALL = "--help-all"

_shown = {"every": False}


def show_every_option() -> None:
    """Makes the help of commands that are imported from now on show every option."""
    _shown["every"] = True


def shows_every_option() -> bool:
    """Whether help shows every option, and not only the common ones."""
    return _shown["every"]
