"""Values that travel between rooms. Nothing here imports torch at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Backbone", "Features", "Iterate"]

Features = Mapping[str, "Tensor"]
"""Layer name -> feature map, float ``(B, C, H, W)``."""


@runtime_checkable
class Backbone(Protocol):
    """A frozen network that sees.

    Attributes:
        name: The registry's name of the network, for example ``"vgg19-lite"``.
        layer_names: Every layer that can be asked for, shallow to deep.
    """

    name: str
    layer_names: tuple[str, ...]

    def __call__(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Maps an image to the feature maps asked for, in one pass that stops at the deepest.

        Args:
            image: float ``(B, 3, H, W)`` RGB, sRGB-encoded, in ``[0, 1]``.
            layers: Layer names.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Iterate:
    """One step of the solver, as an event.

    Attributes:
        step: Step within the scale, from 1.
        steps: Steps planned for the scale.
        scale: Index of the scale, from 0 (coarsest).
        scales: How many scales there are.
        total_step: Steps done in the whole run, this one included.
        total_steps: Steps planned in the whole run.
        height_px: Height of the picture at this scale.
        width_px: Width of the picture at this scale.
        loss: The objective before this step was taken.
        terms: Each term of the objective by name, weighted; they add up to ``loss``.
        image: The picture after this step, float ``(1, 3, H, W)`` in ``[0, 1]``, detached. It is
            the averaged picture where averaging is on.
        seconds: Since the run began.
        note: Said when something out of the ordinary happened at this step, else empty.
    """

    step: int
    steps: int
    scale: int
    scales: int
    total_step: int
    total_steps: int
    height_px: int
    width_px: int
    loss: float
    terms: Mapping[str, float]
    image: Tensor
    seconds: float
    note: str = ""
