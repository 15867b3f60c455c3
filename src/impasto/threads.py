"""How threads wait for each other, which is settled before torch is loaded, and whether the cores are free."""

from __future__ import annotations

import os
import sys

__all__ = ["busy_notes", "spin_briefly"]

WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that tell OpenMP runtimes how long an idle thread spins: the standard's, GNU's, and LLVM's."""

SPINS = "10000"
"""Thirty times fewer than GNU's default. 1000 would be a tenth faster on busy cores, and slower on free ones."""

BUSY = 1.5
"""Processes that want to run, per core, from which several threads gain nothing."""


def spin_briefly() -> bool:
    """Lets torch's idle threads spin for some microseconds before they sleep, unless the environment says otherwise.

    GNU's OpenMP runtime, which torch has on Linux, spins for a millisecond. A thread that spins keeps a core from the
    thread it waits for when other programs need the cores too, and a painting takes several times as long. Threads that
    sleep at once (``OMP_WAIT_POLICY=passive``) cost a tenth on free cores. The command calls this first; a program that
    uses impasto as a library can do so before it imports torch, after which it has no effect.

    Returns:
        Whether it can have an effect: torch was not loaded yet, and no variable of `WAIT_VARIABLES` was set.
    """
    if "torch" in sys.modules or any(name in os.environ for name in WAIT_VARIABLES):
        return False
    os.environ["GOMP_SPINCOUNT"] = SPINS
    return True


def busy_notes(threads: int) -> tuple[str, ...]:
    """What to say where other programs need the cores that several threads would use.

    The number of threads is not changed by itself: it decides the last bits of a result, so that the same command would
    give other bytes on a busy machine.

    Args:
        threads: How many are used.
    """
    if threads < 2 or not hasattr(os, "getloadavg"):
        return ()
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    if load < BUSY * cores:
        return ()
    told = f"other programs keep this machine busy (load {load:.1f} on {cores} cores)"
    return (f"{told}; OMP_NUM_THREADS=1 is faster on busy cores",)
