"""Parts of training checkpoints other than networks: Adam's moments and random generators."""

from __future__ import annotations

from typing import Any

import torch

from impasto.errors import CheckpointError
from impasto.weights.fields import Fields
from impasto.weights.files import Kind

__all__ = ["CHECKPOINT", "adam_moments", "load_adam_moments", "load_generator"]

CHECKPOINT = Kind(
    "a checkpoint of this run",
    "pass the checkpoint of this run, or start over without --resume",
    CheckpointError,
)

MOMENTS = ("exp_avg", "exp_avg_sq")


def adam_moments(solver: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """Returns Adam's state by parameter index, without the options of its parameter groups."""
    return {str(number): dict(own) for number, own in solver.state_dict()["state"].items()}


def load_adam_moments(solver: torch.optim.Optimizer, saved: Fields) -> None:
    """Restores Adam's state from `adam_moments`, for the same parameters.

    Raises:
        CheckpointError: A moment is missing, or its shape differs from the parameter's.
    """
    weights = [weight for group in solver.param_groups for weight in group["params"]]
    saved.only([str(number) for number in range(len(weights))])
    state = {}
    for name in saved.names():
        part, weight = saved.part(name), weights[int(name)]
        part.only(("step", *MOMENTS))
        moments = {moment: part.tensor(moment, weight.shape, weight.dtype) for moment in MOMENTS}
        state[int(name)] = {"step": part.tensor("step", ()).cpu(), **moments}
    solver.load_state_dict({"state": state, "param_groups": solver.state_dict()["param_groups"]})


def load_generator(generator: torch.Generator, saved: Fields, name: str) -> None:
    """Restores the state of a random generator from a field.

    Raises:
        CheckpointError: The field is not a valid generator state.
    """
    state = saved.tensor(name, generator.get_state().shape, torch.uint8).cpu()
    try:
        generator.set_state(state)
    except RuntimeError as error:
        raise saved.refusal(name, "the state of a random generator", state) from error
