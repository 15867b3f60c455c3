"""Optical flow, warping, reliability masks and shot detection; requires the ``video`` extra for OpenCV."""

from impasto.motion.chain import MotionChain, NeighborMotion, motion_between
from impasto.motion.estimators import make_estimator
from impasto.motion.files import FlowCache, FlowFiles, read_flow, write_flow
from impasto.motion.flow import (
    DIS,
    Farneback,
    FlowEstimator,
    RememberedFlow,
)
from impasto.motion.raft import RAFT, load_raft
from impasto.motion.reliability import (
    closest_first,
    find_still,
    forward_backward_check,
    motion_boundaries,
    reliability,
)
from impasto.motion.shots import ShotFinder, goes_on
from impasto.motion.show import color_flow
from impasto.motion.track import ANCHOR_FRAMES, Motion, Tracker, trusted_flow
from impasto.motion.warp import warp

__all__ = [
    "ANCHOR_FRAMES",
    "DIS",
    "RAFT",
    "Farneback",
    "FlowCache",
    "FlowEstimator",
    "FlowFiles",
    "Motion",
    "MotionChain",
    "NeighborMotion",
    "RememberedFlow",
    "ShotFinder",
    "Tracker",
    "closest_first",
    "color_flow",
    "find_still",
    "forward_backward_check",
    "goes_on",
    "load_raft",
    "make_estimator",
    "motion_between",
    "motion_boundaries",
    "read_flow",
    "reliability",
    "trusted_flow",
    "warp",
    "write_flow",
]
