"""Files, folders and globs to a list of pictures."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from impasto.errors import InputError
from impasto.media.read import SUFFIXES
from impasto.media.source import check_name

__all__ = ["find_images", "is_image"]


def find_images(patterns: Sequence[str | Path]) -> list[Path]:
    """Lists pictures.

    Args:
        patterns: Files (taken as they are, there or not), folders (the pictures in them, sorted by name), and globs.

    Returns:
        Paths in the order given, each once.

    Raises:
        InputError: A folder or glob holds no picture, a folder may not be read, or a name in it is not UTF-8.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = _inside(path)
            if not inside:
                raise InputError(
                    f"there is no picture in the folder {path}; allowed are {', '.join(SUFFIXES)}."
                )
            found += inside
        elif glob.has_magic(str(pattern)) and not os.path.exists(path):
            matches = sorted(Path(p) for p in glob.glob(str(pattern), recursive=True))
            matches = [p for p in matches if is_image(p)]
            if not matches:
                raise InputError(
                    f"no picture matches {str(pattern)!r}; check it, and put it in quotes."
                )
            found += matches
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _inside(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if is_image(path))
    except PermissionError as error:
        raise InputError(f"{folder} may not be read; change its permissions or copy it.") from error
    for path in found:
        check_name(path)
    return found


def is_image(path: Path) -> bool:
    """Whether a file's name is that of a picture that can be read."""
    return path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
