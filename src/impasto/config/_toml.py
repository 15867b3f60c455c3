"""Reading of untrusted TOML, with limits on its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from impasto.errors import InputError, MissingFileError
from impasto.text import printable, shortened

__all__ = ["MOST_TOML_BYTES", "parse_toml", "read_toml"]

MOST_TOML_BYTES = 2**16
"""Twenty times the size of a file with every option. The parser's time is quadratic in the number of parts of a dotted
key: 3 s for a file of this size."""


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Reads a TOML file.

    Args:
        path: A regular file of at most `MOST_TOML_BYTES`.
        what: Kind of file, for the error messages: ``"settings file"``.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The path is not a file, or the file cannot be read, is too large, or is not UTF-8 TOML.
    """
    if not path.exists():
        raise MissingFileError(f"there is no {what} {path}; check the path.")
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
        raise InputError(f"{path} is too large for a {what}; the limit is 64 KiB.")
    return parse_toml(data, str(path))


def parse_toml(data: bytes, name: str) -> dict[str, Any]:
    """Parses TOML.

    Raises:
        InputError: The data is not UTF-8 TOML, is nested too deeply, or contains a number with too many digits.
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
        reason = "a number has too many digits"
    raise InputError(f"{name} is not valid TOML ({reason}).")
