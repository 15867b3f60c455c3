"""The optimization loop: coarse to fine, yielding one event per step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import PaintOptions, StartName
from impasto.errors import DivergedError, UsageError
from impasto.machine import fast_bfloat16, release_memory, resolve_device
from impasto.media.resize import resize, size_to_fit
from impasto.optimize.balance import Balancer
from impasto.optimize.enlarge import detail_strength, enlarged
from impasto.optimize.memory import Estimator, Load, Plan, choose_plan, free_memory_bytes
from impasto.optimize.objective import (
    Evaluation,
    Objective,
    StyleMemory,
    Term,
    build_objective,
    why_not_tiles,
)
from impasto.optimize.pyramid import by_scale, plan_scales
from impasto.optimize.solvers import LBFGS, Solver, make_solver, stored_pairs
from impasto.optimize.start import RECOLORED, first_picture
from impasto.types import Backbone, Iterate, Region
from impasto.weights import CHECKPOINT, Fields

__all__ = ["InFilm", "Optimization"]

LEAP = 3.0
"""A loss this many times the best of its scale counts as divergence."""

FIRST_STEP = 0.01
WARM_STEP = 0.001
"""First L-BFGS step from a given initial image, root mean square per pixel; a larger one would undo its progress."""

MOST_RETRIES = 8
MOST_TILE_PX = 1 << 20
TOLERANCE_STEPS = 10
SMALLEST_STYLE_PX = 32


def _with_margin(content: Tensor, share: float) -> Tensor:
    """Pads an image by reflection; the padding is a share of its long edge."""
    height, width = content.shape[-2:]
    margin = min(round(share * max(height, width)), height - 1, width - 1)
    return F.pad(content, (margin,) * 4, mode="reflect") if margin else content


@dataclass(frozen=True, kw_only=True)
class InFilm:
    """Additional inputs for a frame of a video.

    Attributes:
        terms: Function that returns the additional terms by name for a scale's height and width.
        plan: Memory plan that was found for the first frame.
        styles: Cache of style statistics, shared by the frames.
    """

    terms: Callable[[tuple[int, int]], Mapping[str, Term]] = lambda _size: {}
    plan: Plan | None = None
    styles: StyleMemory = field(default_factory=dict)


class Optimization:
    """One run, used as an iterable: ``for iterate in Optimization(...)``. To cancel it, stop iterating.

    Between any two iterates, `state_dict` returns everything needed to resume the run exactly.

    Args:
        content: ``(1, 3, H, W)`` in ``[0, 1]``, preferably at least as large as the pastiche.
        styles: One or more of ``(1, 3, h, w)`` in ``[0, 1]``.
        backbone: Feature extractor.
        options: All other options.
        size: Height and width of the pastiche; None to derive them from ``options.size``.
        start: Initial image, which overrides ``options.start``.
        film: Additional inputs for frames of a video.
        regions: Regions of the content, each with its region of a style.

    Attributes:
        image: The current image, ``(1, 3, H, W)``.
        plan: Memory plan, with the forecast.
        precision: Precision of the backbone, with the reason.
        on_progress: Called while a step is evaluated in tiles, with its completed fraction, from 0 to 1.

    Raises:
        UsageError: There are no styles, the number of blend weights differs from the number of styles, all blend
            weights are 0, or the device is unknown.
        OutOfMemoryError: The run does not fit into memory.
    """

    def __init__(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        backbone: Backbone,
        options: PaintOptions,
        *,
        size: tuple[int, int] | None = None,
        start: Tensor | None = None,
        film: InFilm | None = None,
        regions: Sequence[Region] = (),
    ) -> None:
        if not styles:
            raise UsageError("no style image was given; at least one is required.")
        if options.blend and len(options.blend) != len(styles):
            raise UsageError(
                f"--blend must have one weight per style; weights: {len(options.blend)}, styles: {len(styles)}."
            )
        if options.blend and sum(options.blend) == 0:
            raise UsageError("--blend must have at least one weight above 0; got only zeros.")
        self.options, self.backbone, self._given = options, backbone, start
        self._film = film or InFilm()
        self.regions = regions
        self.device = resolve_device(options.device)
        if isinstance(backbone, torch.nn.Module):
            backbone.to(self.device)
        self.styles = [style.to(self.device) for style in styles]
        full = (content.shape[-2], content.shape[-1])
        self.size = size or (size_to_fit(full, options.size) if options.size else full)
        self.margin_px = round(options.margin * max(self.size))
        self.content = _with_margin(content.to(self.device), self.margin_px / max(self.size))
        canvas = (self.size[0] + 2 * self.margin_px, self.size[1] + 2 * self.margin_px)
        self.scales = plan_scales(canvas, options.steps, options.coarsest)
        self.plan = self._film.plan or self._plan()
        self._follow_plan()
        self.precision = self._precision()
        self.solver: Solver = make_solver(
            options.solver,
            options.learning_rate,
            history=options.history,
            first=FIRST_STEP if start is None else WARM_STEP,
        )
        self._limit_solver()
        weight = options.style_weight * options.strength**3
        self.balancer = Balancer(
            options.content_budget, weight, most=weight if options.balance == "guard" else None
        )
        self.scale = self.step = self.total_step = self.retries = 0
        self.losses: list[float] = []
        self.average: Tensor | None = None
        self.best_loss = math.inf
        self.image = self._first_image()
        self.best_image = self.image
        self.on_progress: Callable[[float], None] = lambda _fraction: None
        self._began = time.monotonic()

    def _plan(self) -> Plan:
        options = self.options
        fast = fast_bfloat16(self.device)
        chosen = options.precision == "auto" and fast and self.device.type != "cpu"
        limit = free_memory_bytes(self.device)
        if options.memory_gib is not None:
            limit = int(options.memory_gib * 2**30)
        estimator = Estimator(
            self.backbone,
            tuple(dict.fromkeys(options.content_layers + options.style_layers)),
            self.scales,
            history=stored_pairs(options.solver, options.history),
            device=self.device,
            load=self._load(),
            why_not_tiles=why_not_tiles(self.backbone, options),
        )
        return choose_plan(
            estimator,
            limit,
            checkpointing=options.checkpointing,
            tile_px=options.tile,
            autocast=options.precision == "bfloat16" or chosen,
            autocast_allowed=fast and options.precision == "auto",
        )

    def _load(self) -> Load:
        """Returns what the run keeps in memory besides the features of the backbone."""
        options = self.options
        masks = [mask for region in self.regions for mask in (region.content, region.style)]
        held = [self.content, self.content, *self.styles, *masks]  # the caller keeps the content
        coherence = by_scale(options.coherence_weight, len(self.scales))
        return Load(
            held_bytes=sum(tensor.numel() * tensor.element_size() for tensor in held),
            style_pixels=[
                sum(height * width for height, width in self._style_sizes(number))
                for number in range(len(self.scales))
            ],
            content_layers=options.content_layers if options.content_weight > 0 else (),
            mattings=[(w > 0) + (options.photoreal_weight > 0) for w in coherence],
        )

    def _follow_plan(self) -> None:
        """Applies the plan to the backbone."""
        if hasattr(self.backbone, "checkpointing"):
            self.backbone.checkpointing = self.plan.checkpointing

    def _limit_solver(self) -> None:
        """Applies the plan to the solver."""
        if isinstance(self.solver, LBFGS):
            self.solver.pair_dtype = torch.bfloat16 if self.plan.half_pairs else None
            if self.plan.history is not None:
                self.solver.history = min(self.options.history, self.plan.history)

    def _precision(self) -> str:
        """Returns the precision of the backbone, with the reason."""
        if self.options.precision != "auto":
            reason = "as requested"
        elif self.device.type == "cpu":
            reason = "to save memory" if self.plan.autocast else "default on the CPU"
        elif fast_bfloat16(self.device):
            reason = "fast on this device"
        else:
            reason = "bfloat16 is not fast on this device"
        return f"{'bfloat16' if self.plan.autocast else 'float32'} ({reason})"

    def _first_image(self) -> Tensor:
        return self._started(self.options.start if self._given is None else "file", 0)

    def _started(self, start: StartName, scale: int) -> Tensor:
        """Returns an initial image at the size of a scale."""
        return first_picture(
            start,
            self._content_at(scale),
            self.styles,
            torch.Generator().manual_seed(self.options.seed),
            self._given,
            self._regions_at(scale),
            self.options.blend,
            self.options.strength,
        )

    def _content_at(self, scale: int) -> Tensor:
        return resize(self.content, (self.scales[scale].height_px, self.scales[scale].width_px))

    def _styles_at(self, scale: int) -> list[Tensor]:
        """Returns the styles with their own aspect ratios, the long edge ``style_scale`` times the pastiche's."""
        sizes = self._style_sizes(scale)
        return [resize(style, size) for style, size in zip(self.styles, sizes, strict=True)]

    def _style_sizes(self, scale: int) -> list[tuple[int, int]]:
        """Returns the height and width of each style at a scale."""
        edge = max(self.scales[scale].height_px, self.scales[scale].width_px)
        sizes = []
        for style in self.styles:
            own = (style.shape[-2], style.shape[-1])
            wanted = max(round(edge * self.options.style_scale), SMALLEST_STYLE_PX)
            height, width = size_to_fit(own, wanted)
            least = max(1.0, SMALLEST_STYLE_PX / min(height, width))
            sizes.append((math.ceil(height * least), math.ceil(width * least)))
        return sizes

    def _regions_at(self, scale: int) -> list[Region]:
        """Returns the regions with the content masks at the size of a scale, padded by reflection."""
        size = (self.scales[scale].height_px, self.scales[scale].width_px)
        share = self.margin_px / max(self.size)
        return [
            replace(region, content=resize(_with_margin(region.content, share), size))
            for region in self.regions
        ]

    def __iter__(self) -> Iterator[Iterate]:
        """Yields one `Iterate` per step, coarse to fine."""
        while self.scale < len(self.scales):
            objective = self._objective()
            while self.step < self.scales[self.scale].steps and objective.terms:
                evaluation = objective.evaluate(self.image, self.total_step)
                note = self._advance(objective, evaluation)
                self.step += 1
                self.total_step += 1
                yield self._iterate(evaluation, note)
                if self._converged():
                    self.step = self.scales[self.scale].steps
            self._leave_scale()

    def _objective(self) -> Objective:
        """Builds the objective at the current scale, with the style weight set by the balancer."""
        objective = build_objective(
            self._content_at(self.scale),
            self._styles_at(self.scale),
            self.backbone,
            self.options,
            plan=self.plan.at(self.scales[self.scale]),
            place=(self.scale, len(self.scales)),
            memory=self._film.styles,
            regions=self._regions_at(self.scale),
        )
        if "style" in objective.terms:
            objective.reweigh("style", self.balancer.weight)
        scale = self.scales[self.scale]
        objective.add(self._film.terms((scale.height_px, scale.width_px)))
        objective.on_progress = self.on_progress
        if objective.tiling is not None:
            release_memory()
        return objective

    def _advance(self, objective: Objective, evaluation: Evaluation) -> str:
        """Takes one step, or restores the best image if the loss diverged; returns a note for the user."""
        extremes = torch.aminmax(evaluation.gradient)  # not finite if any value is not
        sound = all(math.isfinite(float(x)) for x in (evaluation.loss, *extremes))
        if not sound or evaluation.loss > LEAP * self.best_loss:
            return self._go_back(evaluation.loss)
        if evaluation.loss < self.best_loss:
            self.best_loss, self.best_image = evaluation.loss, self.image
        self.losses.append(evaluation.loss)
        self.image = self.solver.update(self.image, evaluation.gradient)
        if self.options.averaging > 0:
            previous = self.image if self.average is None else self.average
            self.average = torch.lerp(self.image, previous, self.options.averaging)
        return self._rebalance(objective, evaluation)

    def _go_back(self, loss: float) -> str:
        self.retries += 1
        if self.retries > MOST_RETRIES:
            raise DivergedError(
                f"the optimization diverged: the loss is {loss:g} after the step size was halved {MOST_RETRIES} times; "
                "use a smaller --learning-rate or --precision float32."
            )
        self.image = self.best_image.clone()
        self.solver.back_off()
        return f"the loss was {loss:g}: restored the best image so far and halved the step size"

    def _rebalance(self, objective: Objective, evaluation: Evaluation) -> str:
        automatic = self.options.balance != "fixed" and self.scale == 0
        if not automatic or not {"content", "style"} <= evaluation.terms.keys():
            return ""
        content = evaluation.terms["content"] / self.options.content_weight
        changed = self.balancer.update(self.step + 1, content)
        if self.step + 1 == self.scales[0].steps and self.balancer.moved:
            return (
                f"style weight set to {self.balancer.weight:.3g}, content loss near {content:.2f}"
            )
        if not changed:
            return ""
        objective.reweigh("style", self.balancer.weight)
        self.solver.reconsider()
        self.best_loss = math.inf
        return ""

    def _converged(self) -> bool:
        if self.options.tolerance <= 0 or len(self.losses) <= TOLERANCE_STEPS:
            return False
        before, now = self.losses[-TOLERANCE_STEPS - 1], self.losses[-1]
        return before - now < self.options.tolerance * before

    def _leave_scale(self) -> None:
        if not self.options.carry_state or self.scale + 1 >= len(self.scales):
            self.solver.forget()  # frees memory for what comes next
        if self.scale + 1 >= len(self.scales):
            self.scale += 1
            self.best_image = self.image
            return
        following = self.scales[self.scale + 1]
        size = (following.height_px, following.width_px)
        image = self._enlarged(size)  # slow, so it comes before any change of the state

        self.scale, self.step, self.losses, self.best_loss = self.scale + 1, 0, [], math.inf
        self.image = self.best_image = image
        self.average = None
        if self.options.carry_state:
            self.solver.resize(*size)
        if self.scale + 1 == len(self.scales):
            self.__dict__.pop("_photograph", None)

    def _enlarged(self, size: tuple[int, int]) -> Tensor:
        """Upsamples to the next scale, adding the detail of the given initial image or of the photograph."""
        if self._given is not None:
            return enlarged(self._canvas, self._given.to(self.content), size)
        zoom = self.options.style_scale
        before, after = max(self.image.shape[-2:]) * zoom, max(size) * zoom
        limit = None  # without stylization the photograph keeps all of its detail
        strength = min(self.options.strength, 1.0)
        if strength * self.options.style_weight > 0:
            limit = detail_strength(self.styles, self.options.blend, round(before), round(after))
            limit /= strength**3
        return enlarged(self._canvas, self._photograph, size, limit)

    @cached_property
    def _photograph(self) -> Tensor:
        """The content image at the finest scale, with the colors of the initial image."""
        start = self.options.start
        return self._started(start if start in RECOLORED else "content", -1)

    @property
    def _canvas(self) -> Tensor:
        """The current image with padding; the exponential moving average if averaging is enabled."""
        return self.image if self.average is None else self.average

    @property
    def result(self) -> Tensor:
        """The current result, ``(1, 3, h, w)`` at the current scale, without padding."""
        canvas = self._canvas
        height, width = canvas.shape[-2:]
        cut = round(self.margin_px * height / (self.size[0] + 2 * self.margin_px))
        return canvas[..., cut : height - cut, cut : width - cut]

    def _iterate(self, evaluation: Evaluation, note: str) -> Iterate:
        scale = self.scales[self.scale]
        return Iterate(
            step=self.step,
            steps=scale.steps,
            scale=self.scale,
            scales=len(self.scales),
            total_step=self.total_step,
            total_steps=sum(s.steps for s in self.scales),
            height_px=scale.height_px,
            width_px=scale.width_px,
            loss=evaluation.loss,
            terms=evaluation.terms,
            image=self.result.detach(),
            seconds=time.monotonic() - self._began,
            note=note,
        )

    NUMBERS = ("scale", "step", "total_step", "retries", "losses", "best_loss")
    PICTURES = ("image", "best_image", "average")
    PLANNED = ("tile_px", "history", "half_pairs")
    """Measures of the plan that affect the last bits of the result, so that a resumed run keeps them."""

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to resume the run exactly: tensors and plain numbers."""
        state = {name: getattr(self, name) for name in (*self.NUMBERS, *self.PICTURES)}
        state["losses"] = list(self.losses)
        state["plan"] = {name: getattr(self.plan, name) for name in self.PLANNED}
        return state | {"solver": self.solver.state_dict(), "style_weight": self.balancer.weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state from `state_dict`, for the same images and options.

        Raises:
            CheckpointError: A field is missing or does not match this run.
        """
        saved = Fields(state, "the file", CHECKPOINT, device=self.device)
        scale = saved.integer("scale", 0, len(self.scales))
        present = self.scales[min(scale, len(self.scales) - 1)]
        step = saved.integer("step", 0, present.steps)
        total_step = saved.integer("total_step", 0, sum(s.steps for s in self.scales))
        retries = saved.integer("retries", 0, MOST_RETRIES)
        losses = saved.numbers("losses")
        best_loss = saved.number("best_loss", low=0.0, infinite=True)
        shape = (1, 3, present.height_px, present.width_px)
        image, best_image = (saved.tensor(name, shape) for name in ("image", "best_image"))
        average = saved.optional_tensor("average", shape)
        weight = saved.number("style_weight", low=0.0)
        plan = saved.part("plan")
        self.plan = replace(
            self.plan,
            tile_px=plan.integer("tile_px", 0, MOST_TILE_PX),
            history=plan.optional_integer("history", 1, MOST_TILE_PX),
            half_pairs=plan.flag("half_pairs"),
        )
        self._limit_solver()
        self.solver.load_state_dict(saved.part("solver"), image)
        self.scale, self.step, self.total_step, self.retries = scale, step, total_step, retries
        self.losses, self.best_loss = losses, best_loss
        self.image, self.best_image, self.average = image, best_image, average
        self.balancer.weight = weight
