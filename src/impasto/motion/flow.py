"""Optical flow estimators with a common protocol."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from impasto.errors import UsageError
from impasto.types import Frame

__all__ = ["DIS", "Farneback", "FlowEstimator", "RememberedFlow", "opencv"]

TEXTURE_WINDOW_PX = 15
TEXTURE_HALF = 1.0
"""Smaller eigenvalue at which a vector gets half of the full weight; a clear sky has about 0.2, foliage 200."""

FILL_RADII_PX = (108, 36, 12)
FILL_SCALE = 4
"""Downsampling factor for filling from these large radii."""


class FlowEstimator(Protocol):
    """Estimates the optical flow from one frame to another."""

    name: str

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """Returns ``(1, 2, H, W)`` in pixels, right and down, on the pixel grid of ``frame``."""
        ...


def opencv() -> Any:
    """Returns the module ``cv2``.

    Raises:
        UsageError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise UsageError("optical flow requires OpenCV; install impasto[video].") from error
    return cv2


def _gray(frame: Frame) -> np.ndarray:
    pixels = frame.pixels
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    gray: np.ndarray = opencv().cvtColor(pixels, opencv().COLOR_RGB2GRAY)
    return gray


def _tensor(field: np.ndarray) -> Tensor:
    return torch.from_numpy(field.transpose(2, 0, 1).copy())[None]  # (1, 2, H, W)


class DIS:
    """OpenCV's dense inverse search (Kroeger et al. 2016) at full resolution, with variational refinement.

    Flow in untextured regions such as a clear sky is noisy from frame to frame, and the stylized sky would flicker
    with it. Such regions are filled with the flow of their textured surroundings, weighted by the smaller eigenvalue
    of the structure tensor (Shi and Tomasi 1994).

    Args:
        refinements: Variational refinement iterations; 10 halve the error compared with none, at 20% more time.
        smoothness: Weight of the smoothness term in the refinement; 60 is better than OpenCV's 20 for large motion.
        steadied: Whether to fill untextured regions from their surroundings.
        halved: Whether to stop at half resolution: a third of the time and 1.6 times the error on Middlebury.
    """

    def __init__(
        self,
        *,
        refinements: int = 10,
        smoothness: float = 60.0,
        steadied: bool = True,
        halved: bool = False,
    ) -> None:
        cv2 = opencv()
        self.name = "dis-half" if halved else "dis"
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._search.setFinestScale(int(halved))
        self._search.setVariationalRefinementIterations(refinements)
        self._search.setVariationalRefinementAlpha(smoothness)
        self._steadied = steadied

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """See `FlowEstimator`."""
        gray = _gray(frame)
        field = self._search.calc(gray, _gray(other), None)
        return _tensor(_filled(field, gray) if self._steadied else field)


def _filled(field: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """Blends each vector of ``(H, W, 2)`` with confident vectors around it; less texture means more blending."""
    cv2 = opencv()
    texture = cv2.cornerMinEigenVal(gray.astype(np.float32), TEXTURE_WINDOW_PX, ksize=3)
    confident = (texture / (texture + TEXTURE_HALF))[..., None]
    height, width = gray.shape
    small = (max(1, width // FILL_SCALE), max(1, height // FILL_SCALE))
    known_field = cv2.resize(field * confident, small, interpolation=cv2.INTER_AREA)
    known_share = cv2.resize(confident, small, interpolation=cv2.INTER_AREA)
    around: np.ndarray | None = None
    for radius in FILL_RADII_PX:
        side = (2 * radius // FILL_SCALE + 1,) * 2
        weight = cv2.blur(known_share, side)[..., None]
        local = cv2.blur(known_field, side) / (weight + 1e-6)
        known = weight / (weight + 0.05)
        around = local if around is None else known * local + (1 - known) * around
    assert around is not None
    around = cv2.resize(around, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(confident * field + (1 - confident) * around, np.float32)


class Farneback:
    """OpenCV's polynomial expansion flow (Farneback 2003); less accurate than `DIS`, provided for comparison."""

    name = "farneback"

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """See `FlowEstimator`."""
        found = opencv().calcOpticalFlowFarneback(
            _gray(frame), _gray(other), None, 0.5, 5, 15, 5, 7, 1.5, 0
        )
        return _tensor(found)


class RememberedFlow:
    """Keeps an estimator's latest results in memory, so that several consumers of the same pair share one estimate.

    This class is thread-safe.

    Args:
        estimator: Estimates flow between frames of one video, which are identified by their index.
        kept: Number of flow fields to keep.
    """

    def __init__(self, estimator: FlowEstimator, kept: int = 8) -> None:
        self.name = estimator.name
        self._estimator, self._count = estimator, kept
        self._kept: dict[tuple[object, ...], Tensor] = {}
        self._searching = threading.Lock()

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """See `FlowEstimator`."""
        key = (frame.index, other.index, frame.pixels.shape)
        with self._searching:
            if key not in self._kept:
                self._kept[key] = self._estimator(frame, other)
                while len(self._kept) > self._count:
                    del self._kept[next(iter(self._kept))]
            return self._kept[key].clone()
