"""All errors that impasto raises deliberately.

The class hierarchy, with the exit code of the command::

    ImpastoError (1)
    ├── UsageError (2, also ValueError)          an option or a combination of options that is not allowed
    │   └── UnknownNameError (2, also KeyError)  a name that does not exist, with a "did you mean"
    ├── InputError (3, also ValueError)          a file that cannot be used
    │   └── MissingFileError (3, also FileNotFoundError)
    ├── OutputError (4, also OSError)            a path that cannot be written
    ├── WeightsError (5, also ValueError)        weights that are missing, damaged, or for another network
    ├── OutOfMemoryError (6, also MemoryError)   an image that does not fit; names the largest size that does
    ├── DivergedError (7, also ArithmeticError)  a loss that stayed non-finite after all recovery attempts
    └── CheckpointError (8, also ValueError)     a checkpoint that is damaged or from another run

Each message states in one sentence what was given, what is allowed, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from impasto.text import SHOWN_CHARACTERS, printable, shown

__all__ = [
    "CheckpointError",
    "DivergedError",
    "ImpastoError",
    "InputError",
    "MissingFileError",
    "OutOfMemoryError",
    "OutputError",
    "UnknownNameError",
    "UsageError",
    "WeightsError",
    "unknown_name",
]


MOST_LISTED = 16
"""Maximum number of allowed names listed in a message."""


class ImpastoError(Exception):
    """Base class of all errors that impasto raises deliberately."""

    exit_code = 1

    def __str__(self) -> str:
        # KeyError would put the message in quotes. Names in messages may come from hostile files.
        return printable(self.args[0]) if self.args else ""


class UsageError(ImpastoError, ValueError):
    """An option or a combination of options is not allowed."""

    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """A backbone, layer, preset or other name does not exist."""


class InputError(ImpastoError, ValueError):
    """A file exists but cannot be used."""

    exit_code = 3


class MissingFileError(InputError, FileNotFoundError):
    """A file does not exist."""


class OutputError(ImpastoError, OSError):
    """A path or format cannot be written."""

    exit_code = 4


class WeightsError(ImpastoError, ValueError):
    """Weights are missing, damaged, or for another network."""

    exit_code = 5


class OutOfMemoryError(ImpastoError, MemoryError):
    """The image does not fit into memory, even after every memory-saving measure."""

    exit_code = 6


class DivergedError(ImpastoError, ArithmeticError):
    """The loss stayed non-finite after all recovery attempts."""

    exit_code = 7


class CheckpointError(ImpastoError, ValueError):
    """A checkpoint is damaged or belongs to another run."""

    exit_code = 8


def unknown_name(kind: str, name: object, allowed: Iterable[str]) -> UnknownNameError:
    """Creates the error for a name that does not exist.

    Args:
        kind: Kind of name, in the singular: ``"layer"``.
        name: The given name, usually a string.
        allowed: The names that exist.

    Returns:
        The error, for the caller to raise. Its message suggests the closest allowed name.
    """
    names = sorted(allowed)
    known = name[:SHOWN_CHARACTERS] if isinstance(name, str) else ""
    near = difflib.get_close_matches(known, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names[:MOST_LISTED])
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return UnknownNameError(f"unknown {kind} {shown(name)}.{hint} Available: {listed}{more}.")
