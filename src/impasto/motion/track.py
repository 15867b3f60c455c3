"""Motion tracking through a shot with drift correction, because small errors per frame would accumulate to pixels."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.media import box_mean
from impasto.motion.flow import FlowEstimator
from impasto.motion.reliability import find_still, reliability
from impasto.motion.warp import warp
from impasto.types import Frame

__all__ = ["ANCHOR_FRAMES", "Motion", "Tracker", "trusted_flow"]

ANCHOR_FRAMES = 10
"""Distance in frames to the anchor frame that the accumulated flow is compared with."""

GAIN = 0.35
"""Share of the drift that is corrected in each frame: a higher value follows the clip more closely over ten frames, but
jitters from one frame to the next."""

STILL_FRAMES = 5
GRAIN_PX = 0.4
"""Flow magnitude that sensor noise alone can cause. Pixels that moved less than this over at least five frames are
static, even if they appear to jitter from frame to frame."""

LOOKS_ALIKE_STILL = 0.12
"""Color difference over ten frames (root mean square over a small window) at which ``fits`` drops to ``1/e``."""

FIT_RADIUS_PX = 4
MOST_ERROR_PX = 8.0
"""A larger difference is an error of the direct flow."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The motion between a frame and the previous one.

    Attributes:
        flow: Drift-corrected flow to the previous frame, ``(1, 2, H, W)`` in pixels.
        trust: Reliability of the flow, ``(1, 1, H, W)``.
        still: Mask of static pixels, ``(1, 1, H, W)``.
        fits: Whether colors match those of ten frames earlier, ``(1, 1, H, W)`` in ``[0, 1]``.
    """

    flow: Tensor
    trust: Tensor
    still: Tensor
    fits: Tensor


def trusted_flow(
    estimator: FlowEstimator, frame: Frame, image: Tensor, other: Frame, image_other: Tensor
) -> tuple[Tensor, Tensor]:
    """Estimates the flow from one frame to another and its reliability, using the backward flow.

    Args:
        estimator: The flow estimator.
        frame: The frame on whose grid the flow is defined.
        image: The same frame, ``(1, 3, H, W)`` in ``[0, 1]``.
        other: The frame that the flow points to.
        image_other: The same frame as a tensor.

    Returns:
        Flow ``(1, 2, H, W)`` in pixels, and reliability ``(1, 1, H, W)`` in ``[0, 1]``.
    """
    flow, back = estimator(frame, other), estimator(other, frame)
    return flow, reliability(flow, back, image, image_other)


class Tracker:
    """Processes the frames of a shot in order and returns the motion to the previous frame.

    To limit drift, the flow to the frame ten frames earlier is also estimated directly and compared with the
    accumulated flow; about a third of the difference is corrected in every frame. The flow of static pixels is set to
    zero so that they are never resampled.

    Args:
        estimator: The flow estimator.
        correct: Whether to correct drift.
    """

    def __init__(self, estimator: FlowEstimator, *, correct: bool = True) -> None:
        self._estimator, self._correct = estimator, correct
        self._frames: deque[tuple[Frame, Tensor]] = deque(maxlen=ANCHOR_FRAMES)
        self.flows: deque[Tensor] = deque(maxlen=ANCHOR_FRAMES - 1)

    def reset(self) -> None:
        """Clears all state, at a cut."""
        self._frames.clear()
        self.flows.clear()

    def add(self, frame: Frame, image: Tensor) -> None:
        """Adds a frame, ``(1, 3, H, W)`` in ``[0, 1]``, without computing its motion."""
        self._frames.append((frame, image))

    def follow(self, frame: Frame, image: Tensor) -> Motion:
        """Adds the next frame and returns its motion; there must be a previous frame."""
        before, image_before = self._frames[-1]
        flow, trust = self.between(frame, image, before, image_before)
        still = find_still(flow, image, image_before)
        fits = torch.ones_like(still)
        if self._correct and len(self._frames) > 1:
            far = self.between(frame, image, *self._frames[0])
            if len(self._frames) > STILL_FRAMES:
                long = far[0].square().sum(1, keepdim=True).sqrt()
                lasting = find_still(flow, image, image_before, GRAIN_PX) * (long < GRAIN_PX)
                still = torch.maximum(still, lasting)
            flow = flow * (1 - still)
            way = self._way(flow)
            flow = flow + GAIN * (1 - still) * self._error(far, way)
            fits = self._fits(image, way)
        else:
            flow = flow * (1 - still)
        self.flows.append(flow)
        self.add(frame, image)
        return Motion(flow=flow, trust=trust, still=still, fits=fits)

    def between(
        self, frame: Frame, image: Tensor, other: Frame, image_other: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the flow from one frame to another and its reliability."""
        return trusted_flow(self._estimator, frame, image, other, image_other)

    def _way(self, flow: Tensor) -> Tensor:
        """Accumulates the flow to the oldest stored frame."""
        way = flow
        for earlier in reversed(list(self.flows)[-(len(self._frames) - 1) :]):
            way = way + warp(earlier, way)
        return way

    @staticmethod
    def _error(far: tuple[Tensor, Tensor], way: Tensor) -> Tensor:
        """Returns the direct flow to the oldest stored frame minus the accumulated flow."""
        direct, trust = far
        error = trust * (direct - way)
        return torch.where(error.square().sum(1, keepdim=True).sqrt() < MOST_ERROR_PX, error, 0.0)

    def _fits(self, image: Tensor, way: Tensor) -> Tensor:
        """Compares colors with the oldest stored frame, which reveals changes too slow to see frame by frame."""
        apart = (warp(self._frames[0][1], way) - image).square().mean(1, keepdim=True)
        return torch.exp(-box_mean(apart, FIT_RADIUS_PX) / LOOKS_ALIKE_STILL**2)
