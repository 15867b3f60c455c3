"""Masks as colors of a picture, or as shades of gray; matched by color."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import InputError, unknown_name
from impasto.media import Picture, find_images, read_image, write_image
from impasto.types import Region

__all__ = [
    "PALETTE",
    "Matched",
    "Wish",
    "check_shape",
    "masks_of_pixels",
    "match_regions",
    "read_masks",
    "show_masks",
    "write_masks",
]

PALETTE: Mapping[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
}
"""The nine colors of Deep Photo Style Transfer's masks (Luan 2017)."""

NEAR = 50
"""Distance from a color of the palette, of 255, within which a pixel is taken for it."""

MOSTLY = 0.8
"""Share of a picture that must be near the palette's colors; the rest is taken for the edges between them."""

EDGE = 250
"""Long edges in which antialiasing is one pixel deep on either side; a color found nowhere deeper is only an edge."""

SMALLEST = 0.002
"""Share of a picture below which a region has too few features to be matched."""


def read_masks(path: Path) -> dict[str, Tensor]:
    """Reads regions by name.

    A picture of grays alone with many shades is one soft mask, white against black. Otherwise every pixel belongs to
    its color of the palette, and one color alone is the whole picture; the antialiased edges between two go to the
    nearer one. In a folder each picture is the soft mask of the region that its name tells, and what none of them
    covers is ``rest``.

    Args:
        path: Any picture, or a folder.

    Returns:
        ``(1, 1, H, W)`` in ``[0, 1]`` by name, adding up to 1.

    Raises:
        InputError: Most of it is of no color of the palette, or no color has an area of some size.
    """
    if path.is_dir():
        return _read_folder(path)
    return masks_of_pixels(read_image(path).quantized(8)[..., :3], path)


def masks_of_pixels(pixels: np.ndarray, path: Path) -> dict[str, Tensor]:
    """The same of pixels, ``(H, W, 3)`` of uint8, read from a path."""
    from scipy.ndimage import binary_erosion, distance_transform_edt

    pixels = pixels.astype(np.int32)
    if _is_soft(pixels):
        white = torch.from_numpy(pixels[..., 0].astype(np.float32) / 255)[None, None]
        return {"white": white, "black": 1 - white}
    colors = np.array(list(PALETTE.values()))
    apart = np.stack([np.abs(pixels - color).max(2) for color in colors])  # (9, H, W)
    near = float((apart.min(0) <= NEAR).mean())
    if near < MOSTLY:
        raise InputError(
            f"{path}: only {near:.0%} of it is of the palette's colors; allowed are {', '.join(PALETTE)} (pure), or a "
            "gray soft mask."
        )
    nearest = apart.argmin(0)
    side = 2 * max(1, round(max(nearest.shape) / EDGE)) + 1
    square = np.ones((side, side))
    cores = {n: binary_erosion(nearest == n, square, border_value=1) for n in range(len(colors))}
    kept = [n for n, core in cores.items() if core.mean() >= SMALLEST]
    if not kept:
        raise InputError(
            f"{path} has no area of one color that covers {SMALLEST:.1%} of it; draw regions with larger areas."
        )
    sure = (apart.min(0) <= NEAR) & np.isin(nearest, kept)
    places = distance_transform_edt(~sure, return_distances=False, return_indices=True)
    nearest = nearest[tuple(places)]
    return {
        name: torch.from_numpy((nearest == number).astype(np.float32))[None, None]
        for number, name in enumerate(PALETTE)
        if number in kept
    }


def _read_folder(folder: Path) -> dict[str, Tensor]:
    pictures = find_images([str(folder)])
    masks: dict[str, Tensor] = {}
    for path in pictures:
        gray = read_image(path).quantized(8)[..., :3].mean(2).astype(np.float32) / 255
        mask = torch.from_numpy(gray)[None, None]
        if masks and mask.shape != next(iter(masks.values())).shape:
            raise InputError(f"{path} has another size than the masks beside it; make them alike.")
        masks[path.stem] = mask
    total = torch.stack(list(masks.values())).sum(0)
    masks = {name: mask / total.clamp_min(1) for name, mask in masks.items()}
    rest = (1 - total).clamp_min(0)
    if float(rest.mean()) >= SMALLEST:
        masks["rest"] = masks["rest"] + rest if "rest" in masks else rest
    return masks


def write_masks(path: Path, masks: Mapping[str, Tensor]) -> dict[str, str]:
    """Writes regions as colors of one picture, to be edited and given back.

    Args:
        path: A .png.
        masks: ``(1, 1, H, W)`` by name, at most nine.

    Returns:
        The color of each region.
    """
    colors = {name: name for name in masks if name in PALETTE}
    free = [color for color in PALETTE if color not in colors]
    for name in masks:
        if name not in colors:
            colors[name] = free.pop(0)
    write_image(path, Picture(rgb=show_masks(masks, colors)))
    return colors


def show_masks(masks: Mapping[str, Tensor], colors: Mapping[str, str]) -> np.ndarray:
    """The winner at each pixel in its color, ``(H, W, 3)`` in ``[0, 1]``."""
    winner = torch.cat(list(masks.values()), 1).argmax(1)[0].numpy()
    table = np.array([PALETTE[colors[name]] for name in masks], np.float32) / 255
    shown: np.ndarray = table[winner]
    return shown


def _is_soft(pixels: np.ndarray) -> bool:
    """Whether a picture is gray all over and has shades between, not only at edges."""
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


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to become of regions.

    Attributes:
        feather: Softness of the content's borders, as a share of its long edge.
        assign: Number of the style, from 0, by the region's name; the region takes all of that style.
        only: Names of the regions that are painted; all when empty.
        keep: Whether regions without a partner stay as they are.
    """

    feather: float = 0.01
    assign: Mapping[str, int] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Regions of a content with their parts of the styles.

    Attributes:
        regions: Those that are painted.
        painted: ``(1, 1, H, W)``, how much of each pixel is painted; None for all.
        notes: What a person should know.
    """

    regions: tuple[Region, ...]
    painted: Tensor | None
    notes: tuple[str, ...]


def match_regions(
    content: Mapping[str, Tensor],
    style: Mapping[str, Tensor],
    wish: Wish | None = None,
    version: int = 0,
) -> Matched:
    """Pairs the regions of content and style that have one name.

    What the style lacks takes its style from the whole of it, or stays as it is where that is wished; what the content
    lacks is left out; a note reports either. A mask of one color covers its whole picture, so that two of
    them are a pair whatever their colors, and a style of one color suits every region.

    Args:
        content: From `read_masks`.
        style: Likewise; empty when regions are assigned to styles, or all take the whole.
        wish: Feathering, assignment, and what is left as it is.
        version: For `Region.version`.

    Raises:
        InputError: Not one name is in both, or a name of the wish is in neither.
    """
    wish = wish or Wish()
    for name in (*wish.assign, *wish.only):
        if name not in content:
            raise unknown_name("region", name, content)
    regions: list[Region] = []
    style, notes = _of_one_color(content, style, wish)
    if style and not set(content) & set(style) and not wish.assign:
        raise InputError(
            f"the content has regions {', '.join(content)} and the style {', '.join(style)}; at least one "
            "must be in both."
        )
    for name, mask in content.items():
        alone = style and name not in style and name not in wish.assign
        if (wish.only and name not in wish.only) or (
            wish.keep and (alone or _unassigned(name, style, wish))
        ):
            continue
        if alone:
            notes.append(f"region {name} is not in the style, so it takes all of the style")
        regions.append(
            Region(
                name=name,
                content=_feathered(mask, wish.feather),
                style=torch.ones(1, 1, 8, 8)
                if name in wish.assign or name not in style
                else style[name],
                number=wish.assign.get(name, 0),
                version=version,
            )
        )
    notes += [
        f"region {n} is not in the content, so it is left out" for n in style if n not in content
    ]
    painted = None
    if len(regions) < len(content):
        painted = torch.stack([one.content for one in regions] or [torch.zeros_like(mask)]).sum(0)
    return Matched(regions=tuple(regions), painted=painted, notes=tuple(notes))


def _of_one_color(
    content: Mapping[str, Tensor], style: Mapping[str, Tensor], wish: Wish
) -> tuple[Mapping[str, Tensor], list[str]]:
    """The style's regions, none where its only one is to serve every region; with what to say of it."""
    if wish.assign or not _is_whole(style):
        return style, []
    if _is_whole(content):
        return {}, ["both masks are of one color, so the whole picture takes the whole style"]
    if not set(content) & set(style) and not wish.keep:
        return {}, ["the style's mask is of one color, so every region takes the whole style"]
    return style, []


def _is_whole(masks: Mapping[str, Tensor]) -> bool:
    """Whether one region covers the picture."""
    return len(masks) == 1 and float(next(iter(masks.values())).mean()) >= 1 - SMALLEST


def _unassigned(name: str, style: Mapping[str, Tensor], wish: Wish) -> bool:
    return not style and bool(wish.assign) and name not in wish.assign


def _feathered(mask: Tensor, share: float) -> Tensor:
    """Two box filters over windows cut at the border, so that no gap opens there."""
    radius = round(share * max(mask.shape[-2:]))
    for _ in range(2 if radius else 0):
        side = 2 * radius + 1
        mask = F.avg_pool2d(mask, side, stride=1, padding=radius, count_include_pad=False)
    return mask
