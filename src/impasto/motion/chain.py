"""Motion over several frames: flows between neighboring frames, composed to one anchor frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media import box_mean, over_windows
from impasto.motion.flow import FlowEstimator
from impasto.motion.reliability import find_still, reliability
from impasto.motion.warp import points_inside, warp
from impasto.types import Frame

__all__ = ["MotionChain", "NeighborMotion", "closed", "motion_between"]

LEAST_TRUST, FULL_TRUST = 0.15, 0.5
"""Reliability from which a link of a chain counts, and from which it counts fully. A product of raw reliabilities would
approach 0 over a dozen frames even where every single one is good."""

LOOKS_ALIKE = 0.12
"""Color difference from the anchor (root mean square over a small window) at which the similarity drops to ``1/e``."""

COMPARED_PX = 2

GAP_PARTS = 40
"""Gaps in the chain of a radius of the long edge divided by this are closed where the colors match: the flow was
inconsistent there for a moment, and what is carried is still better than any filling."""


@dataclass(frozen=True)
class NeighborMotion:
    """Motion between a frame and the one before, in both directions.

    Flows are kept in half precision and reliabilities in 8 bits, because all of an interval's are held at once.

    Attributes:
        back: Flow from the frame to the one before, float16 ``(1, 2, H, W)`` in pixels.
        back_trust: Its reliability, uint8 ``(1, 1, H, W)``.
        ahead: Flow from the frame before to this one.
        ahead_trust: Its reliability.
    """

    back: Tensor
    back_trust: Tensor
    ahead: Tensor
    ahead_trust: Tensor

    def to_previous(self) -> tuple[Tensor, Tensor]:
        """Returns flow and reliability from the frame to the one before, as float32."""
        return self.back.float(), self.back_trust.float() / 255

    def to_next(self) -> tuple[Tensor, Tensor]:
        """Returns flow and reliability from the frame before to this one, as float32."""
        return self.ahead.float(), self.ahead_trust.float() / 255


def motion_between(
    estimator: FlowEstimator, frame: Frame, image: Tensor, before: Frame, image_before: Tensor
) -> NeighborMotion:
    """Estimates the motion between a frame and the one before; static pixels do not move at all.

    Args:
        estimator: The flow estimator.
        frame: The frame.
        image: The same frame, ``(1, 3, H, W)`` in ``[0, 1]``.
        before: The frame before.
        image_before: The same frame as a tensor.
    """
    back, ahead = estimator(frame, before), estimator(before, frame)
    back_trust = reliability(back, ahead, image, image_before)
    ahead_trust = reliability(ahead, back, image_before, image)
    back = back * (1 - find_still(back, image, image_before))
    ahead = ahead * (1 - find_still(ahead, image_before, image))
    return NeighborMotion(back.half(), _bytes(back_trust), ahead.half(), _bytes(ahead_trust))


def _bytes(trust: Tensor) -> Tensor:
    return (255 * trust).round().to(torch.uint8)


class MotionChain:
    """Follows the motion from frame to frame, away from an anchor frame in either direction.

    Args:
        anchor: The anchor frame, ``(1, 3, H, W)`` in ``[0, 1]``.

    Attributes:
        way: Flow from the latest frame to the anchor, ``(1, 2, H, W)`` in pixels.
        seen: How reliably each pixel of the latest frame is seen in the anchor, ``(1, 1, H, W)`` in ``[0, 1]``.
    """

    def __init__(self, anchor: Tensor) -> None:
        self._anchor = anchor
        self.way = torch.zeros_like(anchor[:, :2])
        self.seen = torch.ones_like(anchor[:, :1])
        self._linked = self.seen

    def step(self, image: Tensor, flow: Tensor, trust: Tensor) -> None:
        """Adds the next frame.

        Args:
            image: The frame, ``(1, 3, H, W)`` in ``[0, 1]``.
            flow: Flow from it to the latest frame, ``(1, 2, H, W)`` in pixels.
            trust: Reliability of the flow, ``(1, 1, H, W)`` in ``[0, 1]``.
        """
        self.way = flow + warp(self.way, flow)
        self._linked = torch.minimum(_firm(trust), warp(self._linked, flow)) * points_inside(
            self.way
        )
        apart = (warp(self._anchor, self.way) - image).square().mean(1, keepdim=True)
        alike = torch.exp(-box_mean(apart, COMPARED_PX) / LOOKS_ALIKE**2)
        gap = max(1, round(max(image.shape[-2:]) / GAP_PARTS))
        self.seen = torch.minimum(closed(self._linked, gap), _firm(alike))


def closed(mask: Tensor, radius_px: int) -> Tensor:
    """Closes gaps in a mask that are narrower than twice a radius (a morphological closing)."""
    for join in (torch.maximum, torch.minimum):
        padded = F.pad(mask, (radius_px,) * 4, mode="replicate")
        mask = over_windows(padded, 2 * radius_px + 1, join)
    return mask


def _firm(trust: Tensor) -> Tensor:
    return ((trust - LEAST_TRUST) / (FULL_TRUST - LEAST_TRUST)).clamp(0, 1)
