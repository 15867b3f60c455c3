"""Distances seen by metric-net, a network that is no VGG and never paints (see ``docs/cards/metric-net.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import load_metric_net
from impasto.losses import gram_matrix
from impasto.measure.forms import THINGS_LAYERS, things_distance
from impasto.types import Backbone

__all__ = [
    "Independent",
    "independent_figures",
    "perceptual_distance",
    "style_distance",
]

LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2")


class Independent(NamedTuple):
    """Figures of a pastiche by a network that did not paint it.

    Attributes:
        perceptual: Distance to the photograph, `perceptual_distance`.
        things: Loss of the photograph's things, `things_distance`.
        style: Distance to the style, `style_distance`; None without one.
    """

    perceptual: float
    things: float
    style: float | None


@lru_cache(maxsize=2)
def _metric_net(device: torch.device) -> Backbone:
    return load_metric_net().to(device)


@torch.no_grad()
def independent_figures(
    pastiche: Tensor, content: Tensor, style: Tensor | None, network: Backbone | None = None
) -> Independent:
    """Measures a pastiche by a network that did not paint it.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: The same shape.
        style: ``(1, 3, h, w)``, at the size it is meant to be seen; None for none.
        network: With the layers of metric-net; metric-net itself when None.
    """
    network = network or _metric_net(pastiche.device)
    layers = tuple(dict.fromkeys((*LAYERS, *THINGS_LAYERS)))
    seen, photograph = network(pastiche, layers), network(content, layers)
    return Independent(
        perceptual=perceptual_distance(seen, photograph),
        things=things_distance(seen, photograph),
        style=None if style is None else style_distance(seen, network(style, LAYERS)),
    )


def style_distance(seen: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """Mean over five layers of ``|G - T|^2 / (|G| |T|)`` with the Gram matrices of two pictures.

    The geometric mean of both energies is the scale, not the target's alone: a nearly blank style, whose Gram matrix
    is close to 0, does not blow the figure up, and too much texture costs as much as too little. Channels that are
    silent in both pictures add nothing.

    Args:
        seen: ``(1, C, H, W)`` by layer.
        wanted: ``(1, C, h, w)`` by layer.

    Returns:
        From 0 for equal Gram matrices; a scale of all features by s has ``(s - 1/s)^2``.
    """
    distances = []
    for layer in LAYERS:
        g, t = gram_matrix(seen[layer].float()), gram_matrix(wanted[layer].float())
        energy = (g.square().sum() * t.square().sum()).sqrt().clamp_min(1e-12)
        distances.append(float((g - t).square().sum() / energy))
    return sum(distances) / len(distances)


def perceptual_distance(seen: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """Mean over five layers of the squared distance between unit feature vectors, place by place.

    After LPIPS (Zhang et al. 2018, eq. 1). Deviates: every channel weighs the same, and layers are averaged.

    Args:
        seen: ``(1, C, H, W)`` by layer.
        wanted: The same shapes.

    Returns:
        0 for the same features to 2 for orthogonal ones.
    """
    distances = []
    for layer in LAYERS:
        a, b = (F.normalize(maps[layer].float(), dim=1, eps=1e-6) for maps in (seen, wanted))
        distances.append(float((a - b).square().sum(1).mean()))
    return sum(distances) / len(distances)
