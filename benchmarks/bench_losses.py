"""Compares losses, balance settings and solvers at 256 px, scored by the teacher.

python benchmarks/bench_losses.py [--pairs 0 1 ...]

All pairs take half an hour on two cores; results are saved after every variant.
"""

from __future__ import annotations

import argparse
import statistics

from common import PAIRS, Scores, evaluate, need_data, paint, pair, report, teacher

from impasto.backbones import load_backbone
from impasto.config import options

BASE = {"size": 256, "steps": (100, 60), "coarsest": 100}
VARIANTS = {
    "loss gram": {"style_loss": "gram", "balance": "fixed"},
    "loss w2": {"style_loss": "w2", "style_weight": 30.0, "balance": "fixed"},
    "loss mixed": {"balance": "fixed"},
    "loss sliced": {
        "style_loss": "sliced",
        "style_weight": 30.0,
        "balance": "fixed",
        "solver": "adam",
    },
    "loss neighbor": {"style_loss": "neighbor", "style_weight": 6.0, "balance": "fixed"},
    "balance guard": {},
    "balance auto": {"balance": "auto"},
    "solver adam": {"balance": "fixed", "solver": "adam"},
    "solver sgd": {"balance": "fixed", "solver": "sgd"},
    "start recolored": {"balance": "fixed", "start": "recolored"},
    "start noise": {"balance": "fixed", "start": "noise"},
    "state carried": {"balance": "fixed", "carry_state": True},
}


def main() -> None:
    """Runs every variant on every pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="*", default=list(range(len(PAIRS))))
    pairs = parser.parse_args().pairs
    need_data()
    network, sees = teacher(), load_backbone()
    table = {}
    for name, change in VARIANTS.items():
        scores: list[Scores] = []
        seconds = []
        for index in pairs:
            content, style = pair(index, 512)
            pastiche, took, _iterates = paint(content, style, sees, options(**{**BASE, **change}))
            scores.append(evaluate(network, pastiche, content, style))
            seconds.append(took)
        contents = [s.content for s in scores]
        table[name] = {
            "style_median": round(statistics.median(s.style for s in scores), 5),
            "style_worst": round(max(s.style for s in scores), 5),
            "content_median": round(statistics.median(contents), 3),
            "content_least": round(min(contents), 3),
            "content_most": round(max(contents), 3),
            "speckle_over_styles": round(statistics.median(s.speckle for s in scores), 2),
            "seconds_median": round(statistics.median(seconds), 2),
        }
        report("losses", {"base": BASE, "pairs": pairs, "table": table})


if __name__ == "__main__":
    main()
