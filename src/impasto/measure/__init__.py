"""Figures of films: steadiness, drift, style and content."""

from impasto.measure.film import FilmFigures, FilmMeter, measure_film, same_frames
from impasto.measure.picture import (
    perceptual_difference,
    sharpness,
    style_and_content,
    warping_error,
)

__all__ = [
    "FilmFigures",
    "FilmMeter",
    "measure_film",
    "perceptual_difference",
    "same_frames",
    "sharpness",
    "style_and_content",
    "warping_error",
]
