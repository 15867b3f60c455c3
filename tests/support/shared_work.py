"""Work for child processes, in a module that imports nothing heavy."""

from __future__ import annotations

import os
import time


def work(item):
    """Returns the item with the process it was done in, unless it says otherwise."""
    if item == "die":
        os._exit(3)
    if item == "raise":
        raise ValueError("no")
    if item == "wait":
        time.sleep(600)
    return item, os.getpid()
