"""On-disk store of stylized frames, so that an interrupted run can resume where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from impasto.errors import CheckpointError
from impasto.media import OutputLock, replacing
from impasto.pipeline.folder import PLAN, PaintFolder, sealed, unsealed
from impasto.types import Frame, Painted

__all__ = ["PaintStore", "StoredMasks", "frame_record"]

KEPT_FLOWS = 12


class StoredMasks(NamedTuple):
    """The number of a frame's shot, and its masks, uint8 ``(H, W)`` by name."""

    shot: int
    masks: Mapping[str, np.ndarray]


class PaintStore:
    """A folder next to the output: one lossless image per frame, plus the state that the next frame needs.

    A frame's image is moved into place last, so its presence means that the frame is complete. It is written in the
    background while the next frame is processed; readers wait for it. The record of a frame contains checksums of all
    its files and of itself, which `whole` verifies.

    Args:
        folder: Created if it does not exist.
        mark: Fingerprint of clip, styles and options; folders of other runs are not touched.
        resume: Continue with the existing frames.
        fresh: Delete the existing frames.
        lock: The output's lock, released when the frames are removed.

    Raises:
        UsageError: Frames of an earlier run exist, and neither ``resume`` nor ``fresh`` was given.
        CheckpointError: The frames belong to another run.
        OutputError: The folder cannot be created, or was not created by impasto.
    """

    def __init__(
        self,
        folder: Path,
        mark: str,
        *,
        resume: bool = False,
        fresh: bool = False,
        lock: OutputLock | None = None,
    ) -> None:
        self.folder, self._mark, self._lock = folder, mark, lock
        self._place = PaintFolder(folder, mark, resume=resume, fresh=fresh)
        self._worker = ThreadPoolExecutor(1, "paint")
        self._writing: Future[None] | None = None
        self._latest: tuple[Path, np.ndarray] | None = None
        self._written: dict[int, dict[str, str]] = {}

    def _write(self, name: str, data: bytes) -> None:
        with replacing(self.folder / name, "free some space and continue with --resume") as beside:
            beside.write_bytes(data)

    def settle(self) -> None:
        """Waits until all saved data is on disk.

        Raises:
            OutputError: It could not be written.
        """
        if self._writing is None:
            return
        wait([self._writing])  # if interrupted here, the next caller waits again
        writing, self._writing = self._writing, None
        if writing.exception() is not None:
            self._latest = None
        writing.result()

    def path(self, index: int, turn: int = 1) -> Path:
        """Returns the path of a frame's image after a pass."""
        return self.folder / f"{index:06d}.{turn}.png"

    def painted(self) -> frozenset[int]:
        """Returns the numbers of the frames that completed the first pass."""
        self.settle()
        return self._place.painted()

    def done(self, turn: int = 1) -> int:
        """Returns the number of consecutive completed frames, counted from the first."""
        self.settle()
        count = 0
        while self.path(count, turn).exists():
            count += 1
        return count

    def has(self, index: int, turn: int = 1) -> bool:
        """Returns whether a frame is completed."""
        self.settle()
        return self.path(index, turn).exists()

    def save(
        self,
        index: int,
        pixels: np.ndarray,
        record: Mapping[str, Any],
        *,
        turn: int = 1,
        flow: np.ndarray | None = None,
        iterates: Sequence[np.ndarray] = (),
    ) -> None:
        """Saves a frame, uint8 or uint16 ``(H, W, 3)``, and deletes data that no frame needs anymore.

        Raises:
            OutputError: The previous frame could not be written.
        """
        self.settle()
        pixels = pixels.copy()  # receivers of the frame may modify it
        self._latest = (self.path(index, turn), pixels)
        known = self._written.pop(index, {}) if turn == 1 else {}
        self._writing = self._worker.submit(
            self._save, index, pixels, {**record, "sha256": known}, turn, flow, list(iterates)
        )

    def _save(
        self,
        index: int,
        pixels: np.ndarray,
        record: Mapping[str, Any],
        turn: int,
        flow: np.ndarray | None,
        iterates: Sequence[np.ndarray],
    ) -> None:
        known = dict(record["sha256"])
        if flow is not None:
            known["flow.npy"] = self._write_part(index, "flow.npy", _npy(flow))
            self._file(index - KEPT_FLOWS, "flow.npy").unlink(missing_ok=True)
        if iterates:
            data = _npz({f"{i:04d}": picture for i, picture in enumerate(iterates)})
            known["steps.npz"] = self._write_part(index, "steps.npz", data)
            self._file(index - 2, "steps.npz").unlink(missing_ok=True)
        picture = _png(pixels, paint=True)
        known[f"{turn}.png"] = _digest(picture)
        values = {**record, "index": index, "turn": turn, "sha256": known}
        self._write(_record_name(index, turn), sealed(values, self._mark))
        self._write(self.path(index, turn).name, picture)

    def _file(self, index: int, part: str) -> Path:
        return self.folder / f"{index:06d}.{part}"

    def _write_part(self, index: int, part: str, data: bytes) -> str:
        """Writes one of the additional files of a frame and returns its checksum."""
        self._write(self._file(index, part).name, data)
        return _digest(data)

    def _remember(self, index: int, part: str, digest: str) -> None:
        """Keeps a checksum for the record of a frame that will be saved next."""
        self._written.setdefault(index, {})[part] = digest

    def save_plan(self, values: Mapping[str, Any]) -> None:
        """Saves the plan of the video."""
        self._write(PLAN, sealed(values, self._mark))

    def plan(self) -> dict[str, Any] | None:
        """Returns the plan of the video; None if none was saved or it is damaged."""
        with contextlib.suppress(OSError):
            return unsealed((self.folder / PLAN).read_bytes(), self._mark)
        return None

    def save_masks(self, index: int, shot: int, masks: Mapping[str, np.ndarray]) -> None:
        """Saves the masks of a frame, uint8 ``(H, W)`` by name, before the frame itself."""
        named = {f"mask_{name}": mask for name, mask in masks.items()}
        data = _npz({"shot": np.array(shot, np.int64), **named}, packed=True)
        self._remember(index, "masks.npz", self._write_part(index, "masks.npz", data))

    def masks(self, index: int) -> StoredMasks | None:
        """Returns the masks of a frame; None if none were saved."""
        named = self._arrays(index, "masks.npz")
        if named is None or named.get("shot", np.empty(0)).shape != ():
            return None
        shot = int(named.pop("shot"))
        return StoredMasks(shot, {name.removeprefix("mask_"): mask for name, mask in named.items()})

    def keep_source(self, index: int, pixels: np.ndarray) -> None:
        """Saves a frame of the clip before its pastiche, for passes that run backward."""
        self._remember(index, "source.png", self._write_part(index, "source.png", _png(pixels)))

    def has_source(self, index: int) -> bool:
        """Returns whether a frame of the clip is stored."""
        return self._file(index, "source.png").exists()

    def source(self, index: int) -> np.ndarray:
        """Returns a stored frame of the clip."""
        return _read_png(self._file(index, "source.png"))

    def pixels(self, index: int, turn: int = 1) -> np.ndarray:
        """Returns a stylized frame, ``(H, W, 3)``."""
        path, latest = self.path(index, turn), self._latest
        return latest[1] if latest is not None and latest[0] == path else _read_png(path)

    def record(self, index: int, turn: int = 1) -> dict[str, Any]:
        """Returns the record of a frame.

        Raises:
            CheckpointError: The record is damaged.
        """
        self.settle()
        values = self._record(index, turn)
        if values is None:
            raise _damaged(self.folder / _record_name(index, turn))
        return values

    def _record(self, index: int, turn: int) -> dict[str, Any] | None:
        with contextlib.suppress(OSError):
            values = unsealed((self.folder / _record_name(index, turn)).read_bytes(), self._mark)
            if values is not None and (values.get("index"), values.get("turn")) == (index, turn):
                return values
        return None

    def flow(self, index: int) -> np.ndarray | None:
        """Returns the motion of a frame, if it is still stored."""
        self.settle()
        return _read(self._file(index, "flow.npy"), _read_npy)

    def has_flow(self, index: int) -> bool:
        """Returns whether the motion of a frame is stored."""
        return self._file(index, "flow.npy").exists()

    def iterates(self, index: int) -> list[np.ndarray]:
        """Returns a frame's intermediate images, one per step, if they are still stored."""
        self.settle()
        named = self._arrays(index, "steps.npz") or {}
        return [named[name] for name in sorted(named)]

    def has_iterates(self, index: int) -> bool:
        """Returns whether a frame's intermediate images are stored."""
        return self._file(index, "steps.npz").exists()

    def _arrays(self, index: int, part: str) -> dict[str, np.ndarray] | None:
        return _read(self._file(index, part), _read_npz)

    def whole(self, index: int, turn: int = 1) -> dict[str, Any] | None:
        """Verifies a frame and returns its record; None if its image or record is damaged.

        Damaged data that can be recomputed from the clip or from earlier frames (motion, masks, iterates, the clip's
        own frame) is deleted.
        """
        values = self._record(index, turn)
        if values is None:
            return None
        for part, digest in values["sha256"].items():
            path = self._file(index, part)
            try:
                same = _digest(path.read_bytes()) == digest
            except OSError:
                same = False
            if not same and part == f"{turn}.png":
                return None
            if not same:
                path.unlink(missing_ok=True)
        return values

    def drop(self, index: int, turn: int = 1) -> None:
        """Deletes the result of a pass for a frame; for the first pass, all of the frame's data."""
        self.path(index, turn).unlink(missing_ok=True)
        (self.folder / _record_name(index, turn)).unlink(missing_ok=True)
        if turn == 1:
            for part in ("flow.npy", "steps.npz", "masks.npz", "source.png"):
                self._file(index, part).unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes all of our files and releases the output's lock."""
        self._worker.shutdown(cancel_futures=True)
        self._place.remove()
        if self._lock is not None:
            self._lock.release()


def frame_record(frame: Frame, painted: Painted, *, opens: bool) -> dict[str, Any]:
    """Returns what the store keeps of a frame besides its image: times, whether it starts a shot, state and losses."""
    return {
        "pts": str(frame.pts_seconds),
        "duration": str(frame.duration_seconds),
        "opens": opens,
        "state": dict(painted.state),
        "terms": dict(painted.terms),
    }


def _record_name(index: int, turn: int) -> str:
    return f"{index:06d}.json" if turn == 1 else f"{index:06d}.{turn}.json"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is damaged; continue with --resume to process it again.")


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _npz(arrays: Mapping[str, np.ndarray], *, packed: bool = False) -> bytes:
    """Works like `numpy.savez`, but without timestamps, so that equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(entry, _npy(array))
    return buffer.getvalue()


def _read_npy(path: Path) -> np.ndarray:
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        raise ValueError("no array")
    return found


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """Reads a file; returns None if it does not exist."""
    if not path.exists():
        return None
    try:
        return reader(path)
    except Exception as error:  # NumPy's readers may raise anything on damaged files
        raise _damaged(path) from error


def _png(pixels: np.ndarray, *, paint: bool = False) -> bytes:
    """Encodes a PNG quickly; for stylized frames, Huffman-only is both faster and smaller, since they do not repeat."""
    import cv2

    quick = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if paint:
        quick += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]), quick)
    assert done
    return bytes(data)


def _read_png(path: Path) -> np.ndarray:
    import cv2

    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except (OSError, cv2.error) as error:
        raise _damaged(path) from error
    if pixels is None:
        raise _damaged(path)
    return np.ascontiguousarray(pixels[..., ::-1])
