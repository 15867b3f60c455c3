"""float32 and bfloat16 on top of each other: the loss curves of one run, step by step.

python benchmarks/bench_precision.py [--size 128] [--steps 60]

On hardware without bfloat16 its times are of no use, and huge; the curves are what is asked here.
"""

from __future__ import annotations

import argparse

from common import need_data, paint, pair, report

from impasto.backbones import load_backbone
from impasto.config import options
from impasto.machine import fast_bfloat16, resolve_device


def main() -> None:
    """Runs both and prints both curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    need_data()
    content, style = pair(0)
    rows = {}
    for precision in ("float32", "bfloat16"):
        settings = options(
            size=args.size, coarsest=0, steps=[args.steps], precision=precision, balance="fixed"
        )
        _pastiche, seconds, iterates = paint(content, style, load_backbone(), settings)
        losses = [i.loss for i in iterates]
        rows[precision] = {
            "seconds": round(seconds, 2),
            "every_fifth_loss": [round(x, 4) for x in losses[::5]],
            "last_loss": round(losses[-1], 4),
        }
    rows["last_loss_ratio"] = round(rows["bfloat16"]["last_loss"] / rows["float32"]["last_loss"], 4)
    rows["hardware_has_bfloat16"] = fast_bfloat16(resolve_device("auto"))
    report("precision", {"size": args.size, "steps": args.steps, **rows})


if __name__ == "__main__":
    main()
