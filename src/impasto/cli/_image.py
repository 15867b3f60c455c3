"""`impasto image`: paint pictures."""

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
    """How the run is kept and shown."""

    preset: Annotated[str | None, Parameter(name=["--preset", "-p"])] = field(
        default=None, metadata={"help": f"Where the options start from: {preset_names()}."}
    )
    """Where the options start from: draft, standard, fine or faithful-gatys."""
    config: Path | None = None
    """Options from a TOML file, or from a picture that impasto painted."""
    save_config: Path | None = None
    """Write the settled options to this TOML file."""
    save_every: int = 0
    """Also write the picture every so many steps, as OUT.step00010.png."""
    timelapse: Path | None = None
    """Write a film of the painting: .gif, or .mp4 with the extra `video`."""
    checkpoint: Path | None = None
    """Keep the run in this file, so that --resume can go on after it was stopped."""
    checkpoint_every: int = 25
    """Steps between two checkpoints."""
    resume: bool = False
    """Go on from --checkpoint."""
    json: bool = False
    """Print one JSON object a step instead of a progress bar."""
    quiet: bool = False
    """Print nothing but errors."""
    overwrite: bool | None = None
    """Replace files that impasto did not make, too; --no-overwrite leaves pictures that are there and goes on."""
    quality: int = 92
    """Quality of JPEG, WebP and AVIF, 1 to 100."""
    subsampling: str = "4:4:4"
    """Chroma subsampling of JPEG: 4:4:4, 4:2:2 or 4:2:0."""
    bits: int | None = None
    """Bits a channel of PNG and TIFF, 8 or 16; the content's own when not given."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One pastiche to make: paths in and out."""

    content: Path
    styles: tuple[Path, ...]
    out: Path


def image(
    content: Annotated[str, Parameter(help="Photograph, a folder of them, or a glob in quotes.")],
    style: Annotated[str | None, Parameter(help="Painting; none with --look.")] = None,
    /,
    *more_styles: Annotated[str, Parameter(help="Further paintings.")],
    out: Annotated[
        Path,
        Parameter(
            name=["--out", "-o"],
            help="Picture to write; a folder for every content with every style.",
        ),
    ],
    run: Run | None = None,
    options: Annotated[Overrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Paint CONTENT in the manner of STYLE.

    With a picture as OUT, several styles are blended (see --blend). With a folder as OUT, every content is painted in
    every style, or in the blend of all when --blend is given.
    """
    run = run or Run()
    paint = settle(run.preset, run.config, options)
    show = make_show(json_lines=run.json, quiet=run.quiet)
    styles = (style, *more_styles) if style is not None else ()
    if not styles and not paint.paints_at_once:
        raise UsageError("no style was given; give a painting, or a look with --look.")
    tasks = plan_tasks(content, styles, out, blended=bool(paint.blend))
    check_run(run, tasks)
    check_targets(run, tasks, paint)
    if paint.paints_at_once:
        check_at_once(run)
    if run.save_config is not None:
        write_config(run.save_config, to_mapping(paint))
    with show:
        return paint_all(tasks, paint, run, show)


def plan_tasks(content: str, styles: tuple[str, ...], out: Path, *, blended: bool) -> list[Task]:
    """Pairs contents with styles and names the pictures to be made.

    Raises:
        UsageError: Several pictures and one file to write, or two with one name.
    """
    from impasto.media import check_output, find_images, make_folder

    contents = find_images([content])
    paintings = tuple(find_images(list(styles))) if styles else ()
    if not _is_folder(out):
        if len(contents) > 1:
            raise UsageError(
                f"{len(contents)} contents and one picture to write, {out}; give a folder with --out."
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
        raise UsageError(f"two pictures would be written to {twice}; rename one of the inputs.")
    check_output(names[0])
    return tasks


def _is_folder(out: Path) -> bool:
    return out.is_dir() or not out.suffix


def check_run(run: Run, tasks: list[Task]) -> None:
    """Refuses what cannot work before anything is painted."""
    check_fields(run)
    if not 1 <= run.quality <= 100:
        raise UsageError(f"--quality got {run.quality}; allowed is from 1 to 100.")
    if run.bits not in (None, 8, 16):
        raise UsageError(f"--bits got {run.bits}; allowed are 8 and 16.")
    if run.save_every < 0 or run.checkpoint_every < 1:
        raise UsageError("--save-every must be at least 0 and --checkpoint-every at least 1.")
    if run.resume and run.checkpoint is None:
        raise UsageError("--resume needs the file to go on from; give it with --checkpoint.")
    if run.checkpoint is not None and len(tasks) > 1:
        raise UsageError(
            "--checkpoint holds one run and several were asked for; paint them one by one."
        )
    if run.timelapse is not None:
        if len(tasks) > 1:
            raise UsageError(
                "--timelapse shows one run and several were asked for; paint them one by one."
            )
        from impasto.media.timelapse import check_timelapse

        check_timelapse(run.timelapse)


def check_targets(run: Run, tasks: list[Task], paint: PaintOptions) -> None:
    """Refuses to write over what is read, or over what impasto did not make.

    Raises:
        UsageError: An output is an input.
        OutputError: A file is somebody else's.
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
    """Refuses what a look, which has no steps, cannot do."""
    asked = {
        "--save-every": run.save_every > 0,
        "--timelapse": run.timelapse is not None,
        "--checkpoint": run.checkpoint is not None,
    }
    for flag, given in asked.items():
        if given:
            raise UsageError(
                f"{flag} is of painting step by step, and a look paints at once; leave it away."
            )


def paint_all(tasks: list[Task], paint: PaintOptions, run: Run, show: Show) -> int:
    """Paints one after another with one loaded backbone."""
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
    """Paints one after another with one loaded look."""
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
    """Paints one picture and writes it; False when it was interrupted."""
    from impasto.media import read_image
    from impasto.pipeline import prepare

    began = time.monotonic()
    content = read_image(task.content)
    job = prepare(content, [read_image(style) for style in task.styles], paint, backbone)
    keep = Keeper(job, task, run)
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
    """What of a run goes to disk, and when."""

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
        """Takes up the checkpoint when that was asked for."""
        if self.run.resume and self.run.checkpoint is not None:
            from impasto.errors import MissingFileError
            from impasto.optimize import load_checkpoint

            if not self.run.checkpoint.exists():
                raise MissingFileError(
                    f"there is no checkpoint {self.run.checkpoint}; leave --resume away to start anew."
                )
            self.job.optimization.load_state_dict(load_checkpoint(self.run.checkpoint, self._mark))

    def iterate(self, step: int) -> None:
        """Keeps what is due at this step."""
        run = self.run
        if self._frames is not None:
            self._frames.add(self.job.finish())
        if run.save_every and step % run.save_every == 0:
            self.write(_step_path(self.task.out, f"{step:05d}"), self.job.finish())
        if step % run.checkpoint_every == 0:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Writes the run's state where that was asked for."""
        if self.run.checkpoint is not None:
            from impasto.optimize import save_checkpoint

            save_checkpoint(self.run.checkpoint, self.job.optimization.state_dict(), self._mark)

    def write(self, path: Path, picture: Picture) -> None:
        """Writes a picture with the settings inside."""
        write_picture(path, picture, self.task, self.job.options, self.run)

    def close(self) -> None:
        """Ends the film; a checkpoint of a finished run stays until it is overwritten."""
        if self._frames is not None:
            with contextlib.suppress(KeyboardInterrupt):
                self._frames.close()
        if self._lock is not None:
            self._lock.release()


def write_picture(path: Path, picture: Picture, task: Task, paint: PaintOptions, run: Run) -> None:
    """Writes a picture with the settings inside."""
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
