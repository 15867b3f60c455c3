"""Automatic balance of content against style.

A fixed weight changes one photograph too little and buries another: at the same numbers the share of the content
features' energy that is given up differs threefold between pairs of pictures. That share is what a person sees as "how
much of the photograph is left", and it is exactly the relative content loss, so it is held instead: on the coarsest
scale, where a step is cheapest, the style's weight is moved until the content loss meets a budget, and then it stays.

The rule is a multiplicative controller, ``weight *= (budget / content) ** rate``, every few steps, which needs no
second gradient (GradNorm, Chen et al. 2018, balances gradient norms instead, and those say little about the end point).
"""

from __future__ import annotations

__all__ = ["Balancer"]

FIRST_STEP = 15
EVERY_STEPS = 5
RATE = 0.7
MOST_AT_ONCE = 2.0
RANGE = 1000.0


class Balancer:
    """Moves the style's weight until the content loss meets its budget.

    Args:
        budget: The relative content loss that is aimed at.
        weight: The style's weight to begin with; it stays within a factor of 1000 of it.
        most: The largest weight allowed; with the first weight here the balance only ever lowers it.
    """

    def __init__(self, budget: float, weight: float, *, most: float | None = None) -> None:
        self.most = weight * RANGE if most is None else most
        self.budget = budget
        self.first_weight = weight
        self.weight = weight

    @property
    def moved(self) -> bool:
        """Whether the weight is another than at first, by more than a tenth."""
        return not 0.9 <= self.weight / max(self.first_weight, 1e-12) <= 1.1

    def update(self, step: int, content: float) -> bool:
        """Looks at the relative content loss after a step of the coarsest scale.

        Returns:
            Whether the weight was changed.
        """
        if step < FIRST_STEP or step % EVERY_STEPS or self.weight == 0:
            return False
        factor = (self.budget / max(content, 1e-6)) ** RATE
        factor = min(max(factor, 1 / MOST_AT_ONCE), MOST_AT_ONCE)
        weight = min(max(self.weight * factor, self.first_weight / RANGE), self.most)
        changed = weight != self.weight
        self.weight = weight
        return changed
