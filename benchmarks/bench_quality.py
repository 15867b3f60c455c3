"""Measures the quality of a preset on 24 difficult pairs with every metric of `impasto measure image`.

python benchmarks/bench_quality.py [--preset standard] [--options "style_loss=w2 steps=60,40"] [--out FOLDER]
python benchmarks/bench_quality.py --measure FOLDER
python benchmarks/bench_quality.py --pairs reference [--measure FOLDER]

Renders the pairs of ``pairs.py`` at 512 px, or measures existing pictures named photograph+painting.png in FOLDER, and
prints each pair's metrics, their means and medians, how many are out of bounds, and the worst five pairs.
The excess of border and seam is relative to the larger of style and photograph. With ``--pairs reference``, the other
methods' pictures in the folder ``IMPASTO_REFERENCE`` are measured in the same run (default: ``../shared/reference``).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import DATA, need_data, report, teacher
from pairs import HARD, REFERENCE, Pair

from impasto.config import PaintOptions, options
from impasto.measure import PictureFigures, measure_against
from impasto.media import Picture, read_image, write_image
from impasto.pipeline import stylize_image
from impasto.types import Backbone

REFERENCE_FOLDER = Path(os.environ.get("IMPASTO_REFERENCE", DATA.parent / "reference"))
METHODS = ("wasserstein", "pilot", "twoscale")
SPECKLE_BOUNDS = (0.6, 1.5)
BORDER_BOUND = 1.2
SEAM_BOUND = 2
LEAST_BORDER = 0.5
"""A border with less than half of the interior's energy is not an artifact, however empty the style's border is."""

RANKED = (
    "speckle_ratio", "border_excess", "style_independent", "perceptual", "objects", "objects_independent",
    "large_edges", "palette", "sharpness_ratio",
)  # fmt: skip
"""Metrics whose ranks over the pairs are averaged to find the worst pairs."""


def source(kind: str, name: str) -> Picture:
    """Reads a photograph or painting from the data folder."""
    return read_image(next((DATA / kind).glob(f"{name}.*")))


def parse_options(text: str) -> dict[str, Any]:
    """Parses ``key=value`` words; commas make lists, and numbers, true, false and none are converted."""

    def value(word: str) -> Any:
        named = {"true": True, "false": False, "none": None}
        if word.lower() in named:
            return named[word.lower()]
        for kind in (int, float):
            try:
                return kind(word)
            except ValueError:
                pass
        return word

    found = {}
    for word in text.split():
        key, _, given = word.partition("=")
        items = [value(item) for item in given.split(",")]
        found[key] = items if len(items) > 1 else items[0]
    return found


def row_of(pair: Pair, figures: PictureFigures, seconds: float | None) -> dict[str, Any]:
    """Returns the reported metrics of a pair, rounded."""
    ratio = figures.over_style
    usual = max(figures.border_of_style or 0, figures.border_of_content, LEAST_BORDER)
    steps = max(figures.seam_of_style or 0, figures.seam_of_content, 1)
    values = {
        "seconds": seconds,
        "speckle_ratio": ratio["speckle"],
        "border_ratio": ratio["border"],
        "border_excess": figures.border / usual,
        "seam_excess": figures.seam / steps,
        "style_independent": figures.style_independent,
        "perceptual": figures.perceptual,
        "objects": figures.objects,
        "objects_independent": figures.objects_independent,
        "large_edges": figures.large_edges,
        "palette": figures.palette,
        "sharpness_ratio": ratio["sharpness"],
        "gram_error": figures.style,
    }
    rounded = {k: float(f"{v:.4g}") for k, v in values.items() if v is not None}
    return {"pair": pair.name, "kind": pair.kind, **rounded}


def badness(name: str, value: float) -> float:
    """Maps a metric to a value that increases from good to bad."""
    if name in ("speckle_ratio", "sharpness_ratio"):
        return abs(math.log(max(value, 1e-6)))
    return -value if name == "large_edges" else value


def worst(rows: list[dict[str, Any]], count: int = 5) -> list[dict[str, Any]]:
    """Returns the pairs with the highest mean rank over the metrics, worst first."""
    ranks: dict[str, list[int]] = {row["pair"]: [] for row in rows}
    for name in RANKED:
        ordered = sorted(rows, key=lambda row: badness(name, row[name]))
        for rank, row in enumerate(ordered, 1):
            ranks[row["pair"]].append(rank)
    means = {pair: statistics.mean(found) for pair, found in ranks.items()}
    chosen = sorted(means, key=lambda pair: -means[pair])[:count]
    return [{"pair": pair, "mean_rank": round(means[pair], 1)} for pair in chosen]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarizes means, medians, counts out of bounds and the worst pairs."""
    names = [name for name in rows[0] if name not in ("pair", "kind")]
    low, high = SPECKLE_BOUNDS
    return {
        "pairs": len(rows),
        "mean": {n: float(f"{statistics.mean(r[n] for r in rows):.4g}") for n in names},
        "median": {n: float(f"{statistics.median(r[n] for r in rows):.4g}") for n in names},
        "speckle_out_of_bounds": sum(not low <= r["speckle_ratio"] <= high for r in rows),
        "border_out_of_bounds": sum(r["border_ratio"] > BORDER_BOUND for r in rows),
        "border_excess_out_of_bounds": sum(r["border_excess"] > BORDER_BOUND for r in rows),
        "seam_excess_out_of_bounds": sum(r["seam_excess"] > SEAM_BOUND for r in rows),
        "worst": worst(rows),
    }


def pictures_of(
    pairs: list[Pair], settings: PaintOptions, measured: Path | None, out: Path | None
) -> Iterator[tuple[Pair, Picture, float | None]]:
    """Renders each pair with its time in seconds, or reads an existing picture."""
    for pair in pairs:
        if measured is not None:
            yield pair, read_image(measured / f"{pair.name}.png"), None
            continue
        began = time.perf_counter()
        sources = source("photos", pair.photo), source("paintings", pair.painting)
        picture = stylize_image(sources[0], [sources[1]], settings)
        seconds = time.perf_counter() - began
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_image(out / f"{pair.name}.png", picture)
        yield pair, picture, seconds


def measured_row(
    pair: Pair, picture: Picture, seconds: float | None, evaluator: Backbone
) -> dict[str, Any]:
    """Measures a picture against its photograph and painting."""
    sources = (source("photos", pair.photo), source("paintings", pair.painting))
    figures = measure_against(picture.to_tensor(), *(s.to_tensor() for s in sources), evaluator)
    row = row_of(pair, figures, seconds)
    print(*(f"{k} {v}" for k, v in row.items()), file=sys.stderr, flush=True)
    return row


def main() -> None:
    """Prints every metric of every pair as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--options", default="", help="options to change, as key=value words")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", choices=("hard", "reference"), default="hard")
    parser.add_argument(
        "--only",
        default="",
        help="only pairs whose name or kind contains this text; results are not saved",
    )
    parser.add_argument("--measure", type=Path, help="folder of existing pictures to measure")
    parser.add_argument("--out", type=Path, help="folder to save the pictures in")
    args = parser.parse_args()
    need_data()
    every = HARD if args.pairs == "hard" else REFERENCE
    pairs = [p for p in every if args.only in p.name or args.only in p.kind]
    if not pairs:
        parser.error(f"--only {args.only} matches no pair; use part of a name in pairs.py.")
    settings = options(args.preset, **{"size": args.size, **parse_options(args.options)})
    evaluator, tables = teacher(), {}
    ours = pictures_of(pairs, settings, args.measure, args.out)
    tables["ours"] = [measured_row(*found, evaluator) for found in ours]
    if args.pairs == "reference":
        for method in METHODS:
            files = [REFERENCE_FOLDER / f"{pair.name}.{method}.png" for pair in pairs]
            tables[method] = [
                measured_row(pair, read_image(file), None, evaluator)
                for pair, file in zip(pairs, files, strict=True)
            ]
    about = {"preset": args.preset, "options": args.options, "size": args.size, "pairs": args.pairs}
    methods = {name: summary(rows) | {"rows": rows} for name, rows in tables.items()}
    if args.only:
        print(json.dumps(methods, indent=1))
    else:
        name = "quality" if args.pairs == "hard" else "quality_reference"
        report(name, {**about, "methods": methods})


if __name__ == "__main__":
    main()
