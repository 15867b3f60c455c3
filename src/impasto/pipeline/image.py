"""Image stylization from end to end: combines media, a backbone and the optimizer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.backbones import load_backbone
from impasto.config import (
    ColorOptions,
    ExtractorOptions,
    PaintOptions,
    RegionOptions,
    to_mapping,
)
from impasto.config import options as make_options
from impasto.errors import InputError
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
from impasto.types import Backbone, FeedForward, Iterate, Region

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
    "settings_text",
    "stylize",
    "stylize_image",
    "within",
]

AFFINE_EPSILON = 1e-4
"""With 1e-3, flat windows received only the mean color change and lost half of the style."""

Source = Picture | Image.Image | np.ndarray | str | Path


def stylize(
    content: Source, style: Source | Sequence[Source], *, preset: str = "standard", **overrides: Any
) -> Image.Image:
    """Stylizes an image with one or more style images.

    Args:
        content: The content image: a path, a PIL image, or an array ``(H, W, 3)`` of uint8 or of floats in ``[0, 1]``.
        style: The style image, or several to blend.
        preset: A name in `impasto.PRESETS`.
        **overrides: Any field of `impasto.PaintOptions`, for example ``size=800`` or ``keep_colors="luminance"``.

    Returns:
        An 8-bit RGB or RGBA image with the long edge set by ``size``. Its ``info["impasto"]`` contains the settings as
        JSON, in the form in which images written by the command contain them.

    Raises:
        ImpastoError: The message states what was given, what is allowed and what to do.
    """
    several = isinstance(style, Sequence) and not isinstance(style, str)
    sources: Sequence[Source] = style if several else [style]  # type: ignore[assignment, list-item]
    options = make_options(preset, **overrides)
    pictures = [picture_of(source) for source in (content, *sources)]
    image = stylize_image(pictures[0], pictures[1:], options).to_pil()
    names = [picture.source.name if picture.source is not None else "" for picture in pictures]
    image.info["impasto"] = settings_text(names[0], names[1:], options)
    return image


def settings_text(content: str, styles: Sequence[str], options: PaintOptions) -> str:
    """Returns the settings of a result as JSON.

    Args:
        content: Name of the content image.
        styles: Names of the style images.
        options: The options that were used.
    """
    settings = {
        "versions": {"impasto": __version__, "torch": torch.__version__},
        "content": content,
        "styles": list(styles),
        "options": to_mapping(options),
    }
    return json.dumps(settings, sort_keys=True)


def picture_of(source: Source) -> Picture:
    """Converts a path, a PIL image or an array to an image; see `stylize`."""
    if isinstance(source, Picture):
        return source
    if isinstance(source, (str, Path)):
        return read_image(Path(source))
    if isinstance(source, Image.Image):
        return Picture.from_pil(source)
    array = np.asarray(source)
    if array.ndim != 3 or array.shape[2] != 3:
        raise InputError(
            f"an image array must have the shape (height, width, 3); got {array.shape}."
        )
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / 255
    if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all() or (
        array.min() < 0 or array.max() > 1
    ):  # fmt: skip
        raise InputError(
            "an image array must contain uint8 values or floats from 0 to 1; convert it first."
        )
    return Picture(rgb=np.ascontiguousarray(array, dtype=np.float32))


def backbone_for(
    options: ExtractorOptions, progress: Callable[[int, int], None] | None = None
) -> Backbone:
    """Loads the backbone specified by the options."""
    return load_backbone(
        options.backbone,
        weights=options.weights,
        pooling=options.pooling,
        allow_download=options.download,
        progress=progress,
    )


def files_read(options: PaintOptions) -> list[Path]:
    """Lists the files in the options that affect the result: masks, looks, weights and the initial image."""
    start = options.start_file if options.start == "file" else None
    named = (options.content_regions, options.style_regions, options.look, options.weights, start)
    files = [file for path in named if path is not None for file in files_of(path)]
    if options.segmenter is not None and options.segmenter.is_dir():
        files += sorted(file for file in options.segmenter.iterdir() if file.is_file())
    return files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A run that is ready to start.

    Attributes:
        optimization: The optimization to iterate.
        content: The content image.
        options: The options as given.
        painted: How much of each pixel is stylized, ``(1, 1, h, w)``; the rest keeps the content. None for everything.
        notes: Information for the user, one phrase each.
    """

    optimization: Optimization
    content: Picture
    options: PaintOptions
    painted: Tensor | None = None
    notes: tuple[str, ...] = ()

    def finish(self, image: Tensor | None = None) -> Picture:
        """Creates the output image: at full size, with color preservation and the content's alpha.

        Args:
            image: ``(1, 3, h, w)`` at any scale; by default the current image of the optimization.
        """
        pastiche = self.optimization.result if image is None else image
        return finish_picture(
            self.content, pastiche, self.optimization.size, self.options.color, self.painted
        )


def finish_picture(
    content: Picture,
    pastiche: Tensor,
    size: tuple[int, int],
    options: ColorOptions,
    painted: Tensor | None = None,
) -> Picture:
    """Resizes a pastiche, preserves colors or detail, restores unstylized regions and adds the content's alpha.

    Args:
        content: The content image.
        pastiche: ``(1, 3, h, w)``.
        size: Height and width it was stylized at.
        options: Determines what is preserved.
        painted: How much of each pixel is stylized, ``(1, 1, ., .)``; None for everything.
    """
    pastiche = resize(pastiche.detach().float().cpu(), size)
    if options.keep_colors != "none":
        pastiche = keep_colors(pastiche, resize(content.to_tensor(), size), options)
    if options.affine > 0:
        own = content.to_tensor()
        small = resize(own, size)
        if options.deliver is not None:
            whole = (own.shape[-2], own.shape[-1])
            size = size_to_fit(whole, options.deliver) if options.deliver else whole
        pastiche = affine_finish(small, pastiche, resize(own, size), options.affine)
    if painted is not None:
        pastiche = within(pastiche, resize(content.to_tensor(), size), painted)
    alpha = content.alpha
    if alpha is not None:
        alpha = resize(torch.from_numpy(alpha)[None, None], size)[0, 0].numpy()
    return Picture.from_tensor(pastiche, alpha=alpha, bits=content.bits, dpi=content.dpi)


def within(pastiche: Tensor, content: Tensor, painted: Tensor) -> Tensor:
    """Blends pastiche and content ``(1, 3, H, W)`` by a mask of any size, 1 for the pastiche."""
    share = resize(painted.to(pastiche), (pastiche.shape[-2], pastiche.shape[-1])).clamp(0, 1)
    return content + share * (pastiche - content)


def affine_finish(content: Tensor, pastiche: Tensor, full: Tensor, share: float) -> Tensor:
    """Transfers only the locally affine color change; the window radius is a share of the pastiche's long edge."""
    radius = max(1, round(share * max(pastiche.shape[-2:])))
    return transfer_affinely(content, pastiche, full, radius_px=radius, epsilon=AFFINE_EPSILON)


def keep_colors(pastiche: Tensor, content: Tensor, options: ColorOptions) -> Tensor:
    """Applies the requested color preservation to a pastiche; ``(1, 3, H, W)`` each."""
    if options.keep_colors == "luminance":
        return keep_luminance_only(pastiche, content)
    if options.keep_colors_when == "before" or options.keep_colors == "none":
        return pastiche
    transfer = transfer_linear if options.keep_colors == "linear" else match_histogram
    return transfer(pastiche, content)


def recolored(style: Tensor, content: Tensor, options: ColorOptions) -> Tensor:
    """Gives a style image the content's colors, if the options request this before stylization."""
    if options.keep_colors_when == "after" or options.keep_colors in ("none", "luminance"):
        return style
    transfer = transfer_linear if options.keep_colors == "linear" else match_histogram
    return transfer(style, content)


def prepare(
    content: Picture, styles: Sequence[Picture], options: PaintOptions, backbone: Backbone | None = None
) -> Job:  # fmt: skip
    """Checks the images, loads the backbone and estimates the memory of the run.

    Args:
        content: The content image.
        styles: One or more style images.
        options: All other settings.
        backbone: A backbone that is already loaded.

    Raises:
        InputError: An image cannot be used.
        OutOfMemoryError: The run would exceed the available memory.
    """
    check_paintable(content, "content")
    for style in styles:
        check_paintable(style, "style")
    image = content.to_tensor()
    network = backbone or backbone_for(options.extractor)
    images = [recolored(style.to_tensor(), image, options.color) for style in styles]
    matched = matched_regions(image, images, options.region, network)
    start = None
    if options.start == "file" and options.start_file is not None:
        start = read_image(options.start_file).to_tensor()
    elif options.start == "look" and options.look is not None:
        look = look_of(options.feedforward)
        painter = look_painter(options, images if look.takes_styles else (), look)
        start = painter.picture(_sized(image, options.size))
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


def _sized(image: Tensor, long_edge_px: int) -> Tensor:
    """Returns ``(1, 3, H, W)`` at the requested size; 0 keeps its own."""
    size = (image.shape[-2], image.shape[-1])
    return resize(image, size_to_fit(size, long_edge_px)) if long_edge_px else image


def matched_regions(
    content: Tensor,
    styles: Sequence[Tensor],
    options: RegionOptions,
    backbone: Backbone | None = None,
) -> Matched:
    """Returns the matched regions that the options request; no regions means the whole image."""
    if not options.has_regions:
        return Matched(regions=(), painted=None, notes=())
    finder = RegionFinder(options, styles, backbone or load_backbone())
    found = finder.find(content)
    return finder.match(found, found.content)


def paint_at_once(
    content: Picture,
    options: PaintOptions,
    look: FeedForward | None = None,
    styles: Sequence[Picture] = (),
) -> tuple[Picture, tuple[str, ...]]:
    """Stylizes an image with a look.

    Args:
        content: The content image.
        options: Size, strength, colors and regions apply; loss and solver settings do not.
        look: A look that is already loaded; by default the one in the options.
        styles: Style images, for a look that requires them.

    Returns:
        The pastiche, and notes for the user.
    """
    check_paintable(content, "content")
    for style in styles:
        check_paintable(style, "style")
    image = content.to_tensor()
    images = [recolored(style.to_tensor(), image, options.color) for style in styles]
    painter = look_painter(options, images, look)
    matched = matched_regions(image, images or [image], options.region)
    sized = _sized(image, options.size)
    pastiche = painter.picture(sized, _regions_at(matched.regions, sized))
    size = (pastiche.shape[-2], pastiche.shape[-1])
    return finish_picture(content, pastiche, size, options.color, matched.painted), matched.notes


def _regions_at(regions: Sequence[Region], image: Tensor) -> list[Region]:
    """Resizes regions to the size of an image."""
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
    """Stylizes one image from start to finish.

    Args:
        content: The content image.
        styles: One or more style images, blended by ``options.blend``.
        options: All other settings.
        backbone: A backbone that is already loaded, for stylizing many images.
        on_iterate: Called after every step; an exception raised by it stops the run.

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
