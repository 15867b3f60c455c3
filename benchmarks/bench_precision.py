"""Compares float32 with bfloat16: time, final loss, jumps of the loss, and gradient error.

python benchmarks/bench_precision.py [--size 512] [--pairs 0 2 5 7] [--preset standard]

The precisions are interleaved in one process. On a shared machine, compare ``processor_seconds``, which count only
this process. ``after block 1`` is bfloat16 with the first two convolutions in float32; it was tried and is not part of
impasto. On hardware without bfloat16, the times of bfloat16 are very long and not meaningful.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from common import need_data, pair, ratios, report
from torch import Tensor

from impasto.backbones import Vgg19Lite, load_backbone
from impasto.backbones.vgg19_lite import Step
from impasto.config import options
from impasto.machine import fast_bfloat16, resolve_device
from impasto.media import resize_to_fit
from impasto.optimize import Optimization, Plan, build_objective

VARIANTS = {
    "float32": ("float32", False),
    "bfloat16": ("bfloat16", False),
    "after block 1": ("bfloat16", True),
}


@contextlib.contextmanager
def exact_first_block() -> Iterator[None]:
    """Keeps block 1 in float32 under autocast."""
    original = Vgg19Lite._step

    def step(self: Vgg19Lite, step: Step, x: Tensor) -> Tensor:
        exact = step.name.startswith("relu1_")
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=False)
            if exact
            else contextlib.nullcontext()
        ):
            return original(self, step, x)

    with mock.patch.object(Vgg19Lite, "_step", step):
        yield


def one_run(number: int, size: int, preset: str, variant: str) -> dict[str, Any]:
    """Optimizes one pair and returns its times, last loss and number of jumps."""
    precision, exact = VARIANTS[variant]
    content, style = pair(number)
    settings = options(preset, size=size, precision=precision)
    with exact_first_block() if exact else contextlib.nullcontext():
        began, processor = time.perf_counter(), time.process_time()
        run = Optimization(content, [style], load_backbone(), settings)
        losses = [iterate.loss for iterate in run]
        return {
            "seconds": round(time.perf_counter() - began, 2),
            "processor_seconds": round(time.process_time() - processor, 2),
            "last_loss": round(losses[-1], 4),
            "leaps": run.retries,
        }


def gradient(number: int, size: int, variant: str) -> Tensor:
    """Returns the gradient at the photograph."""
    precision, exact = VARIANTS[variant]
    content, style = (resize_to_fit(image, size) for image in pair(number))
    with exact_first_block() if exact else contextlib.nullcontext():
        autocast = precision == "bfloat16"
        objective = build_objective(
            content, [style], load_backbone(), options(), plan=Plan(autocast=autocast)
        )
        return objective.evaluate(content).gradient


def gradient_error(number: int, size: int, variant: str) -> float:
    """Returns the relative error of the gradient at the photograph, in the Euclidean norm."""
    exact = gradient(number, size, "float32")
    return float((gradient(number, size, variant) - exact).norm() / exact.norm())


def main() -> None:
    """Runs every pair in every precision and compares the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, nargs="+", default=[0, 2, 5, 7])
    parser.add_argument("--preset", default="standard")
    args = parser.parse_args()
    need_data()
    runs: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
    for number in args.pairs:
        for variant, rows in runs.items():
            rows.append(one_run(number, args.size, args.preset, variant))
            print(number, variant, rows[-1], flush=True)
    exact = runs["float32"]
    found: dict[str, Any] = {}
    for variant, rows in runs.items():
        found[variant] = {"runs": rows, "leaps": sum(row["leaps"] for row in rows)}
        for key in ("seconds", "processor_seconds", "last_loss"):
            ours, theirs = [row[key] for row in rows], [row[key] for row in exact]
            found[variant][f"{key}_ratio"] = ratios(ours, theirs)
        errors = [gradient_error(number, args.size, variant) for number in args.pairs]
        found[variant]["gradient_error"] = round(statistics.median(errors), 4)
    found["hardware_has_bfloat16"] = fast_bfloat16(resolve_device("auto"))
    report("precision", {"size": args.size, "pairs": args.pairs, "preset": args.preset, **found})


if __name__ == "__main__":
    main()
