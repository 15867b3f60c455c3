"""TOML of any origin, read within limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from impasto.errors import InputError, MissingFileError
from impasto.text import printable, shortened

__all__ = ["MOST_TOML_BYTES", "parse_toml", "read_toml"]

MOST_TOML_BYTES = 2**16
"""Twenty times a file of every option. The parser needs quadratic time for keys of many parts: 3 s for such a file."""


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Reads a TOML file.

    Args:
        path: A regular file of at most `MOST_TOML_BYTES`.
        what: What it is to be, for the messages: ``"settings file"``.

    Raises:
        MissingFileError: It does not exist.
        InputError: It is no file, cannot be read, is too large, or is not TOML in UTF-8.
    """
    if not path.exists():
        raise MissingFileError(f"there is no {what} {path}; check the name and the folder.")
    if not path.is_file():
        raise InputError(f"{path} is not a file; a {what} is a TOML file.")
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_TOML_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); check its permissions."
        ) from error
    if len(data) > MOST_TOML_BYTES:
        raise InputError(f"{path} is larger than 64 KiB; a {what} is a short TOML file.")
    return parse_toml(data, str(path))


def parse_toml(data: bytes, name: str) -> dict[str, Any]:
    """Parses TOML.

    Raises:
        InputError: It is not TOML in UTF-8, is nested too deeply, or holds a number that is too long.
    """
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef]
    try:
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        reason = "it is nested too deeply"
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except tomllib.TOMLDecodeError as error:
        reason = shortened(printable(error), 100)
    except ValueError:
        reason = "a number in it has too many digits"
    raise InputError(f"{name} is not TOML that can be read ({reason}).")
