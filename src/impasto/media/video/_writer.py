"""Writes videos: the stylized frames with the source's timestamps, and its audio, subtitles and chapters unchanged."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.errors import OutputError, UsageError, unknown_name
from impasto.media.find import NUMBER
from impasto.media.picture import Picture
from impasto.media.replace import create_partial, move_into_place, partial_path
from impasto.media.video._clip import ClipInfo
from impasto.media.video._color import ColorTags, from_rgb
from impasto.media.video._container import open_film, opened_film
from impasto.media.video._gif import add_gif_comment
from impasto.media.write import MARK, check_place, check_suffix, read_metadata, write_image
from impasto.media.x264 import repeatable_x264

__all__ = [
    "FilmFormat",
    "FilmWriter",
    "PictureWriter",
    "check_film",
    "choose_format",
    "read_film_metadata",
    "video_times",
]

CONTAINERS: Mapping[str, tuple[str, ...]] = {
    ".mp4": ("h264", "hevc", "av1", "vp9"),
    ".m4v": ("h264", "hevc"),
    ".mov": ("h264", "hevc", "prores", "mjpeg"),
    ".mkv": ("h264", "hevc", "av1", "vp9", "ffv1", "prores", "mjpeg"),
    ".webm": ("vp9", "av1"),
    ".gif": ("gif",),
    ".png": ("png",),
}
"""File extension -> supported codecs, the default first."""

ENCODERS: Mapping[str, tuple[str, dict[str, str], int | None]] = {
    "h264": ("libx264", {"preset": "medium"}, 17),
    "hevc": ("libx265", {"preset": "medium", "x265-params": "log-level=error"}, 20),
    "vp9": ("libvpx-vp9", {"b": "0", "cpu-used": "3", "row-mt": "1"}, 28),
    "av1": ("libsvtav1", {"preset": "8"}, 28),
    "prores": ("prores_ks", {"profile": "hq"}, None),
    "ffv1": ("ffv1", {"level": "3"}, None),
    "mjpeg": ("mjpeg", {"q": "3"}, None),
    "gif": ("gif", {}, None),
    "png": ("png", {}, None),
}
"""Codec -> encoder, its options, and a constant quality that is visually lossless for a pastiche."""


@dataclass(frozen=True, kw_only=True)
class FilmFormat:
    """The encoding of a video.

    Attributes:
        codec: A name in `ENCODERS`.
        crf: Constant quality, or None if the codec does not support it.
        pixel_format: Pixel format of the encoder.
        notes: Information for the user, one phrase each.
    """

    codec: str
    crf: int | None
    pixel_format: str
    notes: tuple[str, ...] = ()


def check_film(path: str | Path) -> None:
    """Checks that a video can be written to a path, before any work starts.

    Raises:
        UsageError: The extension is not a video format.
        OutputError: The folder does not exist or is not writable, or the path is a folder.
    """
    path = Path(path)
    if check_suffix(path, CONTAINERS) == ".png":
        check_pattern(path)
    check_place(path, "video")


def choose_format(
    path: Path,
    info: ClipInfo,
    size: tuple[int, int],
    *,
    codec: str | None = None,
    crf: int | None = None,
    pixel_format: str | None = None,
) -> FilmFormat:
    """Chooses the codec and pixel format from the file name, the clip's bit depth and the size.

    Args:
        path: The destination.
        info: The clip.
        size: Height and width of the output.
        codec: Requested codec, or None.
        crf: Requested constant quality, or None.
        pixel_format: Requested pixel format, or None.

    Raises:
        UnknownNameError: The codec or pixel format is unknown.
        UsageError: The container does not support the codec.
    """
    import av

    allowed = CONTAINERS[path.suffix.lower()]
    if codec is not None and codec not in ENCODERS:
        raise unknown_name("codec", codec, ENCODERS)
    chosen = codec or allowed[0]
    if chosen not in allowed:
        raise UsageError(
            f"{path.suffix} does not support {chosen}; allowed are {', '.join(allowed)}."
        )
    encoder, _options, quality = ENCODERS[chosen]
    notes: list[str] = []
    own = chosen in ("gif", "png")
    known = [] if own else [f.name for f in av.Codec(encoder, "w").video_formats or ()]
    if pixel_format is None:
        pixel_format = _pixel_format(chosen, info.bits, size, notes)
        shallow = pixel_format.removesuffix("10le")
        if pixel_format not in known and shallow in known:
            notes.append(
                f"{encoder} on this machine does not support 10-bit {chosen}; the video will be 8-bit"
            )
            pixel_format = shallow
    if not own and pixel_format not in known:
        raise unknown_name(f"pixel format for {chosen}", pixel_format, known)
    best = None if quality is None else (quality if crf is None else crf)
    return FilmFormat(codec=chosen, crf=best, pixel_format=pixel_format, notes=tuple(notes))


def _pixel_format(codec: str, bits: int, size: tuple[int, int], notes: list[str]) -> str:
    if codec in ("gif", "png"):
        return "pal8" if codec == "gif" else "rgb24"
    if codec == "prores":
        return "yuv422p10le"
    deep = bits > 8 and codec in ("h264", "hevc", "vp9", "av1", "ffv1")
    if codec == "ffv1":
        return "gbrp16le" if deep else "bgr0"
    if codec == "mjpeg":
        return "yuvj444p"
    odd = size[0] % 2 or size[1] % 2
    if odd and codec != "av1":
        notes.append(
            f"{size[1]}x{size[0]} px is an odd size, so chroma is kept at full resolution (4:4:4), which some players "
            "do not support; use --size with an even number to avoid this"
        )
    chroma = "444" if odd and codec != "av1" else "420"
    return f"yuv{chroma}p10le" if deep else f"yuv{chroma}p"


class FilmWriter:
    """Encodes frames to a temporary file and moves the video into place when it is complete.

    Args:
        path: The destination, with an extension in `CONTAINERS`.
        info: The clip, for the time base, pixel aspect ratio and color.
        size: Height and width of the frames.
        chosen: From `choose_format`.
        source: Video to copy audio, subtitles and chapters from, or None.
        span: Start and end of the output on the source's clock, in seconds; the output's own clock starts at 0.
        metadata: Values that `read_film_metadata` can read.

    Attributes:
        notes: Streams that could not be copied, one phrase each.
    """

    def __init__(
        self,
        path: Path,
        info: ClipInfo,
        size: tuple[int, int],
        chosen: FilmFormat,
        *,
        source: Path | None = None,
        span: tuple[Fraction, Fraction | None] = (Fraction(0), None),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        import av

        self.path, self._chosen, self._span = path, chosen, span
        self._beside = partial_path(path)
        self._metadata = dict(metadata or {})
        self._color = _written_color(info.color, chosen)
        self._time_base = Fraction(1, 100) if chosen.codec == "gif" else info.time_base
        self.notes: tuple[str, ...] = ()
        self._ticks: dict[int, int] = {}
        self._container: Any = None
        self._stream: Any = None
        self._source: Any = None
        try:
            create_partial(path)
            self._container = av.open(f"file:{self._beside}", "w")
            self._stream = self._add_stream(info, size)
            self._copies = self._open_source(source)
            self._describe()
        except (OSError, av.error.FFmpegError) as error:
            self.abort()
            raise self._refused(error) from error
        except BaseException:
            self.abort()
            raise
        self._waiting = next(self._copies, None)

    def _add_stream(self, info: ClipInfo, size: tuple[int, int]) -> Any:
        encoder, options, _quality = ENCODERS[self._chosen.codec]
        extra = {} if self._chosen.crf is None else {"crf": str(self._chosen.crf)}
        if encoder == "libx264":
            options = repeatable_x264() | options
        stream = self._container.add_stream(
            encoder, rate=info.rate.limit_denominator(1_001_000), options=options | extra
        )
        stream.height, stream.width = size
        stream.pix_fmt = self._chosen.pixel_format
        codec = stream.codec_context
        codec.time_base = self._time_base
        if self._chosen.codec == "gif":
            return stream
        codec.sample_aspect_ratio = info.sample_aspect
        codec.colorspace, codec.color_range = self._color.matrix, 2 if self._color.full_range else 1
        codec.color_primaries, codec.color_trc = self._color.primaries, self._color.transfer
        return stream

    def _open_source(self, source: Path | None) -> Iterator[Any]:
        """Adds the streams that can be copied and returns their packets in file order."""
        if source is None or self._chosen.codec == "gif":
            return iter(())
        self._source = open_film(source)
        pairs, left = {}, []
        suffix = self.path.suffix.lower()
        for stream in self._source.streams:
            if stream.type not in ("audio", "subtitle"):
                continue
            name = stream.codec_context.name if stream.codec_context is not None else "unknown"
            if name not in self._container.supported_codecs:
                if stream.type == "audio":
                    raise UsageError(
                        f"{suffix} does not support the clip's audio codec ({name}); use a name ending in .mkv "
                        "or --sound none."
                    )
                left.append(f"{stream.type} ({name})")
                continue
            copy = self._container.add_stream_from_template(stream)
            copy.metadata.update(stream.metadata)
            pairs[stream.index] = copy
        if left:
            self.notes = (
                f"{suffix} does not support {', '.join(left)}, which is omitted; .mkv does",
            )
        return self._packets(pairs) if pairs else iter(())

    def _packets(self, pairs: dict[int, Any]) -> Iterator[Any]:
        begin, end = self._span
        for packet in self._source.demux([self._source.streams[i] for i in pairs]):
            if packet.dts is None or packet.pts is None:
                continue
            shift = round(begin / packet.time_base)
            seconds = packet.pts * packet.time_base
            if (begin > 0 and seconds < begin) or (end is not None and seconds >= end):
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = pairs[packet.stream.index]
            yield packet

    def _describe(self) -> None:
        if self._source is not None:
            kept = {
                k: v for k, v in self._source.metadata.items() if k in ("title", "artist", "date")
            }
            self._container.metadata.update(kept)
            chapters = _shifted(self._source.chapters(), self._span)
            if chapters:
                self._container.set_chapters(chapters)
        if self._metadata:
            self._container.metadata["comment"] = json.dumps(self._metadata, sort_keys=True)

    def add(self, pixels: np.ndarray, pts_seconds: Fraction, duration_seconds: Fraction) -> None:
        """Adds a frame, uint8 or uint16 ``(H, W, 3)``, with its time on the output's clock."""
        import av

        frame = self._indexed(pixels) if self._chosen.codec == "gif" else from_rgb(
            pixels, self._chosen.pixel_format, self._color
        )  # fmt: skip
        frame.pts, frame.time_base = round(pts_seconds / self._time_base), self._time_base
        self._ticks[frame.pts] = max(1, round(duration_seconds / self._time_base))
        try:
            for packet in self._stream.encode(frame):
                self._mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            self.abort()
            raise self._refused(error) from error

    @staticmethod
    def _indexed(pixels: np.ndarray) -> Any:
        """Converts a frame to its own palette of 256 colors for GIF."""
        import av

        eight = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
        image = Image.fromarray(eight).quantize(256, method=Image.Quantize.MEDIANCUT)
        palette = np.zeros((256, 4), np.uint8)
        colors = np.asarray(image.getpalette(), np.uint8).reshape(-1, 3)
        palette[: len(colors), 1:], palette[:, 0] = colors, 255  # alpha, red, green, blue
        both: Any = (np.asarray(image), palette)
        return av.VideoFrame.from_ndarray(both, format="pal8")

    def _mux(self, packet: Any) -> None:
        if packet.pts is not None:
            packet.duration = self._ticks.pop(packet.pts, packet.duration or 1)
            self._copy_until(packet.dts * packet.time_base)
        self._container.mux(packet)

    def _copy_until(self, seconds: Fraction | None) -> None:
        """Writes copied packets up to a given time, so that streams stay interleaved."""
        while self._waiting is not None:
            packet = self._waiting
            if seconds is not None and packet.dts * packet.time_base > seconds:
                return
            self._waiting = next(self._copies, None)
            self._container.mux(packet)

    def close(self) -> None:
        """Finishes the video and moves it into place."""
        import av

        try:
            for packet in self._stream.encode():
                self._mux(packet)
            self._copy_until(None)
            self._container.close()
            if self._chosen.codec == "gif" and self._metadata:  # the GIF muxer drops comments
                text = json.dumps({"impasto": json.dumps(self._metadata, sort_keys=True)})
                add_gif_comment(self._beside, MARK + text)
            move_into_place(self._beside, self.path)
        except (OSError, av.error.FFmpegError) as error:
            raise self._refused(error) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Closes and removes the temporary file; does nothing after `close`."""
        for container in (self._container, self._source):
            if container is not None:
                with contextlib.suppress(Exception):
                    container.close()
        self._container = self._source = None
        with contextlib.suppress(OSError):
            self._beside.unlink()

    def _refused(self, error: Exception) -> OutputError:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        what = (
            "; free some space and continue with --resume"
            if number == errno.ENOSPC
            else "; choose another location or codec"
        )
        return OutputError(f"{self.path} cannot be written ({reason}){what}.")


def check_pattern(path: Path) -> None:
    """Checks that the name of an image sequence has exactly one frame number placeholder.

    Raises:
        UsageError: There is none, or more than one.
    """
    if len(NUMBER.findall(path.name)) != 1 or path.name.count("%") != 1:
        raise UsageError(
            f"{path.name!r} is a single image; an image sequence needs one number placeholder, like frames_%05d.png."
        )


class PictureWriter:
    """Writes frames as images numbered from 0, with the interface of `FilmWriter`.

    Args:
        path: A name with ``%05d`` for the number.

    Attributes:
        notes: States that audio is omitted.
    """

    notes = ("image sequences have no audio or timestamps",)

    def __init__(self, path: Path) -> None:
        self.path, self._count = path, 0

    def add(self, pixels: np.ndarray, _pts_seconds: Fraction, _duration_seconds: Fraction) -> None:
        """Writes the next image, uint8 or uint16 ``(H, W, 3)``."""
        deep = pixels.dtype == np.uint16
        rgb = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
        name = self.path.with_name(self.path.name % self._count)
        write_image(name, Picture(rgb=rgb, bits=16 if deep else 8))
        self._count += 1

    def close(self) -> None:
        """Does nothing; every image is already complete."""

    def abort(self) -> None:
        """Does nothing; completed images are kept."""


def _written_color(color: ColorTags, chosen: FilmFormat) -> ColorTags:
    """Returns the output color tags: the clip's own; RGB clips become BT.709 unless the codec is RGB."""
    rgb = chosen.pixel_format.startswith(("gbr", "bgr", "rgb", "pal8"))
    matrix = 0 if rgb else (color.matrix or 1)
    full = chosen.pixel_format.startswith("yuvj") or rgb or (color.full_range and color.matrix != 0)
    primaries, transfer = color.primaries, color.transfer
    if matrix == 1 and primaries == 2:
        primaries, transfer = 1, 1
    return ColorTags(matrix=matrix, full_range=full, primaries=primaries, transfer=transfer)


def _shifted(chapters: list[Any], span: tuple[Fraction, Fraction | None]) -> list[Any]:
    """Shifts chapters to the excerpt's clock and drops those outside it."""
    begin, end = span
    kept: list[Any] = []
    for chapter in chapters:
        base = Fraction(chapter["time_base"])
        first, last = chapter["start"] * base, chapter["end"] * base
        if last <= begin or (end is not None and first >= end):
            continue
        first, last = max(first, begin), last if end is None else min(last, end)
        times = {"start": int((first - begin) / base), "end": int((last - begin) / base)}
        kept.append({**chapter, **times, "id": len(kept)})
    return kept


def video_times(path: Path) -> list[Fraction]:
    """Returns the sorted timestamps of a video's frames in seconds, without decoding it."""
    with opened_film(path) as container:
        stream = container.streams.video[0]
        return sorted(p.pts * p.time_base for p in container.demux(stream) if p.pts is not None)


def read_film_metadata(path: str | Path) -> dict[str, Any]:
    """Reads the metadata that `FilmWriter` stored; empty if there is none.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The file is not a video.
    """
    if Path(path).suffix.lower() == ".gif":
        text = read_metadata(path).get("impasto", "{}")
    else:
        with opened_film(path) as container:
            known = container.metadata
            text = known.get("comment") or known.get("COMMENT") or "{}"
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
