"""Fuzzing campaign, to be run by hand or with `make fuzz`.

python tests/support/hostile [--inputs 100000] [--workers 2] [--seed 0] [NAME ...]
python tests/support/hostile --again NAME INDEX FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hostile.campaign import campaign, report, reproduce
from hostile.targets import TARGETS


def main() -> int:
    """Prints the results as JSON; the exit status is nonzero if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", help=f"readers to test (default: all): {', '.join(TARGETS)}"
    )
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print full details of every failure")
    parser.add_argument(
        "--again", nargs=3, metavar=("NAME", "INDEX", "FOLDER"), help="write one input to a folder"
    )
    given = parser.parse_args()
    if given.again:
        name, index, folder = given.again
        print(reproduce(name, int(index), given.seed, Path(folder)))
        return 0
    names = given.names or list(TARGETS)
    results = campaign(given.inputs, seed=given.seed, workers=given.workers, names=names)
    if given.show:
        for counts in results.values():
            for failure in counts.failures:
                print(f"--- {failure.target} {failure.index}\n{failure.what}", file=sys.stderr)
    print(report(results))
    return int(any(counts.failures for counts in results.values()))


if __name__ == "__main__":
    sys.exit(main())
