"""`impasto study` and `impasto tune`: run grids of settings, and find good initial settings."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli._bar import make_bar, make_console, say
from impasto.cli._options import Overrides, carried, check_config_place, settle, write_config
from impasto.cli._terminal import INTERRUPTED
from impasto.config import check_fields, to_mapping
from impasto.errors import InputError, OutputError, UsageError
from impasto.text import printable

if TYPE_CHECKING:
    from impasto.study import Plan

__all__ = ["study", "tune"]

FAILED = 1
LONG_HOURS = 1.0
"""Longer studies require --yes."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """Options of `impasto study`."""

    contents: str | None = None
    """Content images or folders, or clips for a video study, instead of the study's own. Comma-separated."""
    styles: str | None = None
    """Style images or folders, instead of the study's own. Comma-separated."""
    size: int | None = None
    """Long edge in pixels, instead of the study's own."""
    evaluator: str | None = None
    """Feature extractor for the metrics."""
    evaluator_weights: Path | None = None
    """File with the weights of --evaluator."""
    workers: int = field(default=1, metadata={"low": 1, "high": 1024})
    """Number of processes, which share the CPU cores."""
    yes: bool = False
    """Skip the confirmation for long runs."""
    json: bool = False
    """Print one JSON object per run."""


def study(
    name: Annotated[
        str, Parameter(help="Bundled study or .toml file; `list` shows the bundled studies.")
    ],
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="Output folder.")] = None,
    run: StudyRun | None = None,
) -> int:
    """Run a grid of settings and write a table, a contact sheet, a video of the sweep and an HTML page.

    Finished runs are never repeated. If a run fails, it is reported and the others continue. Ctrl-C stops within
    seconds and discards the runs in progress; repeat the command to continue.
    """
    from impasto.study import (
        bundled,
        check_folder,
        estimated_hours,
        load_plan,
        open_folder,
        read_results,
    )

    run = run or StudyRun()
    check_fields(run)
    if name == "list":
        print("\n".join(f"{one:<12} {load_plan(one).title}" for one in bundled()))
        return 0
    if out is None:
        raise UsageError("no output folder was given; pass one with --out.")
    plan = load_plan(
        name,
        contents=_listed(run.contents), styles=_listed(run.styles),
        overrides={} if run.size is None else {"size": run.size},
        evaluator=run.evaluator, evaluator_weights=run.evaluator_weights,
    )  # fmt: skip
    if not plan.contents:
        raise UsageError("this study has no content images; pass some with --contents.")
    check_folder(out, plan)
    count = sum(1 for _cell in plan.cells())
    missing = count - sum("error" not in values for _cell, values in read_results(out, plan))
    hours = estimated_hours(plan, missing) if missing else 0.0
    if hours > LONG_HOURS and not run.yes:
        raise UsageError(
            f"{missing} runs would take about {hours:.1f} hours; pass --yes to start, or a smaller --size."
        )
    with open_folder(out, plan):
        return _run_and_report(plan, out, run, count, hours)


def _run_and_report(plan: Plan, out: Path, run: StudyRun, count: int, hours: float) -> int:
    """Executes the missing runs, shows progress, and writes the report."""
    from impasto.study import MISSING, can_plot, read_results, run_study, write_report

    show = _Show(plan, count, hours, json_lines=run.json)
    if not can_plot():
        show.say(MISSING)
    finished = failed = 0
    try:
        with contextlib.closing(run_study(plan, out, workers=run.workers)) as cells:
            for done in cells:
                finished = done.number
                failed += "error" in done.values
                show.cell(done)
    except KeyboardInterrupt:
        show.close()
        show.say(
            f"interrupted; {finished} of {count} runs are finished and kept in {out}; repeat the command to continue"
        )
        return INTERRUPTED
    finally:
        show.close()
    for path in write_report(plan, read_results(out, plan), out):
        show.say(f"wrote {path}")
    if failed:
        show.say(
            f"{failed} of {count} runs failed; the page shows why, and repeating the command retries them"
        )
    return FAILED if failed else 0


def _listed(text: str | None) -> list[str]:
    return [part for part in text.split(",") if part] if text else []


class _Show:
    """Shows a progress bar or JSON lines."""

    def __init__(self, plan: Plan, count: int, hours: float, *, json_lines: bool) -> None:
        self._json = json_lines
        self._bar: Any = None
        if not json_lines:
            self._console = make_console()
            say(self._console, f"{plan.title}: {count} runs, about {60 * hours:.0f} minutes")
            self._bar = make_bar(self._console)
            self._task = self._bar.add_task("running", total=count, losses="")
            self._bar.start()

    def say(self, text: str) -> None:
        """Shows a note to the user."""
        if self._json:
            print(json.dumps({"event": "note", "text": text}), flush=True)
        else:
            say(self._console, text)

    def cell(self, done: Any) -> None:
        """Shows that one run has ended."""
        event = {
            "event": "run", "case": done.cell.case.name, "content": done.cell.content, "style": done.cell.style,
            "number": done.number, "count": done.count, "known": done.known,
            "seconds_left": round(done.seconds_left, 1), "error": done.values.get("error"),
        }  # fmt: skip
        if self._json:
            print(json.dumps(event), flush=True)
            return
        self._bar.update(
            self._task,
            completed=done.number,
            description=printable(done.cell.case.name),
            losses=f"{done.seconds_left:.0f} s left",
        )
        if "error" in done.values:
            say(self._console, f"{done.cell.case.name} failed: {done.values['error']}")

    def close(self) -> None:
        """Restores the terminal."""
        if self._bar is not None:
            self._bar.stop()


def tune(
    content: Annotated[Path, Parameter(help="Content image.")],
    style: Annotated[Path, Parameter(help="Style image.")],
    /,
    *more_styles: Annotated[Path, Parameter(help="Additional style images.")],
    out: Annotated[
        Path,
        Parameter(
            name=["--out", "-o"], help="TOML file to write; the contact sheet is written beside it."
        ),
    ],
    preset: Annotated[
        str | None, Parameter(name=["--preset", "-p"], help="Preset that sets the defaults.")
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace an image that tune did not write.")] = False,
    options: Annotated[Overrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Try several strengths and stroke sizes at 224 px, and write the best settings to OUT.

    OUT contains the settings with the best score, for impasto image --config. --size does not affect the trials; it is
    stored in OUT. The contact sheet, named like OUT with the extension .png, shows all trials with their values, so
    that you can choose another.
    """
    from impasto.media import check_not_input, check_replaceable, read_image, write_image
    from impasto.study import suggest

    sheet_path = out.with_suffix(".png")
    check_config_place(out)
    check_not_input([out, sheet_path], [content, style, *more_styles])
    check_replaceable(sheet_path, overwrite=overwrite)
    if not overwrite:
        _check_sheet(sheet_path)
    paint = settle(preset, None, options)
    if paint.paints_at_once:
        raise UsageError("tune requires the optimizer; remove --look.")
    pictures = [read_image(path) for path in (content, style, *more_styles)]
    console = make_console()
    with make_bar(console) as bar:
        task = bar.add_task("trying", total=None, losses="")
        tries, sheet = suggest(
            pictures[0], pictures[1:], paint,
            on_try=lambda done, count: bar.update(task, completed=done, total=count),
        )  # fmt: skip
    best = tries[0]
    write_config(out, to_mapping(best.options))
    write_image(sheet_path, sheet, metadata={"impasto": json.dumps({"sheet": out.name})})
    for one in tries:
        say(
            console,
            f"{one.label}: score {one.score:.3f} (lower is better), style {one.figures.style:.4f}, content "
            f"{one.figures.content:.3f}, structure {one.figures.structure:.2f}",
        )
    say(console, f"chose {best.label}; wrote {out} and {sheet_path}")
    return 0


def _check_sheet(path: Path) -> None:
    """Refuses to replace an image that `tune` did not write.

    Raises:
        OutputError: The path holds such an image.
    """
    if not path.exists():
        return
    try:
        ours = "sheet" in carried(path)
    except InputError:
        ours = False
    if not ours:
        raise OutputError(
            f"the contact sheet would replace {path}, which tune did not write; choose another --out, or pass "
            "--overwrite."
        )
