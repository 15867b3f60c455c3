"""Text that is safe to print: control characters escaped, long values shortened."""

from __future__ import annotations

import reprlib
import unicodedata
from typing import Any

__all__ = ["SHOWN_CHARACTERS", "printable", "shortened", "shown"]

SHOWN_CHARACTERS = 60
"""Longest value that an error message quotes."""

DIGITS = 30
"""Longest whole number that is written out."""

ESCAPED = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Unicode categories of control characters, surrogates, and line and paragraph separators."""

BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reorder text, so that a file name reads as another one."""


def printable(text: object) -> str:
    r"""Text for a terminal: control characters, line breaks and surrogates as escapes such as ``\x1b``.

    File names, metadata and messages of libraries go through this before they are printed, so that none of them can
    move the cursor, change the title of the window, or add a line.
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(_escaped(c) if _is_control(c) else c for c in plain)


def shortened(text: str, characters: int = SHOWN_CHARACTERS) -> str:
    """The text, or its beginning with an ellipsis, at most so many characters long."""
    return text if len(text) <= characters else text[: characters - 3] + "..."


def shown(value: Any) -> str:
    """A value as an error message quotes it: its ``repr``, printable and at most `SHOWN_CHARACTERS` long.

    Never fails, whatever the nesting, the number of digits, or the size of the value.
    """
    return shortened(printable(_SHORT.repr(value)))


class _Short(reprlib.Repr):
    """Cuts depth and length before the text is made."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = SHOWN_CHARACTERS + 10
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        if abs(x) < 10**DIGITS:
            return repr(x)
        return f"a number of about {int(x.bit_length() * 0.30103) + 1} digits"


_SHORT = _Short()


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ESCAPED or character in BIDIRECTIONAL


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
