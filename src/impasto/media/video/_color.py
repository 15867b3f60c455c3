"""Color of films: which matrix and range turn YUV into RGB and back, read from tags or told by size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ColorTags", "from_rgb", "tags_of", "to_rgb"]

SCALING = ("LANCZOS", "ACCURATE_RND", "FULL_CHR_H_INT", "FULL_CHR_H_INP")
"""How chroma and pictures are resampled; without exact rounding every frame grows darker by half a level."""

UNSPECIFIED = 2
BT709, BT601 = 1, 6
LIMITED, FULL = 1, 2
HD_FROM_PX = 720
"""Films of at least so many lines that say nothing of their matrix are BT.709's, as players take them to be."""

SWS = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""The matrix's number in a stream's tags (ITU-T H.273, table 4) -> the scaler's."""


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """How a film's numbers are colors, by the code points of ITU-T H.273.

    Attributes:
        matrix: Of YUV; 0 where the film holds RGB.
        full_range: Whether black and white are 0 and 255 in place of 16 and 235.
        primaries: Chromaticities; 2 is unknown.
        transfer: Transfer characteristic; 2 is unknown.
    """

    matrix: int
    full_range: bool
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED


def tags_of(frame: Any) -> ColorTags:
    """Reads a decoded frame's tags; where they are silent, size decides as in players."""
    name = frame.format.name
    height = min(frame.width, frame.height)
    guess = BT709 if height >= HD_FROM_PX else BT601
    matrix = int(frame.colorspace)
    if name.startswith(("rgb", "bgr", "gbr", "pal8", "argb", "abgr", "0rgb", "0bgr")):
        matrix = 0
    elif matrix not in SWS:
        matrix = guess
    full = int(frame.color_range) == FULL or name.startswith("yuvj") or matrix == 0
    return ColorTags(
        matrix=matrix,
        full_range=full,
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def _scaling() -> Any:
    from av.video.reformatter import Interpolation

    chosen = Interpolation(0)
    for name in SCALING:
        chosen |= Interpolation[name]
    return chosen


def to_rgb(frame: Any, size: tuple[int, int], *, deep: bool) -> np.ndarray:
    """Converts a decoded frame to ``(H, W, 3)`` of uint8, or uint16 when ``deep``, resampled to ``size``."""
    tags = tags_of(frame)
    known: dict[str, Any] = {}
    if tags.matrix != 0:
        known = {
            "src_colorspace": SWS[tags.matrix],
            "src_color_range": FULL if tags.full_range else LIMITED,
        }
    height, width = size
    wanted = "rgb48le" if deep else "rgb24"
    converted = frame.reformat(
        width=width, height=height, format=wanted, interpolation=_scaling(),
        dst_color_range=FULL, **known,
    )  # fmt: skip
    return converted.to_ndarray(format=wanted)


def from_rgb(pixels: np.ndarray, pixel_format: str, tags: ColorTags) -> Any:
    """Makes a frame for the encoder from ``(H, W, 3)`` of uint8 or uint16.

    Tagging is not converting: the matrix and the range are asked of the scaler, and written into the tags as well.
    """
    import av

    name = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)
    if pixel_format == name:
        return frame
    known: dict[str, Any] = {}
    if not pixel_format.startswith(("rgb", "bgr", "gbr")):
        known = {
            "src_color_range": FULL,
            "dst_colorspace": SWS[tags.matrix],
            "dst_color_range": FULL if tags.full_range else LIMITED,
        }
    return frame.reformat(format=pixel_format, interpolation=_scaling(), **known)
