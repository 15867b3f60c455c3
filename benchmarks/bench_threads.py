"""Measures the time of one picture by number of threads, wait policy and load on the cores.

python benchmarks/bench_threads.py [--size 512] [--steps 10] [--runs 3]

``busy`` keeps every core busy with a process in an endless loop. The name of each run describes its environment;
``impasto`` uses impasto's own settings. A run that takes longer than ``--limit`` seconds is recorded as the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from common import need_data, report

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "all threads": {"OMP_NUM_THREADS": "{cores}"},
    "all threads, passive": {"OMP_NUM_THREADS": "{cores}", "OMP_WAIT_POLICY": "passive"},
    "all threads, active": {"OMP_NUM_THREADS": "{cores}", "OMP_WAIT_POLICY": "active"},
    "all threads, KMP_BLOCKTIME=0": {"OMP_NUM_THREADS": "{cores}", "KMP_BLOCKTIME": "0"},
    "all threads, spins 1000": {"OMP_NUM_THREADS": "{cores}", "GOMP_SPINCOUNT": "1000"},
    "all threads, spins 10000": {"OMP_NUM_THREADS": "{cores}", "GOMP_SPINCOUNT": "10000"},
    "impasto": {},
}
OURS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT", "MKL_NUM_THREADS")

PAINT = """
import sys, time
if sys.argv[3] == "impasto":
    from impasto.threads import spin_briefly
    spin_briefly()
import torch
from common import pair
from impasto.backbones import load_backbone
from impasto.config import options
from impasto.optimize import Optimization
content, style = pair(0)
settings = options(size=int(sys.argv[1]), coarsest=0, steps=[int(sys.argv[2])], balance="fixed")
run = Optimization(content, [style], load_backbone(), settings)
marks = [time.perf_counter() for _ in run]
print(torch.get_num_threads(), marks[-1] - marks[0])
"""


def seconds(name: str, size: int, steps: int, limit: float) -> tuple[int, float]:
    """Returns the number of threads, and the time of all steps but the first in seconds."""
    cores = str(os.cpu_count() or 1)
    environment = {key: value for key, value in os.environ.items() if key not in OURS}
    environment |= {key: value.format(cores=cores) for key, value in SETTINGS[name].items()}
    command = [sys.executable, "-c", PAINT, str(size), str(steps), name]
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=True,
            timeout=limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 0, limit
    threads, found = done.stdout.split()
    return int(threads), float(found)


def table(names: list[str], size: int, steps: int, runs: int, limit: float) -> dict[str, Any]:
    """Returns the median time by setting, with settings interleaved."""
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
    for _ in range(runs):
        for name, rows in found.items():
            rows.append(seconds(name, size, steps, limit))
            print(name, rows[-1], flush=True)
    return {
        name: {
            "threads": [threads for threads, _seconds in rows],
            "seconds": round(statistics.median(s for _threads, s in rows), 2),
            "spread": [round(min(s for _, s in rows), 2), round(max(s for _, s in rows), 2)],
        }
        for name, rows in found.items()
    }


def main() -> None:
    """Measures with idle and with busy cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120)
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    args = parser.parse_args()
    need_data()
    found = {"quiet": table(args.only, args.size, args.steps, args.runs, args.limit)}
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        found["busy"] = table(args.only, args.size, args.steps, args.runs, args.limit)
    finally:
        for process in busy:
            process.kill()
    report("threads", {"size": args.size, "steps": args.steps, "cores": os.cpu_count(), **found})


if __name__ == "__main__":
    main()
