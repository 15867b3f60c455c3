"""Pipelines that combine media, motion and regions with a stylizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impasto.pipeline.at_once import look_of, look_painter
from impasto.pipeline.image import (
    Job,
    backbone_for,
    files_read,
    paint_at_once,
    prepare,
    stylize,
    stylize_image,
)
from impasto.pipeline.keep import Encoding, Keeper, Outputs, step_path, write_picture

if TYPE_CHECKING:
    from impasto.pipeline.video import (
        FilmJob,
        FrameDone,
        Supplied,
        check_film_inputs,
        prepare_film,
        stylize_video,
    )

__all__ = [
    "Encoding",
    "FilmJob",
    "FrameDone",
    "Job",
    "Keeper",
    "Outputs",
    "Supplied",
    "backbone_for",
    "check_film_inputs",
    "files_read",
    "look_of",
    "look_painter",
    "paint_at_once",
    "prepare",
    "prepare_film",
    "step_path",
    "stylize",
    "stylize_image",
    "stylize_video",
    "write_picture",
]

_FILM = ("FilmJob", "FrameDone", "Supplied", "check_film_inputs", "prepare_film", "stylize_video")


def __getattr__(name: str) -> Any:
    """Loads video names lazily, because images need neither OpenCV nor PyAV."""
    if name not in _FILM:
        raise AttributeError(f"module 'impasto.pipeline' has no attribute {name!r}")
    from impasto.pipeline import video

    return getattr(video, name)
