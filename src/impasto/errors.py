"""Every error that impasto raises on purpose.

The tree, with the exit code of the command::

    ImpastoError (1)
    ├── UsageError (2, also ValueError)          an option or a combination that is not allowed
    │   └── UnknownNameError (2, also KeyError)  a name that does not exist, with a "did you mean"
    ├── InputError (3, also ValueError)          a file that cannot be used as it is
    │   └── MissingFileError (3, also FileNotFoundError)
    ├── OutputError (4, also OSError)            a place that cannot be written
    ├── WeightsError (5, also ValueError)        weights that are absent, damaged or of another network
    ├── OutOfMemoryError (6, also MemoryError)   the picture does not fit, with the largest size that does
    ├── DivergedError (7, also ArithmeticError)  the loss stayed non-finite after every remedy
    └── CheckpointError (8, also ValueError)     a checkpoint of another run, or a damaged one

A message says what was got, what is allowed and what to do, in one sentence.
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
"""So many allowed names are listed in a sentence."""


class ImpastoError(Exception):
    """The root: catching it catches everything that impasto raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        # KeyError would print the message with quotes around it. Names in messages may come from hostile files.
        return printable(self.args[0]) if self.args else ""


class UsageError(ImpastoError, ValueError):
    """An option, or a combination of options, that is not allowed."""

    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """A backbone, layer, preset or other name that does not exist."""


class InputError(ImpastoError, ValueError):
    """A file that is there but cannot be used as it is."""

    exit_code = 3


class MissingFileError(InputError, FileNotFoundError):
    """A file that is not there."""


class OutputError(ImpastoError, OSError):
    """A place that cannot be written, or a format that cannot be."""

    exit_code = 4


class WeightsError(ImpastoError, ValueError):
    """Weights that are absent, damaged, or of another network."""

    exit_code = 5


class OutOfMemoryError(ImpastoError, MemoryError):
    """The picture does not fit into memory by any rung of the ladder."""

    exit_code = 6


class DivergedError(ImpastoError, ArithmeticError):
    """The loss stayed non-finite after every remedy."""

    exit_code = 7


class CheckpointError(ImpastoError, ValueError):
    """A checkpoint that is damaged or belongs to another run."""

    exit_code = 8


def unknown_name(kind: str, name: object, allowed: Iterable[str]) -> UnknownNameError:
    """Builds the error for a name that does not exist.

    Args:
        kind: What the name is of, in the singular: ``"layer"``.
        name: What was got; usually text.
        allowed: The names that exist.

    Returns:
        The error, to be raised by the caller, with the nearest allowed name first.
    """
    names = sorted(allowed)
    known = name[:SHOWN_CHARACTERS] if isinstance(name, str) else ""
    near = difflib.get_close_matches(known, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names[:MOST_LISTED])
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return UnknownNameError(f"there is no {kind} {shown(name)}.{hint} Allowed: {listed}{more}.")
