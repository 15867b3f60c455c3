"""A run on disk, so that one that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config import PaintOptions, to_mapping
from impasto.errors import CheckpointError
from impasto.media import replacing

__all__ = ["fingerprint", "load_checkpoint", "save_checkpoint"]

FORMAT = 1
FREE_TO_CHANGE = (
    "checkpointing", "memory_gib", "device", "download", "weights", "start_file", "content_regions", "style_regions",
)  # fmt: skip
"""Options that do not decide what is painted, or that the pictures' own bytes stand for."""


def fingerprint(pictures: Sequence[Tensor], options: PaintOptions) -> str:
    """SHA-256 of the pictures and of every option that decides what is painted."""
    digest = hashlib.sha256()
    chosen = {k: v for k, v in to_mapping(options).items() if k not in FREE_TO_CHANGE}
    digest.update(json.dumps(chosen, sort_keys=True).encode())
    for picture in pictures:
        digest.update(str(tuple(picture.shape)).encode())
        digest.update(picture.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(path: Path, state: dict[str, Any], mark: str) -> None:
    """Writes tensors and plain values, moved into place when whole.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as beside, beside.open("wb") as stream:
        torch.save({"format": FORMAT, "fingerprint": mark, "state": state}, stream)


def load_checkpoint(path: Path, mark: str) -> dict[str, Any]:
    """Reads what `save_checkpoint` wrote, for the same pictures and options only.

    Raises:
        CheckpointError: The file is damaged, or of another run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            saved = torch.load(path, weights_only=True, map_location="cpu")
        matches = saved["format"] == FORMAT and saved["fingerprint"] == mark
        state: dict[str, Any] = saved["state"]
    except Exception as error:  # torch's reader lets damaged files raise anything
        raise CheckpointError(
            f"{path} is not a whole checkpoint of impasto; delete it to start anew."
        ) from error
    if not matches:
        raise CheckpointError(
            f"{path} belongs to other pictures or options; give those again, or delete it to start anew."
        )
    return state
