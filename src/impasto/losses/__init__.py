"""Losses: pure functions of features or pixels, one family per file."""

from impasto.losses._shared import Distance, distance
from impasto.losses._statistics import averages
from impasto.losses.content import content_loss
from impasto.losses.grain import grain
from impasto.losses.gram import GramNormalization, gram_loss, gram_matrix
from impasto.losses.laplacian import laplacian, laplacian_loss
from impasto.losses.neighbors import (
    nearest_neighbors,
    neighbor_loss,
    unit_rows,
)
from impasto.losses.photorealism import (
    matting_laplacian,
    photorealism_loss,
)
from impasto.losses.sliced import (
    random_directions,
    sliced_wasserstein_loss,
)
from impasto.losses.temporal import change_loss, temporal_loss
from impasto.losses.variation import VariationKind, total_variation_loss
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
    "distance",
    "grain",
    "gram_loss",
    "gram_matrix",
    "laplacian",
    "laplacian_loss",
    "matting_laplacian",
    "moments",
    "moments_of",
    "nearest_neighbors",
    "neighbor_loss",
    "photorealism_loss",
    "random_directions",
    "sliced_wasserstein_loss",
    "sqrtm",
    "temporal_loss",
    "total_variation_loss",
    "unit_rows",
    "wasserstein_loss",
]
