"""How OpenMP threads wait (which must be set before torch is loaded), and whether the CPU cores are busy."""

from __future__ import annotations

import os
import sys

__all__ = ["busy_notes", "spin_briefly"]

WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that control how long idle OpenMP threads spin: standard, GNU, and LLVM."""

SPINS = "10000"
"""Thirty times less than GNU's default. 1000 would be 10% faster on busy cores, but slower on idle ones."""

BUSY = 1.5
"""Runnable processes per core above which several threads bring no gain."""


def spin_briefly() -> bool:
    """Makes torch's idle threads spin for only a few microseconds before sleeping, unless the environment overrides it.

    GNU's OpenMP runtime, which torch uses on Linux, spins for a millisecond. When other programs also need the cores, a
    spinning thread blocks the thread it waits for, and painting takes several times as long. Threads that sleep
    immediately (``OMP_WAIT_POLICY=passive``) are 10% slower on idle cores. The command calls this function first. A
    program that uses impasto as a library can call it before importing torch; afterwards it has no effect.

    Returns:
        Whether it has an effect: torch was not loaded yet, and none of `WAIT_VARIABLES` was set.
    """
    if "torch" in sys.modules or any(name in os.environ for name in WAIT_VARIABLES):
        return False
    os.environ["GOMP_SPINCOUNT"] = SPINS
    return True


def busy_notes(threads: int) -> tuple[str, ...]:
    """Returns a note if other programs need the cores that several threads would use.

    The number of threads is not changed automatically: it affects the last bits of a result, so the same command would
    produce different bytes on a busy machine.

    Args:
        threads: Number of threads in use.
    """
    if threads < 2 or not hasattr(os, "getloadavg"):
        return ()
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    if load < BUSY * cores:
        return ()
    busy = f"other programs keep this machine busy (load {load:.1f} on {cores} cores)"
    return (f"{busy}; OMP_NUM_THREADS=1 is faster on busy cores",)
