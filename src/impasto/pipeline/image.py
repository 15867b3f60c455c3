"""Pictures from end to end: the only place that joins media, a backbone and the optimizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.config import PaintOptions
from impasto.config import options as make_options
from impasto.errors import InputError
from impasto.looks import AnyStylePainter, Look
from impasto.media import (
    Picture,
    check_paintable,
    files_of,
    keep_luminance_only,
    match_histogram,
    read_image,
    resize,
    size_to_fit,
    transfer_affinely,
    transfer_linear,
)
from impasto.optimize import Optimization
from impasto.pipeline.at_once import look_of, look_painter
from impasto.pipeline.regions import RegionFinder
from impasto.regions import Matched
from impasto.translate import Translator
from impasto.types import Backbone, Iterate, Region

__all__ = [
    "Job",
    "Source",
    "affine_finish",
    "backbone_for",
    "files_read",
    "finish_picture",
    "keep_colors",
    "matched_regions",
    "paint_at_once",
    "picture_of",
    "prepare",
    "recolored",
    "stylize",
    "stylize_image",
    "within",
]

AFFINE_EPSILON = 1e-4
"""At 1e-3, plain windows took the mean change of color alone and lost half of the style that was found."""

Source = Picture | Image.Image | np.ndarray | str | Path


def stylize(
    content: Source, style: Source | Sequence[Source], *, preset: str = "standard", **overrides: Any
) -> Image.Image:
    """Paints a picture in the manner of others.

    Args:
        content: The photograph: a path, a PIL image, or an array ``(H, W, 3)`` of uint8 or of floats in ``[0, 1]``.
        style: The painting, or several that are blended.
        preset: A name in `impasto.PRESETS`.
        **overrides: Any field of `impasto.PaintOptions`, for example ``size=800`` or ``keep_colors="luminance"``.

    Returns:
        An 8-bit RGB or RGBA image with the long edge that ``size`` asks for.

    Raises:
        ImpastoError: With one sentence that says what was got, what is allowed and what to do.
    """
    several = isinstance(style, Sequence) and not isinstance(style, str)
    sources: Sequence[Source] = style if several else [style]  # type: ignore[assignment, list-item]
    options = make_options(preset, **overrides)
    return stylize_image(picture_of(content), [picture_of(s) for s in sources], options).to_pil()


def picture_of(source: Source) -> Picture:
    """Takes a path, a PIL image or an array; see `stylize`."""
    if isinstance(source, Picture):
        return source
    if isinstance(source, (str, Path)):
        return read_image(Path(source))
    if isinstance(source, Image.Image):
        return Picture.from_pil(source)
    array = np.asarray(source)
    if array.ndim != 3 or array.shape[2] != 3:
        raise InputError(
            f"an array of shape {array.shape} was given; allowed is (height, width, 3)."
        )
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / 255
    if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all() or (
        array.min() < 0 or array.max() > 1
    ):  # fmt: skip
        raise InputError(
            "an array of other values was given; allowed is uint8, or floats from 0 to 1."
        )
    return Picture(rgb=np.ascontiguousarray(array, dtype=np.float32))


def backbone_for(
    options: PaintOptions, progress: Callable[[int, int], None] | None = None
) -> Backbone:
    """Loads the network that the options name."""
    return load_backbone(
        options.backbone,
        weights=options.weights,
        pooling=options.pooling,
        allow_download=options.download,
        progress=progress,
    )


def files_read(options: PaintOptions) -> list[Path]:
    """Files that the options name, and that decide what is painted: masks, looks, weights, the initial image."""
    start = options.start_file if options.start == "file" else None
    named = (options.content_regions, options.style_regions, options.look, options.weights, start)
    files = [file for path in named if path is not None for file in files_of(path)]
    if options.segmenter is not None and options.segmenter.is_dir():
        files += sorted(file for file in options.segmenter.iterdir() if file.is_file())
    return files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A run that is ready to start, and how its picture is finished.

    Attributes:
        optimization: To be iterated.
        content: The photograph.
        options: As given.
        painted: ``(1, 1, h, w)``, how much of each pixel is painted; the rest stays the photograph's. None for all.
        notes: What a person should know, a sentence each.
    """

    optimization: Optimization
    content: Picture
    options: PaintOptions
    painted: Tensor | None = None
    notes: tuple[str, ...] = ()

    def finish(self, image: Tensor | None = None) -> Picture:
        """Makes the picture to keep: at full size, with its colors and the content's alpha.

        Args:
            image: ``(1, 3, h, w)`` of any scale; the optimization's present one when not given.
        """
        pastiche = self.optimization.result if image is None else image
        return finish_picture(
            self.content, pastiche, self.optimization.size, self.options, self.painted
        )


def finish_picture(
    content: Picture,
    pastiche: Tensor,
    size: tuple[int, int],
    options: PaintOptions,
    painted: Tensor | None = None,
) -> Picture:
    """Gives a pastiche its size, the colors or detail that are kept, what is not painted, and the content's alpha.

    Args:
        content: The photograph.
        pastiche: ``(1, 3, h, w)``.
        size: Height and width it was painted for.
        options: What is kept.
        painted: ``(1, 1, ., .)``, how much of each pixel is painted; None for all.
    """
    pastiche = resize(pastiche.detach().float().cpu(), size)
    own = content.to_tensor()
    small = resize(own, size)
    pastiche = keep_colors(pastiche, small, options)
    if options.affine > 0:
        if options.deliver is not None:
            whole = (own.shape[-2], own.shape[-1])
            size = size_to_fit(whole, options.deliver) if options.deliver else whole
        pastiche = affine_finish(small, pastiche, resize(own, size), options.affine)
    if painted is not None:
        pastiche = within(pastiche, resize(own, size), painted)
    alpha = content.alpha
    if alpha is not None:
        alpha = resize(torch.from_numpy(alpha)[None, None], size)[0, 0].numpy()
    return Picture.from_tensor(pastiche, alpha=alpha, bits=content.bits)


def within(pastiche: Tensor, content: Tensor, painted: Tensor) -> Tensor:
    """The pastiche where it is wanted and the content elsewhere; ``(1, 3, H, W)``, and a mask of any size."""
    share = resize(painted.to(pastiche), (pastiche.shape[-2], pastiche.shape[-1])).clamp(0, 1)
    return content + share * (pastiche - content)


def affine_finish(content: Tensor, pastiche: Tensor, full: Tensor, share: float) -> Tensor:
    """Takes over only the change of color, locally affine; windows are a share of the painted long edge."""
    radius = max(1, round(share * max(pastiche.shape[-2:])))
    return transfer_affinely(content, pastiche, full, radius_px=radius, epsilon=AFFINE_EPSILON)


def keep_colors(pastiche: Tensor, content: Tensor, options: PaintOptions) -> Tensor:
    """Gives a pastiche the colors that the options ask to keep; ``(1, 3, H, W)`` each."""
    if options.keep_colors == "luminance":
        return keep_luminance_only(pastiche, content)
    if options.keep_colors_when == "before" or options.keep_colors == "none":
        return pastiche
    transfer = transfer_linear if options.keep_colors == "linear" else match_histogram
    return transfer(pastiche, content)


def recolored(style: Tensor, content: Tensor, options: PaintOptions) -> Tensor:
    """Gives a style the content's colors where the options ask for it before painting."""
    if options.keep_colors_when == "after" or options.keep_colors in ("none", "luminance"):
        return style
    transfer = transfer_linear if options.keep_colors == "linear" else match_histogram
    return transfer(style, content)


def prepare(
    content: Picture, styles: Sequence[Picture], options: PaintOptions, backbone: Backbone | None = None
) -> Job:  # fmt: skip
    """Checks the pictures, loads the backbone and foretells the run.

    Args:
        content: The photograph.
        styles: One or more paintings.
        options: Everything else.
        backbone: One that is loaded already.

    Raises:
        InputError: A picture cannot be painted.
        OutOfMemoryError: The run would not fit.
    """
    check_paintable(content, "content")
    for style in styles:
        check_paintable(style, "style")
    image = content.to_tensor()
    network = backbone or backbone_for(options)
    images = [recolored(style.to_tensor(), image, options) for style in styles]
    matched = matched_regions(image, images, options, network)
    start = None
    if options.start == "file" and options.start_file is not None:
        start = read_image(options.start_file).to_tensor()
    elif options.start == "look" and options.look is not None:
        look = look_of(options)
        painter = look_painter(options, images if look.takes_styles else (), look)
        start = painter.picture(_sized(image, options))
    optimization = Optimization(
        image, images, network, options, start=start, regions=matched.regions
    )
    return Job(
        optimization=optimization,
        content=content,
        options=options,
        painted=matched.painted,
        notes=matched.notes,
    )


def _sized(image: Tensor, options: PaintOptions) -> Tensor:
    """``(1, 3, H, W)`` at the size that the options ask for."""
    size = (image.shape[-2], image.shape[-1])
    return resize(image, size_to_fit(size, options.size)) if options.size else image


def matched_regions(
    content: Tensor,
    styles: Sequence[Tensor],
    options: PaintOptions,
    backbone: Backbone | None = None,
) -> Matched:
    """The regions that the options ask for, paired; none for the whole picture."""
    if not options.has_regions:
        return Matched(regions=(), painted=None, notes=())
    finder = RegionFinder(options, styles, backbone or load_backbone())
    found = finder.find(content)
    return finder.match(found, found.content)


def paint_at_once(
    content: Picture,
    options: PaintOptions,
    look: Look | Translator | None = None,
    styles: Sequence[Picture] = (),
) -> tuple[Picture, tuple[str, ...]]:
    """Paints one picture with a look.

    Args:
        content: The photograph.
        options: Size, strength, colors and regions count; losses and solver do not.
        look: One that is loaded already; that of the options when None.
        styles: Paintings, for a look that takes any style.

    Returns:
        The pastiche, and notes for a person.
    """
    check_paintable(content, "content")
    for style in styles:
        check_paintable(style, "style")
    image = content.to_tensor()
    images = [recolored(style.to_tensor(), image, options) for style in styles]
    painter = look_painter(options, images, look)
    matched = matched_regions(image, images or [image], options)
    sized = _sized(image, options)
    if isinstance(painter, AnyStylePainter):
        pastiche = painter.picture(sized, _regions_at(matched.regions, sized))
    else:
        pastiche = painter.picture(sized)
    size = (pastiche.shape[-2], pastiche.shape[-1])
    return finish_picture(content, pastiche, size, options, matched.painted), matched.notes


def _regions_at(regions: Sequence[Region], image: Tensor) -> list[Region]:
    """Regions at the size of a picture."""
    size = (image.shape[-2], image.shape[-1])
    return [
        dataclasses.replace(region, content=resize(region.content, size).clamp(0, 1))
        for region in regions
    ]


def stylize_image(
    content: Picture,
    styles: Sequence[Picture],
    options: PaintOptions,
    *,
    backbone: Backbone | None = None,
    on_iterate: Callable[[Iterate], None] | None = None,
) -> Picture:
    """Paints one picture from beginning to end.

    Args:
        content: The photograph.
        styles: One or more paintings, blended by ``options.blend``.
        options: Everything else.
        backbone: One that is loaded already, for painting many.
        on_iterate: Told of every step; raising from it stops the run.

    Returns:
        The pastiche, with the content's alpha and bit depth.
    """
    if options.paints_at_once:
        return paint_at_once(content, options, styles=styles)[0]
    job = prepare(content, styles, options, backbone)
    for iterate in job.optimization:
        if on_iterate is not None:
            on_iterate(iterate)
    return job.finish()
