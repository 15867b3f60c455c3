"""What is painted of a film so far, on disk, so that a run that was killed goes on at the frame it had."""

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
from impasto.pipeline.folder import PaintFolder, sealed, unsealed

__all__ = ["PaintStore", "StoredMasks"]

KEPT_FLOWS = 12


class StoredMasks(NamedTuple):
    """The number of a frame's shot, and its regions, ``(H, W)`` of uint8 by name."""

    shot: int
    masks: Mapping[str, np.ndarray]


class PaintStore:
    """A folder beside the film: a lossless picture a frame, and what the next frame is told.

    A frame's picture is moved into place last; where it stands, everything of the frame stands. It is written while the
    next one is painted; whoever reads waits for it. The record of a frame holds checksums of all its files and of
    itself; `whole` compares.

    Args:
        folder: Made when it is not there.
        mark: Of clip, styles and options; another run's folder is not touched.
        resume: Go on with what is there.
        fresh: Throw away what is there.
        lock: Of the film; released when the paint is removed.

    Raises:
        UsageError: There is paint of an earlier run, and it was not said what to do with it.
        CheckpointError: The paint is of another run.
        OutputError: The folder cannot be made, or was not made by impasto.
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
        self._written: tuple[int, dict[str, str]] = (-1, {})

    def _write(self, name: str, data: bytes) -> None:
        with replacing(self.folder / name, "make room there and go on with --resume") as beside:
            beside.write_bytes(data)

    def settle(self) -> None:
        """Waits until what was saved is on disk.

        Raises:
            OutputError: It could not be written.
        """
        if self._writing is None:
            return
        wait([self._writing])  # an interruption here leaves the rest to the next who asks
        writing, self._writing = self._writing, None
        if writing.exception() is not None:
            self._latest = None
        writing.result()

    def path(self, index: int, turn: int = 1) -> Path:
        """The picture of a frame after a pass."""
        return self.folder / f"{index:06d}.{turn}.png"

    def painted(self) -> frozenset[int]:
        """Numbers of the frames that went through the first pass."""
        self.settle()
        return self._place.painted()

    def done(self, turn: int = 1) -> int:
        """How many frames are painted, without a gap from the first."""
        self.settle()
        count = 0
        while self.path(count, turn).exists():
            count += 1
        return count

    def has(self, index: int, turn: int = 1) -> bool:
        """Whether a frame is painted."""
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
        """Keeps a frame, ``(H, W, 3)`` of uint8 or uint16, and drops what no frame needs any more.

        Raises:
            OutputError: The frame before could not be written.
        """
        self.settle()
        pixels = pixels.copy()  # whoever is told of the frame may do with it what they like
        self._latest = (self.path(index, turn), pixels)
        known = self._written[1] if turn == 1 and self._written[0] == index else {}
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
        """Writes one of the files beside a frame's picture; gives its checksum."""
        self._write(self._file(index, part).name, data)
        return _digest(data)

    def _remember(self, index: int, part: str, digest: str) -> None:
        """Keeps a checksum for the record of a frame, should that be saved next."""
        if self._written[0] != index:
            self._written = (index, {})
        self._written[1][part] = digest

    def save_masks(self, index: int, shot: int, masks: Mapping[str, np.ndarray]) -> None:
        """Keeps the regions of a frame, ``(H, W)`` of uint8 by name, before the frame itself."""
        named = {f"mask_{name}": mask for name, mask in masks.items()}
        data = _npz({"shot": np.array(shot, np.int64), **named}, packed=True)
        self._remember(index, "masks.npz", self._write_part(index, "masks.npz", data))

    def masks(self, index: int) -> StoredMasks | None:
        """The regions of a frame; None where none were kept."""
        named = self._arrays(index, "masks.npz")
        if named is None or named.get("shot", np.empty(0)).shape != ():
            return None
        shot = int(named.pop("shot"))
        return StoredMasks(shot, {name.removeprefix("mask_"): mask for name, mask in named.items()})

    def keep_source(self, index: int, pixels: np.ndarray) -> None:
        """Keeps a frame of the clip, for passes that go backward, before the frame itself."""
        self._remember(index, "source.png", self._write_part(index, "source.png", _png(pixels)))

    def has_source(self, index: int) -> bool:
        """Whether a frame of the clip is kept."""
        return self._file(index, "source.png").exists()

    def source(self, index: int) -> np.ndarray:
        """A frame of the clip that was kept."""
        return _read_png(self._file(index, "source.png"))

    def pixels(self, index: int, turn: int = 1) -> np.ndarray:
        """A painted frame, ``(H, W, 3)``."""
        path, latest = self.path(index, turn), self._latest
        return latest[1] if latest is not None and latest[0] == path else _read_png(path)

    def record(self, index: int, turn: int = 1) -> dict[str, Any]:
        """What was kept beside a frame.

        Raises:
            CheckpointError: It is damaged.
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
        """The motion of a frame, while it is kept."""
        self.settle()
        return _read(self._file(index, "flow.npy"), _read_npy)

    def has_flow(self, index: int) -> bool:
        """Whether the motion of a frame is kept."""
        return self._file(index, "flow.npy").exists()

    def iterates(self, index: int) -> list[np.ndarray]:
        """The pictures of a frame step by step, while they are kept."""
        self.settle()
        named = self._arrays(index, "steps.npz") or {}
        return [named[name] for name in sorted(named)]

    def has_iterates(self, index: int) -> bool:
        """Whether the pictures of a frame step by step are kept."""
        return self._file(index, "steps.npz").exists()

    def _arrays(self, index: int, part: str) -> dict[str, np.ndarray] | None:
        return _read(self._file(index, part), _read_npz)

    def whole(self, index: int, turn: int = 1) -> dict[str, Any] | None:
        """The record of a frame whose picture is what was written; None where it is not.

        What can be found again from the clip or the frames before (motion, masks, steps, the clip's own frame) is
        removed where it is damaged.
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
        """Removes a frame as a pass left it; with the first pass everything of it."""
        self.path(index, turn).unlink(missing_ok=True)
        (self.folder / _record_name(index, turn)).unlink(missing_ok=True)
        if turn == 1:
            for part in ("flow.npy", "steps.npz", "masks.npz", "source.png"):
                self._file(index, part).unlink(missing_ok=True)

    def remove(self) -> None:
        """Throws everything away that is ours, and gives the film free to other runs."""
        self._worker.shutdown(cancel_futures=True)
        self._place.remove()
        if self._lock is not None:
            self._lock.release()


def _record_name(index: int, turn: int) -> str:
    return f"{index:06d}.json" if turn == 1 else f"{index:06d}.{turn}.json"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is damaged; go on with --resume, which paints it anew.")


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _npz(arrays: Mapping[str, np.ndarray], *, packed: bool = False) -> bytes:
    """Like `numpy.savez`, without the time of day, so that the same arrays are the same bytes."""
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
    """What a file holds; None where there is none."""
    if not path.exists():
        return None
    try:
        return reader(path)
    except Exception as error:  # numpy's readers let damaged files raise anything
        raise _damaged(path) from error


def _png(pixels: np.ndarray, *, paint: bool = False) -> bytes:
    """Compressed quickly; paint repeats nothing, so that not to look for repetition is quicker, and smaller."""
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
