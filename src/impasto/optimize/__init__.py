"""Iterative optimization of images: objective, scales, solvers, checkpoints, and the loop that yields iterates."""

from impasto.optimize.checkpoint import (
    check_checkpoint_place,
    check_new_run,
    fingerprint,
    load_checkpoint,
    save_checkpoint,
)
from impasto.optimize.film import FilmOptimizer
from impasto.optimize.loop import InFilm, Optimization
from impasto.optimize.memory import Estimator, Forecast, Plan, choose_plan
from impasto.optimize.objective import Evaluation, Objective, Term, build_objective
from impasto.optimize.pyramid import Scale, plan_scales
from impasto.optimize.solvers import LBFGS, SGD, Adam, Solver, make_solver

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "Estimator",
    "Evaluation",
    "FilmOptimizer",
    "Forecast",
    "InFilm",
    "Objective",
    "Optimization",
    "Plan",
    "Scale",
    "Solver",
    "Term",
    "build_objective",
    "check_checkpoint_place",
    "check_new_run",
    "choose_plan",
    "fingerprint",
    "load_checkpoint",
    "make_solver",
    "plan_scales",
    "save_checkpoint",
]
