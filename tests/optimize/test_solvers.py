"""Solvers on functions with known minima."""

from __future__ import annotations

import pytest
import torch

from impasto.optimize import LBFGS, SGD, Adam, make_solver
from impasto.weights import CHECKPOINT, Fields

CURVATURE = torch.logspace(0, 3, 48, dtype=torch.float64).view(1, 3, 4, 4)
TARGET = torch.linspace(0.2, 0.8, 48, dtype=torch.float64).view(1, 3, 4, 4)


def valley(image):
    return CURVATURE * (image - TARGET)


def descend(solver, steps, gradient=valley):
    image = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    for _ in range(steps):
        image = solver.update(image, gradient(image))
    return image


def test_lbfgs_finds_the_bottom_of_an_ill_conditioned_valley():
    assert (descend(LBFGS(history=20), 150) - TARGET).abs().max() < 1e-3


@pytest.mark.parametrize("solver", [Adam(0.02), SGD(0.01)])
def test_first_order_solvers_come_down(solver):
    before = (CURVATURE * (0.5 - TARGET) ** 2).sum()
    found = descend(solver, 200)
    assert (CURVATURE * (found - TARGET) ** 2).sum() < 0.02 * before


@pytest.mark.parametrize("name", ["lbfgs", "adam", "sgd"])
def test_pictures_stay_within_bounds_and_reach_them(name):
    found = descend(make_solver(name, 1.0 if name == "lbfgs" else 0.05), 60, lambda x: x - 3.0)
    assert found.max() <= 1
    assert found.min() > 0.99


@pytest.mark.parametrize("name", ["lbfgs", "adam", "sgd"])
def test_state_goes_through_a_dictionary_exactly(name):
    rate = 1.0 if name == "lbfgs" else 0.02
    first = make_solver(name, rate)
    image = descend(first, 7)
    second = make_solver(name, rate)
    second.load_state_dict(Fields(first.state_dict(), "file", CHECKPOINT), image)
    one, other = image, image
    for _ in range(5):
        one, other = first.update(one, valley(one)), second.update(other, valley(other))
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["lbfgs", "adam", "sgd"])
def test_state_is_carried_over_to_another_size(name):
    solver = make_solver(name, 1.0 if name == "lbfgs" else 0.02)
    descend(solver, 4)
    solver.resize(8, 6)
    larger = torch.full((1, 3, 8, 6), 0.5, dtype=torch.float64)
    assert solver.update(larger, 0.01 * torch.ones_like(larger)).shape == larger.shape
    if isinstance(solver, LBFGS):
        assert solver.steps[-1].shape == larger.shape


def test_back_off_halves_the_step():
    solver = Adam(0.04)
    descend(solver, 3)
    solver.back_off()
    assert solver.learning_rate == 0.02
    assert solver.mean is None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pairs_in_half_precision_lead_nearly_to_the_same_place(layout):
    """Also with images whose layout cannot be viewed as a vector."""
    generator = torch.Generator().manual_seed(0)
    curvature = 10 ** (2 * torch.rand(1, 3, 300, 8, generator=generator))
    found = []
    for kind in (None, torch.bfloat16):
        solver = LBFGS(history=8)
        solver.pair_dtype = kind
        image = torch.full((1, 3, 300, 8), 0.5).contiguous(memory_format=layout)
        for _ in range(25):
            image = solver.update(image, curvature * (image - 0.3))
        assert solver.steps[0].dtype == (kind or torch.float32)
        found.append(float((curvature * (image - 0.3) ** 2).sum()))
    start = float((curvature * 0.04).sum())
    assert max(found) < 0.002 * start
