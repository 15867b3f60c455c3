"""Expands files, folders and globs to a list of images."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from impasto.errors import InputError
from impasto.media.read import SUFFIXES
from impasto.media.source import check_name

__all__ = ["FILM_SUFFIXES", "NUMBER", "find_images", "is_film", "is_image"]

FILM_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
"""Names of files that are read as films wherever images are read, too."""


NUMBER = re.compile(r"%\d*d")
"""Placeholder for the number in the file name of an image sequence."""


def find_images(patterns: Sequence[str | Path]) -> list[Path]:
    """Lists image files.

    Args:
        patterns: Files (kept as given, even if they do not exist), folders (their images, sorted by name), and globs.

    Returns:
        Paths in the given order, without duplicates.

    Raises:
        InputError: A folder or glob contains no images, a folder is not readable, or a file name in it is not UTF-8.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = _inside(path)
            if not inside:
                raise InputError(
                    f"{path} contains no images; supported formats are {', '.join(SUFFIXES)}."
                )
            found += inside
        elif glob.has_magic(str(pattern)) and not os.path.exists(path):
            matches = sorted(Path(p) for p in glob.glob(str(pattern), recursive=True))
            matches = [p for p in matches if is_image(p)]
            if not matches:
                raise InputError(
                    f"no images match {str(pattern)!r}; check the pattern and quote it in the shell."
                )
            found += matches
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _inside(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if is_image(path))
    except PermissionError as error:
        raise InputError(
            f"no permission to read {folder}; change its permissions or copy it."
        ) from error
    for path in found:
        check_name(path)
    return found


def is_film(path: Path, *, gif: bool = False) -> bool:
    """Returns whether the name of a file is that of a film.

    Args:
        path: The file, which need not exist.
        gif: Whether an animated GIF counts as a film; where images are expected, it is an image.
    """
    suffix = path.suffix.lower()
    return suffix in FILM_SUFFIXES or (gif and suffix == ".gif")


def is_image(path: Path) -> bool:
    """Returns whether a path is a file with the extension of a supported image format."""
    return path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
