"""Compute devices, threads and distributed processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch import nn

from impasto.config import DEVICE
from impasto.errors import UsageError
from impasto.text import printable, shortened, shown
from impasto.threads import busy_notes

__all__ = [
    "container_free_bytes",
    "fast_bfloat16",
    "free_memory_bytes",
    "has_avx512",
    "join_processes",
    "process_and_count",
    "release_memory",
    "resolve_device",
    "share_gradients",
    "thread_notes",
    "threads_used",
]


def resolve_device(name: str) -> torch.device:
    """Converts ``auto`` or a torch device name to an available device; with several GPUs, the one of this process.

    Raises:
        UsageError: The device is not available, or the name is not a device name.
    """
    if not re.fullmatch(DEVICE["pattern"], name, re.ASCII):
        raise UsageError(f"device must be {DEVICE['allowed']}; got {shown(name)}.")
    if name == "auto":
        if torch.cuda.is_available():
            local = "LOCAL_RANK" in os.environ
            return torch.device(f"cuda:{_count_of('LOCAL_RANK', 0)}" if local else "cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device {name!r} is not available on this machine; use 'auto' or 'cpu'."
        ) from error
    return device


def free_memory_bytes(device: torch.device) -> int:
    """Returns the memory that this process can use on a device, in bytes, including what it already uses.

    On the CPU, this is the smaller of the memory that the system has available and that the container allows.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    own = int(psutil.Process().memory_info().rss)
    free = int(psutil.virtual_memory().available)
    inside = container_free_bytes()
    return own + (free if inside is None else min(free, inside))


def release_memory() -> None:
    """Returns freed memory to the system, where the C library would keep it for later (glibc); takes milliseconds."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def container_free_bytes(root: Path = Path("/")) -> int | None:
    """Returns the memory that the control groups of this process leave, in bytes; None if they set no limit.

    Supports control groups of version 1 and 2. File caches that the system can drop do not count as used.

    Args:
        root: Folder that contains ``proc`` and ``sys``.
    """
    free: list[int] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else (
            "memory.max", "memory.current"
        )  # fmt: skip
        places = [Path(path.strip("/")), *Path(path.strip("/")).parents]
        for place in dict.fromkeys([*places, Path()]):
            limit, used = (_read(mount / place / name).strip() for name in names)
            if limit.isdigit() and used.isdigit() and int(limit) < 1 << 60:
                free.append(max(0, int(limit) - int(used) + _droppable(mount / place)))
    return min(free, default=None)


def _droppable(group: Path) -> int:
    """Returns the bytes of file caches that have not been used for a while."""
    found = re.search(
        r"^(?:total_)?inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE
    )
    return int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware supports bfloat16 natively; emulation is too slow to be useful.

    The environment variable ``IMPASTO_BFLOAT16`` overrides the detection with ``on`` or ``off``.

    Raises:
        UsageError: The variable has another value.
    """
    wished = os.environ.get("IMPASTO_BFLOAT16", "auto")
    if wished not in ("on", "off", "auto"):
        raise UsageError(f"IMPASTO_BFLOAT16 must be on, off or auto; got {wished!r}.")
    if wished != "auto":
        return wished == "on"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe is not None and probe())


def has_avx512() -> bool:
    """Whether the processor has AVX-512, even if torch is configured not to use it."""
    probe = getattr(torch.cpu, "_is_avx512_supported", None) or getattr(
        torch.cpu, "_is_cpu_support_avx512", None
    )
    return bool(probe is not None and probe())


def threads_used() -> str:
    """Describes how many CPU threads torch uses, and why: ``2 threads (the default)``."""
    count = torch.get_num_threads()
    given = os.environ.get("OMP_NUM_THREADS") == str(count)
    reason = "OMP_NUM_THREADS" if given else "the default"
    return f"{count} thread{'s' * (count != 1)} ({reason})"


def thread_notes(device: torch.device) -> tuple[str, ...]:
    """Returns notes for the user about CPU threads; see `busy_notes`."""
    return busy_notes(torch.get_num_threads()) if device.type == "cpu" else ()


def join_processes(folder: Path | None = None) -> bool:
    """Joins the process group started by `torchrun`, if any, and returns whether this process writes the outputs.

    Args:
        folder: Folder for a rendezvous file, used instead of a network address.

    Raises:
        UsageError: The environment variables of `torchrun` are not numbers, or the processes cannot connect.
    """
    processes = _count_of("WORLD_SIZE", 1)
    rank = _count_of("RANK", 0 if processes <= 1 else None)
    if processes > 1 and not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        meeting: dict[str, Any] = {} if folder is None else {
            "init_method": f"file://{folder.resolve()}/meeting", "world_size": processes, "rank": rank,
        }  # fmt: skip
        try:
            dist.init_process_group(backend, **meeting)
        except (ValueError, RuntimeError) as error:
            raise UsageError(
                f"WORLD_SIZE is {processes}, but the processes cannot connect "
                f"({shortened(printable(error), 100)}); start them with torchrun, or unset WORLD_SIZE."
            ) from error
    return rank == 0


def _count_of(variable: str, usual: int | None) -> int:
    """Reads a number that `torchrun` sets in the environment."""
    text = os.environ.get(variable, "" if usual is None else str(usual))
    if not re.fullmatch("[0-9]{1,6}", text):
        raise UsageError(
            f"the environment variable {variable} must be an integer set by torchrun; got {shown(text)}."
        )
    return int(text)


def process_and_count() -> tuple[int, int]:
    """Returns the rank of this process and the number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def share_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Replaces gradients with their mean over all processes, if there are several."""
    count = process_and_count()[1]
    if count == 1:
        return
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        dist.all_reduce(weight.grad)
        weight.grad /= count
