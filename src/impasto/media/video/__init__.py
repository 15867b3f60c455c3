"""Films in and out, frame by frame, with PyAV; needs the extra ``video``."""

from impasto.media.video._clip import Clip, ClipInfo, open_clip
from impasto.media.video._color import ColorTags
from impasto.media.video._writer import (
    FilmFormat,
    FilmWriter,
    check_film,
    choose_format,
    read_film_metadata,
)

__all__ = [
    "Clip",
    "ClipInfo",
    "ColorTags",
    "FilmFormat",
    "FilmWriter",
    "check_film",
    "choose_format",
    "open_clip",
    "read_film_metadata",
]
