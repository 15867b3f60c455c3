"""How threads wait for each other, which is settled before torch is loaded."""

from __future__ import annotations

import os
import sys

__all__ = ["wait_passively"]

WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that tell OpenMP runtimes how long an idle thread spins: the standard's, GNU's, and LLVM's."""


def wait_passively() -> bool:
    """Lets torch's idle threads sleep instead of spinning, unless the environment says otherwise.

    A thread that spins keeps a core from the thread it waits for when other programs need the cores too, and a
    painting takes many times as long. The command calls this first; a program that uses impasto as a library can do so
    before it imports torch, after which it has no effect.

    Returns:
        Whether it can have an effect: torch was not loaded yet, and no variable of `WAIT_VARIABLES` was set.
    """
    if "torch" in sys.modules or any(name in os.environ for name in WAIT_VARIABLES):
        return False
    os.environ["OMP_WAIT_POLICY"] = "passive"
    return True
