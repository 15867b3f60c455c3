"""Data types shared between packages. Nothing here imports torch at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from impasto.config import PaintOptions

__all__ = [
    "Backbone",
    "Earlier",
    "Features",
    "FeedForward",
    "Frame",
    "FrameContext",
    "Iterate",
    "Painted",
    "Region",
    "RunForecast",
    "Stylizer",
]

Features = Mapping[str, "Tensor"]
"""Maps layer names to feature maps, float ``(B, C, H, W)``."""


@runtime_checkable
class Backbone(Protocol):
    """A frozen feature extractor.

    Attributes:
        name: Name of the network in the registry, for example ``"vgg19-lite"``.
        layer_names: All available layers, shallow to deep.
    """

    name: str
    layer_names: tuple[str, ...]

    def __call__(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Computes the requested feature maps in one pass that stops at the deepest requested layer.

        Args:
            image: float ``(B, 3, H, W)`` RGB, sRGB-encoded, in ``[0, 1]``.
            layers: Layer names.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region of the content image and the region of a style image that provides its style.

    Attributes:
        name: Display name.
        content: Mask of the content region, ``(1, 1, H, W)`` in ``[0, 1]``.
        style: Mask of the style region, ``(1, 1, h, w)`` in ``[0, 1]``.
        number: Index of the style image, from 0.
        version: Incremented when the style region of this name changes, for example in the next shot of a video.
    """

    name: str
    content: Tensor
    style: Tensor
    number: int = 0
    version: int = 0


@dataclass(frozen=True, kw_only=True)
class Iterate:
    """Event for one optimizer step.

    Attributes:
        step: Step within the scale, from 1.
        steps: Steps planned for the scale.
        scale: Index of the scale, from 0 (coarsest).
        scales: Number of scales.
        total_step: Steps completed in the whole run, including this one.
        total_steps: Steps planned for the whole run.
        height_px: Image height at this scale.
        width_px: Image width at this scale.
        loss: Value of the objective before this step.
        terms: Weighted terms of the objective by name; they add up to ``loss``.
        image: The image after this step, float ``(1, 3, H, W)`` in ``[0, 1]``, detached. With averaging, the averaged
            image.
        seconds: Time since the start of the run.
        note: Description of anything unusual that happened in this step, or empty.
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
    """One frame of a video.

    Attributes:
        pixels: ``(H, W, 3)`` RGB of uint8 or uint16, upright.
        pts_seconds: Presentation time, as the exact fraction given by the source.
        duration_seconds: Display duration.
        index: Frame number in the source, from 0.
    """

    pixels: np.ndarray
    pts_seconds: Fraction
    duration_seconds: Fraction
    index: int


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The pastiche of another frame, warped to the current one.

    Attributes:
        gap: Distance in frames to the earlier frame; negative for a later frame.
        warped: The pastiche warped along the optical flow, ``(1, 3, H, W)`` in ``[0, 1]``.
        reliability: Reliability of the flow, ``(1, 1, H, W)`` in ``[0, 1]``.
        fits: Mask of where the pastiche still matches the content, ``(1, 1, H, W)`` in ``[0, 1]``; None for
            everywhere. Where it does not, as in a dissolve or under changing light, the pastiche initializes the frame
            but does not constrain it.
    """

    gap: int
    warped: Tensor
    reliability: Tensor
    fits: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class FrameContext:
    """Information that a stylizer receives along with each frame.

    Attributes:
        index: Frame number in the video, from 0.
        opens_shot: Whether the frame starts a new shot, so that earlier frames do not affect it.
        blend: Weight of each style; empty if the options decide.
        previous: The previous pastiche, unwarped, ``(1, 3, H, W)``, or None.
        earlier: Earlier pastiches warped along the optical flow, nearest first. Their reliabilities add up to at most 1
            if each pixel uses only the nearest one in which it is visible.
        still: Mask of static pixels, ``(1, 1, H, W)`` in ``[0, 1]``, or None.
        own: This frame's pastiche from the previous pass, or None.
        iterates: The previous frame's image after each step, or None.
        state: `Painted.state` of the previous frame; empty at the start of a shot.
        regions: Regions of the frame and their style regions; empty to treat the frame as a whole.
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
    """The pastiche of a frame.

    Attributes:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        terms: Losses by name, for display.
        state: Numbers passed on to the next frame of the shot.
        iterates: The image after each step, if requested.
        notes: Descriptions of anything unusual.
    """

    image: Tensor
    terms: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, float] = field(default_factory=dict)
    iterates: Sequence[Tensor] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunForecast:
    """What a stylizer that optimizes expects of a run.

    Attributes:
        backbone: Name of the feature extractor.
        device: Name of the device.
        precision: Precision of the backbone, with the reason.
        seconds_per_frame: Approximate duration of a frame that follows another one.
        memory_bytes: Peak memory.
        notes: Information for the user, one phrase each.
    """

    backbone: str
    device: str
    precision: str
    seconds_per_frame: float
    memory_bytes: int
    notes: tuple[str, ...] = ()


class Stylizer(Protocol):
    """Stylizes images and frames. The optimizer, looks and translators implement it, so other code works with each."""

    @property
    def forecast(self) -> RunForecast | None:
        """Expected time and memory; None for a feed-forward network, which takes little of either."""
        ...

    def picture(self, image: Tensor, regions: Sequence[Region] = (), /) -> Tensor:
        """Stylizes an image on its own.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            regions: Regions of the image and their style regions; a network with a built-in style ignores them.

        Returns:
            Pastiche with the shape of ``image``.

        Raises:
            DivergedError: The result is not finite.
        """
        ...

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Stylizes one frame, ``(1, 3, H, W)`` in ``[0, 1]``."""
        ...


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """A trained network that paints in one pass, loaded from a file: a look or a translator.

    Attributes:
        takes_styles: Whether it has no style of its own and takes any style.
        stylizer: Creates a stylizer from styles ``(1, 3, h, w)``, empty unless it takes any style, and options. Of
            these it uses strength, blend, stroke size, direction, runtime and device where they apply.
    """

    takes_styles: bool
    stylizer: Callable[[Sequence[Tensor], PaintOptions], Stylizer]
