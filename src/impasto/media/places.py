"""What may be written over: never an input, and unasked only what carries impasto's own mark."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.errors import OutputError, UsageError
from impasto.media.find import is_image
from impasto.media.write import WRITABLE, read_metadata

__all__ = [
    "check_not_input",
    "check_outputs",
    "check_replaceable",
    "files_of",
    "hash_files",
    "is_own",
]

PLACE_FOR_NUMBER = re.compile(r"%0?\d*d")
FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
LONGEST_HEADER_BYTES = 100_000_000


def files_of(path: Path) -> Iterator[Path]:
    """The files that a name stands for.

    Args:
        path: A file, a folder of pictures, or numbered pictures such as ``frames_%05d.png``.

    Yields:
        Files that exist, sorted; none for the name of something that ships with impasto.
    """
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(file for file in path.iterdir() if is_image(file))
    elif "%" in path.name and path.parent.is_dir():
        before, *after = PLACE_FOR_NUMBER.split(path.name)
        name = re.compile(r"\d+".join(re.escape(part) for part in (before, *after)))
        yield from sorted(file for file in path.parent.iterdir() if name.fullmatch(file.name))


def hash_files(files: Iterable[Path], told: str = "") -> str:
    """SHA-256 of the names, sizes and bytes of files.

    Args:
        files: In order.
        told: What else decides.
    """
    digest = hashlib.sha256(told.encode())
    for file in files:
        digest.update(os.fsencode(f"\n{file.name} {file.stat().st_size}\n"))
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def check_not_input(outs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Refuses an output that is also an input, under whatever name: links count as what they lead to.

    Args:
        outs: Files, or numbered pictures such as ``frames_%05d.png``.
        inputs: Files, folders of pictures, or numbered pictures. Writing beside inputs, into their folder, is allowed.

    Raises:
        UsageError: One is.
    """
    written = {_identity(file): file for out in outs for file in files_of(out)}
    if not written:
        return
    for path in inputs:
        for file in files_of(path) if path is not None else ():
            same = written.get(_identity(file))
            if same is not None:
                raise UsageError(
                    f"{same} would be written over an input of this run, {file}; choose another name to write to."
                )


def _identity(path: Path) -> tuple[int, int]:
    """What `os.path.samefile` compares."""
    status = path.stat()
    return status.st_dev, status.st_ino


def check_replaceable(path: Path, *, overwrite: bool = False) -> None:
    """Refuses to replace a file that impasto did not make.

    Args:
        path: A file, or numbered pictures such as ``frames_%05d.png``.
        overwrite: Replace whatever is there.

    Raises:
        OutputError: It exists and carries no mark of impasto.
    """
    if overwrite:
        return
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another name.")
    for file in files_of(path) if "%" in path.name else [path]:
        if os.path.lexists(file) and not is_own(file):
            raise OutputError(
                f"{file} exists and was not made by impasto; choose another name, or replace it with "
                "--overwrite."
            )


def check_outputs(
    outs: Sequence[Path], inputs: Iterable[Path | None], *, overwrite: bool = False
) -> None:
    """Refuses to write over what is read, or unasked over what impasto did not make.

    Args:
        outs: Files, or numbered pictures such as ``frames_%05d.png``.
        inputs: Files, folders of pictures, or numbered pictures.
        overwrite: Replace files that impasto did not make.

    Raises:
        UsageError: An output is an input.
        OutputError: A file is somebody else's.
    """
    check_not_input(outs, inputs)
    for out in outs:
        check_replaceable(out, overwrite=overwrite)


def is_own(path: Path) -> bool:
    """Whether a file carries the mark that impasto writes into its results; its content counts, not its name.

    BMP pictures and fields of optical flow have no place for a mark.
    """
    try:
        if path.stat().st_size == 0:
            return False
        return any(carries(path) for carries in _tests_for(path.suffix.lower()))
    except Exception:  # readers let damaged files of others raise anything
        return False


def _tests_for(suffix: str) -> tuple[Callable[[Path], bool], ...]:
    if suffix in WRITABLE:
        return (_is_own_picture,)
    if suffix in FILMS:
        return (_is_own_film,)
    if suffix == ".onnx":
        return (_is_own_model,)
    return (_is_own_tensors, _is_own_archive)


def _is_own_picture(path: Path) -> bool:
    return "impasto" in read_metadata(path)


def _is_own_film(path: Path) -> bool:
    from impasto.media.video import read_film_metadata

    return "impasto" in read_film_metadata(path)


def _is_own_model(path: Path) -> bool:
    """A graph of ONNX: its properties, whose names are short texts, stand at the end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        return b"impasto" in file.read()


def _is_own_tensors(path: Path) -> bool:
    """A file of safetensors: looks, translators and checkpoints name themselves in the header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER_BYTES, path.stat().st_size - 8):
            return False
        header: Any = json.loads(file.read(length))
    about = header.get("__metadata__") if isinstance(header, Mapping) else None
    return isinstance(about, Mapping) and any(str(key).startswith("impasto") for key in about)


def _is_own_archive(path: Path) -> bool:
    """A checkpoint of torch, which is a zip: read as bytes, never unpickled."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        return bool(names) and b"fingerprint" in archive.read(names[0])
