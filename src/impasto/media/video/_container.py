"""Opens videos safely: only self-contained formats, and only from the given file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError, InputError, UsageError
from impasto.media.source import check_source

__all__ = ["open_film", "opened_film"]

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpeg,mpegts,mpegvideo,flv,ogg,asf,mxf,nut,ivf,yuv4mpegpipe,dv,"
    "m4v,h264,hevc"
)
"""FFmpeg has about two hundred more demuxers, including playlists, which open other files and URLs."""

OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}


def open_film(path: str | Path) -> Any:
    """Opens a video for reading and returns a PyAV container, which the caller must close.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The file is not a video.
        UsageError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UsageError("video support requires PyAV; install impasto[video].") from error
    path = Path(path)
    check_source(path, "video")
    try:
        # "file:" keeps FFmpeg from interpreting a name such as "concat:a.mp4" as a URL.
        return av.open(f"file:{path}", options=OPTIONS, metadata_errors="replace")
    except Exception as error:  # FFmpeg and PyAV may raise anything on damaged files
        raise _damaged(path) from error


@contextlib.contextmanager
def opened_film(path: str | Path) -> Iterator[Any]:
    """Opens a video as `open_film` does, and closes it.

    Raises:
        InputError: Also if FFmpeg or PyAV raises any error inside the block.
    """
    with open_film(path) as container:
        try:
            yield container
        except ImpastoError:
            raise
        except Exception as error:
            raise _damaged(Path(path)) from error


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} is not a readable video, or it is damaged or truncated; choose another file."
    )
