"""`impasto regions`: show parts of pictures, and write their masks."""

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
"""Share of a region's color in the overlay."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Finding:
    """How regions are found."""

    find: Literal["auto", "semantic"] = "auto"
    """What looks alike in both pictures, or what the network in --segmenter says things are."""
    count: int = field(default=4, metadata={"low": 2, "high": 9})
    """Most regions that auto finds."""
    segmenter: Path | None = None
    """Folder of a network of transformers, such as SegFormer's."""
    box: str | None = None
    """Cut one thing from its background: left,top,width,height in pixels of CONTENT."""
    scribble: Path | None = None
    """The same from strokes: a gray picture with the thing marked in white and the background in black."""
    overwrite: bool = False
    """Replace files that impasto did not make, such as masks that were edited."""


def regions(
    content: Annotated[Path, Parameter(help="Photograph.")],
    style: Annotated[Path | None, Parameter(help="Painting, or another photograph.")] = None,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder to write to.")],
    finding: Finding | None = None,
) -> int:
    """Find regions of CONTENT and STYLE, and write them as masks that can be edited and given back.

    Writes content_regions.png and style_regions.png, one color a region, and overlay.png to look at.
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
            f"{100 * float(masks[name].mean()):.0f} % of the {role}"
            for role, masks in zip(("content", "style"), found, strict=False)
            if name in masks
        )
        called = colors[name] if name == colors[name] else f"{name} ({colors[name]})"
        print(printable(f"{called}: {areas}"))
    second = f" --style-regions {out / 'style_regions.png'}" if len(found) > 1 else " --only white"
    print(printable(f"use them with --content-regions {out / 'content_regions.png'}{second}"))
    return 0


def _find(pictures: list[Picture], finding: Finding) -> list[Mapping[str, Any]]:
    """Masks of the content, and of the style when there is one."""
    from impasto.backbones import load_backbone
    from impasto.regions import Segmenter, cut_by_box, cut_by_scribble, group_jointly

    images = [picture.to_tensor() for picture in pictures]
    if finding.box is not None or finding.scribble is not None:
        if finding.box is not None and finding.scribble is not None:
            raise UsageError("--box and --scribble are two ways of the same; give one.")
        if len(images) > 1:
            raise UsageError("--box and --scribble are of one picture; give the content alone.")
        if finding.scribble is not None:
            return [cut_by_scribble(images[0], finding.scribble)]
        return [cut_by_box(images[0], _box(finding.box or ""))]
    if finding.find == "semantic":
        if finding.segmenter is None:
            raise UsageError("--find semantic needs the folder of a network; give --segmenter.")
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
        raise UsageError(f"--box got {shown(text)}; allowed is left,top,width,height in pixels.")
    left, top, width, height = numbers
    return left, top, width, height


def _write(out: Path, found: list[Mapping[str, Any]], names: tuple[str, ...]) -> dict[str, str]:
    """Writes the masks with the same colors on both sides; gives the color of each region."""
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
    """The pictures beside each other, tinted by region."""
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
