"""What a run will need, told before it starts, and what to do when that is too much."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from impasto.errors import OutOfMemoryError
from impasto.optimize.pyramid import Scale
from impasto.types import Backbone

__all__ = ["Estimator", "Forecast", "Plan", "choose_plan", "free_memory_bytes"]

PROBE_PX = 128
BASE_BYTES = 450 * 2**20
"""Interpreter, torch and its thread pools, measured; small beside a large picture."""

SLACK = 1.25
"""Working buffers of the convolutions and gradients alive at the same time, over what is saved for the way back."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What one run needs at most, in bytes, and about how long it takes."""

    memory_bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the run will be held within memory."""

    checkpointing: bool
    autocast: bool
    forecast: Forecast
    notes: tuple[str, ...] = ()


def free_memory_bytes(device: torch.device) -> int:
    """Memory that can be taken now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _probe(
    backbone: Backbone, layers: Sequence[str], device: torch.device
) -> tuple[float, float, float]:
    """Bytes saved for the way back a pixel, the largest single map a pixel, and seconds a pixel and step."""
    image = torch.full((1, 3, PROBE_PX, PROBE_PX), 0.5, device=device, requires_grad=True)
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def step() -> float:
        began = time.perf_counter()
        features = backbone(image, layers)
        total = torch.stack([value.float().square().mean() for value in features.values()]).sum()
        torch.autograd.grad(total, image)
        return time.perf_counter() - began

    step()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    seconds = min(step() for _ in range(3))
    parameters = {p.untyped_storage().data_ptr() for p in getattr(backbone, "parameters", list)()}
    saved = [size for pointer, size in sizes.items() if pointer not in parameters]
    pixels = PROBE_PX**2
    return sum(saved) / pixels, max(saved) / pixels, seconds / pixels


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Foretells memory and time from a probe at 128 px, both of which grow with the number of pixels.

    Attributes:
        backbone: The network that sees.
        layers: The layers that are read.
        scales: The run.
        history: Steps that the solver remembers, each as a pair of pictures.
        device: Where it runs.
    """

    backbone: Backbone
    layers: Sequence[str]
    scales: Sequence[Scale]
    history: int
    device: torch.device

    def forecast(self, *, checkpointing: bool = False) -> Forecast:
        """Foretells the run, with activations computed once or twice."""
        saved, largest, seconds = _probe(self.backbone, self.layers, self.device)
        pixels = self.scales[-1].pixels
        pictures = 3 * 4 * (2 * self.history + 8)
        # With checkpointing the block at full resolution is alive once, and the inputs of the others.
        activations = max(saved * 0.45, 2 * largest) if checkpointing else saved + 2 * largest
        memory = BASE_BYTES + int(pixels * (SLACK * activations + pictures))
        work = sum(scale.pixels * scale.steps for scale in self.scales)
        return Forecast(
            memory_bytes=memory, seconds=seconds * work * (1.35 if checkpointing else 1.0)
        )


def choose_plan(
    estimator: Estimator,
    limit_bytes: int,
    *,
    checkpointing: str = "auto",
    autocast: bool = False,
    autocast_allowed: bool = False,
) -> Plan:
    """Goes down the ladder until the run fits: as asked, checkpointing, bfloat16, refusal.

    Args:
        estimator: Of the run.
        limit_bytes: What may be used.
        checkpointing: ``auto``, ``on`` or ``off``.
        autocast: Whether bfloat16 is used anyway.
        autocast_allowed: Whether bfloat16 may be turned to when memory is short.

    Raises:
        OutOfMemoryError: Nothing fits; the message has the largest size that does.
    """
    first = estimator.forecast(checkpointing=checkpointing == "on")
    if first.memory_bytes <= limit_bytes:
        return Plan(checkpointing=checkpointing == "on", autocast=autocast, forecast=first)
    told = f"{first.memory_bytes / 2**30:.1f} GiB foretold, {limit_bytes / 2**30:.1f} GiB to be had"
    best = first
    if checkpointing == "auto":
        best = estimator.forecast(checkpointing=True)
        if best.memory_bytes <= limit_bytes:
            note = f"activations are computed twice to save memory ({told})"
            return Plan(checkpointing=True, autocast=autocast, forecast=best, notes=(note,))
    halved = BASE_BYTES + int((best.memory_bytes - BASE_BYTES) * 0.6)
    if autocast_allowed and not autocast and halved <= limit_bytes:
        return Plan(
            checkpointing=checkpointing != "off",
            autocast=True,
            forecast=Forecast(memory_bytes=halved, seconds=best.seconds),
            notes=(f"the backbone computes in bfloat16 to save memory ({told})",),
        )
    raise _refusal(best, limit_bytes, estimator.scales[-1])


def _refusal(best: Forecast, limit_bytes: int, scale: Scale) -> OutOfMemoryError:
    edge = max(scale.height_px, scale.width_px)
    spare = (limit_bytes - BASE_BYTES) / max(1, best.memory_bytes - BASE_BYTES)
    fits = int(edge * max(0.0, spare) ** 0.5) // 16 * 16
    advice = (
        f"the largest size that fits is --size {fits}"
        if fits >= 64
        else "no size fits; free some memory"
    )
    return OutOfMemoryError(
        f"painting at {scale.width_px}x{scale.height_px} px needs {best.memory_bytes / 2**30:.1f} GiB and "
        f"{limit_bytes / 2**30:.1f} GiB may be used; {advice}."
    )
