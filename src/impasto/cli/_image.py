"""`impasto image`: stylize images."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli._options import Overrides, preset_names, settle, write_config
from impasto.cli._show import make_show
from impasto.cli._terminal import INTERRUPTED
from impasto.config import PaintOptions, check_fields, to_mapping
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.cli._show import Show
    from impasto.pipeline import Outputs
    from impasto.types import Backbone

__all__ = ["image"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Run:
    """Options for inputs, outputs and progress of a run."""

    preset: Annotated[str | None, Parameter(name=["--preset", "-p"])] = field(
        default=None, metadata={"help": f"Preset that sets the defaults: {preset_names()}."}
    )
    """Preset that sets the defaults: draft, standard, fine or faithful-gatys."""
    config: Path | None = None
    """Read options from a TOML file, or from an image made by impasto."""
    save_config: Path | None = None
    """Write the final options to this TOML file."""
    save_every: int = 0
    """Also write the image every N steps, as OUT.step00010.png; 0 disables it."""
    timelapse: Path | None = None
    """Write a video of the optimization: .gif, or .mp4 with the extra `video`."""
    checkpoint: Path | None = None
    """Save checkpoints to this file, for --resume."""
    checkpoint_every: int = 25
    """Steps between checkpoints."""
    resume: bool = False
    """Resume from the file given with --checkpoint."""
    json: bool = False
    """Print one JSON object per step instead of a progress bar."""
    quiet: bool = False
    """Print only errors."""
    overwrite: bool | None = None
    """Also replace files that impasto did not write; --no-overwrite skips images that already exist."""
    quality: int = 92
    """JPEG, WebP and AVIF quality, 1 to 100."""
    subsampling: str = "4:4:4"
    """JPEG chroma subsampling: 4:4:4, 4:2:2 or 4:2:0."""
    bits: int | None = None
    """Bits per channel of PNG and TIFF, 8 or 16; as in the content image if not given."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Input and output paths of one pastiche."""

    content: Path
    styles: tuple[Path, ...]
    out: Path


def image(
    content: Annotated[
        str, Parameter(help="Content image, folder of images, or quoted glob pattern.")
    ],
    style: Annotated[
        str | None, Parameter(help="Style image; not needed with a --look that has its own style.")
    ] = None,
    /,
    *more_styles: Annotated[str, Parameter(help="Additional style images.")],
    out: Annotated[
        Path,
        Parameter(
            name=["--out", "-o"],
            help="Output image, or a folder to pair every content image with every style.",
        ),
    ],
    run: Run | None = None,
    options: Annotated[Overrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Paint CONTENT in the style of STYLE.

    If OUT is an image, several styles are blended (see --blend). If OUT is a folder, every content image is painted in
    every style, or in a blend of all styles with --blend.
    """
    run = run or Run()
    paint = settle(run.preset, run.config, options)
    show = make_show(json_lines=run.json, quiet=run.quiet)
    styles = (style, *more_styles) if style is not None else ()
    if not styles and not paint.paints_at_once:
        raise UsageError("no style was given; pass a style image, or a look with --look.")
    tasks = plan_tasks(content, styles, out, blended=bool(paint.blend))
    check_run(run, tasks)
    check_targets(run, tasks, paint)
    if paint.paints_at_once:
        check_at_once(run)
    if run.save_config is not None:
        write_config(run.save_config, to_mapping(paint), run.config)
    with show:
        return paint_all(tasks, paint, run, show)


def plan_tasks(content: str, styles: tuple[str, ...], out: Path, *, blended: bool) -> list[Task]:
    """Pairs content images with styles and chooses the output names.

    Raises:
        UsageError: Several results would be written to the same file.
    """
    from impasto.media import check_output, find_images, is_film, make_folder

    if is_film(Path(content)):
        raise UsageError(f"{content} is a video; use impasto video, or pass an image.")
    contents = find_images([content])
    paintings = tuple(find_images(list(styles))) if styles else ()
    if not _is_folder(out):
        if len(contents) > 1:
            raise UsageError(
                f"{len(contents)} content images cannot be written to one file, {out}; pass a folder with --out."
            )
        check_output(out)
        return [Task(content=contents[0], styles=paintings, out=out)]
    make_folder(out)
    groups: list[tuple[Path, ...]] = (
        [paintings] if blended or not paintings else [(painting,) for painting in paintings]
    )
    tasks = [
        Task(content=c, styles=group, out=out / f"{'-'.join(p.stem for p in (c, *group))}.png")
        for c in contents
        for group in groups
    ]
    names = [task.out for task in tasks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two images would be written to {twice}; rename one of the inputs.")
    check_output(names[0])
    return tasks


def _is_folder(out: Path) -> bool:
    return out.is_dir() or not out.suffix


def check_run(run: Run, tasks: list[Task]) -> None:
    """Rejects invalid options before anything is painted."""
    check_fields(run)
    if not 1 <= run.quality <= 100:
        raise UsageError(f"--quality must be between 1 and 100; got {run.quality}.")
    if run.bits not in (None, 8, 16):
        raise UsageError(f"--bits must be 8 or 16; got {run.bits}.")
    if run.save_every < 0:
        raise UsageError(f"--save-every must be at least 0; got {run.save_every}.")
    if run.checkpoint_every < 1:
        raise UsageError(f"--checkpoint-every must be at least 1; got {run.checkpoint_every}.")
    if run.resume and run.checkpoint is None:
        raise UsageError("--resume requires a checkpoint; pass it with --checkpoint.")
    if run.checkpoint is not None and len(tasks) > 1:
        raise UsageError(
            "--checkpoint supports only one output image; run the command once per image."
        )
    if run.timelapse is not None:
        if len(tasks) > 1:
            raise UsageError(
                "--timelapse supports only one output image; run the command once per image."
            )
        from impasto.media.timelapse import check_timelapse

        check_timelapse(run.timelapse)


def check_targets(run: Run, tasks: list[Task], paint: PaintOptions) -> None:
    """Refuses to overwrite inputs, or files that impasto did not write.

    Raises:
        UsageError: An output is also an input, or the checkpoint contains an earlier run.
        OutputError: An existing file was not written by impasto.
    """
    from impasto.media import check_outputs
    from impasto.optimize import check_new_run
    from impasto.pipeline import files_read, step_path

    outs = [path for path in (run.timelapse, run.checkpoint) if path is not None]
    if run.overwrite is not False:
        outs += [task.out for task in tasks]
    if run.save_every:
        outs += [step_path(task.out, "%05d") for task in tasks]
    inputs = [path for task in tasks for path in (task.content, *task.styles)]
    read = [*dict.fromkeys(inputs), run.config, *files_read(paint)]
    check_outputs(outs, read, overwrite=bool(run.overwrite))
    if run.checkpoint is not None:
        check_new_run(run.checkpoint, resume=run.resume, overwrite=bool(run.overwrite))


def check_at_once(run: Run) -> None:
    """Rejects options that require optimization steps, which a look does not have."""
    asked = {
        "--save-every": run.save_every > 0,
        "--timelapse": run.timelapse is not None,
        "--checkpoint": run.checkpoint is not None,
    }
    for flag, given in asked.items():
        if given:
            raise UsageError(
                f"{flag} requires the optimizer and cannot be used with a look; remove it."
            )


def paint_all(tasks: list[Task], paint: PaintOptions, run: Run, show: Show) -> int:
    """Paints all tasks in turn, loading the backbone once."""
    from impasto.pipeline import backbone_for

    if run.overwrite is False:
        missing = [task for task in tasks if not task.out.exists()]
        if len(missing) < len(tasks):
            show.say(f"skipped {len(tasks) - len(missing)} of {len(tasks)} existing images")
        tasks = missing
    if paint.paints_at_once:
        return look_at_all(tasks, paint, run, show)
    backbone = backbone_for(paint.extractor, show.download)
    for number, task in enumerate(tasks, 1):
        show.task(number, len(tasks), task.content, task.styles)
        if not paint_one(task, paint, run, show, backbone):
            return INTERRUPTED
    return 0


def look_at_all(tasks: list[Task], paint: PaintOptions, run: Run, show: Show) -> int:
    """Paints all tasks in turn, loading the look once."""
    from impasto.media import read_image
    from impasto.pipeline import look_of, paint_at_once, write_picture

    look = look_of(paint.feedforward)
    for number, task in enumerate(tasks, 1):
        show.task(number, len(tasks), task.content, task.styles)
        began = time.monotonic()
        content = read_image(task.content)
        styles = [read_image(style) for style in task.styles]
        picture, notes = paint_at_once(content, paint, look, styles)
        for note in (*content.notes, *notes):
            show.say(note)
        write_picture(task.out, picture, outputs_of(task, run), paint)
        show.done(task.out, picture, time.monotonic() - began, interrupted=False)
    return 0


def paint_one(task: Task, paint: PaintOptions, run: Run, show: Show, backbone: Backbone) -> bool:
    """Paints and writes one image; returns False if it was interrupted."""
    from impasto.media import read_image
    from impasto.pipeline import Keeper, prepare

    began = time.monotonic()
    content = read_image(task.content)
    job = prepare(content, [read_image(style) for style in task.styles], paint, backbone)
    with Keeper(job, outputs_of(task, run)) as keep:
        if run.resume:
            keep.resume()
        show.header(job, content)
        job.optimization.on_progress = show.progress
        interrupted = False
        try:
            for iterate in job.optimization:
                show.iterate(iterate)
                keep.step(iterate.total_step)
        except KeyboardInterrupt:
            interrupted = True
            keep.save()
        picture = keep.finish()
    show.done(task.out, picture, time.monotonic() - began, interrupted=interrupted)
    return not interrupted


def outputs_of(task: Task, run: Run) -> Outputs:
    """Returns the files that a task writes."""
    from impasto.pipeline import Encoding, Outputs

    return Outputs(
        out=task.out,
        content=task.content.name,
        styles=[style.name for style in task.styles],
        encoding=Encoding(quality=run.quality, subsampling=run.subsampling, bits=run.bits),
        save_every=run.save_every,
        timelapse=run.timelapse,
        checkpoint=run.checkpoint,
        checkpoint_every=run.checkpoint_every,
    )
