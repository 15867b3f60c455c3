"""`impasto video`: stylize a video."""

from __future__ import annotations

import dataclasses
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli._options import (
    COMMON,
    given,
    make_overrides,
    preset_names,
    read_config,
    write_config,
)
from impasto.cli._show_film import FilmShow, make_film_show
from impasto.cli._terminal import INTERRUPTED
from impasto.config import (
    FilmOptions,
    PaintOptions,
    Settings,
    film_options,
    options,
    to_mapping,
)
from impasto.errors import ImpastoError, UsageError

if TYPE_CHECKING:
    from impasto.pipeline import FilmJob

__all__ = ["video"]

PREVIEW_SECONDS = 1.5
PREVIEW_PX = 320

COMMON_OF_FILMS = ("begin", "end", "fps", "loop", "schedule", "fade", "sound")

FilmOverrides = make_overrides("FilmOverrides", FilmOptions, common=COMMON_OF_FILMS)
FrameOverrides = make_overrides(
    "FrameOverrides",
    PaintOptions,
    without=("start", "start_file", "deliver"),
    usual={"size": "the clip's size"},
    common=COMMON,
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FilmRun:
    """Options for inputs, outputs and progress of a run."""

    preset: Annotated[str | None, Parameter(name=["--preset", "-p"])] = field(
        default=None, metadata={"help": f"Preset for painting each frame: {preset_names()}."}
    )
    """Preset for painting each frame: draft, standard, fine or faithful-gatys."""
    method: Annotated[str | None, Parameter(name=["--method", "-m"])] = None
    """Temporal consistency: keyframes, steady, ruder, frame-by-frame, or seed-previous, -iterates, -change, -still."""
    config: Path | None = None
    """Read options from a TOML file, or from a video made by impasto."""
    save_config: Path | None = None
    """Write the final options to this TOML file."""
    resume: bool = False
    """Resume an interrupted run from its last painted frame."""
    fresh: bool = False
    """Discard the painted frames of an earlier run."""
    keyframe: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """A frame painted elsewhere, as NUMBER=FILE or SECONDS=FILE (0=a.png, 4.0=b.png); may be repeated."""
    plan: Path | None = None
    """Use the keyframes of this plan, made by impasto plan."""
    preview: bool = False
    """Paint only 1.5 seconds at a small size, written to OUT.preview."""
    keep_frames: bool = False
    """Keep the folder OUT.frames with every painted frame as PNG."""
    overwrite: bool = False
    """Replace files that impasto did not write."""
    start: Annotated[float | None, Parameter(name="--start", show=False)] = None
    """Earlier name of --from."""
    end: Annotated[float | None, Parameter(name="--end", show=False)] = None
    """Earlier name of --to."""
    json: bool = False
    """Print one JSON object per frame instead of a progress bar."""
    quiet: bool = False
    """Print only errors."""


def video(
    clip: Annotated[
        Path, Parameter(help="Video, folder of images, or a pattern such as frames_%05d.png.")
    ],
    style: Annotated[
        Path | None, Parameter(help="Style image; not needed with a --look that has its own style.")
    ] = None,
    /,
    *more_styles: Annotated[Path, Parameter(help="Additional style images.")],
    out: Annotated[
        Path,
        Parameter(
            name=["--out", "-o"],
            help="Output video (.mp4, .mov, .mkv, .webm or .gif), or images such as frames_%05d.png.",
        ),
    ],
    run: FilmRun | None = None,
    film: Annotated[FilmOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
    paint: Annotated[FrameOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Paint CLIP in the style of STYLE with temporal consistency, and keep its sound.

    The output has the clip's size unless --size, --preset or --config sets another. Several styles are blended, or
    shown one after another with --schedule. Painted frames are kept in OUT.frames until the video is complete, so that
    --resume can continue after any interruption.
    """
    run = run or FilmRun()
    check_is_film(clip)
    painting, filming = settle_film(run, film, paint)
    if run.preview:
        painting, filming, out = preview_of(painting, filming, out, clip)
    elif run.config is None and "size" not in given(paint, PaintOptions):
        painting = not_enlarged(painting, clip, filming)
    if run.save_config is not None:
        values = {**to_mapping(painting), "film": to_mapping(filming)}
        write_config(run.save_config, values, run.config)
    show = make_film_show(json_lines=run.json, quiet=run.quiet)
    try:
        styles = (style, *more_styles) if style is not None else ()
        return paint_film(clip, styles, out, painting, filming, run, show)
    finally:
        show.close()


def check_is_film(clip: Path) -> None:
    """Refers to the other command if the clip is an image.

    Raises:
        UsageError: It is one.
    """
    from impasto.media import is_film, is_image

    if is_image(clip) and not is_film(clip, gif=True):
        raise UsageError(
            f"{clip} is an image; use impasto image, or pass a video or a folder of images."
        )


def not_enlarged(painting: PaintOptions, clip: Path, filming: FilmOptions) -> PaintOptions:
    """Returns the options with the clip's own size if their size would enlarge the clip."""
    if painting.size == 0:
        return painting
    from impasto.media.video import open_clip

    info = open_clip(clip, rate=filming.fps).info
    enlarges = painting.size > max(info.width_px, info.height_px)
    return dataclasses.replace(painting, size=0) if enlarges else painting


def settle_film(run: FilmRun, film: Any, paint: Any) -> tuple[PaintOptions, FilmOptions]:
    """Combines preset and method, the config file and the command line; later ones take precedence."""
    settings = read_config(run.config) if run.config is not None else Settings()
    base = run.preset or settings.preset
    own_size = {} if base is not None else {"size": 0}
    painting = options(
        base or "standard", **{**own_size, **settings.paint, **given(paint, PaintOptions)}
    )
    method = run.method or settings.method or "keyframes"
    asked = _with_new_flags(run, given(film, FilmOptions))
    return painting, film_options(method, **{**settings.film, **asked})


def _with_new_flags(run: FilmRun, asked: dict[str, Any]) -> dict[str, Any]:
    """Adds the excerpt that was given with the flags of earlier versions, and names the new ones on standard error."""
    earlier = {"begin": ("--start", "--from", run.start), "end": ("--end", "--to", run.end)}
    for name, (old, new, value) in earlier.items():
        if value is None:
            continue
        if name in asked:
            raise UsageError(f"{old} is the earlier name of {new}; remove one of them.")
        print(f"note: {old} is now called {new}", file=sys.stderr)
        asked[name] = value
    return asked


def preview_of(
    painting: PaintOptions, filming: FilmOptions, out: Path, clip: Path
) -> tuple[PaintOptions, FilmOptions, Path]:
    """Returns options and output path for a short, small preview, which is never larger than the clip."""
    size = min(painting.size or PREVIEW_PX, PREVIEW_PX)
    end = filming.begin + PREVIEW_SECONDS
    end = end if filming.end is None else min(end, filming.end)
    return (
        not_enlarged(dataclasses.replace(painting, size=size), clip, filming),
        dataclasses.replace(filming, end=end),
        out.with_name(f"{out.stem}.preview{out.suffix}"),
    )


def paint_film(
    clip: Path,
    styles: tuple[Path, ...],
    out: Path,
    painting: PaintOptions,
    filming: FilmOptions,
    run: FilmRun,
    show: FilmShow,
) -> int:
    """Paints the frames, writes the video, and cleans up; on failure, painted frames are kept."""
    from impasto.keyframes import read_plan
    from impasto.media import check_replaceable, read_image
    from impasto.pipeline import Supplied, check_film_inputs, prepare_film

    if run.resume and run.fresh:
        raise UsageError("--resume and --fresh are mutually exclusive; remove one of them.")
    keyframes = given_keyframes(run.keyframe)
    inputs = (*styles, run.config, run.plan, *keyframes.values())
    check_film_inputs(out, clip, inputs, painting, filming)
    check_replaceable(out, overwrite=run.overwrite, film=True)
    began = time.monotonic()
    job = prepare_film(
        clip,
        [read_image(style) for style in styles],
        out,
        painting,
        filming,
        resume=run.resume,
        fresh=run.fresh or run.preview,
        supplied=Supplied(
            keyframes=keyframes, plan=None if run.plan is None else read_plan(run.plan)
        ),
    )
    plan_film(job, show)
    show.header(job)
    interrupted = False
    try:
        for event in job:
            show.frame(event)
    except KeyboardInterrupt:
        interrupted = True
    except ImpastoError:
        _say_kept(job, show)
        raise
    frames = job.store.done()
    if not job.store.painted():
        show.say("interrupted before the first frame was painted; nothing was written")
        job.store.remove()
        return INTERRUPTED
    notes = [] if job.regions is None else job.regions.notes
    try:
        notes = [*notes, *job.assemble()]
    except KeyboardInterrupt:
        _say_kept(job, show)
        return INTERRUPTED
    for note in notes:
        show.say(f"note: {note}")
    if not interrupted and not run.keep_frames:
        job.store.remove()
    show.done(out, frames, time.monotonic() - began, interrupted=interrupted)
    return INTERRUPTED if interrupted else 0


def plan_film(job: FilmJob, show: FilmShow) -> None:
    """Makes the plan of a video with keyframes; if that fails or is interrupted, no folder is left behind."""
    try:
        job.make_plan(on_frame=show.planned)
    except BaseException:
        if not job.store.painted():
            job.store.remove()
        raise


def given_keyframes(texts: tuple[str, ...]) -> dict[int | float, Path]:
    """Reads the values of --keyframe.

    Raises:
        UsageError: One is malformed, or a frame is given twice.
    """
    if not texts:
        return {}
    from impasto.keyframes import parse_keyframe

    found: dict[int | float, Path] = {}
    for text in texts:
        when, path = parse_keyframe(text)
        if any(when == other and type(when) is type(other) for other in found):
            raise UsageError(
                f"--keyframe {text.partition('=')[0]} is given twice; pass each only once."
            )
        found[when] = path
    return found


def _say_kept(job: FilmJob, show: FilmShow) -> None:
    frames = len(job.store.painted())
    if frames:
        show.say(f"{frames} painted frames are kept in {job.store.folder}; continue with --resume")
    else:
        job.store.remove()
