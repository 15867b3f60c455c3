"""Video input and output, frame by frame, with PyAV; requires the ``video`` extra."""

from impasto.media.video._clip import Clip, ClipInfo, PictureSequence, open_clip, painted_size
from impasto.media.video._color import ColorTags
from impasto.media.video._select import select_frames
from impasto.media.video._writer import (
    FilmFormat,
    FilmWriter,
    PictureWriter,
    check_film,
    choose_format,
    read_film_metadata,
    video_times,
)

__all__ = [
    "Clip",
    "ClipInfo",
    "ColorTags",
    "FilmFormat",
    "FilmWriter",
    "PictureSequence",
    "PictureWriter",
    "check_film",
    "choose_format",
    "open_clip",
    "painted_size",
    "read_film_metadata",
    "select_frames",
    "video_times",
]
