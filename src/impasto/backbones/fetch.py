"""Weight files: found locally, or downloaded once with the user's permission, with resume and verification."""

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
    """Returns ``IMPASTO_CACHE``, or ``impasto`` in the user's cache folder."""
    given = os.environ.get("IMPASTO_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "impasto"


def find_weights(name: str) -> str | None:
    """Returns the location of a backbone's weights, or None if they are not available locally."""
    if name in SHIPPED:
        return "in the package"
    path = cache_folder() / entry_for(name).file_name
    return str(path) if path.exists() else None


def locate(
    entry: WeightsEntry, *, allow_download: bool = False, progress: Progress | None = None
) -> Path:
    """Finds a backbone's weights in the cache, or downloads them.

    Args:
        entry: The backbone's weights.
        allow_download: Whether the user permits the download.
        progress: Called with the number of bytes received and the total.

    Raises:
        WeightsError: The weights are not in the cache, and the download is not permitted or fails.
    """
    path = cache_folder() / entry.file_name
    if path.exists():
        return path
    if not entry.url:
        raise WeightsError(
            f"the weights of {entry.name} cannot be downloaded; pass a local file with --weights FILE."
        )
    if not allow_download:
        raise WeightsError(
            f"the weights of {entry.name} are not on this machine; pass a file with --weights FILE, or allow impasto "
            f"to download {entry.size_bytes / 1e6:.0f} MB from {entry.url.split('/')[2]} with --download."
        )
    return download(entry, path, progress=progress)


def download(entry: WeightsEntry, path: Path, *, progress: Progress | None = None) -> Path:
    """Downloads a file, resuming an earlier attempt, and moves it into place once it is verified.

    Args:
        entry: Weights to download.
        path: Path of the file; its folder is created.
        progress: Called with the number of bytes received and the total.

    Raises:
        WeightsError: The server cannot be reached, has no such file, or sends a file with another checksum.
        OutputError: The file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _receive(entry, part, progress)
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"{entry.url} returned HTTP status {error.code}; pass a local file with --weights FILE."
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"{entry.url} cannot be reached ({reason}); try again to resume the download, or pass a local file with "
            "--weights FILE."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{part} cannot be written ({error.strerror}); check the free space and the permissions."
        ) from error
    digest = _sha256(part)
    if not digest.startswith(entry.sha256):
        part.unlink()
        raise WeightsError(
            f"the file from {entry.url} has SHA-256 {digest[:16]}..., not {entry.sha256}..., so it was deleted; "
            "try again."
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
        if error.code == 416:  # the file is already complete
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
        raise ConnectionError(f"only {have} of {total} bytes were received")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
