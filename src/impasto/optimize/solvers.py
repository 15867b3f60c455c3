"""Solvers (optimizers): each takes an image and its gradient and returns the next image.

Solvers never evaluate the objective themselves. Therefore every step costs one forward and one backward pass,
and the loop can stop, save or backtrack between any two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import unknown_name
from impasto.weights import Fields

__all__ = ["LBFGS", "SGD", "SOLVERS", "Adam", "Solver", "make_solver", "stored_pairs"]

MOST_STEPS = 2**31

CHUNK_ROWS = 256
"""Number of rows of half-precision pairs that are converted at a time."""


class Solver(Protocol):
    """Interface between the loop and a solver."""

    def update(self, image: Tensor, gradient: Tensor) -> Tensor:
        """Returns the next image, in ``[0, 1]``, given an image ``(1, 3, H, W)`` and its gradient."""
        ...

    def back_off(self) -> None:
        """Halves the step size and clears the history."""
        ...

    def forget(self) -> None:
        """Clears the history, for another objective or scale."""
        ...

    def reconsider(self) -> None:
        """Discards the last gradient after a small change of the objective; the history is kept."""
        ...

    def resize(self, height_px: int, width_px: int) -> None:
        """Resamples the history to the next scale."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to resume exactly: tensors and numbers."""
        ...

    def load_state_dict(self, saved: Fields, like: Tensor) -> None:
        """Restores a state from `state_dict`, for images of the shape and dtype of ``like``.

        Raises:
            CheckpointError: A field is missing or has another shape.
        """
        ...


def _scaled(tensor: Tensor, height_px: int, width_px: int) -> Tensor:
    return F.interpolate(tensor, (height_px, width_px), mode="bilinear", align_corners=False)


def _free_gradient(image: Tensor, gradient: Tensor) -> Tensor:
    """Zeroes the gradient at pixels that are at 0 or 1 and would be pushed further outward."""
    pushed_out = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
    return gradient.masked_fill(pushed_out, 0.0)


def _dot(a: Tensor, b: Tensor) -> float:
    if a.dtype == b.dtype == torch.float32 or a.dtype == torch.float64:
        return float(torch.dot(a.reshape(-1), b.reshape(-1)))
    chunks = zip(a.split(CHUNK_ROWS, -2), b.split(CHUNK_ROWS, -2), strict=True)
    return sum(float(torch.dot(x.reshape(-1).float(), y.reshape(-1).float())) for x, y in chunks)


def _add(total: Tensor, pair: Tensor, factor: float) -> None:
    """Adds a multiple of a tensor of another precision in place, without a copy of all of it."""
    if total.dtype == pair.dtype:
        total.add_(pair, alpha=factor)
        return
    for mine, other in zip(total.split(CHUNK_ROWS, -2), pair.split(CHUNK_ROWS, -2), strict=True):
        mine.add_(other.to(mine.dtype), alpha=factor)


class LBFGS:
    """Limited-memory BFGS (Nocedal and Wright 2006, algorithm 7.4), projected onto ``[0, 1]``.

    Deviates: there is no line search, so that a step takes one evaluation; instead, the step length is limited
    (`LONGEST`, root mean square per pixel) and the loop backtracks when the loss diverges. The history is taken
    from the projected iterates, and pixels at a bound that would be pushed outward are excluded from the direction.

    Args:
        learning_rate: Factor on the quasi-Newton step.
        history: Number of stored pairs.
        first: Length of the step while the history is empty, root mean square per pixel.

    Attributes:
        history: Number of stored pairs.
        pair_dtype: Data type in which pairs are stored; None for that of the image.
    """

    LONGEST = 0.08

    def __init__(
        self, learning_rate: float = 1.0, *, history: int = 12, first: float = 0.01
    ) -> None:
        self.pair_dtype: torch.dtype | None = None
        self.learning_rate = learning_rate
        self.first = first
        self.history = history
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []
        self._image: Tensor | None = None
        self._gradient: Tensor | None = None

    def update(self, image: Tensor, gradient: Tensor) -> Tensor:
        """See `Solver.update`."""
        self._remember(image, gradient)
        self._image, self._gradient = image, gradient
        direction = self._direction(_free_gradient(image, gradient))
        length = direction.square().mean().sqrt()
        longest = self.LONGEST if self.steps else self.first
        factor = self.learning_rate * torch.clamp(longest / length.clamp_min(1e-12), max=1.0)
        if not self.steps:
            factor = self.learning_rate * longest / length.clamp_min(1e-12)
        direction.mul_(factor)
        return torch.sub(image, direction, out=direction).clamp_(0, 1)

    def _remember(self, image: Tensor, gradient: Tensor) -> None:
        """Stores the last step and the change of the gradient if the curvature along the step is positive."""
        if self._image is None or self._gradient is None:
            return
        step = image - self._image
        self._image = None  # one image less in memory
        change = gradient - self._gradient
        self._gradient = None
        if _dot(step, change) > 1e-6 * float(step.norm()) * float(change.norm()):
            spare = max(0, len(self.steps) + 1 - self.history)
            del self.steps[:spare], self.changes[:spare]
            self.steps.append(step if self.pair_dtype is None else step.to(self.pair_dtype))
            self.changes.append(change if self.pair_dtype is None else change.to(self.pair_dtype))

    def _direction(self, direction: Tensor) -> Tensor:
        """Runs the two-loop recursion in place: four reads per pair, and no temporary images."""
        pairs = [(s, y, 1 / _dot(s, y)) for s, y in zip(self.steps, self.changes, strict=True)]
        shares: list[float] = []
        for s, y, inverse in reversed(pairs):
            share = inverse * _dot(s, direction)
            _add(direction, y, -share)
            shares.append(share)
        if pairs:
            _s, y, inverse = pairs[-1]
            direction.mul_(1 / (inverse * _dot(y, y)))
        for (s, y, inverse), share in zip(pairs, reversed(shares), strict=True):
            _add(direction, s, share - inverse * _dot(y, direction))
        return direction

    def back_off(self) -> None:
        """See `Solver.back_off`."""
        self.learning_rate /= 2
        self.forget()

    def forget(self) -> None:
        """See `Solver.forget`."""
        self.steps.clear()
        self.changes.clear()
        self._image = self._gradient = None

    def reconsider(self) -> None:
        """See `Solver.reconsider`."""
        self._image = self._gradient = None

    def resize(self, height_px: int, width_px: int) -> None:
        """Enlarges the stored pairs; the gradient of a mean is inversely proportional to the number of pixels."""
        if self.steps:
            old = self.steps[0].shape[-2] * self.steps[0].shape[-1]
            ratio = old / (height_px * width_px)
            for pairs, factor in ((self.steps, 1.0), (self.changes, ratio)):
                for n, pair in enumerate(pairs):  # one by one, so that smaller ones are freed
                    working = pair if self.pair_dtype is None else pair.float()
                    pairs[n] = (_scaled(working, height_px, width_px) * factor).to(pair.dtype)
        self._image = self._gradient = None

    def state_dict(self) -> dict[str, Any]:
        """See `Solver.state_dict`."""
        return {
            "learning_rate": self.learning_rate,
            "steps": list(self.steps),
            "changes": list(self.changes),
            "image": self._image,
            "gradient": self._gradient,
        }

    def load_state_dict(self, saved: Fields, like: Tensor) -> None:
        """See `Solver.load_state_dict`."""
        self.learning_rate = saved.number("learning_rate", low=0.0)
        kind = self.pair_dtype or like.dtype
        self.steps = saved.tensors("steps", self.history, like.shape, kind)
        self.changes = saved.tensors("changes", self.history, like.shape, kind)
        if len(self.steps) != len(self.changes):
            raise saved.refusal("changes", f"a list of {len(self.steps)} tensors", self.changes)
        self._image = saved.optional_tensor("image", like.shape, like.dtype)
        self._gradient = saved.optional_tensor("gradient", like.shape, like.dtype)


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) with bias correction, clamped to ``[0, 1]``.

    Args:
        learning_rate: Approximate change of a pixel per step.
        beta1: Decay rate of the mean gradient.
        beta2: Decay rate of the mean squared gradient; 0.99 is short enough for runs of a few hundred steps.
    """

    def __init__(
        self, learning_rate: float = 0.02, *, beta1: float = 0.9, beta2: float = 0.99
    ) -> None:
        self.learning_rate = learning_rate
        self.beta1, self.beta2 = beta1, beta2
        self.count = 0
        self.mean: Tensor | None = None
        self.square: Tensor | None = None

    def update(self, image: Tensor, gradient: Tensor) -> Tensor:
        """See `Solver.update`."""
        if self.mean is None or self.square is None:
            self.mean, self.square = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self.count += 1
        self.mean = torch.lerp(gradient, self.mean, self.beta1)
        self.square = torch.lerp(gradient.square(), self.square, self.beta2)
        mean = self.mean / (1 - self.beta1**self.count)
        root = (self.square / (1 - self.beta2**self.count)).sqrt()
        return (image - self.learning_rate * mean / (root + 1e-12)).clamp_(0, 1)

    def back_off(self) -> None:
        """See `Solver.back_off`."""
        self.learning_rate /= 2
        self.forget()

    def forget(self) -> None:
        """See `Solver.forget`."""
        self.count, self.mean, self.square = 0, None, None

    def reconsider(self) -> None:
        """Does nothing; the moving averages adapt."""

    def resize(self, height_px: int, width_px: int) -> None:
        """Enlarges both moving averages; see `LBFGS.resize` for the scaling."""
        if self.mean is None or self.square is None:
            return
        ratio = self.mean.shape[-2] * self.mean.shape[-1] / (height_px * width_px)
        self.mean = _scaled(self.mean, height_px, width_px) * ratio
        self.square = _scaled(self.square, height_px, width_px) * ratio**2

    def state_dict(self) -> dict[str, Any]:
        """See `Solver.state_dict`."""
        return {
            "learning_rate": self.learning_rate,
            "count": self.count,
            "mean": self.mean,
            "square": self.square,
        }

    def load_state_dict(self, saved: Fields, like: Tensor) -> None:
        """See `Solver.load_state_dict`."""
        self.learning_rate = saved.number("learning_rate", low=0.0)
        self.count = saved.integer("count", 0, MOST_STEPS)
        self.mean = saved.optional_tensor("mean", like.shape, like.dtype)
        self.square = saved.optional_tensor("square", like.shape, like.dtype)


class SGD:
    """Gradient descent with momentum (Sutskever et al. 2013) on the normalized gradient.

    Deviates: the gradient is divided by a decaying maximum of the root mean square of the whole gradient (one number,
    not one per pixel), so that the learning rate is in pixel values and does not depend on loss weights or image size.

    Args:
        learning_rate: Approximate change of a pixel per step.
        momentum: Momentum coefficient: the share of the previous step that is kept.
    """

    def __init__(self, learning_rate: float = 0.02, *, momentum: float = 0.9) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.scale = 0.0
        self.velocity: Tensor | None = None

    def update(self, image: Tensor, gradient: Tensor) -> Tensor:
        """See `Solver.update`."""
        size = float(gradient.square().mean().sqrt())
        self.scale = max(size, 0.99 * self.scale, 1e-20)
        if self.velocity is None:
            self.velocity = torch.zeros_like(gradient)
        self.velocity = self.momentum * self.velocity + gradient / self.scale
        return (image - self.learning_rate * (1 - self.momentum) * self.velocity).clamp_(0, 1)

    def back_off(self) -> None:
        """See `Solver.back_off`."""
        self.learning_rate /= 2
        self.forget()

    def forget(self) -> None:
        """See `Solver.forget`."""
        self.velocity = None
        self.scale = 0.0

    def reconsider(self) -> None:
        """Does nothing; the velocity adapts."""

    def resize(self, height_px: int, width_px: int) -> None:
        """Enlarges the velocity and resets the gradient scale, which is measured again."""
        if self.velocity is not None:
            self.velocity = _scaled(self.velocity, height_px, width_px)
        self.scale = 0.0

    def state_dict(self) -> dict[str, Any]:
        """See `Solver.state_dict`."""
        return {
            "learning_rate": self.learning_rate,
            "scale": self.scale,
            "velocity": self.velocity,
        }

    def load_state_dict(self, saved: Fields, like: Tensor) -> None:
        """See `Solver.load_state_dict`."""
        self.learning_rate = saved.number("learning_rate", low=0.0)
        self.scale = saved.number("scale", low=0.0)
        self.velocity = saved.optional_tensor("velocity", like.shape, like.dtype)


@dataclass(frozen=True, kw_only=True)
class SolverKind:
    """An entry of `SOLVERS`.

    Attributes:
        make: Builds the solver from the learning rate, the history size and the length of the first step.
        learning_rate: Default learning rate.
        stores_pairs: Whether the solver stores pairs of images, as many as the history size, for the memory forecast;
            other solvers store about two images.
    """

    make: Callable[[float, int, float], Solver]
    learning_rate: float
    stores_pairs: bool = False


SOLVERS: Mapping[str, SolverKind] = {
    "lbfgs": SolverKind(
        make=lambda rate, history, first: LBFGS(rate, history=history, first=first),
        learning_rate=1.0,
        stores_pairs=True,
    ),
    "adam": SolverKind(make=lambda rate, _history, _first: Adam(rate), learning_rate=0.03),
    "sgd": SolverKind(make=lambda rate, _history, _first: SGD(rate), learning_rate=0.03),
}
"""The solvers by name. To add one, add its entry here, and its name and phrase to `impasto.config.SOLVERS`."""


def make_solver(
    name: str, learning_rate: float | None = None, *, history: int = 12, first: float = 0.01
) -> Solver:
    """Builds a solver.

    Args:
        name: A key of `SOLVERS`.
        learning_rate: For ``lbfgs``, a factor on the quasi-Newton step (1 for the unscaled step); for ``adam`` and
            ``sgd``, roughly the change of a pixel per step. None for the solver's default.
        history: L-BFGS history size; each pair takes the memory of two images.
        first: Length of the first L-BFGS step, root mean square per pixel.

    Raises:
        UnknownNameError: There is no such solver.
    """
    if name not in SOLVERS:
        raise unknown_name("solver", name, SOLVERS)
    kind = SOLVERS[name]
    return kind.make(learning_rate or kind.learning_rate, history, first)


def stored_pairs(name: str, history: int) -> int | None:
    """Returns the number of pairs that a solver stores for a history size; None for solvers that store no pairs."""
    return history if SOLVERS[name].stores_pairs else None
