"""Distances in metric-net, which is independent of VGG and never used to optimize (``docs/cards/metric-net.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import load_metric_net
from impasto.losses import gram_matrix
from impasto.measure.forms import OBJECT_LAYERS, objects_distance
from impasto.types import Backbone

__all__ = [
    "Independent",
    "independent_figures",
    "perceptual_distance",
    "style_distance",
]

LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2")


class Independent(NamedTuple):
    """Metrics of a pastiche in a network that was not used to create it.

    Attributes:
        perceptual: `perceptual_distance` to the photograph.
        objects: `objects_distance` to the photograph.
        style: `style_distance` to the style; None without a style.
    """

    perceptual: float
    objects: float
    style: float | None


@lru_cache(maxsize=2)
def _metric_net(device: torch.device) -> Backbone:
    return load_metric_net().to(device)


@torch.no_grad()
def independent_figures(
    pastiche: Tensor, content: Tensor, style: Tensor | None, network: Backbone | None = None
) -> Independent:
    """Measures a pastiche with a network that was not used to create it.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: Same shape as ``pastiche``.
        style: ``(1, 3, h, w)`` in ``[0, 1]``, at the size at which it is compared; None without a style.
        network: Network with the layers of metric-net; None for metric-net itself.
    """
    network = network or _metric_net(pastiche.device)
    layers = tuple(dict.fromkeys((*LAYERS, *OBJECT_LAYERS)))
    seen, photograph = network(pastiche, layers), network(content, layers)
    return Independent(
        perceptual=perceptual_distance(seen, photograph),
        objects=objects_distance(seen, photograph),
        style=None if style is None else style_distance(seen, network(style, LAYERS)),
    )


def style_distance(seen: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """Mean over five layers of ``|G - T|^2 / (|G| |T|)`` with the Gram matrices ``G`` and ``T`` of two images.

    The scale is the geometric mean of both energies, not the target's alone. Thus an almost blank style, with a Gram
    matrix close to 0, does not inflate the metric, and too much texture costs as much as too little. Channels that are
    inactive in both images contribute nothing.

    Args:
        seen: Features of the pastiche by layer, ``(1, C, H, W)`` each.
        wanted: Features of the style by layer, ``(1, C, h, w)`` each.

    Returns:
        At least 0, and 0 for equal Gram matrices; scaling all features by ``s`` gives ``(s - 1/s)^2``.
    """
    distances = []
    for layer in LAYERS:
        g, t = gram_matrix(seen[layer].float()), gram_matrix(wanted[layer].float())
        energy = (g.square().sum() * t.square().sum()).sqrt().clamp_min(1e-12)
        distances.append(float((g - t).square().sum() / energy))
    return sum(distances) / len(distances)


def perceptual_distance(seen: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """Mean over five layers of the squared distance between unit feature vectors at the same positions.

    After LPIPS (Zhang et al. 2018, eq. 1). Deviates: all channels have equal weight, and layers are averaged.

    Args:
        seen: Features of the pastiche by layer, ``(1, C, H, W)`` each.
        wanted: Features of the photograph by layer, with the same shapes.

    Returns:
        From 0 for equal features to 2 for orthogonal features.
    """
    distances = []
    for layer in LAYERS:
        a, b = (F.normalize(maps[layer].float(), dim=1, eps=1e-6) for maps in (seen, wanted))
        distances.append(float((a - b).square().sum(1).mean()))
    return sum(distances) / len(distances)
