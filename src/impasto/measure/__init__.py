"""Figures of pictures and films: steadiness, drift, style, content and structure."""

from impasto.measure.figures import (
    METRICS,
    Interval,
    Lpips,
    PictureFigures,
    bootstrap,
    measure_against,
    measure_picture,
)
from impasto.measure.film import FilmFigures, FilmMeter, measure_film, same_frames
from impasto.measure.picture import (
    Structure,
    perceptual_difference,
    region_style,
    sharpness,
    spill,
    structure_kept,
    style_and_content,
    warping_error,
)

__all__ = [
    "METRICS",
    "FilmFigures",
    "FilmMeter",
    "Interval",
    "Lpips",
    "PictureFigures",
    "Structure",
    "bootstrap",
    "measure_against",
    "measure_film",
    "measure_picture",
    "perceptual_difference",
    "region_style",
    "same_frames",
    "sharpness",
    "spill",
    "structure_kept",
    "style_and_content",
    "warping_error",
]
