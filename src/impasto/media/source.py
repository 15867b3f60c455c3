"""Checks of a file that a person names, before anything tries to decode it."""

from __future__ import annotations

import difflib
from pathlib import Path

from impasto.errors import InputError, MissingFileError

__all__ = ["check_name", "check_source"]


def check_source(path: Path, kind: str) -> None:
    """Refuses what cannot be read as a file.

    Args:
        path: The file.
        kind: What it should be, for the sentence: ``"picture"``.

    Raises:
        MissingFileError: There is no such file.
        InputError: Its name is not UTF-8; it is a folder, a pipe or a device; it is empty, or may not be read.
    """
    check_name(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give a {kind}.")
        if not path.exists():
            raise MissingFileError(f"there is no file {path}; {_near(path)}")
        if not path.is_file():
            raise InputError(f"{path} is a pipe or a device; give a {kind} in a file.")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty; give a {kind}.")
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise InputError(f"{path} may not be read; change its permissions or copy it.") from error
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{_shortened(str(path))} cannot be opened ({error.strerror}); give another {kind}."
        ) from error


def check_name(path: Path) -> None:
    """Refuses a name that is not UTF-8, which libraries and settings files cannot hold.

    Raises:
        InputError: It is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        name = str(path).encode(errors="backslashreplace").decode()
        raise InputError(f"the file name {name} is not UTF-8; rename the file.") from error


def _near(path: Path) -> str:
    folder = path.absolute().parent
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else "check the name and the folder."


def _shortened(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
