"""Studies: grids of runs defined in TOML files, with tables, contact sheets and reports; and tuning for one image."""

from impasto.study.plan import Case, Cell, Plan, bundled, load_plan
from impasto.study.plots import MISSING, can_plot
from impasto.study.report import write_report
from impasto.study.run import (
    CellDone,
    check_folder,
    estimated_hours,
    open_folder,
    read_results,
    run_study,
)
from impasto.study.tune import STEPS, Suggestion, score_of, suggest

__all__ = [
    "MISSING",
    "STEPS",
    "Case",
    "Cell",
    "CellDone",
    "Plan",
    "Suggestion",
    "bundled",
    "can_plot",
    "check_folder",
    "estimated_hours",
    "load_plan",
    "open_folder",
    "read_results",
    "run_study",
    "score_of",
    "suggest",
    "write_report",
]
