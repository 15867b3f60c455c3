"""Opening a film: only containers that hold what they play, from this file alone, whatever its contents say."""

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
"""FFmpeg knows two hundred more; among them are playlists, which open other files and addresses."""

OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}


def open_film(path: str | Path) -> Any:
    """Opens a film for reading; gives the container of PyAV, to be closed by the caller.

    Raises:
        MissingFileError: There is no such file.
        InputError: It is no film.
        UsageError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UsageError("films need PyAV; install impasto[video].") from error
    path = Path(path)
    check_source(path, "film")
    try:
        # "file:" keeps FFmpeg from taking a name such as "concat:a.mp4" for an address.
        return av.open(f"file:{path}", options=OPTIONS, metadata_errors="replace")
    except Exception as error:  # FFmpeg and PyAV let damaged files raise anything
        raise _damaged(path) from error


@contextlib.contextmanager
def opened_film(path: str | Path) -> Iterator[Any]:
    """Opens a film as `open_film` does, and closes it.

    Raises:
        InputError: Also where FFmpeg or PyAV raise anything inside the block.
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
        f"{path} is not a film that can be read (or it is damaged or cut short); give another file."
    )
