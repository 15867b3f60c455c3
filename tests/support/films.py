"""Synthetic videos: a textured background that moves by a known flow, a square in front of it, and a cut."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.types import Frame

M_PERTURB = -6
"""Value of this option in glibc's malloc.h."""


def ground(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """Returns smooth periodic noise, uint8 ``(H, W, 3)``."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = np.zeros((height, width, 3))
    for _ in range(24):
        fy, fx = generator.integers(1, 6, 2)
        phase = generator.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * (fy * y / height + fx * x / width) + phase)
        picture += wave[..., None] * generator.uniform(-1, 1, 3)
    return np.clip(127 + 25 * picture, 0, 255).astype(np.uint8)


def film(
    frames: int = 6,
    *,
    shift: tuple[int, int] = (0, 2),
    cut: int | None = None,
    square: bool = False,
    size: tuple[int, int] = (64, 96),
    rate: Fraction = Fraction(24),
) -> list[Frame]:
    """Returns frames whose background moves by ``shift`` (down, right) per frame, and changes after ``cut``."""
    made = []
    for index in range(frames):
        seed = 0 if cut is None or index < cut else 7
        pixels = np.roll(ground(*size, seed=seed), (shift[0] * index, shift[1] * index), (0, 1))
        if cut is not None and index >= cut:
            pixels = 255 - pixels // 2
        if square:
            pixels = pixels.copy()
            pixels[20:40, 10 + 3 * index : 30 + 3 * index] = (220, 40, 30)
        made.append(
            Frame(
                pixels=np.ascontiguousarray(pixels),
                pts_seconds=index / rate,
                duration_seconds=1 / rate,
                index=index,
            )
        )
    return made


def write_film(
    path: Path,
    frames: list[Frame],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: list[int] | None = None,
    time_base: Fraction = Fraction(1, 12288),
    sound: bool = False,
    subtitle: bool = False,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    tags: tuple[int, int] | None = None,
) -> Path:
    """Writes frames, optionally with a tone; ``times`` are in time base units, ``tags`` are matrix and range."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options or {"crf": "12"})
        stream.height, stream.width = frames[0].pixels.shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if tags is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = tags
        tone = container.add_stream("aac", rate=44100) if sound else None
        packets = []
        for number, frame in enumerate(frames):
            video = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")
            known = {} if tags is None else {"dst_colorspace": tags[0], "dst_color_range": tags[1]}
            video = video.reformat(format=pixel_format, **known)
            video.time_base = time_base
            video.pts = times[number] if times else round(frame.pts_seconds / time_base)
            packets += stream.encode(video)
        packets += stream.encode()
        if tone is not None:
            packets += _tone(tone, float(frames[-1].pts_seconds + frames[-1].duration_seconds))
        for packet in packets:
            container.mux(packet)
    return path


def _tone(stream, seconds: float) -> list:
    import av

    count = int(seconds * 44100)
    wave = (0.2 * np.sin(2 * np.pi * 440 * np.arange(count) / 44100)).astype(np.float32)
    packets = []
    for begin in range(0, count, 1024):
        part = av.AudioFrame.from_ndarray(wave[None, begin : begin + 1024], "fltp", "mono")
        part.rate, part.pts = 44100, begin
        packets += stream.encode(part)
    return packets + stream.encode()


def packets_of(path: Path, kind: str) -> list[tuple]:
    """Returns stream index, time and bytes of every packet of the streams of a type."""
    import av

    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type == kind]
        return [
            (p.stream.index, p.pts * p.time_base, bytes(p))
            for p in container.demux(streams)
            if p.pts is not None
        ]


def decoded(path: Path) -> list[np.ndarray]:
    """Decodes every frame to RGB."""
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def stored(folder: Path, turn: int = 1) -> list[np.ndarray]:
    """Reads every frame of a pass from the store; comparing these avoids any influence of the encoder."""
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob(f"*.{turn}.png"))]


@contextlib.contextmanager
def poisoned_memory(byte: int) -> Iterator[None]:
    """Makes glibc fill new memory with a byte, which exposes reads of uninitialized memory.

    Does nothing without glibc.
    """
    try:
        perturb = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        yield
        return
    perturb(M_PERTURB, byte)
    try:
        yield
    finally:
        perturb(M_PERTURB, 0)
