"""Forecasts of memory and time before a run, and ways to reduce memory when it is short."""

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
"""Measured memory of the interpreter, torch and its thread pools."""

SLACK = 1.25
"""Factor on the memory saved for the backward pass, for convolution workspaces and gradients alive at the same time."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Peak memory of a run in bytes, and its approximate duration in seconds."""

    memory_bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings that keep a run within the memory limit."""

    checkpointing: bool = False
    autocast: bool = False
    tile_px: int = 0
    forecast: Forecast = Forecast(memory_bytes=0, seconds=0.0)
    notes: tuple[str, ...] = ()


def free_memory_bytes(device: torch.device) -> int:
    """Returns the memory that is currently available on a device, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _probe(
    backbone: Backbone, layers: Sequence[str], device: torch.device
) -> tuple[float, float, float]:
    """Measures bytes saved for the backward pass, bytes of the largest feature map and seconds per step, per pixel."""
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
    """Extrapolates memory and time, both linear in the number of pixels, from a probe at 128 px.

    Attributes:
        backbone: Feature extractor.
        layers: Layers whose features are used.
        scales: Scales of the run.
        history: History size of the solver; each entry is a pair of images.
        device: Device of the run.
    """

    backbone: Backbone
    layers: Sequence[str]
    scales: Sequence[Scale]
    history: int
    device: torch.device

    def forecast(self, *, checkpointing: bool = False) -> Forecast:
        """Forecasts the run, with or without gradient checkpointing."""
        saved, largest, seconds = _probe(self.backbone, self.layers, self.device)
        pixels = self.scales[-1].pixels
        pictures = 3 * 4 * (2 * self.history + 8)
        # With checkpointing, one full-resolution block and the inputs of the other blocks are alive.
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
    """Chooses the first plan that fits: as requested, with gradient checkpointing, or with bfloat16.

    Args:
        estimator: Estimator of the run.
        limit_bytes: Memory limit.
        checkpointing: ``auto``, ``on`` or ``off``.
        autocast: Whether bfloat16 is used in any case.
        autocast_allowed: Whether bfloat16 may be used when memory is short.

    Raises:
        OutOfMemoryError: No plan fits; the message gives the largest size that fits.
    """
    first = estimator.forecast(checkpointing=checkpointing == "on")
    if first.memory_bytes <= limit_bytes:
        return Plan(checkpointing=checkpointing == "on", autocast=autocast, forecast=first)
    need = f"{first.memory_bytes / 2**30:.1f} GiB needed, {limit_bytes / 2**30:.1f} GiB available"
    best = first
    if checkpointing == "auto":
        best = estimator.forecast(checkpointing=True)
        if best.memory_bytes <= limit_bytes:
            note = f"gradient checkpointing is on to save memory ({need})"
            return Plan(checkpointing=True, autocast=autocast, forecast=best, notes=(note,))
    halved = BASE_BYTES + int((best.memory_bytes - BASE_BYTES) * 0.6)
    if autocast_allowed and not autocast and halved <= limit_bytes:
        return Plan(
            checkpointing=checkpointing != "off",
            autocast=True,
            forecast=Forecast(memory_bytes=halved, seconds=best.seconds),
            notes=(f"the backbone uses bfloat16 to save memory ({need})",),
        )
    raise _refusal(best, limit_bytes, estimator.scales[-1])


def _refusal(best: Forecast, limit_bytes: int, scale: Scale) -> OutOfMemoryError:
    edge = max(scale.height_px, scale.width_px)
    spare = (limit_bytes - BASE_BYTES) / max(1, best.memory_bytes - BASE_BYTES)
    fits = int(edge * max(0.0, spare) ** 0.5) // 16 * 16
    advice = (
        f"the largest size that fits is --size {fits}"
        if fits >= 64
        else "no size fits, so free some memory or raise --memory-gib"
    )
    return OutOfMemoryError(
        f"an image of {scale.width_px}x{scale.height_px} px needs {best.memory_bytes / 2**30:.1f} GiB of memory, but "
        f"only {limit_bytes / 2**30:.1f} GiB are available; {advice}."
    )
