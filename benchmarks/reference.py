"""Computes the quality reference: a long run of 2,000 L-BFGS steps over three scales up to 512 px, for each pair.

python benchmarks/reference.py [--pairs 0 1 ...]

This takes hours on two cores. The result is saved in results/reference.json, which bench_long_run.py reads.
"""

from __future__ import annotations

import argparse
import json

from common import PAIRS, RESULTS, evaluate, need_data, paint, pair, report, teacher

from impasto.config import options

LONG = options(
    size=512,
    style_loss="gram",
    style_weight=100.0,
    steps=(800, 700, 500),
    history=20,
    balance="fixed",
)


def main() -> None:
    """Runs the pairs that are not finished yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="*", default=list(range(len(PAIRS))))
    args = parser.parse_args()
    need_data()
    path = RESULTS / "reference.json"
    rows = json.loads(path.read_text())["pairs"] if path.exists() else {}
    network = teacher()
    for index in args.pairs:
        if str(index) in rows:
            continue
        content, style = pair(index)
        pastiche, seconds, _iterates = paint(content, style, network, LONG)
        found = evaluate(network, pastiche, content, style)
        rows[str(index)] = {
            "pair": PAIRS[index],
            **found._asdict(),
            "seconds": round(seconds),
            "seen_by": network.name,
        }
        report("reference", {"steps": LONG.steps, "size": LONG.size, "pairs": rows})


if __name__ == "__main__":
    main()
