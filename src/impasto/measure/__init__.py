"""Figures of pictures and films: steadiness, drift, style, content and structure."""

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
    "FilmFigures",
    "FilmMeter",
    "Structure",
    "measure_film",
    "perceptual_difference",
    "region_style",
    "same_frames",
    "sharpness",
    "spill",
    "structure_kept",
    "style_and_content",
    "warping_error",
]
