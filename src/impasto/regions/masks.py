"""Masks encoded as palette colors or gray levels, matched by color."""

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
"""The nine mask colors of Deep Photo Style Transfer (Luan 2017)."""

NEAR = 50
"""Maximum distance (of 255) from a palette color at which a pixel is assigned to it."""

MOSTLY = 0.8
"""Minimum share of pixels near a palette color; the rest is treated as antialiased edges."""

EDGE = 250
"""The long edge divided by this is the assumed antialiasing width; a color that is nowhere wider is only an edge."""

SMALLEST = 0.002
"""Minimum share of the image; a smaller region has too few features to match."""


def read_masks(path: Path) -> dict[str, Tensor]:
    """Reads region masks by name.

    A grayscale image with many shades is one soft mask: white against black. Otherwise, each pixel belongs to its
    palette color (a single color covers the whole image), and antialiased edges go to the nearer of the two colors. In
    a folder, each image is the soft mask of the region named by the file, and the uncovered remainder is named
    ``rest``.

    Args:
        path: An image file or a folder.

    Returns:
        ``(1, 1, H, W)`` in ``[0, 1]`` by name, summing to 1.

    Raises:
        InputError: Most pixels match no palette color, or no color covers a large enough area.
    """
    if path.is_dir():
        return _read_folder(path)
    return masks_of_pixels(read_image(path).quantized(8)[..., :3], path)


def masks_of_pixels(pixels: np.ndarray, path: Path) -> dict[str, Tensor]:
    """Converts pixels, uint8 ``(H, W, 3)``, to masks; ``path`` is for error messages. See `read_masks`."""
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
            f"only {near:.0%} of {path} matches the mask palette; use pure {', '.join(PALETTE)}, or a "
            "grayscale soft mask."
        )
    nearest = apart.argmin(0)
    side = 2 * max(1, round(max(nearest.shape) / EDGE)) + 1
    square = np.ones((side, side))
    cores = {n: binary_erosion(nearest == n, square, border_value=1) for n in range(len(colors))}
    kept = [n for n, core in cores.items() if core.mean() >= SMALLEST]
    if not kept:
        raise InputError(
            f"{path} has no single-color area that covers at least {SMALLEST:.1%} of it; draw larger regions."
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
            raise InputError(
                f"{path} differs in size from the other masks in its folder; make them the same size."
            )
        masks[path.stem] = mask
    total = torch.stack(list(masks.values())).sum(0)
    masks = {name: mask / total.clamp_min(1) for name, mask in masks.items()}
    rest = (1 - total).clamp_min(0)
    if float(rest.mean()) >= SMALLEST:
        masks["rest"] = masks["rest"] + rest if "rest" in masks else rest
    return masks


def write_masks(path: Path, masks: Mapping[str, Tensor]) -> dict[str, str]:
    """Writes masks as palette colors in one image, which can be edited and read back.

    Args:
        path: A .png file.
        masks: ``(1, 1, H, W)`` by name, at most nine.

    Returns:
        The palette color of each region.
    """
    colors = {name: name for name in masks if name in PALETTE}
    free = [color for color in PALETTE if color not in colors]
    for name in masks:
        if name not in colors:
            colors[name] = free.pop(0)
    write_image(path, Picture(rgb=show_masks(masks, colors)))
    return colors


def show_masks(masks: Mapping[str, Tensor], colors: Mapping[str, str]) -> np.ndarray:
    """Colors each pixel by its strongest mask; returns ``(H, W, 3)`` in ``[0, 1]``."""
    winner = torch.cat(list(masks.values()), 1).argmax(1)[0].numpy()
    table = np.array([PALETTE[colors[name]] for name in masks], np.float32) / 255
    shown: np.ndarray = table[winner]
    return shown


def _is_soft(pixels: np.ndarray) -> bool:
    """Returns whether an image is grayscale with many intermediate shades, not just antialiased edges."""
    if np.ptp(pixels, axis=2).max() > 8:
        return False
    between = (pixels[..., 0] > 40) & (pixels[..., 0] < 215) & (np.abs(pixels[..., 0] - 128) > 8)
    return float(between.mean()) > 0.1


def check_shape(masks: Mapping[str, Tensor], path: Path, width_px: int, height_px: int) -> None:
    """Checks that masks have the aspect ratio of their image; masks of another size are resampled.

    Raises:
        InputError: The aspect ratios differ by more than 2%.
    """
    height, width = next(iter(masks.values())).shape[-2:]
    if abs(width * height_px / (height * width_px) - 1) > 0.02:
        raise InputError(
            f"{path} is {width}x{height} px, but its image is {width_px}x{height_px} px; the aspect ratios "
            "must match."
        )


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How to process regions.

    Attributes:
        feather: Feathering of the content's mask borders, as a share of its long edge.
        assign: Style number, from 0, by region name; such a region uses the entire style image.
        only: Names of the regions to stylize; all if empty.
        keep: Whether regions without a match remain unchanged.
    """

    feather: float = 0.01
    assign: Mapping[str, int] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Content regions matched with style regions.

    Attributes:
        regions: The regions to stylize.
        painted: How much of each pixel is stylized, ``(1, 1, H, W)``; None for everything.
        notes: Information for the user.
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
    """Matches the regions of content and style by name.

    A content region that the style lacks uses the entire style image, or remains unchanged if requested; a style
    region that the content lacks is ignored. A note reports both cases. A single-color mask covers its whole image, so
    two such masks match regardless of their colors, and a single-color style mask matches every region.

    Args:
        content: From `read_masks`.
        style: Likewise; empty if regions are assigned to styles or all use the entire style image.
        wish: Feathering, assignment, and which regions remain unchanged.
        version: Stored as `Region.version`.

    Raises:
        InputError: Content and style have no region name in common, or a requested name does not exist.
    """
    wish = wish or Wish()
    for name in (*wish.assign, *wish.only):
        if name not in content:
            raise unknown_name("region", name, content)
    regions: list[Region] = []
    style, notes = _of_one_color(content, style, wish)
    if style and not set(content) & set(style) and not wish.assign:
        raise InputError(
            f"the content has regions {', '.join(content)} and the style {', '.join(style)}; they must share "
            "at least one."
        )
    for name, mask in content.items():
        alone = style and name not in style and name not in wish.assign
        if (wish.only and name not in wish.only) or (
            wish.keep and (alone or _unassigned(name, style, wish))
        ):
            continue
        if alone:
            notes.append(
                f"region {name} is not in the style mask, so it uses the entire style image"
            )
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
        f"region {n} is not in the content mask, so it is ignored"
        for n in style
        if n not in content
    ]
    painted = None
    if len(regions) < len(content):
        painted = torch.stack([one.content for one in regions] or [torch.zeros_like(mask)]).sum(0)
    return Matched(regions=tuple(regions), painted=painted, notes=tuple(notes))


def _of_one_color(
    content: Mapping[str, Tensor], style: Mapping[str, Tensor], wish: Wish
) -> tuple[Mapping[str, Tensor], list[str]]:
    """Returns the style's regions (none if its single region matches everything) and notes for the user."""
    if wish.assign or not _is_whole(style):
        return style, []
    if _is_whole(content):
        return {}, [
            "both masks have a single color, so the whole image uses the entire style image"
        ]
    if not set(content) & set(style) and not wish.keep:
        return {}, [
            "the style mask has a single color, so every region uses the entire style image"
        ]
    return style, []


def _is_whole(masks: Mapping[str, Tensor]) -> bool:
    """Returns whether one region covers the entire image."""
    return len(masks) == 1 and float(next(iter(masks.values())).mean()) >= 1 - SMALLEST


def _unassigned(name: str, style: Mapping[str, Tensor], wish: Wish) -> bool:
    return not style and bool(wish.assign) and name not in wish.assign


def _feathered(mask: Tensor, share: float) -> Tensor:
    """Applies two box filters, with windows clipped at the border so that no gap opens there."""
    radius = round(share * max(mask.shape[-2:]))
    for _ in range(2 if radius else 0):
        side = 2 * radius + 1
        mask = F.avg_pool2d(mask, side, stride=1, padding=radius, count_include_pad=False)
    return mask
