"""What all trainings share: the loop, learning rates, random numbers, gradients and checkpoints."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from impasto.config import train_options
from impasto.errors import CheckpointError, DivergedError
from impasto.training import TrainingRun, cosine_share, linear_share, set_rate, steps_of


class Slope:
    """Moves one number downhill by 0.5 per step."""

    def __init__(self, steps: int = 5, ends_at: int = 100, **changes) -> None:
        self.run = TrainingRun(train_options(device="cpu", steps=steps, **changes), ("steps",))
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.solver = torch.optim.SGD([self.weight], lr=0.5)
        self.steps, self.ends_at = steps, ends_at

    def learn(self):
        loss = self.weight.sum()
        self.run.descend(self.solver, [self.weight], loss)
        return loss.item(), {"height": loss.item()}

    def record(self):
        self.run.append({"height": self.weight.item()})
        return {"height": self.weight.item()}

    def finished(self):
        return self.run.step >= self.ends_at


def test_samples_are_due_every_nth_step_and_at_the_last():
    slope = Slope(steps=5)
    steps = list(steps_of(slope, 2))
    assert [step.sample for step in steps] == [False, True, False, True, True]
    assert [step.validation for step in steps][1] == {"height": -1.0}
    assert [step.loss for step in steps] == [0.0, -0.5, -1.0, -1.5, -2.0]
    assert slope.run.history == [{"step": float(n), "height": -n / 2} for n in (2, 4, 5)]


def test_a_method_that_is_finished_stops_before_the_last_step():
    assert len(list(steps_of(Slope(steps=9, ends_at=3), 2))) == 3


def test_a_loss_that_is_not_finite_changes_no_weight():
    slope = Slope()
    with pytest.raises(DivergedError, match="at step 1; resume from the last checkpoint"):
        slope.run.descend(slope.solver, [slope.weight], slope.weight.sum() * torch.inf)
    assert slope.weight.item() == 0


def test_a_long_gradient_is_clipped_to_the_given_norm():
    slope = Slope()
    slope.run.descend(slope.solver, [slope.weight], 100 * slope.weight.sum(), most_norm=1.0)
    assert slope.weight.item() == pytest.approx(-0.5)


def test_the_cosine_schedule_falls_from_1_to_its_least_value():
    assert [cosine_share(step, 10) for step in (0, 5, 10)] == pytest.approx([1.0, 0.525, 0.05])
    assert cosine_share(0, 0) == 1


def test_the_linear_schedule_decays_after_the_steps_at_the_full_rate():
    shares = [linear_share(step, 3, 4) for step in range(8)]
    assert shares == pytest.approx([1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_the_rate_is_set_in_every_group_of_every_optimizer():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    solver = torch.optim.Adam(groups, lr=1.0)
    set_rate([solver], 0.25)
    assert [group["lr"] for group in solver.param_groups] == [0.25, 0.25]


def test_equal_seeds_give_equal_weights_and_other_crops_in_other_processes(monkeypatch):
    weights, draws = [], []
    for rank in (0, 1):
        monkeypatch.setattr("impasto.training.process_and_count", lambda rank=rank: (rank, 2))
        run = TrainingRun(train_options(device="cpu", seed=3), ())
        weights.append(torch.rand(4))
        draws.append([run.draw(1000) for _ in range(4)])
    torch.testing.assert_close(weights[0], weights[1], atol=0, rtol=0)
    assert draws[0] != draws[1]


def test_a_checkpoint_restores_step_history_and_random_numbers():
    first = Slope(steps=4)
    list(steps_of(first, 2))
    state = first.run.state_dict()
    second = Slope(steps=8)
    second.run.load(second.run.open_checkpoint(state))
    assert (second.run.step, second.run.history) == (4, first.run.history)
    assert second.run.draw(10**6) == first.run.draw(10**6)


def test_a_checkpoint_of_other_options_is_rejected_unless_they_may_change():
    state = Slope(steps=4).run.state_dict()
    Slope(steps=9).run.open_checkpoint(state)
    with pytest.raises(CheckpointError, match="was saved with other options"):
        Slope(steps=4, batch=7).run.open_checkpoint(state)


def test_a_step_names_what_the_progress_display_shows():
    step = next(iter(steps_of(Slope(), 1)))
    assert {spec.name for spec in dataclasses.fields(step)} == {
        "step", "steps", "terms", "loss", "sample", "validation", "seconds",
    }  # fmt: skip
