"""Forecasts of memory and time before a run, and the ladder of ways to reduce memory when it is short."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import OutOfMemoryError
from impasto.losses import averages
from impasto.machine import free_memory_bytes
from impasto.optimize.pyramid import Scale
from impasto.optimize.tiles import Tiling
from impasto.types import Backbone

__all__ = ["Estimator", "Forecast", "Load", "Plan", "choose_plan", "free_memory_bytes"]

PROBE_PX = 128
LARGE_PROBE_PX = 384
"""Side of the image whose evaluation is timed; the larger one, whose features exceed the caches, for large runs."""

LARGE_PIXELS = 1_000_000
BASE_BYTES = 340 * 2**20
"""Measured memory of the interpreter, torch, its thread pools and the code of its kernels."""

SLACK = 1.25
"""Factor on the memory saved for the backward pass, for convolution workspaces and gradients alive at the same time."""

IMAGE_BYTES = 12
"""Bytes per pixel of an image in float32."""

UPDATE_IMAGES = 6
"""Images alive while a step is taken, apart from L-BFGS pairs: current, previous and best image, gradient, direction,
and temporary ones."""

ENLARGEMENT_IMAGES = 7
"""Images alive at the beginning of a scale, at the size of that scale."""

TILE_FRAGMENT_IMAGES = 5
"""Measured memory that the C library keeps between the tiles of a step, in images."""

FRAGMENT_BYTES = 32 << 20
"""Size from which the C library returns freed blocks to the system at once."""

MATTING_BYTES = 300
STENCIL_BYTES = 52
"""Bytes per pixel of a matting Laplacian: the sparse matrix of the whole image, or the stencils of tiles."""

TILE_SIZES = (1024, 768, 512, 384, 256)
SMALLEST_TILE_PX = 128
FEWEST_PAIRS = (6, 3, 1)

FORWARD_SHARE = 1 / 3
"""Time of a forward pass relative to an evaluation."""

TILE_SPEED = 0.9
"""Time per pixel of a tile relative to the whole image; its features are more often in the caches."""

MARGIN = 1.04
"""Safety margin: a run may take a few percent more than its forecast."""

LOSS_FACTOR = 1.6
"""Time of an evaluation relative to a probe, which has neither losses of pixels nor matrix roots."""

PAIR_WORK = 0.015
"""Time that an L-BFGS pair takes per step, relative to a probe of the same size."""

SETUP_STEPS = 1.3
"""Time that each scale takes before its first step, in steps on the whole image."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Peak memory of a run in bytes, and its approximate duration in seconds."""

    memory_bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings that keep a run within the memory limit.

    Attributes:
        checkpointing: Whether to use gradient checkpointing.
        autocast: Whether the backbone runs in bfloat16.
        tile_px: Side of the tiles that images are evaluated in; 0 for the whole image. See `at`.
        history: Largest number of L-BFGS pairs; None for that of the options.
        half_pairs: Whether L-BFGS pairs are stored in bfloat16.
        forecast: Memory and time of the run.
        limit_bytes: Memory that the run may use.
        notes: What differs from a run with enough memory, for the user.
    """

    checkpointing: bool = False
    autocast: bool = False
    tile_px: int = 0
    history: int | None = None
    half_pairs: bool = False
    forecast: Forecast = Forecast(memory_bytes=0, seconds=0.0)
    limit_bytes: int = 0
    notes: tuple[str, ...] = ()

    def at(self, scale: Scale) -> Plan:
        """Returns the plan for a scale: an image that a single tile covers is evaluated whole, which is faster."""
        if self.tile_px and max(scale.height_px, scale.width_px) <= self.tile_px:
            return dataclasses.replace(self, tile_px=0)
        return self

    def described(self) -> str:
        """Names the measures in a few words, such as ``tiles of 512 px, L-BFGS pairs in bfloat16``."""
        parts = [
            f"tiles of {self.tile_px} px" if self.tile_px else "",
            "gradient checkpointing" if self.checkpointing else "",
            "bfloat16" if self.autocast else "",
            "L-BFGS pairs in bfloat16" if self.half_pairs else "",
            f"{self.history} L-BFGS pairs" if self.history is not None else "",
        ]
        return ", ".join(part for part in parts if part) or "the whole image"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a run keeps in memory besides the features of the backbone.

    Attributes:
        held_bytes: Images that are held during the whole run: content, styles and masks as given.
        style_pixels: Pixels of all styles at each scale.
        content_layers: Layers whose feature maps are kept as targets.
        mattings: Number of matting Laplacians at each scale.
    """

    held_bytes: int = 0
    style_pixels: Sequence[int] = ()
    content_layers: Sequence[str] = ()
    mattings: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Measurements of the backbone, per pixel of the image.

    Attributes:
        saved: Bytes saved for the backward pass.
        largest: Bytes of the largest feature map.
        target: Bytes of the content targets.
        seconds: Seconds per evaluation.
    """

    saved: float
    largest: float
    target: float
    seconds: float


def _probe(
    backbone: Backbone,
    layers: Sequence[str],
    content_layers: Sequence[str],
    device: torch.device,
    side_px: int,
) -> Probe:
    image = torch.full((1, 3, side_px, side_px), 0.5, device=device, requires_grad=True)
    sizes: dict[int, int] = {}
    target = 0

    def pack(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def now() -> float:
        if device.type != "cpu":
            return time.perf_counter()
        return time.process_time() / torch.get_num_threads()  # other programs do not affect it

    def step() -> float:
        nonlocal target
        began = now()
        features = backbone(image, layers)
        target = sum(features[n].numel() * 4 for n in content_layers if n in features)
        total = torch.stack(
            [averages(v.float())[1].square().sum() for v in features.values()]
        ).sum()
        torch.autograd.grad(total, image)
        return now() - began

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    seconds = min(step() for _ in range(4 if side_px == PROBE_PX else 3))
    parameters = {p.untyped_storage().data_ptr() for p in getattr(backbone, "parameters", list)()}
    saved = [size for pointer, size in sizes.items() if pointer not in parameters]
    pixels = side_px**2
    return Probe(
        saved=sum(saved) / pixels,
        largest=max(saved) / pixels,
        target=target / pixels,
        seconds=seconds / pixels,
    )


class Estimator:
    """Extrapolates memory and time from a probe of the backbone.

    Args:
        backbone: Feature extractor.
        layers: Layers whose features are used.
        scales: Scales of the run.
        history: L-BFGS history size; None for another solver.
        device: Device of the run.
        load: What the run keeps in memory besides features.
        why_not_tiles: Why the run cannot be evaluated in tiles; empty if it can.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: Sequence[str],
        scales: Sequence[Scale],
        *,
        history: int | None,
        device: torch.device,
        load: Load | None = None,
        why_not_tiles: str = "",
    ) -> None:
        self.backbone, self.layers, self.scales = backbone, layers, scales
        self.history, self.load, self.why_not_tiles = history, load or Load(), why_not_tiles
        if hasattr(backbone, "checkpointing"):
            backbone.checkpointing = False  # an earlier run may have set it
        work = sum(scale.pixels * scale.steps for scale in scales)
        side = LARGE_PROBE_PX if work > 20 * LARGE_PIXELS else PROBE_PX
        self._probe = _probe(backbone, layers, self.load.content_layers, device, side)

    def forecast(self, plan: Plan) -> Forecast:
        """Forecasts the run with a plan."""
        peaks = [self._peak_bytes(number, plan) for number in range(len(self.scales))]
        memory = BASE_BYTES + self.load.held_bytes + round(max(peaks))
        whole = Plan()
        seconds = sum(
            self._step_seconds(scale, plan) * scale.steps
            + self._step_seconds(scale, whole) * SETUP_STEPS
            for scale in self.scales
        )
        return Forecast(memory_bytes=memory, seconds=seconds)

    def pairs(self, scale: Scale, plan: Plan) -> int:
        """Returns the number of L-BFGS pairs at a scale; other solvers keep about two images, which count as one."""
        if self.history is None:
            return 1
        most = self.history if plan.history is None else min(plan.history, self.history)
        return max(0, min(most, scale.steps - 1))

    def _peak_bytes(self, number: int, plan: Plan) -> float:
        """Returns the peak of a scale, without what the whole run holds."""
        scale, load = self.scales[number], self.load
        plan = plan.at(scale)
        pair = IMAGE_BYTES * (1 if plan.half_pairs else 2)
        state = scale.pixels * pair * self.pairs(scale, plan)
        targets = scale.pixels * self._probe.target
        mattings = load.mattings[number] if load.mattings else 0
        targets += scale.pixels * mattings * (STENCIL_BYTES if plan.tile_px else MATTING_BYTES)
        images = scale.pixels * IMAGE_BYTES
        fragments = TILE_FRAGMENT_IMAGES * min(images, FRAGMENT_BYTES) if plan.tile_px else 0.0
        evaluation = 5 * images + fragments + self._evaluation_bytes(scale, plan)
        phases = [state + targets + max(evaluation, UPDATE_IMAGES * images)]
        if len(self.scales) > 1:
            styles = load.style_pixels[number] if load.style_pixels else 0
            phases.append(ENLARGEMENT_IMAGES * images + 3 * IMAGE_BYTES * styles)
        return max(phases)

    def _evaluation_bytes(self, scale: Scale, plan: Plan) -> float:
        """Returns the memory of activations and their gradients."""
        probe, pixels = self._probe, float(scale.pixels)
        # With checkpointing, one full-resolution block and the inputs of the other blocks are alive.
        saved = probe.saved * (0.65 if plan.checkpointing else 1.0)
        activations = saved + 2 * probe.largest
        tiling = self._tiling(plan)
        if tiling is not None:
            pixels = tiling.crop_px(scale.height_px) * tiling.crop_px(scale.width_px)
        return SLACK * activations * pixels * (0.6 if plan.autocast else 1.0)

    def _step_seconds(self, scale: Scale, plan: Plan) -> float:
        work, seconds = float(scale.pixels), self._probe.seconds
        plan = plan.at(scale)
        tiling = self._tiling(plan)
        if tiling is not None:
            read = [
                sum(span.stop - span.start for span in tiling.spans(side))
                for side in (scale.height_px, scale.width_px)
            ]
            work = read[0] * read[1] * (1 + FORWARD_SHARE) * TILE_SPEED
        elif plan.checkpointing:
            work *= 1.35
        solver = PAIR_WORK * self.pairs(scale, plan) * scale.pixels
        return seconds * (LOSS_FACTOR * work + solver)

    def _tiling(self, plan: Plan) -> Tiling | None:
        if not plan.tile_px or self.why_not_tiles:
            return None
        return Tiling.of(self.backbone, self.layers, plan.tile_px)


def choose_plan(
    estimator: Estimator,
    limit_bytes: int,
    *,
    checkpointing: str = "auto",
    tile_px: int = 0,
    autocast: bool = False,
    autocast_allowed: bool = False,
) -> Plan:
    """Chooses the first plan that fits: as requested, with gradient checkpointing, in tiles, with smaller pairs.

    Args:
        estimator: Estimator of the run.
        limit_bytes: Memory limit.
        checkpointing: ``auto``, ``on`` or ``off``.
        tile_px: Side of the tiles; 0 to use tiles only if the whole image does not fit.
        autocast: Whether bfloat16 is used in any case.
        autocast_allowed: Whether bfloat16 may be used if the run does not fit and cannot be divided into tiles.

    Raises:
        OutOfMemoryError: No plan fits; the message gives the largest size that fits.
    """
    wanted = Plan(
        checkpointing=checkpointing == "on",
        autocast=autocast,
        tile_px=tile_px,
        limit_bytes=limit_bytes,
    )
    need = ""
    best: Plan | None = None
    for plan in _ladder(estimator, wanted, auto=checkpointing == "auto"):
        forecast = estimator.forecast(plan)
        if forecast.memory_bytes * MARGIN <= limit_bytes:
            return dataclasses.replace(plan, forecast=forecast, notes=_notes(plan, wanted, need))
        if not need:
            need = f"{MARGIN * forecast.memory_bytes / 2**30:.1f} GiB needed, {limit_bytes / 2**30:.1f} GiB available"
        if best is None or forecast.memory_bytes < best.forecast.memory_bytes:
            best = dataclasses.replace(plan, forecast=forecast)
    assert best is not None
    if autocast_allowed and estimator.why_not_tiles and not autocast:
        halved = dataclasses.replace(best, autocast=True)
        forecast = estimator.forecast(halved)
        if forecast.memory_bytes <= limit_bytes:
            return dataclasses.replace(
                halved, forecast=forecast, notes=_notes(halved, wanted, need)
            )
    raise _refusal(best, limit_bytes, estimator)


def _ladder(estimator: Estimator, wanted: Plan, *, auto: bool) -> Iterator[Plan]:
    """Yields plans from the fastest to the smallest."""
    yield wanted
    change: Callable[..., Plan] = dataclasses.replace
    if auto and not wanted.tile_px:
        yield change(wanted, checkpointing=True)
    if estimator.why_not_tiles:
        return
    longest = max(estimator.scales[-1].height_px, estimator.scales[-1].width_px)
    sizes = [size for size in TILE_SIZES if size < longest]
    if wanted.tile_px:
        sizes = [wanted.tile_px]
    for size in sizes:
        yield change(wanted, tile_px=size)
    if estimator.history is None:
        yield change(wanted, tile_px=wanted.tile_px or SMALLEST_TILE_PX)
        return
    for size in sizes:
        yield change(wanted, tile_px=size, half_pairs=True)
    for pairs in FEWEST_PAIRS:
        if pairs < estimator.history:
            for size in sizes[-2:]:
                yield change(wanted, tile_px=size, half_pairs=True, history=pairs)
    fewest = min(FEWEST_PAIRS[-1], estimator.history)
    yield change(
        wanted, tile_px=wanted.tile_px or SMALLEST_TILE_PX, half_pairs=True, history=fewest
    )


def _notes(plan: Plan, wanted: Plan, need: str) -> tuple[str, ...]:
    """Describes what a plan does to save memory, beyond what was asked for."""
    notes = []
    if plan.checkpointing and not wanted.checkpointing and not plan.autocast:
        notes.append(f"gradient checkpointing is on to save memory ({need})")
    if plan.tile_px and not wanted.tile_px:
        notes.append(
            f"the image is evaluated in tiles of {plan.tile_px} px to save memory ({need})"
        )
    if plan.half_pairs:
        pairs = "" if plan.history is None else f" at most {plan.history}"
        notes.append(f"the optimizer stores{pairs} L-BFGS pairs in bfloat16 to save memory")
    if plan.autocast and not wanted.autocast:
        notes.append(f"the backbone uses bfloat16 to save memory ({need})")
    return tuple(notes)


def _refusal(best: Plan, limit_bytes: int, estimator: Estimator) -> OutOfMemoryError:
    scale = estimator.scales[-1]
    edge = max(scale.height_px, scale.width_px)
    need = MARGIN * best.forecast.memory_bytes
    fixed = BASE_BYTES + estimator.load.held_bytes
    spare = (limit_bytes - fixed) / max(1, need - fixed)
    fits = int(edge * min(1.0, max(0.0, spare)) ** 0.5) // 16 * 16
    advice = (
        f"the largest size that fits is --size {fits}"
        if fits >= 64
        else "no size fits, so free some memory or raise --memory-gib"
    )
    reason = (
        f"; it cannot be divided into tiles: {estimator.why_not_tiles}"
        if estimator.why_not_tiles
        else ""
    )
    return OutOfMemoryError(
        f"an image of {scale.width_px}x{scale.height_px} px needs {need / 2**30:.1f} GiB of memory, but "
        f"only {limit_bytes / 2**30:.1f} GiB are available{reason}; {advice}."
    )
