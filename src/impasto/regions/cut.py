"""Foreground segmentation from a box or scribbles (Rother, Kolmogorov and Blake 2004, "GrabCut")."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.errors import InputError, UsageError
from impasto.media import Picture, pixels_to_tensor, read_image, resize_to_fit
from impasto.regions.auto import drawn_to_edges

__all__ = ["cut_by_box", "cut_by_scribble"]

LONG_EDGE_PX = 640
ROUNDS = 6
BACKGROUND, FOREGROUND, MAYBE_BACKGROUND, MAYBE_FOREGROUND = 0, 1, 2, 3
"""The classes of `cv2.grabCut`."""


def cut_by_box(image: Tensor, box: tuple[float, float, float, float]) -> dict[str, Tensor]:
    """Segments the object inside a box.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        box: Left, top, width and height in image pixels.

    Returns:
        Masks ``white`` (the object) and ``black`` (the background), ``(1, 1, H, W)`` each, summing to 1.

    Raises:
        UsageError: The box does not lie within the image.
    """
    height, width = image.shape[-2:]
    left, top, wide, high = box
    if wide < 4 or high < 4 or left < 0 or top < 0 or left + wide > width or top + high > height:
        raise UsageError(
            f"--box must be left,top,width,height within {width}x{height} px; got {','.join(f'{v:g}' for v in box)}."
        )
    seen = _seen(image)
    scale = seen.shape[1] / width
    labels = np.full(seen.shape[:2], BACKGROUND, np.uint8)
    rows = slice(round(top * scale), round((top + high) * scale))
    labels[rows, round(left * scale) : round((left + wide) * scale)] = MAYBE_FOREGROUND
    return _cut(image, seen, labels)


def cut_by_scribble(image: Tensor, path: Path) -> dict[str, Tensor]:
    """Segments the object marked by white strokes; black strokes mark background, and gray is undecided.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        path: A grayscale image with the same aspect ratio.

    Raises:
        InputError: The image has no white strokes or no black strokes.
    """
    strokes = read_image(path).quantized(8)[..., :3].mean(2)
    seen = _seen(image)
    import cv2

    strokes = cv2.resize(strokes, (seen.shape[1], seen.shape[0]), interpolation=cv2.INTER_AREA)
    labels = np.full(seen.shape[:2], MAYBE_BACKGROUND, np.uint8)
    labels[strokes > 200], labels[strokes < 55] = FOREGROUND, BACKGROUND
    if not (labels == FOREGROUND).any() or not (labels == BACKGROUND).any():
        raise InputError(
            f"{path} must have white and black strokes; mark the object in white and the background in black, on gray."
        )
    return _cut(image, seen, labels)


def _seen(image: Tensor) -> np.ndarray:
    return Picture.from_tensor(resize_to_fit(image.cpu(), LONG_EDGE_PX)).quantized(8)


def _cut(image: Tensor, seen: np.ndarray, labels: np.ndarray) -> dict[str, Tensor]:
    import cv2

    cv2.setRNGSeed(0)
    back, fore = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(seen[..., ::-1])
    cv2.grabCut(bgr, labels, (0, 0, 1, 1), back, fore, ROUNDS, cv2.GC_INIT_WITH_MASK)
    thing = np.isin(labels, (FOREGROUND, MAYBE_FOREGROUND)).astype(np.float32)
    white = torch.from_numpy(thing)[None, None]
    return drawn_to_edges({"white": white, "black": 1 - white}, pixels_to_tensor(seen), image.cpu())
