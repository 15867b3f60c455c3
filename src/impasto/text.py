"""Makes text safe to print: escapes control characters and shortens long values."""

from __future__ import annotations

import reprlib
import unicodedata
from typing import Any

__all__ = ["SHOWN_CHARACTERS", "is_utf8", "printable", "shortened", "shown"]

SHOWN_CHARACTERS = 60
"""Maximum length of a value quoted in an error message."""

DIGITS = 30
"""Maximum number of digits of an integer that is written out."""

ESCAPED = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Unicode categories of control characters, surrogates, and line and paragraph separators."""

BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reorder text, which can disguise a file name."""


def printable(text: object) -> str:
    r"""Escapes control characters, line breaks and surrogates for a terminal, for example as ``\x1b``.

    File names, metadata and messages from libraries pass through this function before they are printed, so that none
    of them can move the cursor, change the window title, or add a line.
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(_escaped(c) if _is_control(c) else c for c in plain)


def is_utf8(text: str) -> bool:
    """Returns whether text can be encoded; file names can contain bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shortened(text: str, characters: int = SHOWN_CHARACTERS) -> str:
    """Truncates text to a maximum number of characters, with an ellipsis."""
    return text if len(text) <= characters else text[: characters - 3] + "..."


def shown(value: Any) -> str:
    """Formats a value for an error message: its ``repr``, printable and at most `SHOWN_CHARACTERS` long.

    Never fails, regardless of the nesting, number of digits, or size of the value.
    """
    return shortened(printable(_SHORT.repr(value)))


class _Short(reprlib.Repr):
    """Limits depth and length before the text is built."""

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
