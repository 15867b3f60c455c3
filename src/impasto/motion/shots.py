"""Online shot boundary detection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.errors import UsageError
from impasto.types import Frame

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ShotFinder", "goes_on"]

SHORTEST_SHOT = 3
"""In frames; two cuts closer together than this are a flash, which does not start a shot."""

COMPARED_PX = 256

GOES_ON = 0.75
"""Mean reliability of the motion above which an apparent cut is rejected. On the development clips it was 0.00 after
cuts, 0.59 in the middle of a dissolve, and 0.95 in a pan of 1/30 of the width per frame."""


class ShotFinder:
    """Detects whether each frame starts a shot, from changes in hue, saturation and brightness (PySceneDetect).

    Args:
        threshold: Mean change, 0 to 255, that counts as a cut; 0 disables detection, so only the first frame starts a
            shot.
    """

    def __init__(self, threshold: float = 27.0) -> None:
        self._threshold = threshold
        self._count = 0
        self._detector: Any = None
        if threshold > 0:
            try:
                from scenedetect.detectors import ContentDetector
            except ImportError as error:
                raise UsageError(
                    "shot detection requires PySceneDetect; install impasto[video]."
                ) from error
            mode = ContentDetector.__init__.__globals__["FlashFilter"].Mode.SUPPRESS
            self._detector = ContentDetector(
                threshold=threshold, min_scene_len=SHORTEST_SHOT, filter_mode=mode
            )

    def opens(self, frame: Frame) -> bool:
        """Processes the next frame and returns whether it starts a shot."""
        number, self._count = self._count, self._count + 1
        if self._detector is None:
            return number == 0
        from scenedetect import FrameTimecode

        cuts = self._detector.process_frame(FrameTimecode(number, 25.0), _small(frame.pixels))
        return number == 0 or any(cut.frame_num == number for cut in cuts)


def goes_on(trust: Tensor) -> bool:
    """Returns whether an apparent cut is fast motion or a flash; after a real cut, no motion is reliable.

    Args:
        trust: Reliability of the motion to the frame before, ``(1, 1, H, W)`` in ``[0, 1]``.
    """
    return float(trust.mean()) > GOES_ON


def _small(pixels: np.ndarray) -> np.ndarray:
    """Returns a small 8-bit BGR copy; cuts are detectable at any size."""
    import cv2

    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    scale = min(1.0, COMPARED_PX / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
