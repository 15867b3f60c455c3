"""Estimators of optical flow behind one protocol."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from impasto.errors import UsageError, unknown_name
from impasto.types import Frame

__all__ = ["DIS", "Farneback", "FlowEstimator", "RememberedFlow", "make_estimator"]

TEXTURE_WINDOW_PX = 15
TEXTURE_HALF = 1.0
"""Smaller eigenvalue at which a vector counts half: a plain sky has 0.2, leaves 200."""

FILL_RADII_PX = (108, 36, 12)
FILL_SCALE = 4
"""What comes from so far around is found on a picture so much smaller."""

ESTIMATORS = ("dis", "dis-half", "farneback", "raft", "files")


class FlowEstimator(Protocol):
    """Finds where the pixels of one frame are in another."""

    name: str

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """Gives ``(1, 2, H, W)`` in pixels, right and down, on the grid of ``frame``."""
        ...


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise UsageError("motion needs OpenCV; install impasto[video].") from error
    return cv2


def _gray(frame: Frame) -> np.ndarray:
    pixels = frame.pixels
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    gray: np.ndarray = _cv2().cvtColor(pixels, _cv2().COLOR_RGB2GRAY)
    return gray


def _tensor(field: np.ndarray) -> Tensor:
    return torch.from_numpy(field.transpose(2, 0, 1).copy())[None]  # (1, 2, H, W)


class DIS:
    """Dense inverse search (Kroeger et al. 2016) of OpenCV, down to single pixels, with variational refinement.

    What is found where a picture has no texture (a plain sky) trembles from frame to frame, and a painted sky would
    tremble with it. There the flow of the textured surroundings counts instead, weighted by the smaller eigenvalue of
    the structure tensor (Shi and Tomasi 1994).

    Args:
        refinements: Variational steps; 10 halve the error of none at a fifth more time.
        smoothness: Weight of smoothness in the refinement; 60 is better than OpenCV's 20 where motion is large.
        steadied: Fill what has no texture from its surroundings.
        halved: Stop at pixels of twice the side: a third of the time, and 1.6 times the error on Middlebury's pairs.
    """

    def __init__(
        self,
        *,
        refinements: int = 10,
        smoothness: float = 60.0,
        steadied: bool = True,
        halved: bool = False,
    ) -> None:
        cv2 = _cv2()
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
    """Mixes each vector, ``(H, W, 2)``, with the confident ones around, the more the less texture there is."""
    cv2 = _cv2()
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
    """Polynomial expansion (Farneback 2003) of OpenCV; coarser than `DIS`, kept for comparison."""

    name = "farneback"

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """See `FlowEstimator`."""
        found = _cv2().calcOpticalFlowFarneback(
            _gray(frame), _gray(other), None, 0.5, 5, 15, 5, 7, 1.5, 0
        )
        return _tensor(found)


class RememberedFlow:
    """Keeps the last fields of an estimator, so that those who ask for the same two frames share one search.

    Several threads may ask.

    Args:
        estimator: Of flow between frames of one film, which their numbers tell apart.
        kept: How many fields.
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


def make_estimator(
    name: str, *, weights: Path | None = None, files: Path | None = None, cache: Path | None = None
) -> FlowEstimator:
    """Builds an estimator by name.

    Args:
        name: ``dis``, ``dis-half``, ``farneback``, ``raft`` or ``files``.
        weights: Checkpoint for ``raft``.
        files: Folder for ``files``.
        cache: Folder that keeps what is found.

    Raises:
        UnknownNameError: No such estimator.
        UsageError: What it needs was not given.
    """
    from impasto.motion.files import FlowCache, FlowFiles
    from impasto.motion.raft import load_raft

    if name not in ESTIMATORS:
        raise unknown_name("flow estimator", name, ESTIMATORS)
    estimator: FlowEstimator
    if name == "raft":
        if weights is None:
            raise UsageError("--flow raft needs its checkpoint; give it with --flow-weights.")
        estimator = load_raft(weights)
    elif name == "files":
        if files is None:
            raise UsageError("--flow files needs the folder of fields; give it with --flow-files.")
        return FlowFiles(files)
    else:
        estimator = Farneback() if name == "farneback" else DIS(halved=name == "dis-half")
    return estimator if cache is None else FlowCache(estimator, cache)
