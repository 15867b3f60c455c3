"""Registries by name: what the options list is what can be made, and one entry is all that a new name needs."""

from __future__ import annotations

import pytest
from helpers import LAYERS, TinyNetwork, painting, photograph

from impasto import config
from impasto.backbones import backbone_names
from impasto.backbones.load import INCLUDED, PUBLISHED
from impasto.config import STYLE_LOSSES, PaintOptions, option_fields, options
from impasto.errors import UnknownNameError, UsageError
from impasto.optimize import Optimization, make_solver
from impasto.optimize.solvers import SOLVERS
from impasto.optimize.style import STYLE_DISTANCES

TINY = {
    "size": 48,
    "steps": (2,),
    "coarsest": 0,
    "device": "cpu",
    "coherence_weight": (0,),
    **LAYERS,
}


def test_options_list_the_implementations():
    assert set(STYLE_LOSSES) == set(STYLE_DISTANCES)
    assert set(config.SOLVERS) == set(SOLVERS)
    assert set(backbone_names()) == {*INCLUDED, *PUBLISHED}


@pytest.mark.parametrize("field", ["style_loss", "solver"])
def test_the_help_describes_every_choice(field):
    (spec,) = [spec for spec in option_fields(PaintOptions) if spec.name == field]
    for name, phrase in spec.metadata["choices"].items():
        assert f"{name} ({phrase})" in spec.metadata["help"]
        assert getattr(options(**{field: name}), field) == name


def test_other_names_are_refused_with_the_allowed_ones():
    with pytest.raises(
        UsageError, match=r"--solver must be one of lbfgs, adam, sgd; got 'adan'.*'adam'"
    ):
        options(solver="adan")
    with pytest.raises(UnknownNameError, match="adam"):
        make_solver("adan")


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_every_style_loss_paints(name):
    run = Optimization(photograph(), [painting()], TinyNetwork(), options(style_loss=name, **TINY))
    assert [iterate.terms["style"] > 0 for iterate in run] == [True, True]


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_has_its_own_learning_rate(name):
    assert make_solver(name).learning_rate == SOLVERS[name].learning_rate
    assert make_solver(name, 0.5).learning_rate == 0.5
