"""Post-processing of video frames: color preservation and affine color transfer, stabilized over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.config import ColorOptions
from impasto.media import apply_affine, fit_affine, pixels_to_tensor
from impasto.motion import FlowEstimator, trusted_flow, warp
from impasto.pipeline.image import keep_colors
from impasto.types import Frame

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Finisher"]

FILM_EPSILON = 1e-3
"""Ten times the value for images: flat regions get the mean color change, and compression noise is not amplified."""

KEPT = 0.95
"""Weight of the previous frame's affine fields where the motion is reliable, because lighting changes only slowly."""


class Finisher:
    """Post-processes the frames of a video, in order.

    Args:
        options: Determines which colors and details are preserved.
        estimator: Flow estimator for warping the affine fields.
    """

    def __init__(self, options: ColorOptions, estimator: FlowEstimator) -> None:
        self._options, self._estimator = options, estimator
        self._colors = options.keep_colors == "luminance" or (
            options.keep_colors != "none" and options.keep_colors_when == "after"
        )
        self._before: tuple[Frame, Tensor, Tensor] | None = None

    @property
    def does_anything(self) -> bool:
        """Whether the options require any post-processing."""
        return self._colors or self._options.affine > 0

    def __call__(self, pastiche: Tensor, frame: Frame, *, opens: bool) -> Tensor:
        """Post-processes a pastiche, ``(1, 3, H, W)`` in ``[0, 1]``.

        Args:
            pastiche: The stylized frame.
            frame: The clip's frame at the same size.
            opens: Whether the frame starts a shot.
        """
        image = pixels_to_tensor(frame.pixels)
        if self._colors:
            pastiche = keep_colors(pastiche, image, self._options)
        if self._options.affine == 0:
            return pastiche
        radius = max(1, round(self._options.affine * max(pastiche.shape[-2:])))
        fields = fit_affine(image, pastiche, radius_px=radius, epsilon=FILM_EPSILON)
        if self._before is not None and not opens:
            fields = self._steadied(fields, frame, image)
        self._before = (frame, image, fields)
        return apply_affine(fields, image).clamp(0, 1)

    def _steadied(self, fields: Tensor, frame: Frame, image: Tensor) -> Tensor:
        """Blends the affine fields with the warped fields of the previous frame."""
        assert self._before is not None
        before, image_before, earlier = self._before
        flow, trust = trusted_flow(self._estimator, frame, image, before, image_before)
        return fields + KEPT * trust * (warp(earlier, flow) - fields)
