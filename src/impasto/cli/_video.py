"""`impasto video`: paint a film."""

from __future__ import annotations

import dataclasses
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

INTERRUPTED = 130
PREVIEW_SECONDS = 1.5
PREVIEW_PX = 320

COMMON_OF_FILMS = ("start", "end", "fps", "loop", "schedule", "fade", "sound")

FilmOverrides = make_overrides("FilmOverrides", FilmOptions, common=COMMON_OF_FILMS)
FrameOverrides = make_overrides(
    "FrameOverrides",
    PaintOptions,
    without=("start", "start_file", "deliver"),
    usual={"size": "its own"},
    common=COMMON,
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FilmRun:
    """How the run is kept and shown."""

    preset: Annotated[str | None, Parameter(name=["--preset", "-p"])] = field(
        default=None, metadata={"help": f"How a frame is painted: {preset_names()}."}
    )
    """How a frame is painted: draft, standard, fine or faithful-gatys."""
    method: Annotated[str | None, Parameter(name=["--method", "-m"])] = None
    """How the film is steadied: steady, ruder, frame-by-frame, seed-previous, -iterates, -change or -still."""
    config: Path | None = None
    """Options from a TOML file, or from a film that impasto painted."""
    save_config: Path | None = None
    """Write the settled options to this TOML file."""
    resume: bool = False
    """Go on with a film that was interrupted, at the frame it had."""
    fresh: bool = False
    """Throw away the paint of an earlier run."""
    preview: bool = False
    """Paint a second and a half, small, to OUT.preview, and stop."""
    keep_frames: bool = False
    """Keep the folder OUT.frames with every pastiche as PNG."""
    overwrite: bool = False
    """Replace files that impasto did not make."""
    json: bool = False
    """Print one JSON object a frame instead of a progress bar."""
    quiet: bool = False
    """Print nothing but errors."""


def video(
    clip: Annotated[
        Path, Parameter(help="Film, folder of pictures, or a name like frames_%05d.png.")
    ],
    style: Annotated[Path | None, Parameter(help="Painting; none with --look.")] = None,
    /,
    *more_styles: Annotated[Path, Parameter(help="Further paintings.")],
    out: Annotated[
        Path,
        Parameter(
            name=["--out", "-o"],
            help="Film to write: .mp4, .mov, .mkv, .webm, .gif, or pictures: frames_%05d.png.",
        ),
    ],
    run: FilmRun | None = None,
    film: Annotated[FilmOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
    paint: Annotated[FrameOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Paint CLIP in the manner of STYLE, steadily, with its sound.

    The film has the clip's own size unless --size says otherwise. Several styles are blended, or follow one another
    with --schedule. What is painted is kept in OUT.frames until the film is whole, so that --resume can go on after any
    interruption.
    """
    run = run or FilmRun()
    painting, filming = settle_film(run, film, paint)
    if run.preview:
        painting, filming, out = preview_of(painting, filming, out)
    if run.save_config is not None:
        write_config(run.save_config, {**to_mapping(painting), "film": to_mapping(filming)})
    show = make_film_show(json_lines=run.json, quiet=run.quiet)
    try:
        styles = (style, *more_styles) if style is not None else ()
        return paint_film(clip, styles, out, painting, filming, run, show)
    finally:
        show.close()


def settle_film(run: FilmRun, film: Any, paint: Any) -> tuple[PaintOptions, FilmOptions]:
    """Preset and method, then the config's values, then those of the command line."""
    settings = read_config(run.config) if run.config is not None else Settings()
    base = run.preset or settings.preset
    own_size = {} if base is not None else {"size": 0}
    painting = options(
        base or "standard", **{**own_size, **settings.paint, **given(paint, PaintOptions)}
    )
    method = run.method or settings.method or "steady"
    return painting, film_options(method, **{**settings.film, **given(film, FilmOptions)})


def preview_of(
    painting: PaintOptions, filming: FilmOptions, out: Path
) -> tuple[PaintOptions, FilmOptions, Path]:
    """A short and small excerpt, written beside."""
    size = min(painting.size or PREVIEW_PX, PREVIEW_PX)
    end = filming.start + PREVIEW_SECONDS
    end = end if filming.end is None else min(end, filming.end)
    return (
        dataclasses.replace(painting, size=size),
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
    """Paints, writes the film, and tidies up; what is painted is kept when anything goes wrong."""
    from impasto.media import check_replaceable, read_image
    from impasto.pipeline import check_film_inputs, prepare_film

    if run.resume and run.fresh:
        raise UsageError(
            "--resume goes on with what is painted and --fresh throws it away; give one."
        )
    check_film_inputs(out, clip, (*styles, run.config), painting, filming)
    check_replaceable(out, overwrite=run.overwrite)
    began = time.monotonic()
    job = prepare_film(
        clip,
        [read_image(style) for style in styles],
        out,
        painting,
        filming,
        resume=run.resume,
        fresh=run.fresh or run.preview,
    )
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


def _say_kept(job: FilmJob, show: FilmShow) -> None:
    frames = len(job.store.painted())
    if frames:
        show.say(
            f"{frames} painted frames are kept in {job.store.folder}; --resume goes on with them"
        )
    else:
        job.store.remove()
