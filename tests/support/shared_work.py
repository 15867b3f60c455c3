"""Work for child processes, in a module without heavy imports."""

from __future__ import annotations

import os
import time


def work(item):
    """Returns the item and the process ID, unless the item requests an exit, an error or a wait."""
    if item == "die":
        os._exit(3)
    if item == "raise":
        raise ValueError("no")
    if item == "wait":
        time.sleep(600)
    return item, os.getpid()
