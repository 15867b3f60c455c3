"""Terms that compare pixels, not features: total variation, Laplacian, grain, and locally affine color change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.losses import (
    VariationKind,
    grain,
    grain_of,
    grain_parts,
    laplacian,
    laplacian_loss,
    matting_laplacian,
    matting_stencil,
    photorealism_loss,
    stencil_energy,
    total_variation_loss,
    variation_parts,
)
from impasto.optimize.terms import Additive, Statistics, Term
from impasto.optimize.tiles import Part, Tile, Tiling
from impasto.types import Features

__all__ = ["affine_term", "grain_of_image", "grain_term", "laplacian_term", "variation_term"]


def variation_term(weight: float, kind: VariationKind) -> Term:
    """Total variation."""

    def statistics(_features: Features, image: Tensor, part: Part) -> Statistics:
        own = [
            part.pixel_share(below, right)
            * variation_parts(part.pixels(image, below, right), kind, below, right)
            for below, right in ((0, 1), (1, 0), (1, 1))
        ]
        return (own[0] + own[1] + own[2],)

    return Term(
        weight=weight,
        measure=lambda _features, image, _step: total_variation_loss(image, kind),
        additive=Additive(statistics=statistics, loss=_only, linear=True),
    )


def laplacian_term(content: Tensor, weight: float) -> Term:
    """Squared difference of Laplacians of pooled images; in tiles too, it is evaluated on the whole image."""
    edges = laplacian(content)
    return Term(
        weight=weight,
        measure=lambda _features, image, _step: laplacian_loss(image, edges),
    )


def grain_of_image(image: Tensor, tiling: Tiling | None = None) -> Tensor:
    """Measures the grain of an image ``(1, 3, H, W)`` as `impasto.losses.grain` does, part by part."""
    if tiling is None:
        return grain(image)
    tiles = tiling.only(()).tiles((image.shape[-2], image.shape[-1]))
    parts = [_grain_statistics({}, image[(..., *tile.crop)], tile)[0] for tile in tiles]
    return grain_of(torch.stack(parts).sum(0))


def grain_term(weight: float, wanted: Tensor) -> Term:
    """Squared log ratio of the image's grain to the wanted grain, ``(1, 6)``."""
    return Term(
        weight=weight,
        measure=lambda _features, image, _step: (grain(image) / wanted).log().square().mean(),
        additive=Additive(
            statistics=_grain_statistics,
            loss=lambda values, _step: (grain_of(values[0]) / wanted).log().square().mean(),
        ),
    )


def _grain_statistics(_features: Features, image: Tensor, part: Part) -> Statistics:
    windows = [(part.pixels(image, reach, reach), part.pixel_share(reach, reach)) for reach in (0, 2, 4)]  # fmt: skip
    return (grain_parts(windows),)


def affine_term(
    content: Tensor, weight: float, plain: float = 0.0, tiling: Tiling | None = None
) -> Term:
    """Penalizes color changes that are not locally affine.

    Args:
        content: ``(1, 3, H, W)``.
        weight: Weight of the term.
        plain: See `impasto.losses.matting_laplacian`.
        tiling: How the image is divided; None to keep the sparse matrix of the whole image (300 bytes per pixel) in
            place of the tiles' stencils (52 bytes per pixel).
    """
    if tiling is None:
        matting = matting_laplacian(content, plain=plain)
        return Term(
            weight=weight,
            measure=lambda _features, image, _step: photorealism_loss(image, matting),
        )
    tiles = tiling.only(()).tiles((content.shape[-2], content.shape[-1]))
    stencils = {
        tile.owned: matting_stencil(tile.pixels(content[(..., *tile.crop)], 2, 2), plain=plain)
        for tile in tiles
    }

    def statistics(_features: Features, image: Tensor, part: Part) -> Statistics:
        assert isinstance(part, Tile)
        pixels = part.pixels(image, 2, 2)
        windows = (pixels.shape[-2] - 2) * (pixels.shape[-1] - 2)
        energy = stencil_energy(pixels, stencils[part.owned])
        return (energy * (part.pixel_share(2, 2) / windows),)

    def measure(_features: Features, image: Tensor, _step: int) -> Tensor:
        parts = [statistics({}, image[(..., *tile.crop)], tile)[0] for tile in tiles]
        return torch.stack(parts).sum()

    additive = Additive(statistics=statistics, loss=_only, linear=True)
    return Term(weight=weight, measure=measure, additive=additive)


def _only(values: Sequence[Tensor], _step: int) -> Tensor:
    return values[0]
