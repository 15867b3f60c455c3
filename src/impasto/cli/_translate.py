"""`impasto translate`: pictures and films from one world into another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.cli._image import Run, check_targets, paint_all, plan_tasks
from impasto.cli._options import FILMS
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

MORE_FILMS = (".gif",)


def translate(
    source: Annotated[
        str, Parameter(help="Photograph, a folder of them, a glob in quotes, or a film.")
    ],
    /,
    *,
    model: Annotated[
        Path, Parameter(help="A .translator, or a published generator such as latest_net_G_A.pth.")
    ],
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Picture, folder or film to write.")],
    direction: Annotated[Literal["ab", "ba"], Parameter(help="From world A to B, or back.")] = "ab",
    run: FilmRun | None = None,
    film: Annotated[FilmOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
    paint: Annotated[FrameOverrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Translate SOURCE with a model of train-translator, or a published one.

    Pictures keep their own size unless --size says otherwise. Films keep their sound; they are held along the motion,
    which --method frame-by-frame leaves away.
    """
    from impasto.translate import is_translator, load_translator

    run = run or FilmRun()
    if not is_translator(model):
        load_translator(model)  # says what is wrong with it
    painting, filming = settle_film(run, film, paint)
    painting = dataclasses.replace(painting, look=model, direction=direction)
    if _is_film(source):
        show = make_film_show(json_lines=run.json, quiet=run.quiet)
        if run.preview:
            painting, filming, out = preview_of(painting, filming, out)
        try:
            return paint_film(Path(source), (), out, painting, filming, run, show)
        finally:
            show.close()
    if run.resume or run.preview:
        raise UsageError("--resume and --preview are of films; leave them away.")
    tasks = plan_tasks(source, (), out, blended=False)
    kept = Run(json=run.json, quiet=run.quiet, config=run.config, overwrite=run.overwrite or None)
    check_targets(kept, tasks, painting)
    with make_show(json_lines=run.json, quiet=run.quiet) as shown:
        return paint_all(tasks, painting, kept, shown)


def _is_film(source: str) -> bool:
    return Path(source).suffix.lower() in (*FILMS, *MORE_FILMS) or "%" in source
