"""Motion followed through a shot without losing its way: small errors of every frame would add up to pixels."""

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
"""How far back the frame lies that the way is checked against."""

GAIN = 0.35
"""Share of the error that is taken back in each frame: more follows the clip over ten frames, and trembles from one
frame to the next."""

STILL_FRAMES = 5
GRAIN_PX = 0.4
"""Flow that the grain of a sensor alone may feign. What has not gone farther than that over at least five frames stands
still, though from one frame to the next it seems to tremble."""

LOOKS_ALIKE_STILL = 0.12
"""Difference of color over ten frames, root mean square over some pixels, at which paint hardly fits any more."""

FIT_RADIUS_PX = 4
MOST_ERROR_PX = 8.0
"""A larger difference is a mistake of the direct flow."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How a frame hangs together with the one before.

    Attributes:
        flow: To the previous frame, ``(1, 2, H, W)`` in pixels, corrected.
        trust: Its reliability, ``(1, 1, H, W)``.
        still: Where nothing moves, ``(1, 1, H, W)``.
        fits: Where colors are what they were ten frames before, ``(1, 1, H, W)`` in ``[0, 1]``.
    """

    flow: Tensor
    trust: Tensor
    still: Tensor
    fits: Tensor


def trusted_flow(
    estimator: FlowEstimator, frame: Frame, image: Tensor, other: Frame, image_other: Tensor
) -> tuple[Tensor, Tensor]:
    """Flow from one frame to another, and its reliability, from the flow back.

    Args:
        estimator: Of flow.
        frame: The one whose grid the flow is on.
        image: The same, ``(1, 3, H, W)`` in ``[0, 1]``.
        other: Where it leads.
        image_other: The same.

    Returns:
        ``(1, 2, H, W)`` in pixels, and ``(1, 1, H, W)`` in ``[0, 1]``.
    """
    flow, back = estimator(frame, other), estimator(other, frame)
    return flow, reliability(flow, back, image, image_other)


class Tracker:
    """Takes the frames of a shot in order and gives the motion to the previous one.

    Flow to a frame ten back is found directly as well, and compared with the way over the ten flows between; a third
    of the difference is taken back in every frame. Where nothing moves the flow is nothing, so that nothing is
    resampled there.

    Args:
        estimator: Of flow.
        correct: Whether the way is checked.
    """

    def __init__(self, estimator: FlowEstimator, *, correct: bool = True) -> None:
        self._estimator, self._correct = estimator, correct
        self._frames: deque[tuple[Frame, Tensor]] = deque(maxlen=ANCHOR_FRAMES)
        self.flows: deque[Tensor] = deque(maxlen=ANCHOR_FRAMES - 1)

    def reset(self) -> None:
        """Forgets everything, at a cut."""
        self._frames.clear()
        self.flows.clear()

    def add(self, frame: Frame, image: Tensor) -> None:
        """Takes a frame, ``(1, 3, H, W)`` in ``[0, 1]``, without asking for its motion."""
        self._frames.append((frame, image))

    def follow(self, frame: Frame, image: Tensor) -> Motion:
        """Takes the next frame and gives its motion; there must be one before."""
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
        """Flow from one frame to another, and its reliability."""
        return trusted_flow(self._estimator, frame, image, other, image_other)

    def _way(self, flow: Tensor) -> Tensor:
        """Flow to the farthest frame held, over all flows between."""
        way = flow
        for earlier in reversed(list(self.flows)[-(len(self._frames) - 1) :]):
            way = way + warp(earlier, way)
        return way

    @staticmethod
    def _error(far: tuple[Tensor, Tensor], way: Tensor) -> Tensor:
        """Direct flow to the farthest frame held, less the way over all flows between."""
        direct, trust = far
        error = trust * (direct - way)
        return torch.where(error.square().sum(1, keepdim=True).sqrt() < MOST_ERROR_PX, error, 0.0)

    def _fits(self, image: Tensor, way: Tensor) -> Tensor:
        """Falls where a pixel has another color than it had, slowly, so that no single frame would tell."""
        apart = (warp(self._frames[0][1], way) - image).square().mean(1, keepdim=True)
        return torch.exp(-box_mean(apart, FIT_RADIUS_PX) / LOOKS_ALIKE_STILL**2)
