"""Compares the bundled backbone with its teacher: quality at the same number of steps, and time per step.

python benchmarks/bench_backbone.py
"""

from __future__ import annotations

import statistics
import time

import torch
from common import PAIRS, evaluate, need_data, paint, pair, ratios, report, teacher

from impasto.backbones import load_backbone
from impasto.config import options
from impasto.optimize import build_objective
from impasto.types import Backbone

SAME = options(
    size=256, style_loss="gram", style_weight=100.0, steps=(100, 80), balance="fixed", coarsest=100
)


def step_seconds(network: Backbone, runs: int = 9) -> float:
    """Median time of one evaluation at 512x384."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 384, 512, generator=generator)
    objective = build_objective(image, [image.flip(2)], network, options(style_loss="gram"))
    times = []
    for _ in range(runs + 2):
        began = time.perf_counter()
        objective.evaluate(image)
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def main() -> None:
    """Stylizes every pair with both networks and scores both results with the teacher."""
    need_data()
    evaluator, student = teacher(), load_backbone()
    rows, ours, theirs = [], [], []
    for index, names in enumerate(PAIRS):
        content, style = pair(index)
        scores = []
        for network in (student, evaluator):
            pastiche, _seconds, _iterates = paint(content, style, network, SAME)
            scores.append(evaluate(evaluator, pastiche, content, style))
        ours.append(scores[0])
        theirs.append(scores[1])
        rows.append({"pair": names, "student": scores[0]._asdict(), "teacher": scores[1]._asdict()})
    times = {"student": step_seconds(student), "teacher": step_seconds(evaluator)}
    report(
        "backbone",
        {
            "size": SAME.size,
            "steps": SAME.steps,
            "style_ratio": ratios([s.style for s in ours], [s.style for s in theirs]),
            "content_ratio": ratios([s.content for s in ours], [s.content for s in theirs]),
            "step_seconds_512x384": {k: round(v, 4) for k, v in times.items()},
            "step_ratio": round(times["student"] / times["teacher"], 3),
            "pairs": rows,
        },
    )


if __name__ == "__main__":
    main()
