"""Automatic balance between content and style.

A fixed weight changes one photograph too little and obscures another: with the same weights, the share of the content
features' energy that is lost differs threefold between image pairs. That share corresponds to how much of the
photograph people still recognize, and it equals the relative content loss, so the content loss is controlled instead:
at the coarsest scale, where steps are cheapest, the style weight is adjusted until the content loss meets a budget.
After that the weight stays constant.

The rule is a multiplicative controller, ``weight *= (budget / content) ** rate``, applied every few steps. It needs no
second gradient. (GradNorm, Chen et al. 2018, balances gradient norms instead, which say little about the result.)
"""

from __future__ import annotations

__all__ = ["Balancer"]

FIRST_STEP = 15
EVERY_STEPS = 5
RATE = 0.7
MOST_AT_ONCE = 2.0
RANGE = 1000.0


class Balancer:
    """Adjusts the style weight until the content loss meets its budget.

    Args:
        budget: Target for the relative content loss.
        weight: Initial style weight; the adjusted weight stays within a factor of 1000 of it.
        most: Largest weight allowed; if it equals the initial weight, the weight can only be lowered.
    """

    def __init__(self, budget: float, weight: float, *, most: float | None = None) -> None:
        self.most = weight * RANGE if most is None else most
        self.budget = budget
        self.first_weight = weight
        self.weight = weight

    @property
    def moved(self) -> bool:
        """Whether the weight differs from the initial one by more than a tenth."""
        return not 0.9 <= self.weight / max(self.first_weight, 1e-12) <= 1.1

    def update(self, step: int, content: float) -> bool:
        """Updates the weight from the relative content loss after a step at the coarsest scale.

        Returns:
            Whether the weight changed.
        """
        if step < FIRST_STEP or step % EVERY_STEPS or self.weight == 0:
            return False
        factor = (self.budget / max(content, 1e-6)) ** RATE
        factor = min(max(factor, 1 / MOST_AT_ONCE), MOST_AT_ONCE)
        weight = min(max(self.weight * factor, self.first_weight / RANGE), self.most)
        changed = weight != self.weight
        self.weight = weight
        return changed
