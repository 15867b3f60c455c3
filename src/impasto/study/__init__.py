"""Studies: grids of runs, each a small TOML, with their tables, sheets and reports; and the choice for a user."""

from impasto.study.plan import Case, Cell, Plan, bundled, load_plan
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
    "STEPS",
    "Case",
    "Cell",
    "CellDone",
    "Plan",
    "Suggestion",
    "bundled",
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
