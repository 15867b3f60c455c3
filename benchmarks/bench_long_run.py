"""Compares speed and quality of the presets with a long run and with the recipe that most tutorials use.

python benchmarks/bench_long_run.py [--pairs N] [--presets draft standard fine]

The long run is read from results/reference.json (see reference.py). The tutorial recipe is a full-width VGG-19 in
float32 at one scale with 400 L-BFGS steps; a few of its steps are timed here and extrapolated, with random weights,
which take the same time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from common import PAIRS, RESULTS, evaluate, need_data, paint, pair, report, teacher

from impasto.backbones import load_backbone
from impasto.backbones.vgg import make_vgg
from impasto.backbones.vgg19_lite import STEPS
from impasto.config import options
from impasto.optimize import LBFGS, build_objective

TUTORIAL_STEPS = 400
HEIGHT, WIDTH = 400, 500
STRIDES = {"1": 1, "2": 2, "3": 4, "4": 8, "5": 16}


def tutorial_seconds(counted: int = 3) -> float:
    """Extrapolates the time of the tutorial recipe at 500x400 from a few steps, in seconds."""
    network = make_vgg("vgg19")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.03)
    network.requires_grad_(False)
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    objective = build_objective(image, [image.flip(2)], network, options(style_loss="gram"))
    solver, times = LBFGS(history=50), []
    for _ in range(counted + 1):
        began = time.perf_counter()
        image = solver.update(image, objective.evaluate(image).gradient)
        times.append(time.perf_counter() - began)
    return TUTORIAL_STEPS * statistics.median(times[1:])


def matrix_rate() -> float:
    """Returns the operations per second of a large matrix product."""
    a = torch.rand(2048, 2048, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(6):
        began = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - began)
    return 2 * 2048**3 / min(times)


def step_floor() -> dict[str, float]:
    """Compares the time of a step with its operations at the machine's matrix rate."""
    macs = sum(9 * s.channels_in * s.channels_out / STRIDES[s.name[4]] ** 2 for s in STEPS)
    operations = 4 * macs * HEIGHT * WIDTH  # two per multiply-add, forward and backward
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    objective = build_objective(image, [image.flip(2)], load_backbone(), options(style_loss="gram"))
    times = []
    for _ in range(9):
        began = time.perf_counter()
        objective.evaluate(image)
        times.append(time.perf_counter() - began)
    floor, step = operations / matrix_rate(), statistics.median(times[2:])
    return {
        "multiply_adds_a_pixel": round(macs),
        "floor_seconds": round(floor, 4),
        "step_seconds": round(step, 4),
        "step_over_floor": round(step / floor, 2),
    }


def main() -> None:
    """Times and scores the presets at 500 px."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument(
        "--presets", nargs="*", default=["draft", "standard", "standard --steps 150,120,160"]
    )
    parser.add_argument("--balance", default="fixed")
    args = parser.parse_args()
    need_data()
    path = RESULTS / "reference.json"
    long_runs = json.loads(path.read_text())["pairs"] if path.exists() else {}
    known = [i for i in range(args.pairs) if str(i) in long_runs]
    network, sees = teacher(), load_backbone()
    tutorial = tutorial_seconds()
    table = {}
    for name in args.presets:
        preset, *extra = name.split(" --steps ")
        change = {"steps": [int(n) for n in extra[0].split(",")]} if extra else {}
        settings = options(preset, **{"size": 500, "balance": args.balance, **change})
        rows = []
        for index in known:
            content, style = pair(index)
            pastiche, seconds, _iterates = paint(content, style, sees, settings)
            found, reference = evaluate(network, pastiche, content, style), long_runs[str(index)]
            rows.append(
                {
                    "pair": PAIRS[index],
                    "seconds": round(seconds, 2),
                    "style_over_long_run": round(found.style / reference["style"], 3),
                    "content_over_long_run": round(found.content / reference["content"], 3),
                    "speckle_over_styles": round(found.speckle, 2),
                    "megapixels": round(pastiche.shape[-1] * pastiche.shape[-2] / 1e6, 3),
                }
            )
        table[name] = summary(rows, tutorial) | {"pairs": rows}
    report(
        "long_run",
        {
            "size": 500,
            "balance": args.balance,
            "pairs": len(known),
            "tutorial_recipe_seconds": round(tutorial),
            "step": step_floor(),
            "presets": table,
        },
    )


def summary(rows: list[dict], tutorial: float) -> dict[str, float]:
    """Returns means and worst values over pairs; times are scaled to 500x400."""
    scaled = [r["seconds"] * HEIGHT * WIDTH / 1e6 / r["megapixels"] for r in rows]
    return {
        "seconds_at_500x400_median": round(statistics.median(scaled), 2),
        "times_faster_than_tutorial": round(tutorial / statistics.median(scaled), 1),
        "style_over_long_run_median": statistics.median(r["style_over_long_run"] for r in rows),
        "style_over_long_run_mean": round(
            statistics.mean(r["style_over_long_run"] for r in rows), 3
        ),
        "style_over_long_run_worst": max(r["style_over_long_run"] for r in rows),
        "content_over_long_run_mean": round(
            statistics.mean(r["content_over_long_run"] for r in rows), 3
        ),
        "content_over_long_run_worst": max(r["content_over_long_run"] for r in rows),
    }


if __name__ == "__main__":
    main()
