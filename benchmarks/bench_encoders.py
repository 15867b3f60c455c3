"""Measures video encoders: reproducibility, speed, file size and fidelity.

python benchmarks/bench_encoders.py h264     libx264 options that affect reproducibility
python benchmarks/bench_encoders.py codecs   every codec with the options that impasto uses

Each row encodes the same stylized frames ``--runs`` times. Before each run, glibc is set to fill new memory with a
different byte, so that an encoder that reads uninitialized memory cannot be reproducible by luck. ``alike`` is the
largest number of runs with equal packets, ``frames_per_second`` is the median over the runs, and ``psnr_db`` compares
the decoded film with the stylized frames in RGB.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import itertools
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np
from common import DATA, need_data, report

from impasto.looks import AnyStylePainter, load_look
from impasto.media import pixels_to_tensor, read_image
from impasto.media.video import open_clip
from impasto.media.video._clip import ClipInfo
from impasto.media.video._writer import ENCODERS, FilmWriter, choose_format

CLIP = DATA / "clips" / "pytorch-adain__cutBunny.mp4"
STYLE = DATA / "paintings" / "demo" / "msgnet__starry_night.jpg"
SIZES = ((64, 96, 24), (360, 640, 24), (480, 854, 24), (720, 1280, 16))
"""Height, width and number of frames."""

CANDIDATES: Mapping[str, Mapping[str, str]] = {
    "all of AVX-512": {"x264-params": ""},
    "no macroblock tree": {"x264-params": "no-mbtree=1"},
    "one thread": {"x264-params": "", "threads": "1"},
    "one lookahead thread": {"x264-params": "lookahead-threads=1"},
    "no synchronous lookahead": {"x264-params": "sync-lookahead=0"},
    "sliced threads": {"x264-params": "sliced-threads=1"},
    "only AVX2": {"x264-params": "asm=avx2"},
}
"""libx264 options in addition to preset and CRF."""

M_PERTURB = -6
"""Value of ``M_PERTURB`` in glibc's malloc.h."""

SUFFIXES = {"vp9": ".webm", "prores": ".mov"}


def painted(height: int, width: int, count: int) -> list[np.ndarray]:
    """Returns frames of a clip, stylized by the bundled look."""
    style = read_image(STYLE).to_tensor()[:, :3]
    painter = AnyStylePainter(load_look(Path("instant")).painter, [style])  # type: ignore[arg-type]
    frames = []
    for frame in itertools.islice(open_clip(CLIP).frames((height, width)), count):
        pastiche = painter.picture(pixels_to_tensor(frame.pixels))
        frames.append((255 * pastiche[0].permute(1, 2, 0)).round().byte().numpy())
    return frames


def encode(path: Path, frames: list[np.ndarray], codec: str, info: ClipInfo) -> float:
    """Writes the film as impasto does and returns the time in seconds."""
    size = (frames[0].shape[0], frames[0].shape[1])
    began = time.perf_counter()
    writer = FilmWriter(path, info, size, choose_format(path, info, size, codec=codec))
    for index, pixels in enumerate(frames):
        writer.add(pixels, Fraction(index, 24), Fraction(1, 24))
    writer.close()
    return time.perf_counter() - began


def packets(path: Path) -> str:
    """Returns a digest of the film's packets, without the container."""
    with av.open(str(path)) as film:
        data = b"".join(bytes(packet) for packet in film.demux(film.streams.video[0]))
    return hashlib.sha256(data).hexdigest()


def psnr(path: Path, frames: list[np.ndarray]) -> float | None:
    """Returns the peak signal-to-noise ratio of the decoded film in decibels; None if it is lossless."""
    height, width = frames[0].shape[:2]
    decoded = (one.pixels for one in open_clip(path).frames((height, width)))
    errors = [
        np.square(one / (257 if one.dtype == np.uint16 else 1) - other).mean()
        for one, other in zip(decoded, frames, strict=True)
    ]
    return round(float(10 * np.log10(255**2 / np.mean(errors))), 2) if max(errors) > 0 else None


def poison(number: int) -> None:
    """Makes glibc fill new memory with a different byte in each run, to expose reads of uninitialized memory."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_PERTURB, 1 + 17 * number % 255)


def table(
    frames: list[np.ndarray], rows: Mapping[str, tuple[str, Mapping[str, str]]], runs: int
) -> dict[str, Any]:
    """Encodes the same frames several times with each row's codec and options, interleaved."""
    info, folder = open_clip(CLIP).info, Path(tempfile.mkdtemp())
    digests = {name: Counter[str]() for name in rows}
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    paths = {
        name: folder / f"{number}{SUFFIXES.get(codec, '.mkv')}"
        for number, (name, (codec, _extra)) in enumerate(rows.items())
    }
    for run, (name, (codec, extra)) in itertools.product(range(runs), rows.items()):
        poison(run)
        encoder, given, quality = ENCODERS[codec]
        with mock.patch.dict(ENCODERS, {codec: (encoder, {**given, **extra}, quality)}):
            seconds[name].append(encode(paths[name], frames, codec, info))
        digests[name][packets(paths[name])] += 1
    return {
        name: {
            "alike": max(digests[name].values()),
            "frames_per_second": round(len(frames) / statistics.median(seconds[name]), 1),
            "kilobytes_per_frame": round(path.stat().st_size / len(frames) / 1000, 1),
            "psnr_db": psnr(path, frames),
        }
        for name, path in paths.items()
    }


def main() -> None:
    """Runs the benchmark and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=["h264", "codecs"])
    parser.add_argument("--runs", type=int, default=14)
    args = parser.parse_args()
    need_data()
    rows: dict[str, tuple[str, Mapping[str, str]]]
    if args.table == "h264":
        rows = {name: ("h264", extra) for name, extra in CANDIDATES.items()}
    else:
        rows = {codec: (codec, {}) for codec in sorted(ENCODERS.keys() - {"gif", "png"})}
    found: dict[str, Any] = {"runs": args.runs, "cores": os.cpu_count()}
    for height, width, count in SIZES:
        found[f"{width}x{height}"] = table(painted(height, width, count), rows, args.runs)
    report(f"encoders_{args.table}", found)


if __name__ == "__main__":
    main()
