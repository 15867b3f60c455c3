"""Measures time and peak memory of large pictures, each in its own process, and compares them with the estimate.

python benchmarks/bench_memory.py [--sizes 512 1024 2048] [--steps 3]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from common import report

ONE = """
import json, resource, sys, time
import torch
import impasto
from impasto.backbones import load_backbone
from impasto.optimize import Optimization
size, steps, checkpointing = int(sys.argv[1]), sys.argv[2], sys.argv[3]
generator = torch.Generator().manual_seed(0)
content = torch.rand(1, 3, size * 3 // 4, size, generator=generator)
settings = {"size": size, "balance": "fixed", "checkpointing": checkpointing}
if steps != "preset":
    settings["steps"] = [0, int(steps)]
began = time.perf_counter()
run = Optimization(content, [content.flip(2)], load_backbone(), impasto.options("standard", **settings))
marks = [time.perf_counter() for _ in run]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({
    "size": size, "checkpointing": checkpointing, "steps": len(marks),
    "seconds": round(time.perf_counter() - began, 1),
    "seconds_a_step": round((marks[-1] - marks[0]) / max(1, len(marks) - 1), 2),
    "peak_gib": round(peak, 2), "foretold_gib": round(run.plan.forecast.memory_bytes / 2**30, 2),
}))
"""


def main() -> None:
    """Measures each size with and without gradient checkpointing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 1024, 2048])
    parser.add_argument("--steps", default="14")
    args = parser.parse_args()
    rows = []
    for size in args.sizes:
        for checkpointing in ("off", "on"):
            command = [sys.executable, "-c", ONE, str(size), args.steps, checkpointing]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append(json.loads(run.stdout))
    report("memory", {"rows": rows})


if __name__ == "__main__":
    main()
