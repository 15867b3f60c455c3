"""The objective: a sum of weighted terms, built for one scale, evaluated with its gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.config import PaintOptions
from impasto.losses import (
    cloud,
    content_loss,
    gram_loss,
    gram_matrix,
    laplacian,
    matting_laplacian,
    moments,
    neighbour_loss,
    photorealism_loss,
    random_directions,
    sliced_wasserstein_loss,
    total_variation_loss,
    unit_rows,
    wasserstein_loss,
)
from impasto.types import Backbone, Features

__all__ = ["Evaluation", "Objective", "StyleMemory", "Term", "build_objective", "see"]

StyleDistance = Callable[[Tensor, int], Tensor]
"""Features of one layer ``(1, C, H, W)`` and the step's number -> scalar."""

StyleMemory = dict[tuple[int, int, int, str], Mapping[str, StyleDistance]]
"""Distances by layer to styles that were measured already, by the style's number, height, width and loss: the frames
of a film share them."""

W2_SHARE = 0.3
"""What the Wasserstein distance counts in ``mixed`` beside the Gram's relative error. At equal pictures the former
is about three times the latter, so both pull alike."""

MOST_NEIGHBOURS = 2048
"""Rows of the style's features that are searched for neighbours, which bounds time and memory."""

DIRECTIONS = 32
"""Random projections of the sliced distance at each step."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One weighted loss of features, picture and step number, with the layers that it reads."""

    weight: float
    measure: Callable[[Features, Tensor, int], Tensor]
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The objective at a picture: value, weighted terms, gradient ``(1, 3, H, W)``."""

    loss: float
    terms: Mapping[str, float]
    gradient: Tensor


class Objective:
    """Weighted terms over one backbone's features.

    Args:
        backbone: The network that sees.
        terms: By name.
        autocast: Run the backbone in bfloat16; the losses are always in float32.
    """

    def __init__(
        self, backbone: Backbone, terms: Mapping[str, Term], *, autocast: bool = False
    ) -> None:
        self.backbone = backbone
        self.terms: dict[str, Term] = {}
        self.layers: tuple[str, ...] = ()
        self.autocast = autocast
        self.add(terms)

    def add(self, terms: Mapping[str, Term]) -> None:
        """Adds terms, and the layers that they read."""
        self.terms |= terms
        read = (layer for term in self.terms.values() for layer in term.layers)
        self.layers = tuple(dict.fromkeys(read))

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Takes one pass forward and one backward at ``(1, 3, H, W)``."""
        x = image.detach().requires_grad_(True)
        features = see(self.backbone, x, self.layers, autocast=self.autocast)
        losses = {
            name: term.weight * term.measure(features, x, step) for name, term in self.terms.items()
        }
        total = torch.stack(list(losses.values())).sum()
        (gradient,) = torch.autograd.grad(total, x)
        return Evaluation(
            loss=total.item(),
            terms={name: loss.item() for name, loss in losses.items()},
            gradient=gradient,
        )

    def reweigh(self, name: str, weight: float) -> None:
        """Gives a term another weight."""
        self.terms[name] = dataclasses.replace(self.terms[name], weight=weight)


def see(
    backbone: Backbone, image: Tensor, layers: Sequence[str], *, autocast: bool = False
) -> dict[str, Tensor]:
    """Features in float32, whatever the backbone computes in."""
    if not layers:
        return {}
    context = torch.autocast(image.device.type, torch.bfloat16) if autocast else nullcontext()
    with context:
        features = backbone(image, layers)
    return {name: value.float() for name, value in features.items()}


def shares(count: int, weights: Sequence[float]) -> list[float]:
    """Weights as shares that add up to 1; equal ones when none are given."""
    given = list(weights) or [1.0] * count
    return [weight / sum(given) for weight in given]


@torch.no_grad()
def build_objective(
    content: Tensor,
    styles: Sequence[Tensor],
    backbone: Backbone,
    options: PaintOptions,
    *,
    autocast: bool = False,
    last_of_several: bool = False,
    memory: StyleMemory | None = None,
) -> Objective:
    """Measures the targets at one scale and puts the terms together.

    Args:
        content: ``(1, 3, H, W)`` at the scale's size.
        styles: ``(1, 3, h, w)`` each, of any size, already scaled.
        backbone: The network that sees.
        options: Which losses, layers and weights.
        autocast: Run the backbone in bfloat16.
        last_of_several: Whether this is the finest of several scales: ``mixed`` is the Gram's alone there. The
            Gaussians' distance finds palette and layout, which coarser scales have settled; the Gram refines faster.
        memory: Styles that were measured already, and where new ones are kept.

    Returns:
        The objective; terms of weight 0 are left out, and so are the layers only they would read.
    """
    terms: dict[str, Term] = {}
    style_weight = options.style_weight * options.strength**3
    if options.content_weight > 0:
        terms["content"] = _content_term(content, backbone, options, autocast)
    if style_weight > 0:
        if options.style_loss == "mixed" and last_of_several:
            options = dataclasses.replace(options, style_loss="gram")
        style = _style_term(styles, backbone, options, autocast, {} if memory is None else memory)
        terms["style"] = dataclasses.replace(style, weight=style_weight)
    if options.tv_weight > 0:
        kind = options.tv_kind
        terms["tv"] = Term(
            weight=options.tv_weight, measure=lambda _f, x, _s: total_variation_loss(x, kind)
        )
    if options.laplacian_weight > 0:
        edges = laplacian(content)
        terms["laplacian"] = Term(
            weight=options.laplacian_weight,
            measure=lambda _f, x, _s: (laplacian(x) - edges).square().mean(),
        )
    if options.photoreal_weight > 0:
        matting = matting_laplacian(content)
        terms["photoreal"] = Term(
            weight=options.photoreal_weight,
            measure=lambda _f, x, _s: photorealism_loss(x, matting),
        )
    return Objective(backbone, terms, autocast=autocast)


def _content_term(
    content: Tensor, backbone: Backbone, options: PaintOptions, autocast: bool
) -> Term:
    target = see(backbone, content, options.content_layers, autocast=autocast)
    share = shares(len(options.content_layers), options.content_layer_weights)
    kind, normalise = options.content_loss, not options.as_published

    def measure(features: Features, _image: Tensor, _step: int) -> Tensor:
        losses = [
            part * content_loss(features[layer], target[layer], kind, normalise=normalise)
            for part, layer in zip(share, options.content_layers, strict=True)
        ]
        return torch.stack(losses).sum()

    return Term(weight=options.content_weight, measure=measure, layers=options.content_layers)


def _style_term(
    styles: Sequence[Tensor],
    backbone: Backbone,
    options: PaintOptions,
    autocast: bool,
    memory: StyleMemory,
) -> Term:
    """Several styles: the blend-weighted mean of the distances to each (for w2 its minimum is the barycentre)."""
    layer_share = shares(len(options.style_layers), options.style_layer_weights)
    parts: list[tuple[float, str, StyleDistance]] = []
    for number, blend in enumerate(shares(len(styles), options.blend)):
        if blend == 0:
            continue
        key = (number, *styles[number].shape[-2:], options.style_loss)
        if key not in memory:
            target = see(backbone, styles[number], options.style_layers, autocast=autocast)
            memory[key] = {layer: _style_distance(f, options) for layer, f in target.items()}
        for share, layer in zip(layer_share, options.style_layers, strict=True):
            if share > 0:
                parts.append((blend * share, layer, memory[key][layer]))

    def measure(features: Features, _image: Tensor, step: int) -> Tensor:
        return torch.stack(
            [s * distance(features[layer], step) for s, layer, distance in parts]
        ).sum()

    return Term(weight=1.0, measure=measure, layers=options.style_layers)


def _style_distance(target: Tensor, options: PaintOptions) -> StyleDistance:
    """Holds the style's statistics of one layer and returns the distance to them."""
    name = options.style_loss
    if name == "gram":
        return _gram_distance(target, as_published=options.as_published)
    if name == "w2":
        return _w2_distance(target)
    if name == "sliced":
        return _sliced_distance(target, options.seed)
    if name == "neighbour":
        return _neighbour_distance(target)
    return _mixed_distance(target)


def _mixed_distance(target: Tensor) -> StyleDistance:
    """Both, from one Gram matrix."""
    wanted = gram_matrix(target)
    clouds = cloud(moments(target))

    def distance(features: Tensor, _step: int) -> Tensor:
        gram = gram_matrix(features)
        w2 = wasserstein_loss(moments(features, gram), clouds)
        return gram_loss(gram, wanted) + W2_SHARE * w2

    return distance


def _gram_distance(target: Tensor, *, as_published: bool = False) -> StyleDistance:
    wanted = gram_matrix(target)
    return lambda f, _step: gram_loss(gram_matrix(f), wanted, as_published=as_published)


def _w2_distance(target: Tensor) -> StyleDistance:
    wanted = cloud(moments(target))
    return lambda f, _step: wasserstein_loss(moments(f), wanted)


def _sliced_distance(target: Tensor, seed: int) -> StyleDistance:
    def distance(features: Tensor, step: int) -> Tensor:
        generator = torch.Generator().manual_seed((seed << 24) + step)
        directions = random_directions(features.shape[1], DIRECTIONS, generator)
        return sliced_wasserstein_loss(features, target, directions.to(features))

    return distance


def _neighbour_distance(target: Tensor) -> StyleDistance:
    mean = target.mean((0, 2, 3))
    rows = unit_rows(target, mean)
    stock = rows[:: max(1, -(-len(rows) // MOST_NEIGHBOURS))]
    return lambda features, _step: neighbour_loss(unit_rows(features, mean), stock)
