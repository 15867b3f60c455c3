"""Metrics for images and videos: temporal consistency, drift, style, content and structure."""

from impasto.measure.figures import (
    Interval,
    Lpips,
    PictureFigures,
    bootstrap,
    measure_against,
    measure_picture,
)
from impasto.measure.film import FilmFigures, FilmMeter, measure_film, same_frames, until
from impasto.measure.forms import large_edges, objects_distance
from impasto.measure.independent import independent_figures, perceptual_distance, style_distance
from impasto.measure.metrics import METRICS, Metric
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
from impasto.measure.texture import border, palette_distance, seam, speckle

__all__ = [
    "METRICS",
    "FilmFigures",
    "FilmMeter",
    "Interval",
    "Lpips",
    "Metric",
    "PictureFigures",
    "Structure",
    "bootstrap",
    "border",
    "independent_figures",
    "large_edges",
    "measure_against",
    "measure_film",
    "measure_picture",
    "objects_distance",
    "palette_distance",
    "perceptual_difference",
    "perceptual_distance",
    "region_style",
    "same_frames",
    "seam",
    "sharpness",
    "speckle",
    "spill",
    "structure_kept",
    "style_and_content",
    "style_distance",
    "until",
    "warping_error",
]
