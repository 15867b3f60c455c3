"""Masks as colours of a picture, or as shades of grey; matched by colour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor

from impasto.errors import InputError
from impasto.media import read_image
from impasto.types import Region

__all__ = ["PALETTE", "check_shape", "match_regions", "read_masks"]

PALETTE: Mapping[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
}
"""The nine colours of Deep Photo Style Transfer's masks (Luan 2017)."""

NEAR = 50
"""Distance from a colour of the palette, of 255, within which a pixel is taken for it."""

MOSTLY = 0.8
"""Share of a picture that must be near the palette's colours; the rest is taken for the edges between them."""

EDGE = 250
"""Long edges in which antialiasing is one pixel deep on either side; a colour found nowhere deeper is only an edge."""

SMALLEST = 0.002
"""Share of a picture below which a region has too few features to be matched."""


def read_masks(path: Path) -> dict[str, Tensor]:
    """Reads regions by name.

    A picture of greys alone with many shades is one soft mask, white against black. Otherwise every pixel belongs to
    its colour of the palette; the antialiased edges between two go to the nearer one.

    Args:
        path: Any picture.

    Returns:
        ``(1, 1, H, W)`` in ``[0, 1]`` by the colour's name, adding up to 1.

    Raises:
        InputError: Most of it is of no colour of the palette.
    """
    pixels = read_image(path).quantised(8)[..., :3].astype(np.int32)  # (H, W, 3)
    if _is_soft(pixels):
        white = torch.from_numpy(pixels[..., 0].astype(np.float32) / 255)[None, None]
        return {"white": white, "black": 1 - white}
    colors = np.array(list(PALETTE.values()))
    apart = np.stack([np.abs(pixels - color).max(2) for color in colors])  # (9, H, W)
    near = float((apart.min(0) <= NEAR).mean())
    if near < MOSTLY:
        raise InputError(
            f"{path}: only {near:.0%} of it is of the palette's colours; allowed are {', '.join(PALETTE)} (pure), or a "
            "grey soft mask."
        )
    nearest = apart.argmin(0)
    side = 2 * max(1, round(max(nearest.shape) / EDGE)) + 1
    cores = {
        n: binary_erosion(nearest == n, np.ones((side, side)), border_value=1)
        for n in range(len(colors))
    }
    kept = [n for n, core in cores.items() if core.mean() >= SMALLEST]
    sure = (apart.min(0) <= NEAR) & np.isin(nearest, kept)
    places = distance_transform_edt(~sure, return_distances=False, return_indices=True)
    nearest = nearest[tuple(places)]
    return {
        name: torch.from_numpy((nearest == number).astype(np.float32))[None, None]
        for number, name in enumerate(PALETTE)
        if number in kept
    }


def _is_soft(pixels: np.ndarray) -> bool:
    """Whether a picture is grey all over and has shades between, not only at edges."""
    if np.ptp(pixels, axis=2).max() > 8:
        return False
    between = (pixels[..., 0] > 40) & (pixels[..., 0] < 215) & (np.abs(pixels[..., 0] - 128) > 8)
    return float(between.mean()) > 0.1


def check_shape(masks: Mapping[str, Tensor], path: Path, width_px: int, height_px: int) -> None:
    """Refuses masks of another shape than their picture's; another size of the same shape is resampled.

    Raises:
        InputError: The shapes differ by more than a fiftieth.
    """
    height, width = next(iter(masks.values())).shape[-2:]
    if abs(width * height_px / (height * width_px) - 1) > 0.02:
        raise InputError(
            f"{path} is {width}x{height} px and its picture {width_px}x{height_px} px; masks need "
            "its shape."
        )


def match_regions(
    content: Mapping[str, Tensor], style: Mapping[str, Tensor], *, feather: float = 0.01
) -> tuple[list[Region], list[str]]:
    """Pairs the regions of content and style that have one name.

    What the style lacks takes its style from the whole of it; what the content lacks is left out; both are told.

    Args:
        content: From `read_masks`.
        style: Likewise.
        feather: Softness of the content's borders, as a share of its long edge.

    Returns:
        The regions, and notes for a person.

    Raises:
        InputError: Not one name is in both.
    """
    if not set(content) & set(style):
        raise InputError(
            f"the content has regions {', '.join(content)} and the style {', '.join(style)}; at least one "
            "must be in both."
        )
    regions, notes = [], []
    for name, mask in content.items():
        if name in style:
            wanted = style[name]
        else:
            notes.append(f"region {name} is not in the style, so it takes all of the style")
            wanted = torch.ones_like(next(iter(style.values())))
        regions.append(Region(name=name, content=_feathered(mask, feather), style=wanted))
    notes += [
        f"region {name} is not in the content, so it is left out"
        for name in style
        if name not in content
    ]
    return regions, notes


def _feathered(mask: Tensor, share: float) -> Tensor:
    """Two box filters over windows cut at the border, so that no gap opens there."""
    radius = round(share * max(mask.shape[-2:]))
    for _ in range(2 if radius else 0):
        side = 2 * radius + 1
        mask = F.avg_pool2d(mask, side, stride=1, padding=radius, count_include_pad=False)
    return mask
