"""Overwrite protection: inputs are never overwritten, and other files only if impasto wrote them."""

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
from impasto.media.find import FILM_SUFFIXES, NUMBER, is_image
from impasto.media.write import WRITABLE, read_metadata

__all__ = [
    "check_not_input",
    "check_outputs",
    "check_replaceable",
    "files_of",
    "hash_files",
    "is_own",
    "is_torch_checkpoint",
]

LONGEST_HEADER_BYTES = 100_000_000


def files_of(path: Path) -> Iterator[Path]:
    """Yields the files that a path refers to.

    Args:
        path: A file, a folder of images, or a numbered image sequence such as ``frames_%05d.png``.

    Yields:
        Existing files, sorted; none if the path is the name of something bundled with impasto.
    """
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(file for file in path.iterdir() if is_image(file))
    elif "%" in path.name and path.parent.is_dir():
        name = _numbered(path.name)
        yield from sorted(file for file in path.parent.iterdir() if name.fullmatch(file.name))


def _numbered(name: str) -> re.Pattern[str]:
    """Returns a pattern for the names of an image sequence such as ``frames_%05d.png``."""
    return re.compile(r"\d+".join(re.escape(part) for part in NUMBER.split(name)))


def hash_files(files: Iterable[Path], extra: str = "") -> str:
    """Returns the SHA-256 of the names, sizes and contents of files.

    Args:
        files: The files, in order.
        extra: Additional text to include in the hash.
    """
    digest = hashlib.sha256(extra.encode())
    for file in files:
        digest.update(os.fsencode(f"\n{file.name} {file.stat().st_size}\n"))
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def check_not_input(outs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Checks that no output is also an input; links are resolved.

    Args:
        outs: Files, or numbered image sequences such as ``frames_%05d.png``.
        inputs: Files, folders of images, or numbered sequences. Writing a new file into an input folder is allowed.

    Raises:
        UsageError: An output is also an input.
    """
    written = {_identity(file): file for out in outs for file in files_of(out)}
    if not written:
        return
    for path in inputs:
        for file in files_of(path) if path is not None else ():
            same = written.get(_identity(file))
            if same is not None:
                raise UsageError(
                    f"{same} would overwrite {file}, an input of this run; choose another output name."
                )


def _identity(path: Path) -> tuple[int, int]:
    """Returns the device and inode, which `os.path.samefile` compares."""
    status = path.stat()
    return status.st_dev, status.st_ino


def check_replaceable(path: Path, *, overwrite: bool = False, film: bool = False) -> None:
    """Checks that a file may be replaced: it was written by impasto, or ``overwrite`` is set.

    Args:
        path: A file, or a numbered image sequence such as ``frames_%05d.png``.
        overwrite: Replace any existing file.
        film: Whether a stylized video is written, which images and time-lapses must not replace, nor the reverse.

    Raises:
        OutputError: The file exists and does not carry impasto's marker, or is a result of another kind.
    """
    if overwrite:
        return
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another name.")
    for file in files_of(path) if "%" in path.name else [path]:
        if os.path.lexists(file) and not is_own(file):
            raise OutputError(
                f"{file} exists and was not written by impasto; choose another name or pass --overwrite."
            )
        if (
            file.suffix.lower() in (*FILM_SUFFIXES, ".gif")
            and file.exists()
            and _is_film(file) != film
        ):
            kind = "an image or a time-lapse" if film else "a stylized video"
            raise OutputError(
                f"{file} is {kind} from another run; choose another name or pass --overwrite."
            )


def check_outputs(
    outs: Sequence[Path], inputs: Iterable[Path | None], *, overwrite: bool = False
) -> None:
    """Checks that outputs overwrite neither inputs nor, unless allowed, files that impasto did not write.

    Args:
        outs: Files, or numbered image sequences such as ``frames_%05d.png``.
        inputs: Files, folders of images, or numbered image sequences.
        overwrite: Replace files that impasto did not write.

    Raises:
        UsageError: An output is also an input, or two outputs would be the same file.
        OutputError: An existing file was not written by impasto.
    """
    check_not_input(outs, inputs)
    _check_distinct(outs)
    for out in outs:
        check_replaceable(out, overwrite=overwrite)


def _check_distinct(outs: Sequence[Path]) -> None:
    """Checks that no two outputs are the same file, or files of the same image sequence."""
    places = [Path(os.path.realpath(out.parent), os.path.normcase(out.name)) for out in outs]
    sequences = [place for place in places if "%" in place.name]
    taken: set[Path] = set()
    for out, place in zip(outs, places, strict=True):
        if place in taken or any(
            place != sequence
            and place.parent == sequence.parent
            and _numbered(sequence.name).fullmatch(place.name)
            for sequence in sequences
        ):
            raise UsageError(f"two outputs would be written to {out}; rename one of them.")
        taken.add(place)


def is_own(path: Path) -> bool:
    """Returns whether a file contains the marker that impasto writes into its outputs, whatever its name.

    BMP images and optical flow files cannot hold a marker.
    """
    try:
        if path.stat().st_size == 0:
            return False
        return any(carries(path) for carries in _tests_for(path.suffix.lower()))
    except Exception:  # readers may raise anything on damaged files
        return False


def _tests_for(suffix: str) -> tuple[Callable[[Path], bool], ...]:
    if suffix in WRITABLE:
        return (_is_own_picture,)
    if suffix in FILM_SUFFIXES:
        return (_is_own_film,)
    if suffix == ".onnx":
        return (_is_own_model,)
    return (_is_own_tensors, is_torch_checkpoint)


def _is_own_picture(path: Path) -> bool:
    return "impasto" in read_metadata(path)


def _is_own_film(path: Path) -> bool:
    from impasto.media.video import read_film_metadata

    return "impasto" in read_film_metadata(path)


def _is_film(path: Path) -> bool:
    from impasto.media.video import read_film_metadata

    return "film" in read_film_metadata(path)


def _is_own_model(path: Path) -> bool:
    """Checks an ONNX graph: its properties are short strings near the end of the file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        return b"impasto" in file.read()


def _is_own_tensors(path: Path) -> bool:
    """Checks a safetensors file: looks, translators and checkpoints are identified in the header."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER_BYTES, path.stat().st_size - 8):
            return False
        header: Any = json.loads(file.read(length))
    about = header.get("__metadata__") if isinstance(header, Mapping) else None
    return isinstance(about, Mapping) and any(str(key).startswith("impasto") for key in about)


def is_torch_checkpoint(path: Path) -> bool:
    """Returns whether a file is a checkpoint of impasto 0.1, saved by torch; nothing is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("archive/data.pkl") as pickled:
            start = pickled.read(1024)
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError):
        return False
    return b"format" in start and b"fingerprint" in start
