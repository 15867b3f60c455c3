"""Execution of the cells of a study, each once and independently of failures of the others."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impasto.backbones import load_backbone
from impasto.config import check_name, to_mapping
from impasto.errors import ImpastoError, InputError, OutputError, UsageError
from impasto.measure import FilmMeter, measure_against, measure_film, same_frames
from impasto.media import (
    OutputLock,
    Picture,
    check_not_input,
    is_partial,
    read_image,
    replacing,
    resize_to_fit,
    write_image,
)
from impasto.pipeline import backbone_for, prepare
from impasto.processes import Failed, in_processes
from impasto.study.plan import SKIMAGE_PICTURES, Cell, Plan
from impasto.text import shown
from impasto.types import Backbone

__all__ = [
    "CellDone",
    "check_folder",
    "estimated_hours",
    "open_folder",
    "picture_at",
    "read_results",
    "run_study",
]

MARK = "study.json"
CURVE_POINTS = 60
RESULT = {"seconds", "steps", "loss", "terms", "curve", "figures", "options"}
"""Entries of a result file, unless it has an error."""


@dataclass(frozen=True)
class CellDone:
    """Event: a cell is finished, failed, or has an earlier result.

    Attributes:
        cell: The cell.
        values: Its results, or ``{"error": ...}``.
        number: Number of cells done, including this one.
        count: Total number of cells.
        seconds_left: Estimated remaining time, from the mean time of the cells that were run.
        known: Whether the result is from an earlier run.
    """

    cell: Cell
    values: dict[str, Any]
    number: int
    count: int
    seconds_left: float
    known: bool


def open_folder(out: Path, plan: Plan) -> OutputLock:
    """Prepares and locks the output folder of a study.

    Returns:
        The lock, which excludes other runs until it is released.

    Raises:
        UsageError: The folder contains another study or other files, or an input file would be overwritten.
        OutputError: The path is a file, cannot be created or written, or is locked by another run.
    """
    check_folder(out, plan)
    results = [
        _cell_file(out, cell, ending) for cell in plan.cells() for ending in (".png", ".mp4")
    ]
    check_not_input(results, [Path(source) for source in (*plan.contents, *plan.styles)])
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = OutputLock(out)
        _write(out / MARK, {"name": plan.name, "title": plan.title})
        (out / "cells").mkdir(exist_ok=True)
    except OSError as error:
        if isinstance(error, ImpastoError):
            raise
        raise OutputError(
            f"{out} cannot be written ({error.strerror}); choose another folder with --out."
        ) from error
    return lock


def _is_new(out: Path) -> bool:
    """Whether a folder is missing, or empty except for leftovers of a run that was killed at its start."""
    if not out.is_dir():
        return True
    left = [path for path in out.iterdir() if not is_partial(path.name) and path.name != MARK]
    return all(path.name == "cells" and path.is_dir() and not any(path.iterdir()) for path in left)


def _cell_file(out: Path, cell: Cell, ending: str = ".json") -> Path:
    return out / "cells" / f"{cell.key}{ending}"


def check_folder(out: Path, plan: Plan) -> None:
    """Checks whether `open_folder` can use a folder; writes nothing.

    Raises:
        UsageError: The folder contains another study or other files.
        OutputError: The path is a file or cannot be read.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out} is a file; pass a folder with --out.")
    mark = out / MARK
    try:
        if mark.exists() and mark.stat().st_size > 0:
            name = (_read_json(mark) or {}).get("name")
            if name != plan.name:
                known = f"the study {shown(name)}" if isinstance(name, str) else "another study"
                raise UsageError(f"{out} contains {known}; pass another folder with --out.")
        elif not _is_new(out):
            raise UsageError(f"{out} contains other files; pass an empty folder with --out.")
    except OSError as error:
        raise OutputError(
            f"{out} cannot be read ({error.strerror}); choose another folder with --out."
        ) from error


def _read_json(path: Path) -> dict[str, Any] | None:
    """Reads a JSON object; returns None if the file is missing or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, FileNotFoundError):
        return None
    return values if isinstance(values, dict) else None


def _read_cell(out: Path, cell: Cell) -> dict[str, Any] | None:
    """Reads the results or the error of a run; returns None if it has not been run or its file is damaged."""
    values = _read_json(_cell_file(out, cell))
    known = values is not None and ("error" in values or values.keys() >= RESULT)
    return values if known else None


def picture_at(source: str) -> Picture:
    """Reads an image from a file or from scikit-image (``skimage:NAME``)."""
    if not source.startswith("skimage:"):
        return read_image(Path(source))
    name = check_name("scikit-image picture", source.partition(":")[2], SKIMAGE_PICTURES)
    try:
        from skimage import data

        pixels = getattr(data, name)()
    except (ImportError, AttributeError, OSError) as error:
        raise InputError(
            f"{source} is not available on this machine; install impasto[examples] or pass your own images."
        ) from error
    return Picture(rgb=np.ascontiguousarray(pixels[..., :3], np.float32) / 255)


def estimated_hours(plan: Plan, cells: int) -> float:
    """Estimates the total time in hours, from the forecasts of all cases for the first pair on this machine."""
    if plan.kind == "film":
        return 0.0
    content, style = picture_at(plan.contents[0]), picture_at(plan.styles[0])
    seconds = []
    for case in plan.cases:
        if case.paint.paints_at_once:
            seconds.append(1.0)
            continue
        job = prepare(content, [style], case.paint)
        seconds.append(job.optimization.plan.forecast.seconds)
    return cells * sum(seconds) / len(seconds) / 3600


def read_results(out: Path, plan: Plan) -> list[tuple[Cell, dict[str, Any]]]:
    """Returns the existing results of a study, in the plan's order."""
    found = []
    for cell in plan.cells():
        values = _read_cell(out, cell)
        if values is not None:
            found.append((cell, values))
    return found


def run_study(plan: Plan, out: Path, *, workers: int = 1) -> Generator[CellDone, None, None]:
    """Runs all cells without results, and yields an event for every cell.

    Args:
        plan: The study.
        out: Output folder, prepared by `open_folder`.
        workers: Number of processes, which share the CPU cores.
    """
    cells = list(plan.cells())
    missing = []
    number = 0
    for cell in cells:
        values = _read_cell(out, cell)
        if values is None or "error" in values:  # failed runs and damaged results are repeated
            missing.append(cell)
            continue
        number += 1
        yield CellDone(cell, values, number, len(cells), 0.0, known=True)
    began = time.monotonic()
    for done, (cell, values) in enumerate(_finished(plan, missing, out, workers), 1):
        each = (time.monotonic() - began) / done
        left = each * (len(missing) - done)
        yield CellDone(cell, values, number + done, len(cells), left, known=False)


def _finished(
    plan: Plan, cells: list[Cell], out: Path, workers: int
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    run = functools.partial(_run_cell, plan, out)
    if workers <= 1 or len(cells) <= 1:
        for cell in cells:
            yield cell, run(cell)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    prepare = functools.partial(torch.set_num_threads, threads)
    with contextlib.closing(in_processes(run, cells, workers=workers, prepare=prepare)) as finished:
        for cell, values in finished:
            yield cell, {"error": values.reason} if isinstance(values, Failed) else values


def _run_cell(plan: Plan, out: Path, cell: Cell) -> dict[str, Any]:
    """Runs and measures one cell; errors are stored as results."""
    try:
        values = (_film_cell if plan.kind == "film" else _picture_cell)(plan, cell, out)
    except ImpastoError as error:
        values = {"error": str(error)}
    except Exception as error:  # any failure must not stop the other cells
        values = {"error": f"{type(error).__name__}: {error}"}
    _write(_cell_file(out, cell), values)
    return values


def _picture_cell(plan: Plan, cell: Cell, out: Path) -> dict[str, Any]:
    content, style = picture_at(cell.content), picture_at(cell.style)
    paint = dataclasses.replace(cell.case.paint, seed=cell.seed)
    began = time.perf_counter()
    losses: list[float] = []
    terms: dict[str, float] = {}
    if paint.paints_at_once:
        from impasto.pipeline import paint_at_once

        made, _notes = paint_at_once(content, paint, None, [style])
    else:
        job = prepare(content, [style], paint, backbone_for(paint.extractor))
        for iterate in job.optimization:
            losses.append(iterate.loss)
            terms = dict(iterate.terms)
        made = job.finish()
    seconds = time.perf_counter() - began
    evaluator = _evaluator(plan.evaluator, plan.evaluator_weights)
    figures = measure_against(made.to_tensor(), content.to_tensor(), style.to_tensor(), evaluator)
    write_image(_cell_file(out, cell, ".png"), made)
    step = max(1, len(losses) // CURVE_POINTS)
    return {
        "seconds": seconds,
        "steps": len(losses),
        "loss": losses[-1] if losses else None,
        "terms": terms,
        "curve": [[n + 1, losses[n]] for n in range(0, len(losses), step)],
        "figures": dataclasses.asdict(figures),
        "options": to_mapping(paint),
    }


def _film_cell(plan: Plan, cell: Cell, out: Path) -> dict[str, Any]:
    from impasto.media.video import open_clip
    from impasto.pipeline import prepare_film

    assert cell.case.film is not None
    paint = dataclasses.replace(cell.case.paint, seed=cell.seed)
    path = _cell_file(out, cell, ".mp4")
    began = time.perf_counter()
    job = prepare_film(
        cell.content, [picture_at(cell.style)], path, paint, cell.case.film, fresh=True
    )
    frames = sum(1 for _event in job)
    job.assemble()
    seconds = (time.perf_counter() - began) / max(1, frames)
    style = resize_to_fit(picture_at(cell.style).to_tensor(), max(job.size))
    meter = FilmMeter(_evaluator(plan.evaluator, plan.evaluator_weights), [style], gaps=(1, 4))
    read = open_clip(path).frames(job.size)
    measured = measure_film(same_frames(read, job.selected(), 0.0), meter)
    first = next(iter(open_clip(path).frames(job.size)))
    rgb = first.pixels.astype(np.float32) / 255
    write_image(_cell_file(out, cell, ".png"), Picture(rgb=rgb))
    job.store.remove()
    return {
        "seconds": seconds,
        "steps": frames,
        "loss": None,
        "terms": {},
        "curve": [],
        "figures": {
            "style": measured.style, "content": measured.content, "error_1": measured.error.get(1),
            "error_4": measured.error.get(4), "error_1_of_clip": measured.error_of_clip.get(1),
        },
        "options": {**to_mapping(paint), "film": to_mapping(cell.case.film)},
    }  # fmt: skip


@functools.lru_cache(maxsize=2)
def _evaluator(name: str, weights: Path | None) -> Backbone:
    return load_backbone(name, weights=weights)


def _write(path: Path, values: Any) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(values, default=str), encoding="utf-8")
