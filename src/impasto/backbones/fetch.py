"""Weights: found here, or fetched once with the user's say-so, resumed and verified."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from impasto.backbones.registry import SHIPPED, WeightsEntry, entry_for
from impasto.errors import OutputError, WeightsError

__all__ = ["cache_folder", "download", "find_weights", "locate"]

CHUNK_BYTES = 1 << 20
Progress = Callable[[int, int], None]


def cache_folder() -> Path:
    """``IMPASTO_CACHE``, or ``impasto`` in the user's cache."""
    given = os.environ.get("IMPASTO_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "impasto"


def find_weights(name: str) -> str | None:
    """Says where a backbone's weights are, None when they are not here."""
    if name in SHIPPED:
        return "in the package"
    path = cache_folder() / entry_for(name).file_name
    return str(path) if path.exists() else None


def locate(
    entry: WeightsEntry, *, allow_download: bool = False, progress: Progress | None = None
) -> Path:
    """Finds a backbone's weights in the cache, or fetches them.

    Args:
        entry: Whose.
        allow_download: The user's say-so.
        progress: Told of bytes done and in all.

    Raises:
        WeightsError: They are not here and may not, or cannot, be fetched.
    """
    path = cache_folder() / entry.file_name
    if path.exists():
        return path
    if not entry.url:
        raise WeightsError(
            f"{entry.name} needs a file of weights that cannot be fetched; give yours with --weights FILE."
        )
    if not allow_download:
        raise WeightsError(
            f"the weights of {entry.name} are not here; give a file with --weights FILE, or let impasto fetch "
            f"{entry.size_bytes / 1e6:.0f} MB from {entry.url.split('/')[2]} with --download."
        )
    return download(entry, path, progress=progress)


def download(entry: WeightsEntry, path: Path, *, progress: Progress | None = None) -> Path:
    """Fetches a file, going on where an earlier try stopped, and moves it into place once it is verified.

    Args:
        entry: What.
        path: Where to; its folder is made.
        progress: Told of bytes done and in all.

    Raises:
        WeightsError: No network, no such file, or a file that is not the published one.
        OutputError: The disk is full or may not be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _receive(entry, part, progress)
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"{entry.url} answered {error.code}; give a file with --weights FILE."
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"{entry.url} cannot be reached ({reason}); try again, it goes on where it stopped, or give a file "
            "with --weights FILE."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{part} cannot be written ({error.strerror}); free some space."
        ) from error
    digest = _sha256(part)
    if not digest.startswith(entry.sha256):
        part.unlink()
        raise WeightsError(
            f"{entry.url} gave a file of SHA-256 {digest[:16]}..., not {entry.sha256}...; it was deleted, try again."
        )
    os.replace(part, path)
    return path


def _receive(entry: WeightsEntry, part: Path, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(entry.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # everything is here already
            return
        raise
    with response:
        if have and response.status != 206:  # the server starts over
            have = 0
        total = have + int(response.headers.get("Content-Length") or 0)
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, total)
    if total and have < total:
        raise ConnectionError(f"only {have} of {total} bytes came")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
