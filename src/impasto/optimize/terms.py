"""Terms of the objective, and the additive statistics from which they are computed in tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.optimize.tiles import WHOLE, Part
from impasto.types import Features

__all__ = ["Additive", "Evaluation", "Term", "additive_term"]

Statistics = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Additive:
    """A term as a function of sums over positions, which tiles contribute to one after another.

    Attributes:
        statistics: Features that a part owns, the image that the part is evaluated on ``(1, 3, h, w)``, and the part
            -> tensors. The sum over all parts is the value for the whole image, so means are multiplied by the part's
            share.
        loss: Sums of the statistics, and step number -> scalar.
        linear: Whether the loss of a sum is the sum of the losses. The tiles of such a term need no first pass.
    """

    statistics: Callable[[Features, Tensor, Part], Statistics]
    loss: Callable[[Sequence[Tensor], int], Tensor]
    linear: bool = False


@dataclass(frozen=True, kw_only=True)
class Term:
    """A weighted loss of features, image and step number, with the layers that it uses.

    Attributes:
        weight: Weight in the objective.
        measure: Features by layer, image ``(1, 3, H, W)`` and step number -> scalar, for the whole image.
        layers: Layers that it uses.
        additive: The same loss for tiles. Without it, a term without layers is evaluated once per step on the whole
            image, and a term with layers cannot be evaluated in tiles.
    """

    weight: float
    measure: Callable[[Features, Tensor, int], Tensor]
    layers: tuple[str, ...] = ()
    additive: Additive | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Value, weighted terms and gradient ``(1, 3, H, W)`` of the objective for an image."""

    loss: float
    terms: Mapping[str, float]
    gradient: Tensor


def additive_term(weight: float, additive: Additive, layers: tuple[str, ...] = ()) -> Term:
    """Returns a term whose evaluation on the whole image is that of a single part."""

    def measure(features: Features, image: Tensor, step: int) -> Tensor:
        return additive.loss(additive.statistics(features, image, WHOLE), step)

    return Term(weight=weight, measure=measure, layers=layers, additive=additive)
