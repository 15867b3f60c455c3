"""Painting while it happens: the newest frame of a camera or clip, by a look that can be changed meanwhile."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from impasto.config import PaintOptions
from impasto.errors import InputError, UsageError
from impasto.looks import INSTANT
from impasto.media import pixels_to_tensor, read_image, resize_to_fit
from impasto.pipeline.at_once import Painter, look_painter

__all__ = ["Camera", "ClipSource", "Live", "LiveFrame", "Source", "painters_for"]

LOOKS = (".look", ".onnx", ".translator", ".pth", ".pt", ".model")
RATE_WINDOW = 20
WAIT_SECONDS = 0.5
CLOSE_SECONDS = 1.0


class Source(Protocol):
    """Where frames come from, as fast as they happen."""

    def frames(self) -> Iterator[np.ndarray]:
        """RGB, ``(H, W, 3)`` of uint8."""
        ...

    def close(self) -> None:
        """Ends `frames` soon and releases what it reads; from any thread, any number of times."""
        ...


class Camera:
    """A camera of this machine.

    Args:
        number: As the system counts them, from 0.

    Raises:
        InputError: It cannot be opened.
    """

    def __init__(self, number: int) -> None:
        import cv2

        logging = cv2.utils.logging
        level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # a sentence below says what is wrong
        self._capture = cv2.VideoCapture(number)
        logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise InputError(
                f"camera {number} cannot be opened; give another number with --camera, or a film with --input."
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._closed, self._reading = threading.Event(), threading.Lock()

    def frames(self) -> Iterator[np.ndarray]:
        """Until the camera gives no more, or `close`."""
        try:
            while True:
                with self._reading:
                    if self._closed.is_set():
                        return
                    there, pixels = self._capture.read()
                if not there:
                    return
                yield np.ascontiguousarray(pixels[..., ::-1])
        finally:
            self.close()

    def close(self) -> None:
        """Releases the camera; a camera that hangs in a read is released when the process ends."""
        self._closed.set()
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._capture.release()
            self._reading.release()


class ClipSource:
    """A film, played at its own pace.

    Args:
        path: Film, folder of pictures, or a name like ``frames_%05d.png``.
        size: Long edge that its frames are read at; they are not enlarged.
        loops: Whether it begins again at its end.
    """

    def __init__(self, path: Path, size: int, *, loops: bool = True) -> None:
        from impasto.media.video import open_clip, painted_size

        self._clip, self._loops = open_clip(path), loops
        own = max(self._clip.info.width_px, self._clip.info.height_px)
        self._size = painted_size(self._clip.info, min(size, own))
        self._closed = threading.Event()

    def frames(self) -> Iterator[np.ndarray]:
        """At the times that the film has, until its end or `close`."""
        while not self._closed.is_set():
            began, first = time.monotonic(), None
            for frame in self._clip.frames(self._size):
                first = frame.pts_seconds if first is None else first
                ahead = began + float(frame.pts_seconds - first) - time.monotonic()
                if self._closed.wait(max(0.0, ahead)):
                    return
                pixels = frame.pixels
                yield pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
            if not self._loops:
                return

    def close(self) -> None:
        """Ends `frames` at once, even between two frames that are far apart."""
        self._closed.set()


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """A painted frame.

    Attributes:
        pixels: ``(H, W, 3)`` of uint8.
        number: Of painted frames, from 1.
        look: Name of the look that painted it.
        latency_seconds: From its capture until it was painted.
        rate: Painted frames a second, lately.
        dropped: Frames that came and were not painted, so far.
    """

    pixels: np.ndarray
    number: int
    look: str
    latency_seconds: float
    rate: float
    dropped: int


class Live:
    """Paints the newest frame, always; frames that come meanwhile are dropped.

    Args:
        source: Of frames.
        painters: By name, each made when it is first wanted.
        size: Long edge of the painted frames.
    """

    def __init__(
        self, source: Source, painters: Mapping[str, Callable[[], Painter]], size: int = 480
    ) -> None:
        if not painters:
            raise UsageError("no look was given; give a look or a painting, or several.")
        self._source, self._size = source, size
        self._make, self._made = dict(painters), dict[str, Painter]()
        self._look = next(iter(painters))
        self._slot: tuple[np.ndarray, float] | None = None
        self._arrived = threading.Condition()
        self._ended, self._dropped = False, 0
        self._failure: Exception | None = None

    @property
    def looks(self) -> tuple[str, ...]:
        """Names that can be switched to."""
        return tuple(self._make)

    def switch(self, name: str) -> None:
        """Paints with another look from the next frame on.

        Raises:
            UsageError: There is no such look.
        """
        if name not in self._make:
            raise UsageError(f"there is no look {name} here; allowed are {', '.join(self._make)}.")
        self._look = name

    def stop(self) -> None:
        """Ends after the present frame, and closes the source; from any thread, any number of times."""
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()
        self._source.close()

    def __iter__(self) -> Iterator[LiveFrame]:
        """Yields painted frames until the source ends, or `stop` is called.

        Raises:
            ImpastoError: The source, or a look, fails.
        """
        catcher = threading.Thread(target=self._catch, daemon=True)
        catcher.start()
        times: deque[float] = deque(maxlen=RATE_WINDOW)
        number = 0
        try:
            while (caught := self._take()) is not None:
                pixels, captured = caught
                name = self._look
                painted = self._paint(pixels, name)
                number += 1
                now = time.monotonic()
                times.append(now)
                lately = (len(times) - 1) / (now - times[0]) if len(times) > 1 else 0.0
                yield LiveFrame(
                    pixels=painted, number=number, look=name, latency_seconds=now - captured,
                    rate=lately, dropped=self._dropped,
                )  # fmt: skip
        finally:
            self.stop()
            catcher.join(timeout=2)
        if self._failure is not None:
            raise self._failure

    def _catch(self) -> None:
        """Holds the newest frame, on a thread of its own."""
        try:
            for pixels in self._source.frames():
                with self._arrived:
                    if self._ended:
                        return
                    self._dropped += self._slot is not None
                    self._slot = (pixels, time.monotonic())
                    self._arrived.notify_all()
        except Exception as error:  # it is raised again where frames are painted
            self._failure = error
        finally:
            self.stop()

    def _take(self) -> tuple[np.ndarray, float] | None:
        """The newest frame; waits for it. None at the end."""
        with self._arrived:
            while self._slot is None and not self._ended:
                self._arrived.wait(WAIT_SECONDS)
            taken, self._slot = self._slot, None
            return taken

    def _paint(self, pixels: np.ndarray, name: str) -> np.ndarray:
        if name not in self._made:
            self._made[name] = self._make[name]()
        image = pixels_to_tensor(pixels)
        pastiche = self._made[name].picture(resize_to_fit(image, self._size))
        rows = (255 * pastiche[0].clamp(0, 1)).round().to(torch.uint8)
        return rows.permute(1, 2, 0).contiguous().numpy()


def painters_for(
    sources: Sequence[Path], options: PaintOptions
) -> dict[str, Callable[[], Painter]]:
    """Painters by name: of each look, and of each painting by the look that takes any style.

    Args:
        sources: Looks and paintings.
        options: Strength, runtime and the like.
    """

    def of_look(path: Path) -> Callable[[], Painter]:
        return lambda: look_painter(dataclasses.replace(options, look=path))

    def of_style(path: Path) -> Callable[[], Painter]:
        chosen = dataclasses.replace(options, look=Path(INSTANT))
        style = read_image(path).to_tensor()
        return lambda: look_painter(chosen, [style])

    return {
        path.stem: of_look(path) if path.suffix in LOOKS else of_style(path) for path in sources
    }
