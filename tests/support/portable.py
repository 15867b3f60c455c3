"""Runs the tests with several instruction sets, precisions and thread counts, as other processors would.

python tests/support/portable.py [--workers 2] [NAME ...]

The fast suite runs once as on the oldest processor; the numerical tests run with every other configuration. Limits
above the processor's capabilities have no effect, so an older processor runs the same tests repeatedly.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

EVERYTHING = ("tests",)
COMPUTES = (
    "tests/backbones",
    "tests/losses",
    "tests/optimize",
    "tests/looks",
    "tests/translate",
    "tests/motion",
    "tests/keyframes",
    "tests/regions",
    "tests/media",
    "tests/pipeline",
    "tests/cli/test_cli.py::test_paints_repeats_and_remembers",
    "tests/cli/test_film_commands.py::test_killed_at_several_points_it_goes_on_to_the_byte",
)
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


class Configuration(NamedTuple):
    """Tests to run, and their environment."""

    tests: tuple[str, ...]
    environment: Mapping[str, str]


CONFIGURATIONS: Mapping[str, Configuration] = {
    "oldest": Configuration(
        EVERYTHING,
        {
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
            "IMPASTO_BFLOAT16": "off",
        },
    ),
    "avx2-two-threads": Configuration(
        COMPUTES, {**AVX2, "IMPASTO_BFLOAT16": "off", "OMP_NUM_THREADS": "2"}
    ),
    "avx512-emulated-bfloat16": Configuration(
        COMPUTES, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "IMPASTO_BFLOAT16": "on"}
    ),
    "native-poisoned-memory": Configuration(
        COMPUTES, {"IMPASTO_BFLOAT16": "on", "MALLOC_PERTURB_": "85"}
    ),
    "native-three-threads": Configuration(COMPUTES, {"OMP_NUM_THREADS": "3"}),
}
"""By name. More threads than cores, and new memory filled with a byte, expose code that depends on either."""


def run(name: str, workers: str) -> bool:
    """Runs one configuration and returns whether all tests passed."""
    tests, environment = CONFIGURATIONS[name]
    settings = " ".join(f"{key}={value}" for key, value in environment.items())
    print(f"== {name}: {settings}", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-n", workers, "-m", "not slow", *tests]
    passed = subprocess.run(command, env={**os.environ, **environment}, check=False).returncode == 0
    print(
        f"== {name}: {'passed' if passed else 'FAILED'}, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return passed


def main() -> int:
    """Runs the named configurations, or all of them, and prints a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"configurations to run (default: all): {', '.join(CONFIGURATIONS)}",
    )
    parser.add_argument("--workers", default="2", help="number of test processes")
    args = parser.parse_args()
    for name in args.names:
        if name not in CONFIGURATIONS:
            parser.error(f"unknown configuration {name!r}; choose from {', '.join(CONFIGURATIONS)}")
    failed = [name for name in args.names or CONFIGURATIONS if not run(name, args.workers)]
    print(f"failed: {', '.join(failed)}" if failed else "every configuration passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
