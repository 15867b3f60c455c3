"""The objective: a weighted sum of losses, built for one scale and evaluated with its gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from impasto.backbones import receptive_fields
from impasto.config import PaintOptions
from impasto.errors import UsageError
from impasto.losses import Distance, content_scale, distance, gram_loss, gram_matrix
from impasto.optimize.memory import Plan
from impasto.optimize.pixels import (
    affine_term,
    grain_of_image,
    grain_term,
    laplacian_term,
    variation_term,
)
from impasto.optimize.pyramid import by_scale
from impasto.optimize.style import StyleMemory, Target, averages_of, shares, style_term
from impasto.optimize.terms import Additive, Evaluation, Statistics, Term, additive_term
from impasto.optimize.tiled import TiledEvaluator
from impasto.optimize.tiles import Part, Parts, Tiling, see
from impasto.types import Backbone, Features, Region

__all__ = [
    "Evaluation",
    "Objective",
    "StyleMemory",
    "Term",
    "build_objective",
    "change_term",
    "for_the_finest",
    "see",
    "shares",
    "tiling_for",
    "why_not_tiles",
    "without_weak_layers",
]

LEAST_SHARE = 0.005
"""Style layers with a smaller share of the weight are left out at the finest of several scales, and in frames that
start from the previous one."""

PLAIN_VARIANCE = 1e-4
"""Variance within a 3x3 window (0.01 squared) below which the coherence term has little effect: such flat areas
contain only noise that is not worth preserving."""

PLAIN_PLAN = Plan()
"""The image is evaluated whole and in float32."""


class Objective:
    """A sum of weighted terms over the features of one backbone.

    Args:
        backbone: Feature extractor.
        terms: Terms by name.
        autocast: Whether to run the backbone in bfloat16; losses are always computed in float32.
        tiling: How to divide the image; None to evaluate it whole.

    Attributes:
        on_progress: Called during an evaluation in tiles with its completed fraction, from 0 to 1.
    """

    def __init__(
        self,
        backbone: Backbone,
        terms: Mapping[str, Term],
        *,
        autocast: bool = False,
        tiling: Tiling | None = None,
    ) -> None:
        self.backbone = backbone
        self.tiling = tiling
        self.on_progress: Callable[[float], None] = lambda _fraction: None
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
        """Computes the value and gradient for an image ``(1, 3, H, W)``.

        The whole image takes one forward and one backward pass; tiles take a forward pass more.
        """
        if self.tiling is not None:
            evaluator = TiledEvaluator(
                backbone=self.backbone,
                tiling=self.tiling,
                autocast=self.autocast,
                on_progress=self.on_progress,
            )
            return evaluator.evaluate(self.terms, image, step)
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


@torch.no_grad()
def build_objective(
    content: Tensor,
    styles: Sequence[Tensor],
    backbone: Backbone,
    options: PaintOptions,
    *,
    plan: Plan = PLAIN_PLAN,
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
        plan: Precision of the backbone, and the size of the tiles.
        place: Index of the scale, from 0, and the number of scales; see `for_the_finest`.
        memory: Cache of style statistics, which is read and updated.
        regions: Regions of the content, each with its region of a style; empty to match the whole images.

    Returns:
        The objective, without terms of weight 0 and the layers that only they use.

    Raises:
        UsageError: The backbone or a loss cannot be evaluated in tiles.
    """
    terms: dict[str, Term] = {}
    style_weight = options.style_weight * options.strength**3
    tiling, autocast = tiling_for(backbone, options, plan.tile_px), plan.autocast

    def seen(image: Tensor, layers: Sequence[str]) -> Parts:
        return Parts(backbone, image, layers, tiling, autocast=autocast)

    if options.content_weight > 0:
        terms["content"] = _content_term(seen(content, options.content_layers), options)
    if style_weight > 0:
        if 0 < place[0] == place[1] - 1:
            options = for_the_finest(options)
        target = Target(
            parts=[seen(style, options.style_layers) for style in styles],
            sizes=[(style.shape[-2], style.shape[-1]) for style in styles],
            options=options,
            memory={} if memory is None else memory,
            regions=regions,
        )
        terms["style"] = dataclasses.replace(style_term(target), weight=style_weight)
    if options.tv_weight > 0:
        terms["tv"] = variation_term(options.tv_weight, options.tv_kind)
    if options.laplacian_weight > 0:
        terms["laplacian"] = laplacian_term(content, options.laplacian_weight)
    if options.grain_weight * style_weight > 0:
        wanted = _wanted_grain(styles, options, regions, tiling)
        terms["grain"] = grain_term(options.grain_weight * options.strength**3, wanted)
    coherence = by_scale(options.coherence_weight, place[1])[place[0]]
    if coherence > 0:
        terms["coherence"] = affine_term(content, coherence, PLAIN_VARIANCE, tiling)
    if options.photoreal_weight > 0:
        terms["photoreal"] = affine_term(content, options.photoreal_weight, tiling=tiling)
    return Objective(backbone, terms, autocast=autocast, tiling=tiling)


def why_not_tiles(backbone: Backbone, options: PaintOptions) -> str:
    """Returns why an objective cannot be evaluated in tiles, as a phrase; empty if it can."""
    if options.style_loss == "sliced" and options.style_weight * options.strength > 0:
        return "--style-loss sliced sorts the features of the whole image; use another style loss, such as w2"
    if receptive_fields(backbone, ()) is None:
        return (
            f"{backbone.name} normalizes its features over the whole image; use another --backbone"
        )
    return ""


def tiling_for(backbone: Backbone, options: PaintOptions, tile_px: int) -> Tiling | None:
    """Returns the tiling for the layers of the options; None for a tile size of 0.

    Raises:
        UsageError: The backbone or the style loss cannot be evaluated in tiles.
    """
    if tile_px == 0:
        return None
    reason = why_not_tiles(backbone, options)
    layers = tuple(dict.fromkeys((*options.content_layers, *options.style_layers)))
    tiling = None if reason else Tiling.of(backbone, layers, tile_px)
    if tiling is None:
        raise UsageError(f"the image cannot be evaluated in tiles: {reason}, or a smaller --size.")
    return tiling


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


def _wanted_grain(
    styles: Sequence[Tensor],
    options: PaintOptions,
    regions: Sequence[Region],
    tiling: Tiling | None,
) -> Tensor:
    """Returns the mean grain of the styles, ``(1, 6)``.

    Regions are weighted by their area; each uses the grain of its whole style image.
    """
    parts = list(zip(shares(len(styles), options.blend), styles, strict=True))
    if regions:
        parts = [(float(one.content.mean()), styles[one.number]) for one in regions]
    total = max(sum(share for share, _style in parts), 1e-6)
    grains = [share / total * grain_of_image(style, tiling) for share, style in parts]
    return torch.stack(grains).sum(0)


def _content_term(content: Parts, options: PaintOptions) -> Term:
    layers, kind = options.content_layers, options.content_loss
    target = content.joined()
    scales = {
        layer: None if options.as_published else content_scale(target[layer]) for layer in layers
    }
    weights = shares(len(layers), options.content_layer_weights)

    def statistics(features: Features, _image: Tensor, part: Part) -> Statistics:
        found = []
        for layer in layers:
            difference = features[layer] - part.of(layer, target[layer])
            scale = scales[layer]
            if scale is not None:
                difference = difference / scale
            found.append(_distance_of(difference, kind, part.share(layer)))
        return tuple(found)

    def loss(values: Sequence[Tensor], _step: int) -> Tensor:
        return torch.stack([w * value for w, value in zip(weights, values, strict=True)]).sum()

    return additive_term(
        options.content_weight, Additive(statistics=statistics, loss=loss, linear=True), layers
    )


def _distance_of(difference: Tensor, kind: Distance, share: float) -> Tensor:
    """Returns a part's contribution to the distance, given its share of the positions."""
    if share == 0.0:
        return difference.new_zeros(())
    return distance(difference, kind) * (1.0 if kind == "half-sum" else share)


def change_term(before: Parts, options: PaintOptions, weight: float) -> Term:
    """Change of content and style since the previous pastiche; see `impasto.losses.change_loss`.

    Args:
        before: Features of the previous pastiche in the content and style layers.
        options: Layers.
        weight: Weight of the term.
    """
    target = before.joined()
    content, style = options.content_layers, options.style_layers
    scales = {layer: content_scale(target[layer]) for layer in content}
    grams = {layer: gram_matrix(target[layer]) for layer in style}

    def statistics(features: Features, _image: Tensor, part: Part) -> Statistics:
        found = [
            _distance_of(
                (features[layer] - part.of(layer, target[layer])) / scales[layer],
                "mse",
                part.share(layer),
            )
            for layer in content
        ]
        return (*found, *(averages_of(features[layer], None, part, layer)[1] for layer in style))

    def loss(values: Sequence[Tensor], _step: int) -> Tensor:
        own = values[len(content) :]
        errors = [gram_loss(gram, grams[n]) for gram, n in zip(own, style, strict=True)]
        return torch.stack(list(values[: len(content)])).mean() + torch.stack(errors).mean()

    layers = tuple(dict.fromkeys(content + style))
    return additive_term(weight, Additive(statistics=statistics, loss=loss), layers)
