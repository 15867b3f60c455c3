"""The objective: a weighted sum of losses, built for one scale and evaluated with its gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import PaintOptions, derived_seed
from impasto.losses import (
    averages,
    cloud,
    content_loss,
    grain,
    gram_loss,
    gram_matrix,
    laplacian,
    laplacian_loss,
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
"""Features of one layer ``(1, C, H, W)``, step number, and weights of positions in a region -> scalar."""

StyleMemory = dict[tuple[int, int, int, str, str, tuple[str, ...]], Mapping[str, StyleDistance]]
"""Cache of style distances by layer, shared by the frames of a film; the key is the style's index, height, width, loss,
region and layers."""

LEAST_POSITIONS = 2.0
"""A region that covers fewer positions of a layer is ignored in that layer."""

LEAST_SHARE = 0.005
"""Style layers with a smaller share of the weight are left out at the finest of several scales, and in frames that
start from the previous one."""

PLAIN_VARIANCE = 1e-4
"""Variance within a 3x3 window (0.01 squared) below which the coherence term has little effect: such flat areas
contain only noise that is not worth preserving."""

W2_SHARE = 0.3
"""Weight of the Wasserstein distance in ``mixed``, relative to the Gram loss. For the same images the distance is
about three times as large, so both contribute equally."""

MOST_NEIGHBORS = 2048
"""Number of style features that are searched for neighbors, which limits time and memory."""

DIRECTIONS = 32
"""Number of random projections of the sliced Wasserstein distance per step."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A weighted loss of features, image and step number, with the layers that it uses."""

    weight: float
    measure: Callable[[Features, Tensor, int], Tensor]
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Value, weighted terms and gradient ``(1, 3, H, W)`` of the objective for an image."""

    loss: float
    terms: Mapping[str, float]
    gradient: Tensor


class Objective:
    """A sum of weighted terms over the features of one backbone.

    Args:
        backbone: Feature extractor.
        terms: Terms by name.
        autocast: Whether to run the backbone in bfloat16; losses are always computed in float32.
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
        """Adds terms and the layers that they use."""
        self.terms |= terms
        read = (layer for term in self.terms.values() for layer in term.layers)
        self.layers = tuple(dict.fromkeys(read))

    def evaluate(self, image: Tensor, step: int = 0) -> Evaluation:
        """Computes the value and gradient for an image ``(1, 3, H, W)``, in one forward and one backward pass."""
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
        """Changes the weight of a term."""
        self.terms[name] = dataclasses.replace(self.terms[name], weight=weight)


def see(
    backbone: Backbone, image: Tensor, layers: Sequence[str], *, autocast: bool = False
) -> dict[str, Tensor]:
    """Computes features, returned in float32 regardless of the backbone's precision."""
    if not layers:
        return {}
    context = torch.autocast(image.device.type, torch.bfloat16) if autocast else nullcontext()
    with context:
        features = backbone(image, layers)
    return {name: value.float() for name, value in features.items()}


def shares(count: int, weights: Sequence[float]) -> list[float]:
    """Normalizes weights to a sum of 1; equal weights if none are given."""
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
    """Computes the targets at one scale and builds the objective.

    Args:
        content: ``(1, 3, H, W)`` at the scale's size.
        styles: ``(1, 3, h, w)`` each, of any size, already scaled.
        backbone: Feature extractor.
        options: Losses, layers and weights.
        autocast: Whether to run the backbone in bfloat16.
        place: Index of the scale, from 0, and the number of scales; see `for_the_finest`.
        memory: Cache of style statistics, which is read and updated.
        regions: Regions of the content, each with its region of a style; empty to match the whole images.

    Returns:
        The objective, without terms of weight 0 and the layers that only they use.
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
            measure=lambda _f, x, _s: laplacian_loss(x, edges),
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
    """Options for the finest of several scales: `without_weak_layers`, and the Gram loss alone in place of ``mixed``.

    The Wasserstein loss determines palette and layout, which the coarser scales have settled; the Gram loss refines
    faster.
    """
    loss = "gram" if options.style_loss == "mixed" else options.style_loss
    return dataclasses.replace(without_weak_layers(options), style_loss=loss)


def without_weak_layers(options: PaintOptions) -> PaintOptions:
    """Drops style layers whose share is below `LEAST_SHARE`; the coarser scales have settled what they control.

    Without relu5_1, a step is one seventh cheaper.
    """
    parts = shares(len(options.style_layers), options.style_shares)
    strong = [n for n, share in enumerate(parts) if share >= LEAST_SHARE]
    return dataclasses.replace(
        options,
        style_layers=tuple(options.style_layers[n] for n in strong),
        style_layer_weights=tuple(parts[n] for n in strong),
    )


def _grain_term(styles: Sequence[Tensor], options: PaintOptions, regions: Sequence[Region]) -> Term:
    """Squared log ratio of the image's grain to the style's grain, averaged over several styles.

    Regions are weighted by their area; each uses the grain of its whole style image.
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
    """Penalizes color changes that are not locally affine."""
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
    """Style loss: the blend-weighted mean of the distances to all styles (for w2, its minimum is the barycenter).

    Regions are weighted by their share of the image area (after Luan 2017, eq. 3).
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
    """Returns distances by layer to a style or a region of it, without layers where the region is too small."""
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
    """Resamples a mask ``(1, 1, H, W)`` to a layer's grid, with a mean of 1; returns None if it covers too little."""
    small = F.interpolate(mask.to(maps), maps.shape[-2:], mode="area")
    if float(small.sum()) < LEAST_POSITIONS:
        return None
    return small / small.mean()


def _style_distance(
    target: Tensor, options: PaintOptions, weight: Tensor | None = None
) -> StyleDistance:
    """Computes the style statistics of one layer or region, and returns the distance function to them."""
    return STYLE_DISTANCES[options.style_loss](target, weight, options)


def _mixed_distance(target: Tensor, weight: Tensor | None) -> StyleDistance:
    """Combines the Gram and Wasserstein losses, computed from one Gram matrix."""
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
    """Selects the rows of positions that lie mostly in a region."""
    if weight is None:
        return rows
    chosen = weight.flatten() >= 0.5 * weight.max()
    return rows[chosen]


STYLE_DISTANCES: Mapping[str, Callable[[Tensor, Tensor | None, PaintOptions], StyleDistance]] = {
    "mixed": lambda target, weight, _options: _mixed_distance(target, weight),
    "gram": lambda target, weight, options: _gram_distance(
        target, weight, as_published=options.as_published
    ),
    "w2": lambda target, weight, _options: _w2_distance(target, weight),
    "sliced": lambda target, _weight, options: _sliced_distance(target, options.seed),
    "neighbor": lambda target, weight, _options: _neighbor_distance(target, weight),
}
"""The style losses by name: from the features of one layer ``(1, C, H, W)`` and the weights of positions in a region.
To add one, add its entry here, and its name and phrase to `impasto.config.STYLE_LOSSES`."""
