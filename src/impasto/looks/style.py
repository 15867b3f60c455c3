"""Content and style losses of a batch, for training looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.losses import gram_matrix
from impasto.media import resize_to_fit
from impasto.types import Backbone

__all__ = ["LAYERS", "StyleTarget", "look_terms", "measure_style"]

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
SEEN_PX = 256
"""Long edge to which a style is resized before it is measured, in pixels."""

MOMENTS_SHARE = 0.3
"""Weight of means and standard deviations relative to Gram matrices; they guide training while Grams are far off."""


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean and standard deviation of each channel, ``(B, C)`` each."""
    variance, mean = torch.var_mean(maps.flatten(2), dim=2, correction=0)
    return mean, (variance + 1e-8).sqrt()


@dataclass(frozen=True)
class StyleTarget:
    """Style targets by layer: Gram matrices ``(B, C, C)``, means and standard deviations ``(B, C)``."""

    grams: Mapping[str, Tensor]
    means: Mapping[str, Tensor]
    deviations: Mapping[str, Tensor]

    @classmethod
    def stack(cls, targets: list[StyleTarget]) -> StyleTarget:
        """Combines targets of single images into one of a batch."""
        return cls(
            *(
                {
                    layer: torch.cat([getattr(one, part)[layer] for one in targets])
                    for layer in LAYERS
                }
                for part in ("grams", "means", "deviations")
            )
        )


@torch.no_grad()
def measure_style(style: Tensor, backbone: Backbone, size_px: int = SEEN_PX) -> StyleTarget:
    """Measures a style ``(1, 3, h, w)`` in ``[0, 1]``; ``size_px`` is the long edge and sets the stroke size."""
    seen = resize_to_fit(style, size_px)
    maps = backbone(seen, LAYERS)
    moments = {layer: _moments(maps[layer].float()) for layer in LAYERS}
    return StyleTarget(
        {layer: gram_matrix(maps[layer].float()) for layer in LAYERS},
        {layer: mean for layer, (mean, _deviation) in moments.items()},
        {layer: deviation for layer, (_mean, deviation) in moments.items()},
    )


def look_terms(
    pastiche: Tensor, content: Tensor, target: StyleTarget, backbone: Backbone
) -> dict[str, Tensor]:
    """Content and style losses of a batch, independent of the image size and the backbone's scale.

    ``content`` is the mean squared change of relu4_2 divided by its energy. ``style`` is the mean over five layers of
    the relative error of the Gram matrices plus 0.3 times the relative error of means and standard deviations (Huang
    and Belongie 2017, eq. 13).

    Args:
        pastiche: ``(B, 3, H, W)``.
        content: Same shape as ``pastiche``; not recolored.
        target: Targets of B styles, one for each image.
        backbone: Feature extractor.

    Returns:
        Scalars by name; ``gram``, the Gram part of ``style``, is only for comparison.
    """
    with torch.no_grad():
        wanted = backbone(content, (CONTENT_LAYER,))[CONTENT_LAYER].float()
    seen = backbone(pastiche, (*LAYERS, CONTENT_LAYER))
    lost = (seen[CONTENT_LAYER].float() - wanted).square().mean((1, 2, 3))
    style = gram = pastiche.new_zeros(len(pastiche))
    for layer in LAYERS:
        maps = seen[layer].float()
        error = _relative(gram_matrix(maps), target.grams[layer])
        mean, deviation = _moments(maps)
        apart = (mean - target.means[layer]).square() + (
            deviation - target.deviations[layer]
        ).square()
        size = target.means[layer].square() + target.deviations[layer].square()
        gram = gram + error / len(LAYERS)
        style = style + (error + MOMENTS_SHARE * apart.sum(1) / size.sum(1)) / len(LAYERS)
    return {
        "content": (lost / wanted.square().mean((1, 2, 3)).clamp_min(1e-6)).mean(),
        "style": style.mean(),
        "gram": gram.mean(),
    }


def _relative(value: Tensor, target: Tensor) -> Tensor:
    size = target.square().mean((1, 2)).clamp_min(1e-12)
    return (value - target).square().mean((1, 2)) / size
