"""`impasto doctor`: a report on this machine's hardware, software and speed."""

from __future__ import annotations

import itertools
import json
import platform
import statistics
import time
from importlib import metadata
from typing import Annotated, Any

from cyclopts import Parameter

from impasto.text import printable

__all__ = ["doctor"]

PROBE_PX = (384, 512)
LIBRARIES = (
    "impasto", "torch", "numpy", "pillow", "safetensors", "tifffile", "pillow-heif", "av", "opencv-python-headless",
    "scenedetect-headless",
)  # fmt: skip


def doctor(
    *, json_lines: Annotated[bool, Parameter(name="--json", help="Print JSON.")] = False
) -> int:
    """Report hardware, versions, devices, installed weights, and the time per optimizer step."""
    report = examine()
    if json_lines:
        print(json.dumps(report, indent=1))
        return 0
    for title, rows in report.items():
        print(title)
        for name, value in rows.items():
            print(printable(f"  {name:<26} {value}"))
    return 0


def examine() -> dict[str, dict[str, Any]]:
    """Collects the values of the report."""
    import psutil
    import torch

    from impasto.backbones import backbone_names, find_weights
    from impasto.machine import fast_bfloat16, resolve_device

    device = resolve_device("auto")
    return {
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
            "threads used": torch.get_num_threads(),
            "memory free, GiB": round(psutil.virtual_memory().available / 2**30, 1),
            "vector unit": torch.backends.cpu.get_cpu_capability(),
        },
        "versions": {name: _version(name) for name in LIBRARIES},
        "device": {
            "chosen by auto": str(device),
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
            "fast bfloat16": fast_bfloat16(device),
        },
        "weights": {name: find_weights(name) or "not found" for name in backbone_names()},
        "one step at 512x384": _speed(str(device)),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _speed(device: str) -> dict[str, str]:
    import torch

    from impasto.backbones import load_backbone
    from impasto.config import options
    from impasto.optimize import Optimization

    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, *PROBE_PX, generator=generator)
    settings = options(size=0, coarsest=0, steps=(6,), device=device, balance="fixed")
    marks = [time.perf_counter()]
    for _iterate in Optimization(picture, [picture.flip(2)], load_backbone(), settings):
        marks.append(time.perf_counter())
    steps = [after - before for before, after in itertools.pairwise(marks[1:])]
    return {"vgg19-lite, lbfgs": f"{1000 * statistics.median(steps):.0f} ms"}
