"""Checks an input file before anything tries to decode it."""

from __future__ import annotations

import difflib
from pathlib import Path

from impasto.errors import InputError, MissingFileError
from impasto.text import is_utf8, shortened

__all__ = ["check_name", "check_source"]


def check_source(path: Path, kind: str) -> None:
    """Checks that a path can be read as a file.

    Args:
        path: The file.
        kind: The expected kind of file for the error message, such as ``"image"``.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The name is not UTF-8, the path is a folder, a pipe or a device, or the file is empty or
            unreadable.
    """
    check_name(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; the {kind} must be a file.")
        if not path.exists():
            raise MissingFileError(f"{path} does not exist; {_near(path)}")
        if not path.is_file():
            raise InputError(f"{path} is a pipe or device; the {kind} must be a regular file.")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty; choose another file.")
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise InputError(
            f"no permission to read {path}; change its permissions or copy it."
        ) from error
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{shortened(str(path), 80)} cannot be opened ({error.strerror}); choose another file."
        ) from error


def check_name(path: Path) -> None:
    """Checks that a file name is UTF-8, because libraries and settings files cannot represent other names.

    Raises:
        InputError: The name is not UTF-8.
    """
    if not is_utf8(str(path)):
        name = str(path).encode(errors="backslashreplace").decode()
        raise InputError(f"the file name {name} is not UTF-8; rename the file.")


def _near(path: Path) -> str:
    folder = path.absolute().parent
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else "check the name and the folder."
