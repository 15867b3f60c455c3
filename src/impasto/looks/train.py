"""Training of looks: an iterable of steps, like the optimization loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.backbones import load_backbone
from impasto.config import TrainOptions, to_mapping
from impasto.errors import CheckpointError, DivergedError, UsageError
from impasto.looks.file import INSTANT, Look, load_look
from impasto.looks.instant import Instant, Manner, blend_manners, pad_to_eight
from impasto.looks.lessons import FramePair, Lessons
from impasto.looks.networks import Johnson, Painter, PainterShape
from impasto.looks.recolor import recolor_batch
from impasto.looks.style import StyleTarget, look_terms, measure_style
from impasto.losses import total_variation_loss
from impasto.machine import process_and_count, resolve_device, share_gradients
from impasto.media import color_moments, resize_to_fit, shifted
from impasto.motion import warp
from impasto.weights import CHECKPOINT, Fields, adam_moments, load_adam_moments, load_generator

__all__ = ["TrainStep", "Training"]

VALIDATED = 8
"""Number of photographs per validation."""

LEAST_GAIN = 1e-3
"""Relative decrease of the validation loss that counts as an improvement."""

MOST_STEPS = 10_000_000
"""Largest number of steps that the options allow."""

MOVE_PX = 7
"""Largest shift of a photograph in pixels; the strides of the networks are 4 and 8."""

LEAK = 0.05
"""Slope of the clamp outside [0, 1] in the losses, so that out-of-range values still receive a gradient."""


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """One training step.

    Attributes:
        step: Step number, from 1.
        steps: Total number of steps.
        terms: Weighted losses by name.
        loss: Sum of the weighted losses.
        validation: Unweighted losses on held-out photographs; None if this step does not validate.
        seconds: Time since the start.
    """

    step: int
    steps: int
    terms: Mapping[str, float]
    loss: float
    validation: Mapping[str, float] | None
    seconds: float


class Training:
    """Trains a network for one style or for a blend of several styles; iterate over it to train.

    Args:
        styles: ``(1, 3, h, w)`` in ``[0, 1]`` each.
        lessons: Training data.
        options: All other options.

    Attributes:
        history: Validation losses so far, with their steps.

    Raises:
        UsageError: There are no styles, or ``frame_weight`` is above 0 and there are no clips.
    """

    def __init__(self, styles: Sequence[Tensor], lessons: Lessons, options: TrainOptions) -> None:
        if not styles:
            raise UsageError("no style image was given; at least one is required.")
        if options.frame_weight > 0 and not lessons.pairs:
            raise UsageError("--frame-weight requires video frames; pass videos with --clips.")
        self.options, self._lessons = options, lessons
        rank, _processes = process_and_count()
        self.device = resolve_device(options.device)
        self._backbone = load_backbone()
        if isinstance(self._backbone, nn.Module):
            self._backbone.to(self.device)
        torch.manual_seed(options.seed)
        self._generator = torch.Generator().manual_seed(options.seed + 7919 * rank)
        self._styles = [style.cpu() for style in styles]
        self._targets = [
            measure_style(style.to(self.device), self._backbone, options.style_size)
            for style in styles
        ]
        self.network, self.code, self.colors = self._network()
        self.network.to(self.device).train()
        self._manner = self._measured_manner()
        learned = [weight for weight in self.network.parameters() if weight.requires_grad]
        self._weights = [*learned, *([] if self.code is None else [self.code])]
        self._solver = torch.optim.Adam(self._weights, lr=options.learning_rate)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._held = lessons.crops(
            VALIDATED, options.crop, torch.Generator().manual_seed(options.seed + 1), held=True
        )
        self._best, self._stale = math.inf, 0
        self._began = time.monotonic()

    def _network(self) -> tuple[nn.Module, nn.Parameter | None, Tensor | None]:
        """Creates the network, the style code that is trained with it, and the style's color statistics."""
        if self.options.network == "johnson":
            return Johnson(), None, None
        if self.options.network == "instant":
            return load_look(Path(INSTANT)).painter, None, None
        moments = [color_moments(style.double()) for style in self._styles]
        colors = torch.stack([torch.cat(pair, dim=2) for pair in moments]).mean(0).float()
        painter = Painter(PainterShape(width=self.options.width))
        return (
            painter,
            nn.Parameter(torch.zeros(1, painter.shape.codes, device=self.device)),
            colors,
        )

    def _measured_manner(self) -> Manner | None:
        """Returns the style statistics if the instant network is fine-tuned, else None."""
        if not isinstance(self.network, Instant):
            return None
        manners = []
        for style in self._styles:
            seen = pad_to_eight(resize_to_fit(style, self.options.style_size))
            manners.append(self.network.manner(seen.to(self.device)))
        return blend_manners(manners, [1.0] * len(manners))

    def paint(self, image: Tensor) -> Tensor:
        """Returns the network's pastiche of ``(B, 3, H, W)`` in ``[0, 1]``, not clamped."""
        if self._manner is not None:
            return self.network(image, [self._manner])
        if self.code is None:
            return self.network(255 * image) / 255
        return self.network(image, self.code)

    def _seen(self, image: Tensor) -> Tensor:
        """Returns the network's input: images in the style's colors if the network expects those."""
        if self.code is None:
            return image.to(self.device)
        number = int(torch.randint(0, len(self._styles), (), generator=self._generator))
        return recolor_batch(image, [self._styles[number]] * len(image)).to(self.device)

    def __iter__(self) -> Iterator[TrainStep]:
        """Yields one `TrainStep` per step, until the last step or until the validation loss stops improving.

        Raises:
            DivergedError: The loss is not finite.
        """
        options = self.options
        while self.step < options.steps and not self._tired():
            for group in self._solver.param_groups:
                share = self.step / max(1, options.steps)
                group["lr"] = options.learning_rate * (
                    0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * share))
                )
            terms = self._terms()
            loss = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(loss):
                raise DivergedError(
                    f"the loss is not finite at step {self.step + 1}; start over with a lower --learning-rate."
                )
            self._solver.zero_grad()
            loss.backward()
            share_gradients(self._weights)
            torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
            self._solver.step()
            self.step += 1
            due = self.step % options.validate_every == 0 or self.step == options.steps
            validation = self.validate() if due else None
            if validation is not None:
                self._remember(validation)
            yield TrainStep(
                step=self.step, steps=options.steps,
                terms={name: value.item() for name, value in terms.items()}, loss=loss.item(),
                validation=validation, seconds=time.monotonic() - self._began,
            )  # fmt: skip

    def _terms(self) -> dict[str, Tensor]:
        """Computes the weighted terms of one batch, without those of weight 0."""
        options = self.options
        content = self._lessons.crops(options.batch, options.crop, self._generator)
        seen = self._seen(content)
        raw = self.paint(seen)
        held = raw.clamp(0, 1)
        found = look_terms(
            held + LEAK * (raw - held),
            content.to(self.device),
            self._target(options.batch),
            self._backbone,
        )
        terms = {
            "content": options.content_weight * found["content"],
            "style": options.style_weight * found["style"],
        }
        if options.tv_weight > 0:
            terms["tv"] = options.tv_weight * total_variation_loss(raw, "l1")
        if options.noise_weight > 0:
            noise = options.noise * torch.randn(seen.shape, generator=self._generator).to(
                self.device
            )
            apart = self.paint((seen + noise).clamp(0, 1)) - raw
            terms["noise"] = options.noise_weight * apart.square().mean()
        if options.move_weight > 0:
            terms["move"] = options.move_weight * self._unmoved(seen[:1], raw[:1])
        if options.flow_weight > 0 or options.frame_weight > 0:
            terms |= self._temporal(self._lessons.pair(options.crop, self._generator))
        return terms

    def _unmoved(self, seen: Tensor, raw: Tensor) -> Tensor:
        """Penalizes changes of the pastiche under a shift of the image by whole pixels.

        Networks with downsampling are equivariant only to shifts by multiples of their stride. Nothing is resampled, so
        that nothing else is penalized.
        """
        draw = torch.randint(-MOVE_PX, MOVE_PX + 1, (2,), generator=self._generator)
        down, right = (int(number) for number in draw)
        apart = self.paint(shifted(seen, down, right)) - shifted(raw, down, right)
        return apart[..., MOVE_PX:-MOVE_PX, MOVE_PX:-MOVE_PX].square().mean()

    def _temporal(self, pair: FramePair) -> dict[str, Tensor]:
        both = self._seen(torch.cat([pair.first, pair.second]))
        first, second = (self.paint(one) for one in both.split(1))
        terms = {}
        if self.options.flow_weight > 0:
            trust = pair.trust.to(self.device)
            apart = trust * (second - warp(first, pair.flow.to(self.device)))
            terms["flow"] = (
                self.options.flow_weight * apart.square().sum() / (3 * trust.sum()).clamp_min(1.0)
            )
        if self.options.frame_weight > 0:
            terms["frame"] = self.options.frame_weight * (second - first).square().mean()
        return terms

    def _target(self, count: int) -> StyleTarget:
        """Assigns the styles in turn to the images of a batch."""
        return StyleTarget.stack([self._targets[n % len(self._targets)] for n in range(count)])

    @torch.no_grad()
    def pastiches(self) -> tuple[Tensor, Tensor]:
        """Returns held-out photographs and their pastiches, ``(8, 3, crop, crop)`` each."""
        seen = (
            self._held
            if self.code is None
            else recolor_batch(self._held, [self._styles[0]] * len(self._held))
        )
        return self._held, self.paint(seen.to(self.device)).clamp(0, 1)

    def samples(self) -> list[Tensor]:
        """Returns two rows of images, ``(3, crop, 8 crop)``: held-out photographs, and their pastiches."""
        return [torch.cat(list(part), dim=2) for part in self.pastiches()]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Computes unweighted losses on held-out photographs: ``content``, ``style`` and ``gram``."""
        held, pastiche = self.pastiches()
        found = look_terms(pastiche, held.to(self.device), self._target(len(held)), self._backbone)
        return {name: value.item() for name, value in found.items()}

    def _remember(self, validation: Mapping[str, float]) -> None:
        options = self.options
        whole = (
            options.content_weight * validation["content"]
            + options.style_weight * validation["style"]
        )
        self.history.append({"step": float(self.step), "loss": whole, **validation})
        self._stale = 0 if whole < (1 - LEAST_GAIN) * self._best else self._stale + 1
        self._best = min(self._best, whole)

    def _tired(self) -> bool:
        return 0 < self.options.patience <= self._stale

    def look(self, **about: Any) -> Look:
        """Returns the look in its current state."""
        told = {
            "training": to_mapping(self.options), "steps": self.step,
            "validation": self.history[-1] if self.history else {}, **about,
        }  # fmt: skip
        code = None if self.code is None else self.code.detach().cpu()
        return Look(self.network, code, self.colors, told, self._manner)

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to resume the training."""
        return {
            "network": self.network.state_dict(),
            "code": None if self.code is None else self.code.detach(),
            "solver": adam_moments(self._solver),
            "generator": self._generator.get_state(),
            "step": self.step,
            "history": self.history,
            "best": self._best,
            "stale": self._stale,
            "options": str(to_mapping(self.options) | {"steps": 0}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state from `state_dict`; only ``steps`` may differ, which also changes the learning rate schedule.

        Raises:
            CheckpointError: The options differ, or a field is missing or does not match this run.
        """
        saved = Fields(state, "the file", CHECKPOINT, device=self.device)
        if saved.text("options") != str(to_mapping(self.options) | {"steps": 0}):
            raise CheckpointError(
                "the checkpoint was saved with other options; use those again, or start over without --resume."
            )
        step = saved.integer("step", 0, MOST_STEPS)
        history = saved.records("history")
        best, stale = (
            saved.number("best", low=0.0, infinite=True),
            saved.integer("stale", 0, MOST_STEPS),
        )
        if self.code is not None:
            self.code.data.copy_(saved.tensor("code", self.code.shape))
        saved.fill("network", self.network)
        load_adam_moments(self._solver, saved.part("solver"))
        load_generator(self._generator, saved, "generator")
        self.step, self.history, self._best, self._stale = step, history, best, stale
