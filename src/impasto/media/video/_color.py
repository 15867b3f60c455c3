"""Video color: the matrix and range for converting YUV to RGB and back, from tags or guessed from the size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ColorTags", "from_rgb", "tags_of", "to_rgb"]

SCALING = ("LANCZOS", "ACCURATE_RND", "FULL_CHR_H_INT", "FULL_CHR_H_INP")
"""Flags for chroma resampling and scaling; without exact rounding, every frame gets half a level darker."""

UNSPECIFIED = 2
BT709, BT601 = 1, 6
LIMITED, FULL = 1, 2
HD_FROM_PX = 720
"""Videos with at least this many lines and no matrix tag are treated as BT.709, as players do."""

SWS = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Matrix code in the stream's tags (ITU-T H.273, table 4) -> code of the scaler."""


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """How a video encodes color, as ITU-T H.273 code points.

    Attributes:
        matrix: YUV matrix; 0 for RGB.
        full_range: Whether black and white are 0 and 255 instead of 16 and 235.
        primaries: Chromaticities; 2 means unspecified.
        transfer: Transfer characteristic; 2 means unspecified.
    """

    matrix: int
    full_range: bool
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED


def tags_of(frame: Any) -> ColorTags:
    """Reads the color tags of a decoded frame; missing tags are guessed from its size, as players do."""
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
    """Converts a decoded frame to ``(H, W, 3)``, uint8 or (if ``deep``) uint16, resampled to ``size``."""
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
    """Creates a frame for the encoder from uint8 or uint16 ``(H, W, 3)``.

    Color tags do not convert pixels, so the matrix and range are requested from the scaler as well as written to the
    tags.
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
