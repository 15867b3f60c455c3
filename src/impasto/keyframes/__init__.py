"""Keyframes: which frames of a film to paint, and how to derive the frames between them."""

from impasto.keyframes.between import Stretch, carry_side, join_sides, paint_between
from impasto.keyframes.plan import (
    FilmPlan,
    PlannedShot,
    Planner,
    parse_keyframe,
    read_plan,
    write_plan,
)
from impasto.keyframes.tones import ToneNetwork, learn_tones

__all__ = [
    "FilmPlan",
    "PlannedShot",
    "Planner",
    "Stretch",
    "ToneNetwork",
    "carry_side",
    "join_sides",
    "learn_tones",
    "paint_between",
    "parse_keyframe",
    "read_plan",
    "write_plan",
]
