"""What every training of a network shares: the loop, random numbers, history, gradients and the state to resume from.

A training method, such as that of looks, creates one `TrainingRun` and passes itself to `steps_of`. Networks, losses
and training data belong to the method.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from impasto.backbones import load_backbone
from impasto.config import to_mapping
from impasto.errors import CheckpointError, DivergedError
from impasto.machine import process_and_count, resolve_device, share_gradients
from impasto.types import Backbone
from impasto.weights import CHECKPOINT, Fields, load_generator

__all__ = [
    "TrainStep",
    "TrainingMethod",
    "TrainingRun",
    "backbone_on",
    "cosine_share",
    "linear_share",
    "set_rate",
    "steps_of",
]

MOST_STEPS = 2**31
"""Largest number of steps that a checkpoint may contain."""

SEEDS_APART = 7919
"""Difference between the seeds of two processes, so that each draws other crops."""


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """One training step.

    Attributes:
        step: Step number, from 1.
        steps: Total number of steps.
        terms: Weighted losses by name, those of discriminators included.
        loss: Sum of the weighted losses of the networks that paint.
        sample: Whether a sample and a checkpoint are due.
        validation: Unweighted losses on held-out images, if this step computed them.
        seconds: Time since the start.
    """

    step: int
    steps: int
    terms: Mapping[str, float]
    loss: float
    sample: bool
    validation: Mapping[str, float] | None
    seconds: float


class TrainingMethod(Protocol):
    """A method of training: one step, what is recorded at a sample, and when to stop."""

    @property
    def steps(self) -> int:
        """Total number of steps."""
        ...

    @property
    def run(self) -> TrainingRun:
        """The state shared by all trainings."""
        ...

    def learn(self) -> tuple[float, Mapping[str, float]]:
        """Takes one step of the optimizers; returns the loss and the weighted terms."""
        ...

    def record(self) -> Mapping[str, float] | None:
        """Appends to the history at a sample; returns losses on held-out images if it computed any."""
        ...

    def finished(self) -> bool:
        """Whether training ends before the last step."""
        ...


class TrainingRun:
    """Random numbers, step count, history and time of one training.

    Seeds torch, so that networks created afterwards get the same initial weights in every process; random crops are
    drawn from `generator`, which differs by process.

    Args:
        options: Options of the training, with ``seed`` and ``device``.
        changing: Names of the options that may change when the training is resumed.

    Attributes:
        device: The device of the networks.
        generator: Generator of all random numbers during training, on the CPU.
        step: Number of steps taken.
        history: Losses at each sample, with their steps.
    """

    def __init__(self, options: Any, changing: Collection[str]) -> None:
        rank, _processes = process_and_count()
        self.device = resolve_device(options.device)
        torch.manual_seed(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed + SEEDS_APART * rank)
        self.step, self.history = 0, list[dict[str, float]]()
        self.began = time.monotonic()
        fixed = {name: value for name, value in to_mapping(options).items() if name not in changing}
        self._fixed = str(sorted(fixed.items()))

    def draw(self, count: int) -> int:
        """Returns a random index below ``count``."""
        return int(torch.randint(0, count, (), generator=self.generator))

    def descend(
        self,
        solver: torch.optim.Optimizer,
        weights: Iterable[nn.Parameter],
        loss: Tensor,
        most_norm: float | None = None,
    ) -> None:
        """Takes one optimizer step with the mean gradient of all processes.

        Args:
            solver: The optimizer.
            weights: Its parameters.
            loss: The loss to reduce.
            most_norm: Largest norm of the gradient; a longer one is clipped.

        Raises:
            DivergedError: The loss is not finite; no weight was changed.
        """
        weights = list(weights)
        solver.zero_grad()
        loss.backward()
        share_gradients(weights)
        if not torch.isfinite(loss):
            raise DivergedError(
                f"a loss is not finite at step {self.step + 1}; resume from the last checkpoint, or start over, with a "
                "lower --learning-rate."
            )
        if most_norm is not None:
            torch.nn.utils.clip_grad_norm_(weights, most_norm)
        solver.step()

    def append(self, losses: Mapping[str, float]) -> None:
        """Appends losses to the history under the current step."""
        self.history.append({"step": float(self.step), **losses})

    def state_dict(self) -> dict[str, Any]:
        """Returns the fields of a checkpoint that every training has."""
        return {
            "generator": self.generator.get_state(),
            "step": self.step,
            "history": self.history,
            "options": self._fixed,
        }

    def open_checkpoint(self, state: Mapping[str, Any]) -> Fields:
        """Returns the fields of a checkpoint, which the training checks and reads before it calls `load`.

        Raises:
            CheckpointError: The checkpoint was saved with other options.
        """
        saved = Fields(state, "the file", CHECKPOINT, device=self.device)
        if saved.text("options") != self._fixed:
            raise CheckpointError(
                "the checkpoint was saved with other options; use those again, or start over without --resume."
            )
        return saved

    def load(self, saved: Fields) -> None:
        """Restores the fields of `state_dict`.

        Raises:
            CheckpointError: A field is missing or does not match this run.
        """
        step, history = saved.integer("step", 0, MOST_STEPS), saved.records("history")
        load_generator(self.generator, saved, "generator")
        self.step, self.history = step, history


def steps_of(method: TrainingMethod, every: int) -> Iterator[TrainStep]:
    """Trains, and yields one `TrainStep` per step; to stop, stop iterating.

    Args:
        method: The training method.
        every: Steps between samples; the last step is always one.

    Raises:
        DivergedError: A loss is not finite.
    """
    run = method.run
    while run.step < method.steps and not method.finished():
        loss, terms = method.learn()
        run.step += 1
        due = run.step % every == 0 or run.step == method.steps
        validation = method.record() if due else None
        yield TrainStep(
            step=run.step, steps=method.steps, terms=terms, loss=loss, sample=due, validation=validation,
            seconds=time.monotonic() - run.began,
        )  # fmt: skip


def cosine_share(step: int, steps: int, least: float = 0.05) -> float:
    """Returns the factor of a cosine learning rate schedule that falls from 1 to ``least``."""
    share = step / max(1, steps)
    return least + (1 - least) * (0.5 + 0.5 * math.cos(math.pi * share))


def linear_share(step: int, steps: int, decay_steps: int) -> float:
    """Returns the factor of a schedule that is 1 for ``steps`` steps, then decays linearly to 0."""
    over = step - steps
    return 1.0 if over <= 0 else 1.0 - over / (decay_steps + 1)


def set_rate(solvers: Iterable[torch.optim.Optimizer], rate: float) -> None:
    """Sets the learning rate of optimizers."""
    for solver in solvers:
        for group in solver.param_groups:
            group["lr"] = rate


def backbone_on(device: torch.device) -> Backbone:
    """Loads the default backbone onto a device."""
    backbone = load_backbone()
    if isinstance(backbone, nn.Module):
        backbone.to(device)
    return backbone
