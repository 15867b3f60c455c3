"""What a painter is told of a style, and how far its pastiche is from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.losses import gram_matrix
from impasto.media import resize, size_to_fit
from impasto.types import Backbone

__all__ = [
    "LAYERS",
    "StyleTarget",
    "look_terms",
    "measure_style",
    "statistics_length",
    "style_statistics",
]

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
EVEN = 0.03
"""Style error below which the logarithm presses no harder."""

SEEN_PX = 256
"""Long edge at which a style is seen, whatever its own size."""

COLORS = 9
"""Mean of three channels and the six numbers of their covariance."""

MOMENTS_SHARE = 0.3
"""What means and deviations count beside Gram matrices: they show the way where Grams are still far off."""


@torch.no_grad()
def style_statistics(style: Tensor, backbone: Backbone, weight: Tensor | None = None) -> Tensor:
    """Mean and deviation of every channel that the backbone sees in a style, and of its colours.

    Args:
        style: ``(1, 3, h, w)`` in ``[0, 1]``.
        backbone: `vgg19-lite`, which painters were taught with.
        weight: ``(1, 1, ., .)``, a region of it; all when None.

    Returns:
        ``(1, statistics_length(backbone))``.
    """
    seen = resize(style, size_to_fit((style.shape[-2], style.shape[-1]), SEEN_PX))
    parts = []
    for maps in backbone(seen, LAYERS).values():
        mean, deviation = _moments(maps.float(), weight)
        parts += [mean, torch.log(deviation + 1e-3)]
    mean, deviation = _moments(seen, weight)
    flat = (seen - mean[..., None, None]).flatten(2)
    share = _share(seen, weight)
    covariance = (flat * share) @ flat.transpose(1, 2)
    upper = torch.triu_indices(3, 3)
    return torch.cat([*parts, mean, covariance[:, upper[0], upper[1]]], dim=1)


def statistics_length() -> int:
    """How many numbers `style_statistics` gives of the shipped backbone."""
    backbone = load_backbone()
    return style_statistics(torch.zeros(1, 3, 32, 32), backbone).shape[1]


def _share(maps: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return maps.new_full(
            (1, 1, maps.shape[-2] * maps.shape[-1]), 1 / (maps.shape[-2] * maps.shape[-1])
        )
    small = F.interpolate(weight.to(maps), maps.shape[-2:], mode="area").clamp_min(1e-8)
    return (small / small.sum()).flatten(2)


def _moments(maps: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    share = _share(maps, weight)
    flat = maps.flatten(2)
    mean = (flat * share).sum(2)
    variance = ((flat - mean[..., None]).square() * share).sum(2)
    return mean, (variance + 1e-8).sqrt()


@dataclass(frozen=True)
class StyleTarget:
    """What a pastiche is held against, by layer: Gram matrices ``(B, C, C)``, means and deviations ``(B, C)``."""

    grams: Mapping[str, Tensor]
    means: Mapping[str, Tensor]
    deviations: Mapping[str, Tensor]

    @classmethod
    def stack(cls, targets: list[StyleTarget]) -> StyleTarget:
        """One for a batch, from one for each picture."""
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
    """Measures a style, ``(1, 3, h, w)`` in ``[0, 1]``, at the size at which strokes are wanted."""
    seen = resize(style, size_to_fit((style.shape[-2], style.shape[-1]), size_px))
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
    """Content and style losses of a batch, each picture against its own style, free of size and scale.

    ``content`` is the change of relu4_2 over its energy; ``style`` the mean over five layers of the relative error of
    Gram matrices, and 0.3 of that of means and deviations (Huang and Belongie 2017, eq. 13).

    Args:
        pastiche: ``(B, 3, H, W)``.
        content: The same shape; not recoloured.
        target: Of B styles.
        backbone: The network that sees.

    Returns:
        Scalars by name; ``gram`` is for those who compare, and ``log_style`` the mean logarithm over the batch, under
        which a style that is hard to meet does not drown the others.
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
        "log_style": torch.log(style + EVEN).mean(),
    }


def _relative(value: Tensor, target: Tensor) -> Tensor:
    size = target.square().mean((1, 2)).clamp_min(1e-12)
    return (value - target).square().mean((1, 2)) / size
