"""The objective: a sum of weighted terms, built for one scale, evaluated with its gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import PaintOptions, StyleLossName, derived_seed
from impasto.losses import (
    averages,
    cloud,
    content_loss,
    grain,
    gram_loss,
    gram_matrix,
    laplacian,
    matting_laplacian,
    moments,
    moments_of,
    neighbor_loss,
    photorealism_loss,
    random_directions,
    sliced_wasserstein_loss,
    total_variation_loss,
    unit_rows,
    wasserstein_loss,
)
from impasto.optimize.pyramid import by_scale
from impasto.types import Backbone, Features, Region

__all__ = [
    "Evaluation",
    "Objective",
    "StyleMemory",
    "Term",
    "build_objective",
    "for_the_finest",
    "see",
    "shares",
    "without_weak_layers",
]

StyleDistance = Callable[[Tensor, int, "Tensor | None"], Tensor]
"""Features of one layer ``(1, C, H, W)``, the step's number, and the weight of positions in a region -> scalar."""

StyleMemory = dict[tuple[int, int, int, str, str, tuple[str, ...]], Mapping[str, StyleDistance]]
"""Distances by layer to styles that were measured already, by the style's number, height, width, loss, region and
layers: the frames of a film share them."""

LEAST_POSITIONS = 2.0
"""A region that covers less than so many positions of a layer says nothing there."""

LEAST_SHARE = 0.005
"""Style layers that count for less are left out on the finest of several scales, and in frames that go on from the
last one."""

PLAIN_VARIANCE = 1e-4
"""Variance of the pixels of a 3x3 window, 0.01 squared, below which coherence leaves an area to the style:
there is nothing to keep together but noise."""

W2_SHARE = 0.3
"""What the Wasserstein distance counts in ``mixed`` beside the Gram's relative error. At equal pictures the former
is about three times the latter, so both pull alike."""

MOST_NEIGHBORS = 2048
"""Rows of the style's features that are searched for neighbors, which bounds time and memory."""

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
    place: tuple[int, int] = (0, 1),
    memory: StyleMemory | None = None,
    regions: Sequence[Region] = (),
) -> Objective:
    """Measures the targets at one scale and puts the terms together.

    Args:
        content: ``(1, 3, H, W)`` at the scale's size.
        styles: ``(1, 3, h, w)`` each, of any size, already scaled.
        backbone: The network that sees.
        options: Which losses, layers and weights.
        autocast: Run the backbone in bfloat16.
        place: Index of the scale, from 0, and the number of scales; see `for_the_finest`.
        memory: Styles that were measured already, and where new ones are kept.
        regions: Parts of the content with the parts of the style that they take; the whole when there are none.

    Returns:
        The objective; terms of weight 0 are left out, and so are the layers only they would read.
    """
    terms: dict[str, Term] = {}
    style_weight = options.style_weight * options.strength**3
    if options.content_weight > 0:
        terms["content"] = _content_term(content, backbone, options, autocast)
    if style_weight > 0:
        if 0 < place[0] == place[1] - 1:
            options = for_the_finest(options)
        kept = {} if memory is None else memory
        style = _style_term(styles, backbone, options, kept, regions, autocast=autocast)
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
    if options.grain_weight * style_weight > 0:
        terms["grain"] = _grain_term(styles, options, regions)
    coherence = by_scale(options.coherence_weight, place[1])[place[0]]
    if coherence > 0:
        terms["coherence"] = _affine_term(content, coherence, PLAIN_VARIANCE)
    if options.photoreal_weight > 0:
        terms["photoreal"] = _affine_term(content, options.photoreal_weight)
    return Objective(backbone, terms, autocast=autocast)


def for_the_finest(options: PaintOptions) -> PaintOptions:
    """Options of the finest of several scales: `without_weak_layers`, and ``mixed`` is the Gram's loss alone.

    The Gaussians' distance finds palette and layout, which coarser scales have settled; the Gram refines faster.
    """
    loss: StyleLossName = "gram" if options.style_loss == "mixed" else options.style_loss
    return dataclasses.replace(without_weak_layers(options), style_loss=loss)


def without_weak_layers(options: PaintOptions) -> PaintOptions:
    """Drops style layers whose share is below `LEAST_SHARE`; coarser scales have settled what they control.

    Without relu5_1 a step costs a seventh less.
    """
    parts = shares(len(options.style_layers), options.style_shares)
    strong = [n for n, share in enumerate(parts) if share >= LEAST_SHARE]
    return dataclasses.replace(
        options,
        style_layers=tuple(options.style_layers[n] for n in strong),
        style_layer_weights=tuple(parts[n] for n in strong),
    )


def _grain_term(styles: Sequence[Tensor], options: PaintOptions, regions: Sequence[Region]) -> Term:
    """Squared log ratio of the picture's grain to the style's; to the mean of several styles.

    Regions count by their area; each takes the grain of its whole style picture.
    """
    parts = list(zip(shares(len(styles), options.blend), styles, strict=True))
    if regions:
        parts = [(float(one.content.mean()), styles[one.number]) for one in regions]
    total = max(sum(share for share, _style in parts), 1e-6)
    wanted = torch.stack([share / total * grain(style) for share, style in parts]).sum(0)  # (1, 6)
    return Term(
        weight=options.grain_weight * options.strength**3,
        measure=lambda _f, x, _s: (grain(x) / wanted).log().square().mean(),
    )


def _affine_term(content: Tensor, weight: float, plain: float = 0.0) -> Term:
    """How far the change of color is from locally affine."""
    matting = matting_laplacian(content, plain=plain)
    return Term(
        weight=weight, measure=lambda _features, image, _step: photorealism_loss(image, matting)
    )


def _content_term(
    content: Tensor, backbone: Backbone, options: PaintOptions, autocast: bool
) -> Term:
    target = see(backbone, content, options.content_layers, autocast=autocast)
    share = shares(len(options.content_layers), options.content_layer_weights)
    kind, normalize = options.content_loss, not options.as_published

    def measure(features: Features, _image: Tensor, _step: int) -> Tensor:
        losses = [
            part * content_loss(features[layer], target[layer], kind, normalize=normalize)
            for part, layer in zip(share, options.content_layers, strict=True)
        ]
        return torch.stack(losses).sum()

    return Term(weight=options.content_weight, measure=measure, layers=options.content_layers)


def _style_term(
    styles: Sequence[Tensor],
    backbone: Backbone,
    options: PaintOptions,
    memory: StyleMemory,
    regions: Sequence[Region],
    *,
    autocast: bool,
) -> Term:
    """Several styles: the blend-weighted mean of the distances to each (for w2 its minimum is the barycenter).

    Several regions: each its share of the picture's area (after Luan 2017, eq. 3).
    """
    layer_share = shares(len(options.style_layers), options.style_shares)
    parts: list[tuple[float, str, StyleDistance, Tensor | None]] = []
    whole = enumerate(shares(len(styles), options.blend))
    wanted: list[tuple[int, float, Region | None]] = [(n, blend, None) for n, blend in whole]
    if regions:
        wanted = [(one.number, float(one.content.mean()), one) for one in regions]
    for number, weight, region in wanted:
        if weight == 0:
            continue
        distances = _measured(styles, number, region, backbone, options, memory, autocast=autocast)
        mask = None if region is None else region.content
        for share, layer in zip(layer_share, options.style_layers, strict=True):
            if share > 0 and layer in distances:
                parts.append((weight * share, layer, distances[layer], mask))
    weights: dict[tuple[int, torch.Size], Tensor | None] = {}

    def measure(features: Features, _image: Tensor, step: int) -> Tensor:
        losses = []
        for share, layer, distance, mask in parts:
            maps = features[layer]
            key = (id(mask), maps.shape[-2:])
            if key not in weights:
                weights[key] = None if mask is None else _at_layer(mask, maps)
            weight = weights[key]
            if mask is None or weight is not None:
                losses.append(share * distance(maps, step, weight))
        return torch.stack(losses).sum() if losses else features[options.style_layers[0]].sum() * 0

    return Term(weight=1.0, measure=measure, layers=options.style_layers)


def _measured(
    styles: Sequence[Tensor],
    number: int,
    region: Region | None,
    backbone: Backbone,
    options: PaintOptions,
    memory: StyleMemory,
    *,
    autocast: bool,
) -> Mapping[str, StyleDistance]:
    """Distances to one style, or to a region of it, by layer; layers that hardly see the region are left out."""
    style = styles[number]
    name = "" if region is None else f"{region.name}.{region.version}"
    size = (style.shape[-2], style.shape[-1])
    key = (number, *size, options.style_loss, name, options.style_layers)
    if key not in memory:
        target = see(backbone, style, options.style_layers, autocast=autocast)
        found: dict[str, StyleDistance] = {}
        for layer, maps in target.items():
            weight = None if region is None else _at_layer(region.style, maps)
            if region is None or weight is not None:
                found[layer] = _style_distance(maps, options, weight)
        memory[key] = found
    return memory[key]


def _at_layer(mask: Tensor, maps: Tensor) -> Tensor | None:
    """A mask ``(1, 1, H, W)`` on a layer's grid, with a mean of 1; None where it covers next to nothing."""
    small = F.interpolate(mask.to(maps), maps.shape[-2:], mode="area")
    if float(small.sum()) < LEAST_POSITIONS:
        return None
    return small / small.mean()


def _style_distance(
    target: Tensor, options: PaintOptions, weight: Tensor | None = None
) -> StyleDistance:
    """Holds the style's statistics of one layer, or of a region there, and returns the distance to them."""
    name = options.style_loss
    if name == "gram":
        return _gram_distance(target, weight, as_published=options.as_published)
    if name == "w2":
        return _w2_distance(target, weight)
    if name == "sliced":
        return _sliced_distance(target, options.seed)
    if name == "neighbor":
        return _neighbor_distance(target, weight)
    return _mixed_distance(target, weight)


def _mixed_distance(target: Tensor, weight: Tensor | None) -> StyleDistance:
    """Both, from one Gram matrix."""
    mean, wanted = averages(target, weight)
    clouds = cloud(moments_of(mean, wanted))

    def distance(features: Tensor, _step: int, where: Tensor | None) -> Tensor:
        mean, gram = averages(features, where)
        w2 = wasserstein_loss(moments_of(mean, gram), clouds)
        return gram_loss(gram, wanted) + W2_SHARE * w2

    return distance


def _gram_distance(
    target: Tensor, weight: Tensor | None, *, as_published: bool = False
) -> StyleDistance:
    wanted = gram_matrix(target, weight=weight)
    return lambda f, _step, where: gram_loss(
        gram_matrix(f, weight=where), wanted, as_published=as_published
    )


def _w2_distance(target: Tensor, weight: Tensor | None) -> StyleDistance:
    wanted = cloud(moments(target, weight=weight))
    return lambda f, _step, where: wasserstein_loss(moments(f, weight=where), wanted)


def _sliced_distance(target: Tensor, seed: int) -> StyleDistance:
    def distance(features: Tensor, step: int, _where: Tensor | None) -> Tensor:
        generator = torch.Generator().manual_seed(derived_seed((seed << 24) + step))
        directions = random_directions(features.shape[1], DIRECTIONS, generator)
        return sliced_wasserstein_loss(features, target, directions.to(features))

    return distance


def _neighbor_distance(target: Tensor, weight: Tensor | None) -> StyleDistance:
    mean = target.mean((0, 2, 3))
    rows = _within(unit_rows(target, mean), weight)
    stock = rows[:: max(1, -(-len(rows) // MOST_NEIGHBORS))]
    return lambda features, _step, where: neighbor_loss(
        _within(unit_rows(features, mean), where), stock
    )


def _within(rows: Tensor, weight: Tensor | None) -> Tensor:
    """The rows that lie mostly in a region."""
    if weight is None:
        return rows
    chosen = weight.flatten() >= 0.5 * weight.max()
    return rows[chosen]
