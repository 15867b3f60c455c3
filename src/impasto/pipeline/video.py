"""Video stylization from end to end: combines clips, motion and a stylizer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.backbones import load_backbone
from impasto.config import FilmOptions, PaintOptions, film_options, option_fields, to_mapping
from impasto.config import options as make_options
from impasto.errors import UsageError
from impasto.keyframes import FilmPlan
from impasto.media import (
    OutputLock,
    Picture,
    check_not_input,
    check_paintable,
    files_of,
    hash_files,
    pixels_to_tensor,
    read_image,
    resize,
    sibling,
    tensor_to_pixels,
)
from impasto.media.video import (
    Clip,
    check_film,
    choose_format,
    open_clip,
    painted_size,
)
from impasto.motion import make_estimator
from impasto.optimize import FilmOptimizer, fingerprint
from impasto.pipeline.at_once import look_painter
from impasto.pipeline.finish import Finisher
from impasto.pipeline.follow import FilmRegions, is_film_of_masks
from impasto.pipeline.image import (
    Source,
    backbone_for,
    files_read,
    picture_of,
    recolored,
)
from impasto.pipeline.job import FilmJob, FilmOutput, FrameDone, flow_estimator
from impasto.pipeline.keyed import select
from impasto.pipeline.regions import RegionFinder
from impasto.pipeline.store import PaintStore
from impasto.types import Backbone, Stylizer

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["FilmJob", "FrameDone", "Supplied", "check_film_inputs", "prepare_film", "stylize_video"]

WRITTEN_ONLY = ("codec", "crf", "pixel_format", "sound", "flow_cache", "flow_files", "flow_weights")
"""Options that do not affect the stylized frames, or that are covered by hashing the files they name."""


KEYFRAME_FIELDS = frozenset(
    spec.name for spec in option_fields(FilmOptions) if spec.metadata["group"] == "Keyframes"
)

SHAPE_TOLERANCE = 0.01
"""Relative difference in aspect ratio up to which a given keyframe fits the clip."""


@dataclass(frozen=True, kw_only=True)
class Supplied:
    """What a user made for a video with keyframes.

    Attributes:
        keyframes: Files of frames that were painted elsewhere, by frame number (an integer) or time in seconds of the
            output (a float). A shot that has any is derived from these alone, and without a style image every shot
            needs one.
        plan: A plan of the clip, which may have been edited; None to make one.
    """

    keyframes: Mapping[int | float, Path] = field(default_factory=dict)
    plan: FilmPlan | None = None

    def __bool__(self) -> bool:
        return bool(self.keyframes) or self.plan is not None


def _mark(
    path: Path,
    styles: Sequence[Tensor],
    paint: PaintOptions,
    film: FilmOptions,
    supplied: Supplied,
) -> str:
    """Returns the SHA-256 of everything that affects the stylized frames."""
    chosen = {k: v for k, v in to_mapping(film).items() if k not in WRITTEN_ONLY}
    chosen["start"] = chosen.pop("begin")  # its earlier name, so that earlier runs can be resumed
    if not film.keyframe_every:
        chosen = {name: value for name, value in chosen.items() if name not in KEYFRAME_FIELDS}
    settings = fingerprint(styles, paint) + json.dumps(chosen, sort_keys=True)
    if supplied:
        plan = None if supplied.plan is None else supplied.plan.values()
        settings += json.dumps([repr(when) for when in supplied.keyframes])
        settings += json.dumps(plan, sort_keys=True)
    files = [*files_of(path), *_files_read(paint, film), *supplied.keyframes.values()]
    return hash_files(files, settings)


def _files_read(paint: PaintOptions, film: FilmOptions) -> list[Path]:
    """Lists the files in the options that affect the result."""
    files = files_read(paint)
    if film.flow == "raft" and film.flow_weights is not None:
        files += files_of(film.flow_weights)
    if film.flow == "files" and film.flow_files is not None:
        files += sorted(p for p in film.flow_files.glob("from_*_to_*.*") if p.is_file())
    return files


def check_film_inputs(
    out: Path, clip: Path, others: Iterable[Path | None], paint: PaintOptions, film: FilmOptions
) -> None:
    """Checks that a video does not overwrite any of its inputs.

    Args:
        out: The video to write.
        clip: The source clip.
        others: Style images and other input files.
        paint: Options that may name masks, weights and looks.
        film: Options that may name flow files.

    Raises:
        UsageError: The output is also an input.
    """
    check_not_input([out], [clip, *others, *_files_read(paint, film)])


def prepare_film(
    clip: str | Path,
    styles: Sequence[Picture],
    out: str | Path,
    paint: PaintOptions,
    film: FilmOptions,
    *,
    backbone: Backbone | None = None,
    resume: bool = False,
    fresh: bool = False,
    supplied: Supplied | None = None,
) -> FilmJob:
    """Checks clip, styles and output, loads the backbone, and loads completed frames of an earlier run.

    Args:
        clip: A video, a folder of images, or ``frames_%05d.png``.
        styles: One or more style images.
        out: The video to write; stylized frames are stored next to it in ``OUT.frames`` until it is complete.
        paint: Options for each frame; ``size`` 0 keeps the clip's size.
        film: Temporal and output options.
        backbone: A backbone that is already loaded.
        resume: Continue with existing frames.
        fresh: Delete existing frames.
        supplied: Painted keyframes and a plan.

    Raises:
        ImpastoError: The message states what to do.
    """
    out, supplied = Path(out), supplied or Supplied()
    check_film(out)
    others = [*(style.source for style in styles), *supplied.keyframes.values()]
    check_film_inputs(out, Path(clip), others, paint, film)
    with contextlib.ExitStack() as undo:
        lock = undo.enter_context(OutputLock(out))
        opened = open_clip(clip, rate=film.fps)
        _check_request(styles, paint, film, supplied)
        film = film.for_look() if paint.paints_at_once else film
        size = painted_size(opened.info, paint.size)
        _check_plan(supplied.plan, opened)
        given = {when: _keyframe(path, opened, size) for when, path in supplied.keyframes.items()}
        chosen = choose_format(  # reject unsupported formats before --fresh deletes anything
            out, opened.info, size, codec=film.codec, crf=film.crf, pixel_format=film.pixel_format
        )
        images = _style_images(styles, opened, size, paint)
        network = backbone or _network(paint)
        stylizer = _stylizer(images, network, paint, film, size)
        finder = RegionFinder(paint.region, images, network) if paint.has_regions else None
        flow = flow_estimator(film)  # reject missing flow files before --fresh deletes anything
        mark = _mark(Path(clip), images, paint, film, supplied)
        store = PaintStore(sibling(out, ".frames"), mark, resume=resume, fresh=fresh, lock=lock)
        try:
            finisher = Finisher(paint.color, make_estimator("dis"))
            job = FilmJob(
                opened,
                stylizer,
                store,
                film,
                output=FilmOutput(
                    path=out,
                    format=chosen,
                    settings={"options": to_mapping(paint), "film": to_mapping(film)},
                    finish=finisher if finisher.does_anything else None,
                ),
                size=size,
                flow=flow,
                plan=supplied.plan,
                given=given,
            )
            if finder is not None:
                job.regions = _film_regions(job, paint, finder)
            undo.pop_all()
            return job
        except BaseException:
            if not store.painted():
                store.remove()
            raise


def _network(paint: PaintOptions) -> Backbone:
    return load_backbone() if paint.paints_at_once else backbone_for(paint.extractor)


def _style_images(
    styles: Sequence[Picture], clip: Clip, size: tuple[int, int], paint: PaintOptions
) -> list[Tensor]:
    """Returns the styles, in the colors of the first frame if the options ask for it."""
    images = [style.to_tensor() for style in styles]
    if paint.keep_colors == "none" or paint.keep_colors_when != "before":
        return images
    first = pixels_to_tensor(next(iter(clip.frames(size))).pixels)
    return [recolored(image, first, paint.color) for image in images]


def _check_request(
    styles: Sequence[Picture],
    paint: PaintOptions,
    film: FilmOptions,
    supplied: Supplied,
) -> None:
    """Rejects incompatible arguments."""
    if not styles and not paint.paints_at_once and not supplied.keyframes:
        raise UsageError(
            "no style image was given; pass at least one, or painted frames with --keyframe."
        )
    if supplied and (paint.paints_at_once or not film.keyframe_every):
        what = (
            "a look or translator" if paint.paints_at_once else "a method that paints every frame"
        )
        raise UsageError(
            f"--keyframe and --plan cannot be used with {what}; use --method keyframes."
        )
    if paint.deliver is not None:
        raise UsageError("--deliver applies only to images; set the size of a video with --size.")
    for style in styles:
        check_paintable(style, "style")
    if film.schedule and len(film.schedule) != len(styles):
        raise UsageError(
            f"--schedule has {len(film.schedule)} times for {len(styles)} styles; pass one time per style."
        )


def _stylizer(
    styles: Sequence[Tensor],
    backbone: Backbone,
    paint: PaintOptions,
    film: FilmOptions,
    size: tuple[int, int],
) -> Stylizer | None:
    """Creates the stylizer: the optimizer or a look; None without styles, if all keyframes are given."""
    if not styles and not paint.paints_at_once:
        return None
    if film.keyframe_every:
        film = film.for_keyframes()
    if not paint.paints_at_once:
        return FilmOptimizer(styles, backbone, paint, film, size)
    return look_painter(paint, styles)


def _check_plan(plan: FilmPlan | None, clip: Clip) -> None:
    """Checks that a plan belongs to a clip, as far as the clip's header tells."""
    if plan is None:
        return
    found = (clip.info.height_px, clip.info.width_px)
    if plan.size != found:
        raise UsageError(
            f"the plan is for a video of {plan.size[1]}x{plan.size[0]} px, but {clip.path} is {found[1]}x{found[0]}; "
            "plan this clip again."
        )


def _keyframe(path: Path, clip: Clip, size: tuple[int, int]) -> np.ndarray:
    """Reads a painted frame and resamples it to the size of the pastiches."""
    picture = read_image(path)
    wide, high = picture.width_px, picture.height_px
    ratio = (wide / high) / (clip.info.width_px / clip.info.height_px)
    if abs(ratio - 1) > SHAPE_TOLERANCE:
        raise UsageError(
            f"keyframe {path} is {wide}x{high} px, but the clip is {clip.info.width_px}x{clip.info.height_px}; use a "
            "picture of the same shape."
        )
    return tensor_to_pixels(resize(picture.to_tensor(), size), deep=clip.info.bits > 8)


def _film_regions(job: FilmJob, paint: PaintOptions, finder: RegionFinder) -> FilmRegions:
    path = paint.content_regions
    masks = path if path is not None and is_film_of_masks(path) else None
    return FilmRegions(
        finder,
        job.flow or make_estimator("dis"),
        job.store,
        masks=masks,
        rate=float(job.clip.info.rate),
        select=partial(select, clip=job.clip, film=job.film),
    )


def stylize_video(
    clip: str | Path,
    style: Source | Sequence[Source],
    out: str | Path,
    *,
    preset: str = "standard",
    method: str = "keyframes",
    film: Mapping[str, Any] | None = None,
    keyframes: Mapping[int | float, str | Path] | None = None,
    resume: bool = False,
    on_frame: Callable[[FrameDone], None] | None = None,
    **overrides: Any,
) -> Path:
    """Stylizes a video with one or more style images and keeps its audio.

    Args:
        clip: A video, a folder of images, or ``frames_%05d.png``.
        style: The style image, or several.
        out: The video to write, for example ``out.mp4``.
        preset: A name in `impasto.PRESETS`.
        method: A name in `impasto.METHODS`.
        film: Fields of `impasto.FilmOptions` to override, for example ``{"end": 5.0}``.
        keyframes: Files of frames that were painted elsewhere, by frame number (an integer) or time in seconds (a
            float); with one in every shot, ``style`` may be empty: ``[]``.
        resume: Continue with existing frames.
        on_frame: Called after every frame; an exception raised by it stops the run, and completed frames are kept.
        **overrides: Fields of `impasto.PaintOptions`; by default, ``size`` is the clip's own.

    Returns:
        The path of the video.

    Raises:
        ImpastoError: The message states what was given, what is allowed and what to do.
    """
    several = isinstance(style, Sequence) and not isinstance(style, str)
    sources: Sequence[Source] = style if several else [style]  # type: ignore[assignment, list-item]
    paint = make_options(preset, **{"size": 0, **overrides})
    filming = film_options(method, **dict(film or {}))
    pictures = [picture_of(source) for source in sources]
    files = {when: Path(path) for when, path in (keyframes or {}).items()}
    job = prepare_film(
        clip, pictures, out, paint, filming, resume=resume, supplied=Supplied(keyframes=files)
    )
    for event in job:
        if on_frame is not None:
            on_frame(event)
    job.assemble()
    job.store.remove()
    return Path(out)
