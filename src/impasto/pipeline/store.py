"""What is painted of a film so far, on disk, so that a run that was killed goes on at the frame it had."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from impasto.errors import CheckpointError, OutputError, UsageError
from impasto.media import replacing

__all__ = ["PaintStore"]

FORMAT = 3
KEPT_FLOWS = 12


class StoredMasks(NamedTuple):
    """The number of a frame's shot, and its regions, ``(H, W)`` of uint8 by name."""

    shot: int
    masks: Mapping[str, np.ndarray]


class PaintStore:
    """A folder beside the film: a lossless picture a frame, and what the next frame is told.

    A frame's picture is moved into place last; where it stands, everything of the frame stands. It is written while the
    next one is painted; whoever reads waits for it.

    Args:
        folder: Made when it is not there.
        mark: Of clip, styles and options; another run's folder is not touched.
        resume: Go on with what is there.
        fresh: Throw away what is there.

    Raises:
        UsageError: There is paint of an earlier run, and it was not said what to do with it.
        CheckpointError: The paint is of another run.
    """

    def __init__(
        self, folder: Path, mark: str, *, resume: bool = False, fresh: bool = False
    ) -> None:
        self.folder = folder
        self._worker = ThreadPoolExecutor(1, "paint")
        self._writing: Future[None] | None = None
        self._latest: tuple[Path, np.ndarray] | None = None
        if fresh and folder.exists():
            shutil.rmtree(folder)
        if folder.exists():
            self._take_up(mark, resume=resume)
            return
        try:
            folder.mkdir()
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be made ({error.strerror}); choose another place for the film."
            ) from error
        self._write(folder / "run.json", json.dumps({"format": FORMAT, "mark": mark}).encode())

    def _take_up(self, mark: str, *, resume: bool) -> None:
        try:
            run = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
            same = run["format"] == FORMAT and run["mark"] == mark
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.folder} is not a whole run of impasto; --fresh throws it away and starts anew."
            ) from error
        frames = self.done()
        if not same:
            raise CheckpointError(
                f"{self.folder} holds {frames} frames of another clip, style or options; give those again, or --fresh "
                "to throw them away."
            )
        if not resume and frames > 0:
            raise UsageError(
                f"{self.folder} holds {frames} painted frames of this film; --resume goes on with them, --fresh throws "
                "them away."
            )

    def _write(self, path: Path, data: bytes) -> None:
        with replacing(path, "make room there and go on with --resume") as beside:
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
        told = dict(record) if turn == 1 else None
        self._writing = self._worker.submit(
            self._save, index, pixels, told, turn, flow, list(iterates)
        )

    def _save(
        self,
        index: int,
        pixels: np.ndarray,
        record: Mapping[str, Any] | None,
        turn: int,
        flow: np.ndarray | None,
        iterates: Sequence[np.ndarray],
    ) -> None:
        if flow is not None:
            buffer = io.BytesIO()
            np.save(buffer, flow)
            self._write(self.folder / f"{index:06d}.flow.npy", buffer.getvalue())
            (self.folder / f"{index - KEPT_FLOWS:06d}.flow.npy").unlink(missing_ok=True)
        if iterates:
            buffer = io.BytesIO()
            named: Any = {f"{i:04d}": picture for i, picture in enumerate(iterates)}
            np.savez(buffer, **named)
            self._write(self.folder / f"{index:06d}.steps.npz", buffer.getvalue())
            (self.folder / f"{index - 2:06d}.steps.npz").unlink(missing_ok=True)
        if record is not None:
            self._write(self.folder / f"{index:06d}.json", json.dumps(record).encode())
        self._write(self.path(index, turn), _png(pixels, paint=True))

    def save_masks(self, index: int, shot: int, masks: Mapping[str, np.ndarray]) -> None:
        """Keeps the regions of a frame, ``(H, W)`` of uint8 by name, before the frame itself."""
        buffer = io.BytesIO()
        named: Any = dict(masks)
        np.savez_compressed(
            buffer, shot=np.int64(shot), **{f"mask_{n}": m for n, m in named.items()}
        )
        self._write(self.folder / f"{index:06d}.masks.npz", buffer.getvalue())

    def masks(self, index: int) -> StoredMasks | None:
        """The regions of a frame; None where none were kept."""
        path = self.folder / f"{index:06d}.masks.npz"
        if not path.exists():
            return None
        with np.load(path) as kept:
            named = {name[5:]: kept[name] for name in kept.files if name.startswith("mask_")}
            return StoredMasks(int(kept["shot"]), named)

    def keep_source(self, index: int, pixels: np.ndarray) -> None:
        """Keeps a frame of the clip, for passes that go backward."""
        path = self.folder / f"{index:06d}.source.png"
        if not path.exists():
            self._write(path, _png(pixels))

    def source(self, index: int) -> np.ndarray:
        """A frame of the clip that was kept."""
        return _read_png(self.folder / f"{index:06d}.source.png")

    def pixels(self, index: int, turn: int = 1) -> np.ndarray:
        """A painted frame, ``(H, W, 3)``."""
        path, latest = self.path(index, turn), self._latest
        return latest[1] if latest is not None and latest[0] == path else _read_png(path)

    def record(self, index: int) -> dict[str, Any]:
        """What was kept beside a frame."""
        self.settle()
        values: dict[str, Any] = json.loads((self.folder / f"{index:06d}.json").read_text())
        return values

    def flow(self, index: int) -> np.ndarray | None:
        """The motion of a frame, while it is kept."""
        self.settle()
        path = self.folder / f"{index:06d}.flow.npy"
        return np.load(path) if path.exists() else None

    def iterates(self, index: int) -> list[np.ndarray]:
        """The pictures of a frame step by step, while they are kept."""
        self.settle()
        path = self.folder / f"{index:06d}.steps.npz"
        if not path.exists():
            return []
        with np.load(path) as kept:
            return [kept[name] for name in sorted(kept.files)]

    def remove(self) -> None:
        """Throws everything away."""
        self._worker.shutdown(cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)


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

    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise CheckpointError(f"{path} is damaged; delete it and go on with --resume.")
    return np.ascontiguousarray(pixels[..., ::-1])
