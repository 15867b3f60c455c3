"""Time-lapse of the optimization: GIF with Pillow, MP4 with PyAV."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from impasto._version import __version__
from impasto.errors import OutputError, UsageError
from impasto.media.replace import create_partial, move_into_place, partial_path
from impasto.media.write import MARK, OWN
from impasto.media.x264 import repeatable_x264

if TYPE_CHECKING:
    from impasto.media.picture import Picture

__all__ = ["Timelapse", "check_timelapse"]

FRAMES_PER_SECOND = 12
GIF_LONG_EDGE_PX = 480


def check_timelapse(path: Path) -> None:
    """Checks that a time-lapse can be written to a path.

    Raises:
        UsageError: The extension is neither .gif nor .mp4, or PyAV is missing for .mp4.
        OutputError: The folder does not exist.
    """
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise UsageError(f"--timelapse must end in .gif or .mp4; got {path.name!r}.")
    if not path.absolute().parent.is_dir():
        raise OutputError(
            f"the time-lapse folder {path.absolute().parent} does not exist; create it first."
        )
    if path.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "writing .mp4 requires PyAV; install impasto[video] or use a name ending in .gif."
            ) from error


class Timelapse:
    """Collects images of one size and writes the video at the end, atomically; call `close`, or `abort` on failure.

    Args:
        path: A file name ending in .gif or .mp4.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = partial_path(path)
        self._gif: list[Image.Image] = []
        self._container: Any = None
        self._stream: Any = None

    def add(self, picture: Picture) -> None:
        """Adds one frame.

        Raises:
            OutputError: The file cannot be written.
        """
        frame = np.round(picture.rgb * 255).astype(np.uint8)
        if self._path.suffix.lower() == ".gif":
            image = Image.fromarray(frame)
            image.thumbnail((GIF_LONG_EDGE_PX, GIF_LONG_EDGE_PX))
            self._gif.append(image.quantize(128, dither=Image.Dither.NONE))
            return
        with self._writing():
            self._add_to_film(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])

    def _add_to_film(self, frame: np.ndarray) -> None:
        import av

        if self._container is None:
            create_partial(self._path)
            self._container = av.open(f"file:{self._beside}", "w", format="mp4")
            self._container.metadata["comment"] = json.dumps({"impasto": __version__})
            self._stream = self._container.add_stream("libx264", rate=FRAMES_PER_SECOND)
            self._stream.height, self._stream.width = frame.shape[:2]
            self._stream.pix_fmt, self._stream.options = (
                "yuv420p",
                {"crf": "18", **repeatable_x264()},
            )
            codec = self._stream.codec_context
            codec.color_range, codec.colorspace = 1, 1
            codec.color_primaries, codec.color_trc = 1, 1
        video = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        # Color tags do not convert pixels, so the matrix must be requested here as well.
        video = video.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        for packet in self._stream.encode(video):
            self._container.mux(packet)

    def close(self) -> None:
        """Writes the video; the last image is held for one second.

        Raises:
            OutputError: The file cannot be written.
        """
        if not self._gif and self._container is None:
            return
        with self._writing():
            if self._gif:
                self._write_gif()
            else:
                for packet in self._stream.encode():
                    self._container.mux(packet)
                self._container.close()
            move_into_place(self._beside, self._path)
        self._gif, self._container = [], None

    def abort(self) -> None:
        """Discards the video and removes the temporary file; does nothing after `close`."""
        if self._container is not None:
            with contextlib.suppress(Exception):
                self._container.close()
        self._gif, self._container = [], None
        with contextlib.suppress(OSError):
            self._beside.unlink()

    def _write_gif(self) -> None:
        held = [1000 // FRAMES_PER_SECOND] * (len(self._gif) - 1) + [1000]
        comment = MARK + json.dumps(OWN)
        create_partial(self._path)
        self._gif[0].save(
            self._beside, save_all=True, append_images=self._gif[1:], duration=held, loop=0,
            comment=comment.encode(),
        )  # fmt: skip

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Removes the temporary file if the block fails."""
        try:
            yield
        except OSError as error:  # FFmpeg's errors about files are subclasses
            self.abort()
            reason = error.strerror or str(error)
            raise OutputError(
                f"{self._path} cannot be written ({reason}); choose another location."
            ) from error
