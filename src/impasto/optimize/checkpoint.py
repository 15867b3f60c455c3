"""Checkpoints, from which an interrupted run can be resumed.

A checkpoint is a safetensors file: tensors under dotted names, and in the header one string with the SHA-256 of the
file and the plain values as JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config import PaintOptions, to_mapping
from impasto.errors import CheckpointError, OutputError, UsageError
from impasto.media import is_torch_checkpoint, replacing
from impasto.weights import CHECKPOINT, Fields, parse_json, read_safetensors, write_safetensors

__all__ = [
    "check_checkpoint_place",
    "check_new_run",
    "fingerprint",
    "load_checkpoint",
    "save_checkpoint",
]

FORMAT = 3
KEY = "impasto-checkpoint"
SIZE_BYTES = 8
START = b'{"__metadata__":{"impasto-checkpoint":"'
"""First bytes of the header after its size; they distinguish checkpoints from all other files."""

UNSIGNED = "0" * 64
"""Placeholder for the digest while the digest of the file is computed."""

CHUNK_BYTES = 1 << 20
TENSOR = "$tensor"
CHANNELS_LAST = "$channels_last"
FREE_TO_CHANGE = (
    "checkpointing", "memory_gib", "device", "download", "weights", "start_file", "content_regions", "style_regions",
)  # fmt: skip
"""Options that do not affect the result, or that are covered by the bytes of the images."""


def fingerprint(pictures: Sequence[Tensor], options: PaintOptions) -> str:
    """Returns the SHA-256 of the images and of all options that affect the result."""
    digest = hashlib.sha256()
    chosen = {k: v for k, v in to_mapping(options).items() if k not in FREE_TO_CHANGE}
    digest.update(json.dumps(chosen, sort_keys=True).encode())
    for picture in pictures:
        digest.update(str(tuple(picture.shape)).encode())
        pixels = picture.detach().cpu().contiguous().numpy()
        digest.update(pixels.data)  # without a copy
    return digest.hexdigest()


def check_checkpoint_place(path: Path) -> None:
    """Checks that a checkpoint may be written to a path, without replacing any other file.

    Raises:
        OutputError: The path is an existing file or folder that is not an impasto checkpoint.
    """
    if path.is_symlink() or path.exists():
        if path.is_file() and (_is_checkpoint(path) or is_torch_checkpoint(path)):
            return
        raise OutputError(
            f"{path} exists and is not an impasto checkpoint, so it is not replaced; choose another name."
        )


def check_new_run(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Checks that a run can use a checkpoint without discarding an earlier run by accident.

    Args:
        path: Path of the checkpoint.
        resume: Whether the run continues from it.
        overwrite: Whether existing files may be replaced.

    Raises:
        OutputError: The path is an existing file or folder that is not an impasto checkpoint.
        UsageError: It contains an earlier run, and neither ``resume`` nor ``overwrite`` is set.
    """
    check_checkpoint_place(path)
    if path.exists() and not resume and not overwrite:
        raise UsageError(
            f"{path} contains an earlier run; continue it with --resume, or replace it with --overwrite."
        )


def save_checkpoint(path: Path, state: Mapping[str, Any], mark: str) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: Path of the checkpoint.
        state: Nested dicts with string keys and lists of finite tensors, numbers, strings and None.
        mark: Fingerprint of the run.

    Raises:
        OutputError: The file cannot be written, or would replace a file that is not a checkpoint.
    """
    check_checkpoint_place(path)
    tensors: dict[str, Tensor] = {}
    plain = _packed(state, "", tensors, {})
    body = json.dumps({"format": FORMAT, "fingerprint": mark, "state": plain})
    with replacing(path) as beside:
        write_safetensors(beside, tensors, {KEY: UNSIGNED + body})
        _sign(beside)


def load_checkpoint(path: Path, mark: str) -> dict[str, Any]:
    """Reads a checkpoint that was written by `save_checkpoint` with the same fingerprint.

    Returns:
        The state, which the resumed run still has to validate.

    Raises:
        CheckpointError: The file is damaged, or was written by another version or another run.
    """
    _check_whole(path)
    tensors, metadata = read_safetensors(path, CHECKPOINT)
    text = metadata.get(KEY, "")[len(UNSIGNED) :]
    header = Fields(parse_json(text, path, CHECKPOINT), path, CHECKPOINT)
    header.integer("format", FORMAT, FORMAT)
    if header.text("fingerprint") != mark:
        raise CheckpointError(
            f"{path} was saved with other images or options; use those again, or start over without --resume."
        )
    state: dict[str, Any] = _unpacked(header.mapping("state"), tensors, path)
    return state


def _is_checkpoint(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(SIZE_BYTES + len(START))[SIZE_BYTES:] == START
    except OSError:
        return False


def _digests(path: Path) -> tuple[bytes, bytes]:
    """Returns the stored and the computed digest of a file, in hexadecimal."""
    with path.open("rb") as stream:
        head = stream.read(SIZE_BYTES + len(START) + len(UNSIGNED))
        digest = hashlib.sha256(head[: -len(UNSIGNED)] + UNSIGNED.encode())
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return head[-len(UNSIGNED) :], digest.hexdigest().encode()


def _sign(path: Path) -> None:
    """Stores the digest of a file in its header."""
    assert _is_checkpoint(path), "safetensors writes its metadata first"
    _held, digest = _digests(path)
    with path.open("r+b") as stream:
        stream.seek(SIZE_BYTES + len(START))
        stream.write(digest)


def _check_whole(path: Path) -> None:
    try:
        if _is_checkpoint(path):
            held, digest = _digests(path)
            if held != digest:
                raise CHECKPOINT.refusal(path, "it is damaged: its checksum does not match")
            return
    except OSError as error:
        raise CHECKPOINT.refusal(path, error.strerror or "it cannot be read") from error
    if is_torch_checkpoint(path):
        raise CHECKPOINT.refusal(path, "it was saved by an earlier version of impasto")
    raise CHECKPOINT.refusal(path, "it is not a complete impasto checkpoint")


def _packed(
    value: Any, name: str, tensors: dict[str, Tensor], known: dict[tuple[Any, ...], Any]
) -> Any:
    """Replaces each tensor by a reference to its dotted name; a tensor that occurs twice is stored once."""
    if isinstance(value, Mapping):
        inner = ((key, f"{name}.{key}".strip(".")) for key in value)
        return {key: _packed(value[key], dotted, tensors, known) for key, dotted in inner}
    if isinstance(value, (list, tuple)):
        return [_packed(v, f"{name}.{n}", tensors, known) for n, v in enumerate(value)]
    if not isinstance(value, Tensor):
        return value
    place = (value.data_ptr(), value.dtype, tuple(value.shape), value.stride(), value.device)
    if place not in known:
        tensors[name] = value
        known[place] = {TENSOR: name, CHANNELS_LAST: _is_channels_last(value)}
    return known[place]


def _is_channels_last(value: Tensor) -> bool:
    """Whether a tensor is channels-last; the layout is restored because it affects sums in the last bits."""
    return (
        value.ndim == 4
        and not value.is_contiguous()
        and value.is_contiguous(memory_format=torch.channels_last)
    )


def _unpacked(value: Any, tensors: Mapping[str, Tensor], path: Path) -> Any:
    if isinstance(value, list):
        return [_unpacked(inner, tensors, path) for inner in value]
    if not isinstance(value, dict):
        return value
    if TENSOR not in value:
        return {key: _unpacked(inner, tensors, path) for key, inner in value.items()}
    reference = Fields(value, path, CHECKPOINT)
    name = reference.text(TENSOR)
    if name not in tensors:
        raise CHECKPOINT.refusal(path, f"it lacks the tensor {name[:80]!r}")
    found = tensors[name]
    if reference.flag(CHANNELS_LAST):
        if found.ndim != 4:
            raise CHECKPOINT.refusal(
                path, f"its tensor {name[:80]!r} has {found.ndim} dimensions, not 4"
            )
        return found.contiguous(memory_format=torch.channels_last)
    return found
