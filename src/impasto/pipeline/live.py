"""Live stylization: applies a switchable look to the latest frame of a camera or clip."""

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
from impasto.pipeline.at_once import is_network, look_painter
from impasto.types import Stylizer

__all__ = ["Camera", "ClipSource", "Live", "LiveFrame", "Source", "painters_for"]

RATE_WINDOW = 20
WAIT_SECONDS = 0.5
CLOSE_SECONDS = 1.0


class Source(Protocol):
    """A source that produces frames in real time."""

    def frames(self) -> Iterator[np.ndarray]:
        """Yields RGB frames, uint8 ``(H, W, 3)``."""
        ...

    def close(self) -> None:
        """Ends `frames` soon and releases the source; may be called repeatedly and from any thread."""
        ...


class Camera:
    """A camera on this machine.

    Args:
        number: Index assigned by the operating system, from 0.

    Raises:
        InputError: The camera cannot be opened.
    """

    def __init__(self, number: int) -> None:
        import cv2

        logging = cv2.utils.logging
        level = logging.setLogLevel(
            logging.LOG_LEVEL_SILENT
        )  # the error below replaces OpenCV's output
        self._capture = cv2.VideoCapture(number)
        logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise InputError(
                f"camera {number} cannot be opened; choose another with --camera, or a video with --input."
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._closed, self._reading = threading.Event(), threading.Lock()

    def frames(self) -> Iterator[np.ndarray]:
        """Yields frames until the camera ends or `close` is called."""
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
        """Releases the camera; if a read hangs, it is released when the process ends."""
        self._closed.set()
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._capture.release()
            self._reading.release()


class ClipSource:
    """A video, played in real time.

    Args:
        path: A video, a folder of images, or a name like ``frames_%05d.png``.
        size: Maximum long edge of the frames; smaller videos are not enlarged.
        loops: Whether to restart at the end.
    """

    def __init__(self, path: Path, size: int, *, loops: bool = True) -> None:
        from impasto.media.video import open_clip, painted_size

        self._clip, self._loops = open_clip(path), loops
        own = max(self._clip.info.width_px, self._clip.info.height_px)
        self._size = painted_size(self._clip.info, min(size, own))
        self._closed = threading.Event()

    def frames(self) -> Iterator[np.ndarray]:
        """Yields frames at their own timestamps, until the end or `close`."""
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
        """Ends `frames` immediately, even while it waits for the next frame."""
        self._closed.set()


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """A stylized frame.

    Attributes:
        pixels: ``(H, W, 3)`` of uint8.
        number: Number of stylized frames so far, from 1.
        look: Name of the look that was used.
        latency_seconds: Time from capture to the stylized frame.
        rate: Recent frame rate, in stylized frames per second.
        dropped: Number of frames that were skipped so far.
    """

    pixels: np.ndarray
    number: int
    look: str
    latency_seconds: float
    rate: float
    dropped: int


class Live:
    """Stylizes the latest frame; frames that arrive in the meantime are dropped.

    Args:
        source: The frame source.
        painters: Factories by look name, each called on first use.
        size: Long edge of the stylized frames.
    """

    def __init__(
        self, source: Source, painters: Mapping[str, Callable[[], Stylizer]], size: int = 480
    ) -> None:
        if not painters:
            raise UsageError("no look was given; pass at least one look or style image.")
        self._source, self._size = source, size
        self._make, self._made = dict(painters), dict[str, Stylizer]()
        self._look = next(iter(painters))
        self._slot: tuple[np.ndarray, float] | None = None
        self._arrived = threading.Condition()
        self._ended, self._dropped = False, 0
        self._failure: Exception | None = None

    @property
    def looks(self) -> tuple[str, ...]:
        """Names of the available looks."""
        return tuple(self._make)

    def switch(self, name: str) -> None:
        """Switches to another look, starting with the next frame.

        Raises:
            UsageError: The look does not exist.
        """
        if name not in self._make:
            raise UsageError(f"unknown look {name!r}; allowed are {', '.join(self._make)}.")
        self._look = name

    def stop(self) -> None:
        """Stops after the current frame and closes the source; may be called repeatedly and from any thread."""
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()
        self._source.close()

    def __iter__(self) -> Iterator[LiveFrame]:
        """Yields stylized frames until the source ends or `stop` is called.

        Raises:
            ImpastoError: The source or a look fails.
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
        """Keeps the latest frame, on a separate thread."""
        try:
            for pixels in self._source.frames():
                with self._arrived:
                    if self._ended:
                        return
                    self._dropped += self._slot is not None
                    self._slot = (pixels, time.monotonic())
                    self._arrived.notify_all()
        except Exception as error:  # re-raised by `__iter__`
            self._failure = error
        finally:
            self.stop()

    def _take(self) -> tuple[np.ndarray, float] | None:
        """Waits for the latest frame and returns it; None at the end."""
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
) -> dict[str, Callable[[], Stylizer]]:
    """Returns factories by name: one for each look, and one for each style image using the ``instant`` look.

    Args:
        sources: Looks and style images.
        options: Strength, runtime and other settings.
    """

    def of_look(path: Path) -> Callable[[], Stylizer]:
        return lambda: look_painter(dataclasses.replace(options, look=path))

    def of_style(path: Path) -> Callable[[], Stylizer]:
        chosen = dataclasses.replace(options, look=Path(INSTANT))
        style = read_image(path).to_tensor()
        return lambda: look_painter(chosen, [style])

    return {path.stem: of_look(path) if is_network(path) else of_style(path) for path in sources}
