"""`impasto regions`: find regions of images and write their masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from impasto.cli._options import split_list
from impasto.config import check_fields
from impasto.errors import UsageError
from impasto.text import printable, shown

if TYPE_CHECKING:
    from impasto.media import Picture

__all__ = ["regions"]

COLORED = 0.55
"""Opacity of the region colors in the overlay."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Finding:
    """Options of `impasto regions`."""

    find: Literal["auto", "semantic"] = "auto"
    """Method: auto groups similar areas of both images; semantic segments both with the network in --segmenter."""
    count: int = field(default=4, metadata={"low": 2, "high": 9})
    """Maximum number of regions for --find auto."""
    segmenter: Path | None = None
    """Folder of a transformers segmentation model, such as SegFormer."""
    box: str | None = None
    """Separate an object in this box from its background: left,top,width,height in pixels of CONTENT."""
    scribble: Path | None = None
    """Separate an object by scribbles: a gray image with strokes, white on the object and black on the background."""
    overwrite: bool = False
    """Replace files that impasto did not write, such as edited masks."""


def regions(
    content: Annotated[Path, Parameter(help="Content image.")],
    style: Annotated[Path | None, Parameter(help="Style image.")] = None,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Output folder.")],
    finding: Finding | None = None,
) -> int:
    """Find regions of CONTENT and STYLE, and write them as masks that can be edited.

    Writes content_regions.png and style_regions.png, with one color per region, for --content-regions and
    --style-regions, and overlay.png as a preview.
    """
    from impasto.media import (
        check_outputs,
        make_folder,
        read_image,
        write_image,
    )

    finding = finding or Finding()
    check_fields(finding)
    masks = ("content_regions",) if style is None else ("content_regions", "style_regions")
    outs = [out / f"{name}.png" for name in (*masks, "overlay")]
    check_outputs(outs, [content, style, finding.scribble], overwrite=finding.overwrite)
    pictures = [read_image(content)] + ([] if style is None else [read_image(style)])
    found = _find(pictures, finding)
    make_folder(out)
    names = tuple(dict.fromkeys(name for masks in found for name in masks))
    colors = _write(out, found, names)
    write_image(out / "overlay.png", _overlay(pictures, found, colors))
    for name in names:
        areas = ", ".join(
            f"{100 * float(masks[name].mean()):.0f}% of the {role}"
            for role, masks in zip(("content", "style"), found, strict=False)
            if name in masks
        )
        called = colors[name] if name == colors[name] else f"{name} ({colors[name]})"
        print(printable(f"{called}: {areas}"))
    second = f" --style-regions {out / 'style_regions.png'}" if len(found) > 1 else " --only white"
    print(printable(f"use them with --content-regions {out / 'content_regions.png'}{second}"))
    return 0


def _find(pictures: list[Picture], finding: Finding) -> list[Mapping[str, Any]]:
    """Returns the masks of the content image, and of the style image if there is one."""
    from impasto.backbones import load_backbone
    from impasto.regions import Segmenter, cut_by_box, cut_by_scribble, group_jointly

    images = [picture.to_tensor() for picture in pictures]
    if finding.box is not None or finding.scribble is not None:
        if finding.box is not None and finding.scribble is not None:
            raise UsageError("--box and --scribble are mutually exclusive; remove one of them.")
        if len(images) > 1:
            raise UsageError("--box and --scribble apply to a single image; remove the style.")
        if finding.scribble is not None:
            return [cut_by_scribble(images[0], finding.scribble)]
        return [cut_by_box(images[0], _box(finding.box or ""))]
    if finding.find == "semantic":
        if finding.segmenter is None:
            raise UsageError(
                "--find semantic requires a segmentation model; pass its folder with --segmenter."
            )
        network = Segmenter(finding.segmenter)
        return [network.masks(image) for image in images]
    backbone = load_backbone()
    grouping = group_jointly(images[0], images[-1], backbone, finding.count)
    return [
        grouping.masks(image, backbone, style=number > 0) for number, image in enumerate(images)
    ]


def _box(text: str) -> tuple[float, float, float, float]:
    numbers = split_list("box", text, float)
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"--box must be left,top,width,height in pixels; got {shown(text)}.")
    left, top, width, height = numbers
    return left, top, width, height


def _write(out: Path, found: list[Mapping[str, Any]], names: tuple[str, ...]) -> dict[str, str]:
    """Writes the masks with the same colors for content and style, and returns the color of each region."""
    import torch

    from impasto.regions import write_masks

    colors: dict[str, str] = {}
    for role, masks in zip(("content", "style"), found, strict=False):
        blank = torch.zeros_like(next(iter(masks.values())))
        whole = {name: masks.get(name, blank) for name in names}
        colors = write_masks(out / f"{role}_regions.png", whole)
    return colors


def _overlay(
    pictures: list[Picture], found: list[Mapping[str, Any]], colors: Mapping[str, str]
) -> Picture:
    """Returns the images side by side, tinted by region."""
    import torch

    from impasto.media import Picture, resize
    from impasto.regions import show_masks

    height = min(picture.height_px for picture in pictures)
    parts = []
    for picture, masks in zip(pictures, found, strict=True):
        shown = torch.from_numpy(show_masks(masks, colors)).permute(2, 0, 1)[None]
        gray = picture.to_tensor().mean(1, keepdim=True)
        tinted = (1 - COLORED) * gray + COLORED * shown * (0.4 + 0.6 * gray)
        parts.append(resize(tinted, (height, round(picture.width_px * height / picture.height_px))))
    return Picture.from_tensor(torch.cat(parts, dim=3))
