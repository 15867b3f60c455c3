"""Compares optical flow estimators with ground truth: endpoint error and time.

python benchmarks/bench_flow.py
"""

from __future__ import annotations

import statistics
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import DATA, need_data, report
from PIL import Image

from impasto.motion import DIS, Farneback, FlowEstimator, load_raft, read_flow
from impasto.types import Frame


def frames_of(folder: Path) -> list[Frame]:
    """Returns the two frames of a pair."""
    files = sorted(f for f in folder.iterdir() if f.suffix in (".png", ".ppm"))
    return [
        Frame(
            pixels=np.array(Image.open(file).convert("RGB")),
            pts_seconds=Fraction(index),
            duration_seconds=Fraction(1),
            index=index,
        )
        for index, file in enumerate(files)
    ]


def measured(estimator: FlowEstimator, folder: Path) -> tuple[float, float]:
    """Returns the endpoint error in pixels where the ground truth is known, and the time in seconds."""
    first, second = frames_of(folder)
    truth, known = read_flow(next(folder.glob("*.flo")))
    times = []
    for _ in range(3):
        began = time.perf_counter()
        found = estimator(first, second)
        times.append(time.perf_counter() - began)
    apart = (found - truth).square().sum(1, keepdim=True).sqrt()
    return float((known * apart).sum() / known.sum()), statistics.median(times)


def main() -> None:
    """Measures every estimator on every pair."""
    need_data()
    estimators: dict[str, FlowEstimator] = {
        "dis": DIS(),
        "dis-half": DIS(halved=True),
        "dis, not steadied": DIS(steadied=False),
        "dis, OpenCV's smoothness": DIS(steadied=False, smoothness=20.0),
        "farneback": Farneback(),
        "raft-small": load_raft(DATA / "motion" / "raft-small.pth"),
    }
    rows = {}
    for name, estimator in estimators.items():
        found = {f.name: measured(estimator, f) for f in sorted((DATA / "flow").iterdir())}
        rows[name] = {
            "endpoint_error_px": {k: round(error, 3) for k, (error, _s) in found.items()},
            "seconds_median": round(statistics.median(s for _e, s in found.values()), 3),
        }
    report("flow", {"estimators": rows})


if __name__ == "__main__":
    main()
