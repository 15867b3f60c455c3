"""Values that travel between rooms. Nothing here imports torch at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = [
    "Backbone",
    "Earlier",
    "Features",
    "Frame",
    "FrameContext",
    "Iterate",
    "Painted",
    "Region",
    "Stylizer",
]

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
class Region:
    """A part of the content that takes its style from a part of the style.

    Attributes:
        name: For people.
        content: ``(1, 1, H, W)`` in ``[0, 1]``.
        style: ``(1, 1, h, w)`` in ``[0, 1]``, of the style it takes after.
        number: Which style that is.
        version: Counts up when the style's part of that name becomes another, as in a film's next shot.
    """

    name: str
    content: Tensor
    style: Tensor
    number: int = 0
    version: int = 0


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


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a film.

    Attributes:
        pixels: ``(H, W, 3)`` RGB of uint8 or uint16, upright.
        pts_seconds: When it is shown, as the source's own rational.
        duration_seconds: For how long.
        index: Its number in the source, from 0.
    """

    pixels: np.ndarray
    pts_seconds: Fraction
    duration_seconds: Fraction
    index: int


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """A pastiche of another frame, seen from this one.

    Attributes:
        gap: How many frames back it lies; negative for a later frame.
        warped: That pastiche along the motion, ``(1, 3, H, W)`` in ``[0, 1]``.
        reliability: How far to trust it, ``(1, 1, H, W)`` in ``[0, 1]``.
        fits: Where it was painted for what is there now, ``(1, 1, H, W)`` in ``[0, 1]``; None for everywhere. What does
            not fit, in a dissolve or a changing light, is still begun from, but not held to.
    """

    gap: int
    warped: Tensor
    reliability: Tensor
    fits: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class FrameContext:
    """What a stylizer is told beside the frame.

    Attributes:
        index: The frame's number in the film, from 0.
        opens_shot: Whether nothing before it counts.
        blend: Share of each style; empty where the options say it.
        previous: The previous pastiche as it was, ``(1, 3, H, W)``, or None.
        earlier: Pastiches along the motion, the closest first; their reliabilities add up to at most 1 where
            the closest that sees a pixel counts.
        still: Where nothing moves, ``(1, 1, H, W)`` in ``[0, 1]``, or None.
        own: This frame's pastiche of the pass before, or None.
        iterates: The previous frame's pictures step by step, or None.
        state: What the stylizer said of the previous frame in `Painted.state`; empty when it opens a shot.
        regions: Parts of the frame with the parts of the styles that they take; none for the whole.
    """

    index: int
    opens_shot: bool
    blend: tuple[float, ...]
    previous: Tensor | None = None
    earlier: tuple[Earlier, ...] = ()
    still: Tensor | None = None
    own: Tensor | None = None
    iterates: Sequence[Tensor] | None = None
    state: Mapping[str, float] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Painted:
    """A frame's pastiche.

    Attributes:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        terms: Losses by name, for those who watch.
        state: Numbers that the next frame of the shot is told.
        iterates: Pictures step by step, where they were asked for.
        notes: What was out of the ordinary.
    """

    image: Tensor
    terms: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, float] = field(default_factory=dict)
    iterates: Sequence[Tensor] = ()
    notes: tuple[str, ...] = ()


class Stylizer(Protocol):
    """Whatever paints frames: the optimizer, a look, a translator. Films do not know which one they hold."""

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Paints one frame, ``(1, 3, H, W)`` in ``[0, 1]``."""
        ...
