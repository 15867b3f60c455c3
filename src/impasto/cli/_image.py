"""`impasto image`: stylize images."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli._options import Overrides, preset_names, settle, write_config
from impasto.cli._show import make_show
from impasto.config import PaintOptions, check_fields, to_mapping
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.cli._show import Show
    from impasto.media import Picture
    from impasto.pipeline import Job
    from impasto.types import Backbone

__all__ = ["image"]

INTERRUPTED = 130


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
        raise UsageError("no style was given; give a style image, or a look with --look.")
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
    from impasto.media import check_output, find_images, make_folder

    contents = find_images([content])
    paintings = tuple(find_images(list(styles))) if styles else ()
    if not _is_folder(out):
        if len(contents) > 1:
            raise UsageError(
                f"{len(contents)} content images cannot be written to one file, {out}; give a folder with --out."
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
    if run.save_every < 0 or run.checkpoint_every < 1:
        raise UsageError("--save-every must be at least 0 and --checkpoint-every at least 1.")
    if run.resume and run.checkpoint is None:
        raise UsageError("--resume requires a checkpoint; give it with --checkpoint.")
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
        UsageError: An output is also an input.
        OutputError: An existing file was not written by impasto.
    """
    from impasto.media import check_outputs
    from impasto.pipeline import files_read

    outs = [path for path in (run.timelapse, run.checkpoint) if path is not None]
    if run.overwrite is not False:
        outs += [task.out for task in tasks]
    if run.save_every:
        outs += [_step_path(task.out, "%05d") for task in tasks]
    inputs = [path for task in tasks for path in (task.content, *task.styles)]
    read = [*dict.fromkeys(inputs), run.config, *files_read(paint)]
    check_outputs(outs, read, overwrite=bool(run.overwrite))


def _step_path(out: Path, number: str) -> Path:
    return out.with_name(f"{out.stem}.step{number}{out.suffix}")


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
        tasks = [task for task in tasks if not task.out.exists()]
    if paint.paints_at_once:
        return look_at_all(tasks, paint, run, show)
    backbone = backbone_for(paint, show.download)
    for number, task in enumerate(tasks, 1):
        show.task(number, len(tasks), task.content, task.styles)
        if not paint_one(task, paint, run, show, backbone):
            return INTERRUPTED
    return 0


def look_at_all(tasks: list[Task], paint: PaintOptions, run: Run, show: Show) -> int:
    """Paints all tasks in turn, loading the look once."""
    from impasto.media import read_image
    from impasto.pipeline import look_of, paint_at_once

    look = look_of(paint)
    for number, task in enumerate(tasks, 1):
        show.task(number, len(tasks), task.content, task.styles)
        began = time.monotonic()
        content = read_image(task.content)
        styles = [read_image(style) for style in task.styles]
        picture, notes = paint_at_once(content, paint, look, styles)
        for note in (*content.notes, *notes):
            show.say(note)
        write_picture(task.out, picture, task, paint, run)
        show.done(task.out, picture, time.monotonic() - began, interrupted=False)
    return 0


def paint_one(task: Task, paint: PaintOptions, run: Run, show: Show, backbone: Backbone) -> bool:
    """Paints and writes one image; returns False if it was interrupted."""
    from impasto.media import read_image
    from impasto.pipeline import prepare

    began = time.monotonic()
    content = read_image(task.content)
    job = prepare(content, [read_image(style) for style in task.styles], paint, backbone)
    with Keeper(job, task, run) as keep:
        keep.resume()
        show.header(job, content)
        interrupted = False
        try:
            for iterate in job.optimization:
                show.iterate(iterate)
                keep.iterate(iterate.total_step)
        except KeyboardInterrupt:
            interrupted = True
            keep.checkpoint()
        picture = job.finish()
        keep.write(task.out, picture)
        keep.close()
    show.done(task.out, picture, time.monotonic() - began, interrupted=interrupted)
    return not interrupted


class Keeper:
    """Writes a run's images, timelapse and checkpoints; leaving its context discards an unfinished timelapse."""

    def __init__(self, job: Job, task: Task, run: Run) -> None:
        from impasto.media import OutputLock, hash_files
        from impasto.optimize import fingerprint
        from impasto.pipeline import files_read

        self._lock = None if run.checkpoint is None else OutputLock(run.checkpoint)
        self.job, self.task, self.run = job, task, run
        optimization = job.optimization
        masks = [mask for region in optimization.regions for mask in (region.content, region.style)]
        mark = fingerprint([optimization.content, *optimization.styles, *masks], job.options)
        self._mark = hash_files(files_read(job.options), mark)
        self._frames: Any = None
        if run.timelapse is not None:
            from impasto.media.timelapse import Timelapse

            self._frames = Timelapse(run.timelapse)

    def resume(self) -> None:
        """Loads the checkpoint if --resume was given."""
        if self.run.resume and self.run.checkpoint is not None:
            from impasto.errors import MissingFileError
            from impasto.optimize import load_checkpoint

            if not self.run.checkpoint.exists():
                raise MissingFileError(
                    f"there is no checkpoint {self.run.checkpoint}; remove --resume to start a new run."
                )
            self.job.optimization.load_state_dict(load_checkpoint(self.run.checkpoint, self._mark))

    def iterate(self, step: int) -> None:
        """Writes the files that are due at this step."""
        run = self.run
        if self._frames is not None:
            self._frames.add(self.job.finish())
        if run.save_every and step % run.save_every == 0:
            self.write(_step_path(self.task.out, f"{step:05d}"), self.job.finish())
        if step % run.checkpoint_every == 0:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Writes a checkpoint if --checkpoint was given."""
        if self.run.checkpoint is not None:
            from impasto.optimize import save_checkpoint

            save_checkpoint(self.run.checkpoint, self.job.optimization.state_dict(), self._mark)

    def write(self, path: Path, picture: Picture) -> None:
        """Writes an image with embedded settings."""
        write_picture(path, picture, self.task, self.job.options, self.run)

    def close(self) -> None:
        """Finishes the timelapse. The checkpoint of a finished run is kept until it is overwritten."""
        if self._frames is not None:
            with contextlib.suppress(KeyboardInterrupt):
                self._frames.close()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._frames is not None:
            self._frames.abort()
        if self._lock is not None:
            self._lock.release()


def write_picture(path: Path, picture: Picture, task: Task, paint: PaintOptions, run: Run) -> None:
    """Writes an image with embedded settings."""
    import torch

    from impasto._version import __version__
    from impasto.media import write_image

    settings = {
        "versions": {"impasto": __version__, "torch": torch.__version__},
        "content": task.content.name,
        "styles": [style.name for style in task.styles],
        "options": to_mapping(paint),
    }
    write_image(
        path,
        picture,
        quality=run.quality,
        subsampling=run.subsampling,
        bits=run.bits,
        metadata={"impasto": json.dumps(settings, sort_keys=True)},
    )
