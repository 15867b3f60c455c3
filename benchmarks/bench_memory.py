"""Measures time and peak memory of large images, each in its own process, and compares them with the forecast.

python benchmarks/bench_memory.py [--cases 512 1024:tile=512 2048:memory_gib=1.5] [--steps 2]

A case is the long edge in pixels, and options after a colon. The peak is the largest resident size of the process, from
reading the content image to writing the result.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from common import report

ONE = """
import json, resource, sys, tempfile, time
from pathlib import Path
import numpy as np
import impasto
from impasto.media import Picture, write_image
from impasto.pipeline import Encoding, Keeper, Outputs, prepare
size, steps, settings = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
rng = np.random.default_rng(0)
small = rng.random((48, 64, 3), dtype=np.float32)
rows, columns = (np.arange(n) * m // n for n, m in ((size * 3 // 4, 48), (size, 64)))
content = Picture(rgb=small[rows][:, columns])
style = Picture(rgb=rng.random((600, 800, 3), dtype=np.float32))
options = impasto.options("standard", **{"size": size, "steps": [steps], **settings})
with tempfile.TemporaryDirectory() as folder:
    out = Path(folder) / "out.png"
    outputs = Outputs(
        out=out, content="", styles=[""], save_every=0, timelapse=None, checkpoint=None, checkpoint_every=25,
        encoding=Encoding(quality=92, subsampling="4:4:4", bits=None),
    )
    began = time.perf_counter()
    job = prepare(content, [style], options)
    ready, ready_cpu = time.perf_counter(), time.process_time()
    with Keeper(job, outputs) as keeper:
        for iterate in job.optimization:
            pass
        painted, painted_cpu = time.perf_counter(), time.process_time()
        keeper.finish()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
plan = job.optimization.plan
print(json.dumps({
    "size": f"{size}x{size * 3 // 4}", "options": settings, "plan": plan.described(), "steps": iterate.total_step,
    "peak_gib": round(peak, 2), "foretold_gib": round(plan.forecast.memory_bytes / 2**30, 2),
    "seconds": round(painted - ready, 1), "cpu_seconds": round(painted_cpu - ready_cpu, 1),
    "foretold_seconds": round(plan.forecast.seconds, 1),
}))
"""
CASES = (
    "512",
    "1024",
    "1024:checkpointing=on",
    "1024:tile=512",
    "2048:memory_gib=1.5",
    "4096:memory_gib=3",
)


def measure(case: str, steps: int) -> dict[str, object]:
    """Paints one case in a process of its own."""
    size, _colon, given = case.partition(":")
    settings = {}
    for setting in filter(None, given.split(";")):
        name, _equals, value = setting.partition("=")
        number = value.replace(".", "").isdigit()
        settings[name] = (float(value) if "." in value else int(value)) if number else value
    command = [sys.executable, "-c", ONE, size, str(steps), json.dumps(settings)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        return {"size": size, "options": settings, "error": run.stderr.strip().splitlines()[-1]}
    found: dict[str, object] = json.loads(run.stdout)
    return found


def main() -> None:
    """Measures each case and reports the ratios of measurement and forecast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--print-only", action="store_true", help="do not save the results")
    args = parser.parse_args()
    rows = []
    for case in args.cases:
        rows.append(measure(case, args.steps))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    if not args.print_only:
        report("memory", {"rows": rows})


if __name__ == "__main__":
    main()
