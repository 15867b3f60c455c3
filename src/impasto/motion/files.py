"""Optical flow files: Middlebury .flo and KITTI 16-bit PNG."""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import InputError, MissingFileError, UsageError
from impasto.media import replacing
from impasto.motion.flow import FlowEstimator, opencv
from impasto.types import Frame

__all__ = ["FlowCache", "FlowFiles", "read_flow", "write_flow"]

FLO_MAGIC = 202021.25
FLO_UNKNOWN = 1e9
FLO_HEADER_BYTES = 12
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEADER = struct.Struct(f">{len(PNG_START)}sIIBB")
PNG_RGB = 2
PNG_MOST_BYTES_A_PIXEL, PNG_MOST_EXTRA_BYTES = 7, 1 << 20
MOST_VECTORS = 64_000_000
"""Maximum size of one flow field; about twice an 8K frame."""

FIELDS = 2
"""Version of the estimators' output; increment it to invalidate cached flow."""


def read_flow(path: str | Path) -> tuple[Tensor, Tensor]:
    """Reads an optical flow field.

    Args:
        path: ``.flo`` (Baker et al. 2011) or KITTI ``.png`` (Geiger et al. 2013).

    Returns:
        Flow ``(1, 2, H, W)`` in pixels, 0 where unknown, and a mask ``(1, 1, H, W)``, 1 where the flow is known.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The file is not an optical flow field.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"the flow file {path} does not exist; check the name.")
    field = _read_kitti(path) if path.suffix.lower() == ".png" else _read_flo(path)
    known = np.isfinite(field).all(2) & (np.abs(field).max(2) < FLO_UNKNOWN)
    field = np.where(known[..., None], field, 0).astype(np.float32)
    flow = torch.from_numpy(field.transpose(2, 0, 1).copy())[None]
    return flow, torch.from_numpy(known.astype(np.float32))[None, None]


def _read_flo(path: Path) -> np.ndarray:
    with _opened(path) as stream:
        head = stream.read(FLO_HEADER_BYTES)
        if len(head) < FLO_HEADER_BYTES or head[:4] != np.array(FLO_MAGIC, "<f4").tobytes():
            raise InputError(
                f"{path} is not a .flo file; supported formats are Middlebury .flo and KITTI .png."
            )
        width, height = (int(n) for n in np.frombuffer(head, "<i4", 2, 4))
        _check_pixels(path, width, height)
        wanted = 8 * width * height
        if path.stat().st_size < FLO_HEADER_BYTES + wanted:
            raise InputError(f"{path} is truncated; it should contain {width}x{height} vectors.")
        return np.frombuffer(stream.read(wanted), "<f4").reshape(height, width, 2)


def _read_kitti(path: Path) -> np.ndarray:
    import imagecodecs

    with _opened(path) as stream:
        head = stream.read(PNG_HEADER.size)
        if len(head) < PNG_HEADER.size or head[: len(PNG_START)] != PNG_START:
            raise _not_kitti(path)
        _start, width, height, bits, color = PNG_HEADER.unpack(head)
        if (bits, color) != (16, PNG_RGB):
            raise _not_kitti(path)
        _check_pixels(path, width, height)
        data = head + stream.read(PNG_MOST_BYTES_A_PIXEL * width * height + PNG_MOST_EXTRA_BYTES)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.verify()  # verify checksums first, because the decoder prints its errors
        pixels = imagecodecs.png_decode(data)
    except Exception as error:  # the decoder has its own exceptions
        raise InputError(f"{path} is damaged or truncated; get a complete copy.") from error
    if pixels.shape != (height, width, 3) or pixels.dtype != np.uint16:
        raise _not_kitti(path)
    horizontal, vertical, valid = (pixels[..., i].astype(np.float32) for i in range(3))
    field = (np.stack([horizontal, vertical], -1) - 2**15) / 64
    field[valid == 0] = 2 * FLO_UNKNOWN
    return field


def _not_kitti(path: Path) -> InputError:
    return InputError(
        f"{path} is not a KITTI flow file (16-bit color PNG); use one, or a .flo file."
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if not path.is_file():
            raise InputError(f"{path} is not a regular file; use a .flo or .png flow file.")
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); check its permissions."
        ) from error


def _check_pixels(path: Path, width: int, height: int) -> None:
    """Rejects implausible sizes before any memory is allocated."""
    if width < 1 or height < 1 or width * height > MOST_VECTORS:
        raise InputError(
            f"{path} declares {width}x{height} vectors; allowed are 1 to {MOST_VECTORS / 1e6:g} million."
        )


def write_flow(path: str | Path, flow: Tensor) -> None:
    """Writes ``(1, 2, H, W)`` as ``.flo``, or as KITTI ``.png`` with a resolution of 1/64 px up to 512 px.

    Raises:
        UsageError: The extension is neither .flo nor .png.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    field = flow[0].permute(1, 2, 0).contiguous().cpu().numpy().astype("<f4")  # (H, W, 2)
    with replacing(path) as beside:
        if path.suffix.lower() == ".flo":
            head = np.array([FLO_MAGIC], "<f4").tobytes()
            size = np.array([field.shape[1], field.shape[0]], "<i4").tobytes()
            beside.write_bytes(head + size + field.tobytes())
        elif path.suffix.lower() == ".png":
            steps = np.clip(np.round(field * 64) + 2**15, 0, 2**16 - 1).astype(np.uint16)
            valid = np.ones_like(steps[..., 0])
            _done, data = opencv().imencode(
                ".png", np.dstack([valid, steps[..., 1], steps[..., 0]])
            )
            beside.write_bytes(data.tobytes())
        else:
            raise UsageError(f"flow files must end in .flo or .png; got {path.name!r}.")


def _check_size(flow: Tensor, frame: Frame, path: Path) -> Tensor:
    if tuple(flow.shape[-2:]) != frame.pixels.shape[:2]:
        raise InputError(
            f"{path} is {flow.shape[-1]}x{flow.shape[-2]}, but the video is processed at "
            f"{frame.pixels.shape[1]}x{frame.pixels.shape[0]} px; provide flow of that size."
        )
    return flow


class FlowFiles:
    """Reads precomputed flow, ``from_000012_to_000011.flo`` or ``.png``.

    Args:
        folder: The folder that contains the files.
    """

    name = "files"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise MissingFileError(f"the flow folder {folder} does not exist; check the name.")
        self.folder = folder

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """See `FlowEstimator`."""
        stem = f"from_{frame.index:06d}_to_{other.index:06d}"
        for suffix in (".flo", ".png"):
            path = self.folder / (stem + suffix)
            if path.exists():
                return _check_size(read_flow(path)[0], frame, path)
        raise MissingFileError(
            f"{self.folder} contains no {stem}.flo or .png; flow is needed in both directions."
        )


class FlowCache:
    """Caches an estimator's results on disk, keyed by the pixels of both frames, so that clips are never confused.

    Args:
        estimator: Called when the cache has no entry.
        folder: Created if it does not exist.
    """

    def __init__(self, estimator: FlowEstimator, folder: Path) -> None:
        self.name = estimator.name
        self._estimator = estimator
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def __call__(self, frame: Frame, other: Frame) -> Tensor:
        """See `FlowEstimator`."""
        digest = hashlib.sha256(f"{self.name} {FIELDS}".encode())
        digest.update(frame.pixels.tobytes())
        digest.update(other.pixels.tobytes())
        path = self.folder / f"{digest.hexdigest()[:24]}.flo"
        if path.exists():
            return _check_size(read_flow(path)[0], frame, path)
        flow = self._estimator(frame, other)
        write_flow(path, flow)
        return flow
