"""`impasto translate`: translate images and videos from one domain to another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.cli._image import Run, check_targets, paint_all, plan_tasks
from impasto.cli._show import make_show
from impasto.cli._show_film import make_film_show
from impasto.cli._video import (
    FilmOverrides,
    FilmRun,
    FrameOverrides,
    paint_film,
    preview_of,
    settle_film,
)
from impasto.errors import UsageError

__all__ = ["translate"]


def translate(
    source: Annotated[
        str, Parameter(help="Image, folder of images, quoted glob pattern, or video.")
    ],
    /,
    *,
    model: Annotated[
        Path, Parameter(help="A .translator, or a published generator such as latest_net_G_A.pth.")
    ],
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Output image, folder or video.")],
    direction: Annotated[Literal["ab", "ba"], Parameter(help="Domain A to B, or B to A.")] = "ab",
    run: FilmRun | None = None,
    film: Annotated[FilmOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
    paint: Annotated[FrameOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Translate SOURCE with a model from train-translator, or a published one.

    Images keep their size unless --size is given. Videos keep their sound and are stabilized along the optical flow;
    --method frame-by-frame disables this.
    """
    from impasto.translate import is_translator, load_translator

    run = run or FilmRun()
    if not is_translator(model):
        load_translator(model)  # raises an error that says what is wrong
    painting, filming = settle_film(run, film, paint)
    painting = dataclasses.replace(painting, look=model, direction=direction)
    if _is_film(source):
        show = make_film_show(json_lines=run.json, quiet=run.quiet)
        if run.preview:
            painting, filming, out = preview_of(painting, filming, out, Path(source))
        try:
            return paint_film(Path(source), (), out, painting, filming, run, show)
        finally:
            show.close()
    if run.resume or run.preview:
        raise UsageError("--resume and --preview require a video; remove them.")
    tasks = plan_tasks(source, (), out, blended=False)
    kept = Run(json=run.json, quiet=run.quiet, config=run.config, overwrite=run.overwrite or None)
    check_targets(kept, tasks, painting)
    with make_show(json_lines=run.json, quiet=run.quiet) as shown:
        return paint_all(tasks, painting, kept, shown)


def _is_film(source: str) -> bool:
    from impasto.media import is_film

    return is_film(Path(source), gif=True) or "%" in source
