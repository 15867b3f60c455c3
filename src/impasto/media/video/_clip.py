"""Reads videos: their properties, and their frames one by one with their own timestamps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from impasto.errors import InputError, MissingFileError
from impasto.media.find import NUMBER, is_image
from impasto.media.read import MOST_PIXELS, read_image
from impasto.media.resize import size_to_fit
from impasto.media.video._color import ColorTags, tags_of, to_rgb
from impasto.media.video._container import opened_film
from impasto.types import Frame

__all__ = ["Clip", "ClipInfo", "PictureSequence", "VideoClip", "open_clip", "painted_size"]

SEQUENCE_RATE = Fraction(24)
SMALLEST_PX = 16
LARGEST_PX = 16384


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """Properties of a video.

    Attributes:
        width_px: Width of the upright image, as stored (pixels may be non-square).
        height_px: Height of the upright image, as stored.
        rate: Average frame rate, in frames per second.
        frames: Number of frames according to the file, or None if unknown.
        duration_seconds: Duration of the video stream according to the file, or None if unknown.
        codec: Name of the codec.
        bits: Bits per channel, 8 or more.
        time_base: Unit of the timestamps.
        sample_aspect: Pixel width divided by pixel height.
        rotation: Counterclockwise rotation in degrees that turns the stored frames upright.
        color: Color tags.
        others: Types of the other streams: audio, subtitle.
    """

    width_px: int
    height_px: int
    rate: Fraction
    frames: int | None
    duration_seconds: Fraction | None
    codec: str
    bits: int
    time_base: Fraction
    sample_aspect: Fraction
    rotation: int
    color: ColorTags
    others: tuple[str, ...] = ()


class Clip(Protocol):
    """A readable video."""

    path: Path
    info: ClipInfo

    def frames(self, size: tuple[int, int], since: Fraction | None = None) -> Iterator[Frame]:
        """Yields every frame from the beginning, or from a time, resampled to ``(height, width)``.

        Args:
            size: Height and width.
            since: Timestamp of the first frame, in the clip's own time; earlier frames are skipped by seeking if the
                file allows it. Frames are numbered from the first one that is yielded.
        """
        ...


def open_clip(path: str | Path, *, rate: float | None = None) -> Clip:
    """Opens a video or an image sequence, given as a folder or a name like ``frames_%05d.png``.

    Args:
        path: The video or image sequence.
        rate: Frame rate of an image sequence; 24 by default.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The file cannot be read or contains no video.
        UsageError: PyAV is not installed.
    """
    path = Path(path)
    if path.is_dir() or (NUMBER.search(path.name) and not path.is_file()):
        return PictureSequence(path, SEQUENCE_RATE if rate is None else Fraction(str(rate)))
    return VideoClip(path)


class VideoClip:
    """A video file. It is reopened for every pass over its frames, so that several can run at once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._deep = False
        with opened_film(path) as container:
            stream = self._stream(container)
            first = self._first(container, stream)
            self.info = _describe(container, stream, first)
            self._declared_end = _own_duration(container, stream)
        self._deep = self.info.bits > 8

    def _first(self, container: Any, stream: Any) -> Any:
        try:
            return next(container.decode(stream))
        except StopIteration:
            raise InputError(f"{self.path} contains no frames; choose another file.") from None
        except Exception as error:  # decoders may raise anything on damaged streams
            raise self._damaged(None) from error

    def _stream(self, container: Any) -> Any:
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise InputError(f"{self.path} has no video stream, only {kinds}; choose a video file.")
        stream = next((s for s in streams if int(s.disposition) & 1), streams[0])
        if stream.codec_context is None:
            raise InputError(f"{self.path} uses an unsupported codec; convert it first.")
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        return stream

    def _damaged(self, seconds: Fraction | None) -> InputError:
        if seconds is None:
            return InputError(
                f"{self.path} is damaged: no frame can be decoded; get a complete copy."
            )
        return InputError(
            f"{self.path} is damaged after {float(seconds):.3f} s; use --to {float(seconds):.3f} to stop there."
        )

    def frames(self, size: tuple[int, int], since: Fraction | None = None) -> Iterator[Frame]:
        """See `Clip.frames`; raises InputError where the file is truncated."""
        held: Frame | None = None
        with opened_film(self.path) as container:
            stream = self._stream(container)
            if since is not None and self._lands_before(since):
                _seek(container, stream, since)
            decoded = _since(container.decode(stream), since)
            while True:
                try:
                    raw = next(decoded)
                except StopIteration:
                    break
                except Exception as error:  # decoders may raise anything on damaged streams
                    if held is not None:
                        yield held
                    raise self._damaged(None if held is None else held.pts_seconds) from error
                frame = self._frame(raw, 0 if held is None else held.index + 1, size)
                if held is not None:
                    if frame.pts_seconds <= held.pts_seconds:
                        continue  # two frames with the same timestamp: players show the first
                    yield _with_duration(held, frame.pts_seconds - held.pts_seconds)
                held = frame
        if held is not None:
            yield held
            if self._is_truncated(held):
                raise self._damaged(held.pts_seconds + held.duration_seconds)

    def _lands_before(self, since: Fraction) -> bool:
        """Returns whether seeking works in this file: whether decoding then begins at or before the time."""
        with opened_film(self.path) as container:
            stream = self._stream(container)
            try:
                _seek(container, stream, since)
                raw = next(container.decode(stream))
            except (StopIteration, OSError):
                return False
            return raw.pts is not None and _seconds(raw) <= since

    def _is_truncated(self, last: Frame) -> bool:
        """Returns whether the file declares a longer duration; many demuxers treat truncation as the end."""
        if self._declared_end is None:
            return False
        missing = self._declared_end - (last.pts_seconds + last.duration_seconds)
        return missing > max(Fraction(1, 2), self._declared_end / 50)

    def _frame(self, raw: Any, index: int, size: tuple[int, int]) -> Frame:
        time_base = raw.time_base or self.info.time_base
        pts = Fraction(index) / self.info.rate if raw.pts is None else raw.pts * time_base
        lasts = Fraction(raw.duration or 0) * time_base or 1 / self.info.rate
        turned = self.info.rotation % 180 != 0
        pixels = to_rgb(raw, (size[1], size[0]) if turned else size, deep=self._deep)
        if self.info.rotation:
            pixels = np.ascontiguousarray(np.rot90(pixels, self.info.rotation // 90))
        return Frame(pixels=pixels, pts_seconds=pts, duration_seconds=lasts, index=index)


def _since(decoded: Iterator[Any], since: Fraction | None) -> Iterator[Any]:
    """Skips decoded frames before a time."""
    for raw in decoded:
        if since is None or raw.pts is None or _seconds(raw) >= since:
            yield raw


def _seek(container: Any, stream: Any, since: Fraction) -> None:
    """Goes to the last keyframe of the stream at or before a time."""
    container.seek(int(since / stream.time_base), stream=stream, backward=True)


def _seconds(raw: Any) -> Fraction:
    return Fraction(raw.pts * raw.time_base)


def _with_duration(frame: Frame, seconds: Fraction) -> Frame:
    return Frame(
        pixels=frame.pixels,
        pts_seconds=frame.pts_seconds,
        duration_seconds=seconds,
        index=frame.index,
    )


def _is_cover(stream: Any) -> bool:
    return bool(int(stream.disposition) & 0x400)  # an attached picture, such as album art


def _own_duration(container: Any, stream: Any) -> Fraction | None:
    """Returns when the video stream ends according to the file, unless only the longest stream's end is known."""
    begins = (stream.start_time or 0) * stream.time_base
    if stream.duration is not None:
        return begins + stream.duration * stream.time_base
    if container.duration is not None and len(container.streams) == 1:
        return Fraction(container.duration, 1_000_000)
    return None


def _describe(container: Any, stream: Any, first: Any) -> ClipInfo:
    rotation = int(round(first.rotation / 90) * 90) % 360
    width, height = first.width, first.height
    if min(width, height) < SMALLEST_PX or max(width, height) > LARGEST_PX:
        raise InputError(
            f"the video is {width}x{height} px; each side must be between {SMALLEST_PX} and {LARGEST_PX} px."
        )
    if rotation % 180:
        width, height = height, width
    duration = None
    if stream.duration is not None:
        duration = stream.duration * stream.time_base
    elif container.duration is not None:
        duration = Fraction(container.duration, 1_000_000)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return ClipInfo(
        width_px=width,
        height_px=height,
        rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
        frames=stream.frames or None,
        duration_seconds=duration,
        codec=stream.codec_context.name,
        bits=max(component.bits for component in first.format.components),
        time_base=stream.time_base,
        sample_aspect=1 / aspect if rotation % 180 else aspect,
        rotation=rotation,
        color=tags_of(first),
        others=tuple(s.type for s in container.streams if s.type in ("audio", "subtitle")),
    )


class PictureSequence:
    """A numbered image sequence, read as a video.

    Args:
        path: A folder, or a name with ``%d`` or ``%05d`` for the frame number.
        rate: Frames per second.
    """

    def __init__(self, path: Path, rate: Fraction = SEQUENCE_RATE) -> None:
        self.path = path
        self._files = _numbered(path)
        if not self._files:
            raise MissingFileError(f"no images found at {path}; check the name.")
        first = read_image(self._files[0])
        self.info = ClipInfo(
            width_px=first.width_px,
            height_px=first.height_px,
            rate=rate,
            frames=len(self._files),
            duration_seconds=len(self._files) / rate,
            codec="pictures",
            bits=first.bits,
            time_base=1 / rate,
            sample_aspect=Fraction(1),
            rotation=0,
            color=ColorTags(matrix=1, full_range=False, primaries=1, transfer=1),
        )

    def frames(self, size: tuple[int, int], since: Fraction | None = None) -> Iterator[Frame]:
        """See `Clip.frames`."""
        rate = self.info.rate
        first = 0 if since is None else min(len(self._files), math.ceil(since * rate))
        for index, file in enumerate(self._files[first:]):
            picture = read_image(file)
            found = (picture.height_px, picture.width_px)
            if found != (self.info.height_px, self.info.width_px):
                raise InputError(
                    f"{file} is {found[1]}x{found[0]} px, but the first image is "
                    f"{self.info.width_px}x{self.info.height_px}; all frames must have the same size."
                )
            yield Frame(
                pixels=_fitted(picture.quantized(16 if self.info.bits > 8 else 8), size),
                pts_seconds=(first + index) / rate,
                duration_seconds=1 / rate,
                index=index,
            )


def _fitted(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    pixels = pixels[..., :3]
    if pixels.shape[:2] == size:
        return np.ascontiguousarray(pixels)
    import cv2

    return cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def _numbered(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for file in path.iterdir() if is_image(file)]
    else:
        before, after = NUMBER.split(path.name, maxsplit=1)
        pattern = re.compile(re.escape(before) + r"\d+" + re.escape(after))
        folder = path.parent
        files = (
            [f for f in folder.iterdir() if pattern.fullmatch(f.name)] if folder.is_dir() else []
        )
    return sorted(
        files, key=lambda f: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", f.name)]
    )


def painted_size(info: ClipInfo, long_edge_px: int) -> tuple[int, int]:
    """Returns the height and width to process: the clip's own, or even numbers for a given long edge."""
    if long_edge_px == 0:
        return info.height_px, info.width_px
    height, width = size_to_fit((info.height_px, info.width_px), long_edge_px)
    return max(SMALLEST_PX, height // 2 * 2), max(SMALLEST_PX, width // 2 * 2)
