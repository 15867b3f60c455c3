"""Exact evaluation of an objective in tiles, with the memory of one tile instead of that of the image.

The losses are functions of sums over positions, so the evaluation takes two passes over the tiles. The first, without
gradient, adds up the statistics of the whole image. From these come the losses, and their gradients with respect to the
statistics. The second pass computes the features of each tile again and propagates those gradients to its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.machine import release_memory
from impasto.optimize.terms import Additive, Evaluation, Statistics, Term
from impasto.optimize.tiles import Tile, Tiling, see
from impasto.types import Backbone, Features

__all__ = ["TiledEvaluator"]

FIRST_PASS_SHARE = 0.25
"""Share of the time of a step that the first pass takes, for progress within a step."""


@dataclass(frozen=True, kw_only=True)
class TiledEvaluator:
    """Evaluates terms in tiles.

    Attributes:
        backbone: Feature extractor.
        tiling: How the image is divided.
        autocast: Whether to run the backbone in bfloat16.
        on_progress: Called with the completed fraction of the evaluation, from 0 to 1.
    """

    backbone: Backbone
    tiling: Tiling
    autocast: bool = False
    on_progress: Callable[[float], None] = lambda _fraction: None

    def evaluate(self, terms: Mapping[str, Term], image: Tensor, step: int) -> Evaluation:
        """Computes the value and gradient for an image ``(1, 3, H, W)``."""
        image = image.detach()
        additive = {n: term for n, term in terms.items() if term.additive is not None}
        curved = {n: term for n, term in additive.items() if not _additive(term).linear}
        sums = self._first_pass(curved, image)
        values: dict[str, Tensor] = {}
        slopes: dict[str, Statistics] = {}
        for name, term in curved.items():
            leaves = [value.requires_grad_(True) for value in sums[name]]
            loss = term.weight * _additive(term).loss(leaves, step)
            slopes[name] = torch.autograd.grad(loss, leaves)
            values[name] = loss.detach()
        release_memory()
        gradient = torch.zeros_like(image)
        self._second_pass(additive, image, step, (slopes, values, gradient))
        for name, term in terms.items():
            if term.additive is None:
                values[name] = _on_whole(term, image, step, gradient)
        release_memory()
        return Evaluation(
            loss=torch.stack([values[name] for name in terms]).sum().item(),
            terms={name: values[name].item() for name in terms},
            gradient=gradient,
        )

    @torch.no_grad()
    def _first_pass(self, curved: Mapping[str, Term], image: Tensor) -> dict[str, list[Tensor]]:
        """Returns the statistics of the whole image for terms whose loss is not linear in them."""
        sums: dict[str, list[Tensor]] = {}
        if not curved:
            return sums
        tiles, layers = self._tiles(curved, image)
        for number, tile in enumerate(tiles, 1):
            crop = image[(..., *tile.crop)]
            features = self._features(crop, layers, tile)
            for name, term in curved.items():
                found = _additive(term).statistics(features, crop, tile)
                if name in sums:
                    for total, value in zip(sums[name], found, strict=True):
                        total.add_(value)
                else:
                    sums[name] = [value.clone() for value in found]
            self.on_progress(FIRST_PASS_SHARE * number / len(tiles))
        return sums

    def _second_pass(
        self,
        additive: Mapping[str, Term],
        image: Tensor,
        step: int,
        out: tuple[Mapping[str, Statistics], dict[str, Tensor], Tensor],
    ) -> None:
        """Adds the gradient of each tile to the gradient of the image, and the values of linear terms."""
        slopes, values, gradient = out
        tiles, layers = self._tiles(additive, image)
        for number, tile in enumerate(tiles, 1):
            crop = image[(..., *tile.crop)].clone().requires_grad_(True)
            features = self._features(crop, layers, tile)
            outputs: list[Tensor] = []
            wanted: list[Tensor | None] = []
            for name, term in additive.items():
                found = _additive(term).statistics(features, crop, tile)
                if name in slopes:
                    outputs += found
                    wanted += slopes[name]
                else:
                    loss = term.weight * _additive(term).loss(found, step)
                    values[name] = values.get(name, 0) + loss.detach()
                    outputs.append(loss)
                    wanted.append(None)
            used = [n for n, value in enumerate(outputs) if value.requires_grad]
            (own,) = torch.autograd.grad(
                [outputs[n] for n in used], crop, [wanted[n] for n in used]
            )
            gradient[(..., *tile.crop)].add_(own)
            share = 0.0 if not slopes else FIRST_PASS_SHARE
            self.on_progress(share + (1 - share) * number / len(tiles))

    def _tiles(
        self, terms: Mapping[str, Term], image: Tensor
    ) -> tuple[list[Tile], tuple[str, ...]]:
        """Returns the tiles with the halo that terms need, and the layers that they use."""
        layers = tuple(dict.fromkeys(layer for term in terms.values() for layer in term.layers))
        size = (image.shape[-2], image.shape[-1])
        return self.tiling.only(layers).tiles(size), layers

    def _features(self, crop: Tensor, layers: tuple[str, ...], tile: Tile) -> Features:
        return tile.features(see(self.backbone, crop, layers, autocast=self.autocast))


def _additive(term: Term) -> Additive:
    assert term.additive is not None
    return term.additive


def _on_whole(term: Term, image: Tensor, step: int, gradient: Tensor) -> Tensor:
    """Evaluates a term of pixels on the whole image and adds its gradient."""
    assert not term.layers, "a term of features needs additive statistics"
    x = image.clone().requires_grad_(True)
    loss = term.weight * term.measure({}, x, step)
    gradient.add_(torch.autograd.grad(loss, x)[0])
    return loss.detach()
