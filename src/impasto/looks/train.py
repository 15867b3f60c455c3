"""Training of looks: an iterable of steps, like the optimization loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config import TrainOptions, to_mapping
from impasto.errors import UsageError
from impasto.looks.data import FramePair, TrainingData
from impasto.looks.file import INSTANT, Look, load_look
from impasto.looks.instant import Instant, Manner, blend_manners, pad_to_eight
from impasto.looks.networks import Johnson, Painter, PainterShape
from impasto.looks.recolor import recolor_batch
from impasto.looks.style import StyleTarget, look_terms, measure_style
from impasto.losses import total_variation_loss
from impasto.machine import resolve_device
from impasto.media import color_moments, resize_to_fit, shifted
from impasto.motion import warp
from impasto.training import (
    MOST_STEPS,
    TrainingRun,
    TrainStep,
    backbone_on,
    cosine_share,
    set_rate,
    steps_of,
)
from impasto.weights import adam_moments, load_adam_moments

__all__ = ["TrainStep", "Training"]

VALIDATED = 8
"""Number of photographs per validation."""

LEAST_GAIN = 1e-3
"""Relative decrease of the validation loss that counts as an improvement."""

CHANGING = ("steps",)
"""Options that may change on resume."""

MOST_NORM = 1.0
"""Longer gradients are clipped to this norm."""

MOVE_PX = 7
"""Largest shift of a photograph in pixels; the strides of the networks are 4 and 8."""

LEAK = 0.05
"""Slope of the clamp outside [0, 1] in the losses, so that out-of-range values still receive a gradient."""


class Training:
    """Trains a network for one style or for a blend of several styles; iterate over it to train.

    Args:
        styles: ``(1, 3, h, w)`` in ``[0, 1]`` each.
        data: Training data.
        options: All other options.

    Attributes:
        run: Random numbers, step count and history, which is the validation losses so far.

    Raises:
        UsageError: There are no styles, or ``frame_weight`` is above 0 and there are no clips.
    """

    def __init__(self, styles: Sequence[Tensor], data: TrainingData, options: TrainOptions) -> None:
        if not styles:
            raise UsageError("no style image was given; at least one is required.")
        if options.frame_weight > 0 and not data.pairs:
            raise UsageError("--frame-weight requires video frames; pass videos with --clips.")
        self.options, self._data = options, data
        self._backbone = backbone_on(resolve_device(options.device))
        self.run = TrainingRun(options, CHANGING)
        self.device, self._generator = self.run.device, self.run.generator
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
        self._held = data.crops(
            VALIDATED, options.crop, torch.Generator().manual_seed(options.seed + 1), held=True
        )
        self._best, self._stale = math.inf, 0

    @property
    def steps(self) -> int:
        """Total number of steps."""
        return self.options.steps

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self.run.step

    @property
    def history(self) -> list[dict[str, float]]:
        """Validation losses so far, with their steps."""
        return self.run.history

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
        number = self.run.draw(len(self._styles))
        return recolor_batch(image, [self._styles[number]] * len(image)).to(self.device)

    def __iter__(self) -> Iterator[TrainStep]:
        """Yields one `TrainStep` per step, until the last step or until the validation loss stops improving.

        Raises:
            DivergedError: The loss is not finite.
        """
        return steps_of(self, self.options.validate_every)

    def learn(self) -> tuple[float, dict[str, float]]:
        """Takes one step; returns the loss and its weighted terms."""
        options = self.options
        set_rate([self._solver], options.learning_rate * cosine_share(self.step, options.steps))
        terms = self._terms()
        loss = torch.stack(list(terms.values())).sum()
        self.run.descend(self._solver, self._weights, loss, MOST_NORM)
        return loss.item(), {name: value.item() for name, value in terms.items()}

    def _terms(self) -> dict[str, Tensor]:
        """Computes the weighted terms of one batch, without those of weight 0."""
        options = self.options
        content = self._data.crops(options.batch, options.crop, self._generator)
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
            terms |= self._temporal(self._data.pair(options.crop, self._generator))
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

    def record(self) -> dict[str, float]:
        """Validates, and appends the losses to the history."""
        options, validation = self.options, self.validate()
        whole = (
            options.content_weight * validation["content"]
            + options.style_weight * validation["style"]
        )
        self.run.append({"loss": whole, **validation})
        self._stale = 0 if whole < (1 - LEAST_GAIN) * self._best else self._stale + 1
        self._best = min(self._best, whole)
        return validation

    def finished(self) -> bool:
        """Whether the validation loss has stopped improving."""
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
            "best": self._best,
            "stale": self._stale,
            **self.run.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state from `state_dict`; only ``steps`` may differ, which also changes the learning rate schedule.

        Raises:
            CheckpointError: The options differ, or a field is missing or does not match this run.
        """
        saved = self.run.open_checkpoint(state)
        best, stale = (
            saved.number("best", low=0.0, infinite=True),
            saved.integer("stale", 0, MOST_STEPS),
        )
        if self.code is not None:
            self.code.data.copy_(saved.tensor("code", self.code.shape))
        saved.fill("network", self.network)
        load_adam_moments(self._solver, saved.part("solver"))
        self.run.load(saved)
        self._best, self._stale = best, stale
