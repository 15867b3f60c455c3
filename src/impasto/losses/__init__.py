"""Losses: pure functions of features or pixels, one family per file."""

from impasto.losses._shared import Distance, distance
from impasto.losses._statistics import averages
from impasto.losses.content import content_loss, content_scale
from impasto.losses.grain import grain, grain_of, grain_parts
from impasto.losses.gram import GramNormalization, gram_loss, gram_matrix
from impasto.losses.laplacian import laplacian, laplacian_loss
from impasto.losses.neighbors import (
    nearest_neighbors,
    neighbor_loss,
    unit_rows,
)
from impasto.losses.photorealism import (
    matting_laplacian,
    matting_stencil,
    photorealism_loss,
    stencil_energy,
)
from impasto.losses.sliced import (
    random_directions,
    sliced_wasserstein_loss,
)
from impasto.losses.temporal import change_loss, temporal_loss
from impasto.losses.variation import VariationKind, total_variation_loss, variation_parts
from impasto.losses.wasserstein import (
    Cloud,
    Moments,
    cloud,
    moments,
    moments_of,
    sqrtm,
    wasserstein_loss,
)

__all__ = [
    "Cloud",
    "Distance",
    "GramNormalization",
    "Moments",
    "VariationKind",
    "averages",
    "change_loss",
    "cloud",
    "content_loss",
    "content_scale",
    "distance",
    "grain",
    "grain_of",
    "grain_parts",
    "gram_loss",
    "gram_matrix",
    "laplacian",
    "laplacian_loss",
    "matting_laplacian",
    "matting_stencil",
    "moments",
    "moments_of",
    "nearest_neighbors",
    "neighbor_loss",
    "photorealism_loss",
    "random_directions",
    "sliced_wasserstein_loss",
    "sqrtm",
    "stencil_energy",
    "temporal_loss",
    "total_variation_loss",
    "unit_rows",
    "variation_parts",
    "wasserstein_loss",
]
