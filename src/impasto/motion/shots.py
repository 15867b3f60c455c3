"""Cuts between shots, found as the frames come."""

from __future__ import annotations

from typing import Any

import numpy as np

from impasto.errors import UsageError
from impasto.types import Frame

__all__ = ["ShotFinder"]

SHORTEST_SHOT = 3
"""Frames; two cuts closer than this are a flash, which opens no shot."""

COMPARED_PX = 256


class ShotFinder:
    """Tells of each frame whether it opens a shot, by the change of hue, saturation and brightness (PySceneDetect).

    Args:
        threshold: Mean change, 0 to 255, that makes a cut; 0 finds none but the first.
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
                    "finding cuts needs PySceneDetect; install impasto[video]."
                ) from error
            mode = ContentDetector.__init__.__globals__["FlashFilter"].Mode.SUPPRESS
            self._detector = ContentDetector(
                threshold=threshold, min_scene_len=SHORTEST_SHOT, filter_mode=mode
            )

    def opens(self, frame: Frame) -> bool:
        """Takes the next frame; True when it is the first of a shot."""
        number, self._count = self._count, self._count + 1
        if self._detector is None:
            return number == 0
        from scenedetect import FrameTimecode

        cuts = self._detector.process_frame(FrameTimecode(number, 25.0), _small(frame.pixels))
        return number == 0 or any(cut.frame_num == number for cut in cuts)


def _small(pixels: np.ndarray) -> np.ndarray:
    """Blue, green, red of 8 bits, small: cuts show at any size."""
    import cv2

    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    scale = min(1.0, COMPARED_PX / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
