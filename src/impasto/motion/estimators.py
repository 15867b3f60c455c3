"""Optical flow estimators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import UsageError, unknown_name
from impasto.motion.files import FlowCache, FlowFiles
from impasto.motion.flow import DIS, Farneback, FlowEstimator
from impasto.motion.raft import load_raft

__all__ = ["make_estimator"]


@dataclass(frozen=True)
class _Paths:
    weights: Path | None
    files: Path | None


def _raft(paths: _Paths) -> FlowEstimator:
    if paths.weights is None:
        raise UsageError("--flow raft requires a checkpoint; pass it with --flow-weights.")
    return load_raft(paths.weights)


def _files(paths: _Paths) -> FlowEstimator:
    if paths.files is None:
        raise UsageError("--flow files requires a folder of flow files; pass it with --flow-files.")
    return FlowFiles(paths.files)


ESTIMATORS: Mapping[str, Callable[[_Paths], FlowEstimator]] = {
    "dis": lambda _: DIS(),
    "dis-half": lambda _: DIS(halved=True),
    "farneback": lambda _: Farneback(),
    "raft": _raft,
    "files": _files,
}
"""The estimators that `--flow` accepts. To add one, add its entry here and its name to `FilmOptions.flow`."""


def make_estimator(
    name: str, *, weights: Path | None = None, files: Path | None = None, cache: Path | None = None
) -> FlowEstimator:
    """Creates an estimator by name.

    Args:
        name: A key of `ESTIMATORS`.
        weights: Checkpoint for ``raft``.
        files: Folder for ``files``.
        cache: Folder in which to cache results; flow that is read from files is not cached.

    Raises:
        UnknownNameError: The name is unknown.
        UsageError: A required argument is missing.
    """
    if name not in ESTIMATORS:
        raise unknown_name("flow estimator", name, ESTIMATORS)
    estimator = ESTIMATORS[name](_Paths(weights, files))
    return estimator if cache is None or name == "files" else FlowCache(estimator, cache)
