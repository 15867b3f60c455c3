"""Reports of a study: tables, a contact sheet, an animation of the sweep, and a self-contained HTML page."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.measure import METRICS, Interval, bootstrap
from impasto.media import Picture, replacing, write_image
from impasto.media.timelapse import Timelapse
from impasto.study.plan import Case, Cell, Plan
from impasto.study.plots import MISSING, can_plot, plot_curves, plot_quality
from impasto.study.run import picture_at
from impasto.study.sheet import draw_sheet

__all__ = ["summary", "write_report"]

THUMB_PX, JPEG_QUALITY = 420, 82
SHEET_ROWS = 12
SWEEP_REPEATS = 8
"""Number of frames per case in the animation of the sweep."""

SHOWN = (
    "style",
    "style_w2",
    "content",
    "structure",
    "palette",
    "sharpness",
    "noise",
    "error_1",
    "error_4",
)
RATIOS = ("style", "content")
"""Metrics that are also reported relative to the first case, pair by pair."""

Results = Sequence[tuple[Cell, dict[str, Any]]]


def summary(plan: Plan, results: Results) -> list[dict[str, Any]]:
    """Returns one row per case: means with intervals over all contents, styles and seeds, and the number of failures.

    ``style_ratio`` and ``content_ratio`` are geometric means of the metric divided by that of the first case, pair by
    pair, so that differences between images do not widen their intervals.
    """
    rows = []
    by_pair = {name: _by_pair(results, name) for name in RATIOS}
    for case in plan.cases:
        own = [values for cell, values in results if cell.case.name == case.name]
        done = [values for values in own if "error" not in values]
        row: dict[str, Any] = {"case": case.name, "runs": len(done), "failed": len(own) - len(done)}
        if done:
            row["seconds"] = bootstrap([values["seconds"] for values in done])
            losses = [values["loss"] for values in done if values["loss"] is not None]
            if losses:
                row["loss"] = bootstrap(losses)
            for name in SHOWN:
                known = [v["figures"][name] for v in done if v["figures"].get(name) is not None]
                if known:
                    row[name] = bootstrap(known)
            for name, of_case in by_pair.items():
                first, mine = (of_case.get(one.name, {}) for one in (plan.cases[0], case))
                ratios = [mine[pair] / first[pair] for pair in mine if pair in first]
                if ratios:
                    row[f"{name}_ratio"] = _geometric(ratios)
        rows.append(row)
    _mark_best(plan, rows)
    return rows


def _by_pair(results: Results, name: str) -> dict[str, dict[tuple[str, str, int], float]]:
    """Returns a metric by case, and then by pair and seed."""
    found: dict[str, dict[tuple[str, str, int], float]] = {}
    for cell, values in results:
        value = values.get("figures", {}).get(name)
        if value:
            found.setdefault(cell.case.name, {})[cell.content, cell.style, cell.seed] = value
    return found


def _geometric(ratios: Sequence[float]) -> Interval:
    logs = bootstrap([math.log(ratio) for ratio in ratios])
    return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high))


def _mark_best(plan: Plan, rows: list[dict[str, Any]]) -> None:
    """Marks, among the cases that differ only in the tuned option, the one with the lowest loss."""
    if not plan.best_of:
        return
    groups: dict[str, list[dict[str, Any]]] = {}
    for case, row in zip(plan.cases, rows, strict=True):
        groups.setdefault(_without(case, plan.best_of), []).append(row)
    for group in groups.values():
        known = [row for row in group if "loss" in row]
        if known:
            min(known, key=lambda row: row["loss"].mean)["best"] = True


def _without(case: Case, name: str) -> str:
    return json.dumps(
        {k: v for k, v in case.chosen.items() if k not in (name, "name")}, default=str
    )


def write_report(plan: Plan, results: Results, out: Path) -> list[Path]:
    """Writes results.csv, summary.md, sheet.png, report.html and, for at least two images, sweep.gif.

    Args:
        plan: The study.
        results: Results from `read_results`.
        out: Folder of the study.

    Returns:
        Paths of the files that were written.
    """
    paths = [out / name for name in ("results.csv", "summary.md", "sheet.png", "report.html")]
    rows = summary(plan, results)
    _write_table(results, paths[0])
    _write_text(paths[1], _told(plan, rows))
    write_image(paths[2], _sheet(plan, results, out))
    _write_text(paths[3], _page(plan, results, rows, out))
    sweep = _sweep(plan, results, out)
    return [*paths, sweep] if sweep is not None else paths


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _write_table(results: Results, path: Path) -> None:
    names = [name for name in METRICS if any(name in v.get("figures", {}) for _c, v in results)]
    names += [
        n for n in ("error_1", "error_4") if any(n in v.get("figures", {}) for _c, v in results)
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["case", "content_file", "style_file", "seed", "steps", "seconds", "loss", *names, "error"]
    )
    for cell, values in results:
        figures = values.get("figures", {})
        writer.writerow(
            [cell.case.name, cell.content, cell.style, cell.seed]
            + [values.get(name, "") for name in ("steps", "seconds", "loss")]
            + [figures.get(name, "") for name in names]
            + [values.get("error", "")]
        )
    _write_text(path, stream.getvalue())


def _picture(out: Path, cell: Cell, values: Mapping[str, Any]) -> Picture | None:
    path = out / "cells" / f"{cell.key}.png"
    return _source(str(path)) if "error" not in values and path.exists() else None


def _source(source: str) -> Picture | None:
    """Reads an image; returns None if it cannot be read, which the runs of the study report."""
    try:
        return picture_at(source)
    except ImpastoError:
        return None


def _sheet(plan: Plan, results: Results, out: Path) -> Picture:
    """Draws one row per pair and one column per case; a large number of pairs is subsampled evenly."""
    by_pair: dict[tuple[str, str], dict[str, tuple[Cell, dict[str, Any]]]] = {}
    for cell, values in results:
        by_pair.setdefault((cell.content, cell.style), {})[cell.case.name] = (cell, values)
    rows: list[list[tuple[Picture | None, str]]] = []
    pairs = list(by_pair.items())
    count = min(SHEET_ROWS, len(pairs))
    for (content, style), cases in (pairs[n * len(pairs) // count] for n in range(count)):
        source = None if plan.kind == "film" else _source(content)
        row: list[tuple[Picture | None, str]] = [
            (source, _short(content)),
            (_source(style), _short(style)),
        ]
        for case in plan.cases:
            found = cases.get(case.name)
            row.append(
                (None, f"{case.name}: no result")
                if found is None
                else (_picture(out, *found), case.name)
            )
        rows.append(row)
    return draw_sheet(rows or [[(None, "no results")]])


def _sweep(plan: Plan, results: Results, out: Path) -> Path | None:
    """Writes an animation of the first pair over all cases."""
    if plan.kind == "film":
        return None
    pair = (plan.contents[0], plan.styles[0], plan.seeds[0])
    pictures = [
        _picture(out, cell, values)
        for cell, values in results
        if (cell.content, cell.style, cell.seed) == pair
    ]
    known = [picture for picture in pictures if picture is not None]
    if len(known) < 2:
        return None
    path = out / "sweep.gif"
    height, width = known[0].rgb.shape[:2]
    film = Timelapse(path)
    for picture in known:
        image = Image.fromarray(np.round(255 * picture.rgb).astype(np.uint8)).resize(
            (width, height)
        )
        for _ in range(SWEEP_REPEATS):
            film.add(Picture(rgb=np.asarray(image, np.float32) / 255))
    film.close()
    return path


def _short(source: str) -> str:
    return source.partition(":")[2] if source.startswith("skimage:") else Path(source).stem


def _jpeg(picture: Picture) -> str:
    image = Image.fromarray(np.round(255 * picture.rgb).astype(np.uint8))
    image.thumbnail((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = ["seconds", "loss", *SHOWN, *(f"{name}_ratio" for name in RATIOS)]
    return [name for name in names if any(name in row for row in rows)]


def _told(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the means as a Markdown table."""
    columns = _columns(rows)
    lines = [f"# {plan.title}", "", f"{plan.question}. Earlier claim: {plan.claim or 'none'}."]
    lines += [
        "",
        "| case | runs | " + " | ".join(name.replace("_", " ") for name in columns) + " |",
    ]
    lines.append("|---" * (len(columns) + 2) + "|")
    for row in rows:
        cells = [row["case"] + (" (best of its group)" if row.get("best") else ""), _runs(row)]
        for name in columns:
            found = row.get(name)
            cells.append(
                "" if found is None else f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"
            )
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "Brackets: 95% bootstrap confidence intervals. Ratios: relative to the first case, pair by pair.",
    ]
    return "\n".join(lines) + "\n"


def _runs(row: Mapping[str, Any]) -> str:
    return f"{row['runs']}, {row['failed']} failed" if row["failed"] else str(row["runs"])


def _page(plan: Plan, results: Results, rows: Sequence[Mapping[str, Any]], out: Path) -> str:
    """Returns a self-contained HTML page."""
    columns = _columns(rows)
    head = "".join(f"<th data-n>{html.escape(_headed(name))}</th>" for name in columns)
    body = "".join(_table_row(row, columns) for row in rows)
    sources = {c: _source(c) for c in plan.contents} if plan.kind == "picture" else {}
    contents = {name: _jpeg(picture) for name, picture in sources.items() if picture is not None}
    cards = "".join(_card(cell, values, out, contents) for cell, values in results)
    template = (files("impasto.study") / "data" / "report.html").read_text(encoding="utf-8")
    filled = {
        "TITLE": html.escape(plan.title), "QUESTION": html.escape(plan.question),
        "CLAIM": html.escape(plan.claim or "None."), "HEAD": head, "BODY": body, "CARDS": cards,
        "LEGEND": _legend(columns), "PLOTS": _plots(plan, results, rows),
    }  # fmt: skip
    for key, value in filled.items():
        template = template.replace("{{" + key + "}}", value)
    return template


def _headed(name: str) -> str:
    arrow = {"lower": " \u2193", "higher": " \u2191"}
    return name.replace("_", " ") + (arrow.get(METRICS[name].better, "") if name in METRICS else "")


def _table_row(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    cells = []
    for name in columns:
        found = row.get(name)
        if found is None:
            cells.append("<td>-</td>")
            continue
        span = f"{found.low:.4g} to {found.high:.4g}"
        cells.append(
            f'<td data-v="{found.mean:.6g}" title="95%: {span}">{found.mean:.4g}<small>{span}</small></td>'
        )
    best = ' class="best"' if row.get("best") else ""
    failed = f" <em>{row['failed']} failed</em>" if row["failed"] else ""
    return f"<tr{best}><td>{html.escape(row['case'])}{failed}</td><td>{row['runs']}</td>{''.join(cells)}</tr>"


def _card(cell: Cell, values: Mapping[str, Any], out: Path, contents: Mapping[str, str]) -> str:
    title = html.escape(f"{cell.case.name}: {_short(cell.content)} in {_short(cell.style)}")
    picture = _picture(out, cell, values)
    if picture is None:
        why = html.escape(values.get("error", ""))
        return f'<figure class="failed"><figcaption>{title}<br>{why}</figcaption></figure>'
    before = contents.get(cell.content, "")
    style = values["figures"].get("style")
    note = f"{values['seconds']:.1f} s" + (f", style {style:.4g}" if style is not None else "")
    return (
        f'<figure><img loading="lazy" src="{_jpeg(picture)}" data-before="{before}" alt="{title}">'
        f"<figcaption>{title}<br>{note}</figcaption></figure>"
    )


def _plots(plan: Plan, results: Results, rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the plots as HTML, or a sentence that says what is missing."""
    cases = [case.name for case in plan.cases]
    curves = _curves(results)
    points = {
        row["case"]: (row["seconds"], row["style"])
        for row in rows
        if "seconds" in row and "style" in row
    }
    if not curves and not points:
        return "<p>No run has finished.</p>"
    if not can_plot():
        return f"<p>{html.escape(MISSING[0].upper() + MISSING[1:])}</p>"
    plots = [plot_quality(points, cases)] if points else []
    plots += [plot_curves(curves, cases)] if curves else []
    return "".join(f'<div class="plot">{plot}</div>' for plot in plots)


def _curves(results: Results) -> dict[str, list[tuple[float, float]]]:
    """Returns the loss curve of each case for the first pair that has one."""
    found: dict[str, list[tuple[float, float]]] = {}
    for cell, values in results:
        if values.get("curve") and cell.case.name not in found:
            found[cell.case.name] = [(float(step), float(loss)) for step, loss in values["curve"]]
    return found


def _legend(columns: Sequence[str]) -> str:
    lines = []
    for name in columns:
        if name in METRICS:
            metric = METRICS[name]
            text = f"{metric.source}. Range: {metric.span}. Limitations: {metric.blind}."
            lines.append(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>")
    return "".join(lines)
