"""Measures films: consistency by method, drift over 200 frames, memory over 500, and seconds per frame.

python benchmarks/bench_film.py [table] [keyframes] [truth] [drift] [still] [memory] [speed]

Errors are mean squared warping errors of values in 0 to 1, times 10,000, where the motion is reliable (see
`impasto.measure`); ratios are the error of frame-by-frame over the method's error on the same clip.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import DATA, RESULTS, need_data, report
from PIL import Image

from impasto.backbones import load_backbone
from impasto.config import METHODS, film_options, options
from impasto.measure import FilmMeter, measure_film, same_frames, sharpness, warping_error
from impasto.media import pixels_to_tensor, read_image, resize, size_to_fit
from impasto.media.video import open_clip
from impasto.motion import read_flow, warp
from impasto.pipeline import FilmJob, prepare_film

CLIPS = (
    ("co-tracker__bear", "msgnet__starry_night", 0.0),
    ("co-tracker__paragliding-launch", "titu__wave_kanagawa", 0.0),
    ("depth-anything__davis_dolphins", "msgnet__la_muse", 0.0),
    ("fresco__car-turn", "msgnet__candy", 2.0),
    ("fresco__dog", "msgnet__the_scream", 1.0),
    ("pytorch-adain__cutBunny", "msgnet__starry_night", 0.0),
)
"""Clip, painting and start time in seconds."""

GAPS = (1, 2, 4, 10)

SENSOR_NOISE = 2.0
"""Standard deviation of the noise of a static frame, in units of 1/255."""


def clip_path(name: str) -> Path:
    """Returns the path of a clip of the evaluation data."""
    return DATA / "clips" / f"{name}.mp4"


def style_path(name: str) -> Path:
    """Returns the path of a painting of the evaluation data."""
    return DATA / "paintings" / "demo" / f"{name}.jpg"


def film_job(
    clip: str, style: str, out: Path, *, size: int, method: str = "steady", **film: Any
) -> FilmJob:
    """Prepares a film of a clip in a style, discarding frames of earlier runs."""
    return prepare_film(
        clip_path(clip),
        [read_image(style_path(style))],
        out,
        options(size=size),
        film_options(method, **film),
        fresh=True,
    )


def painted(
    clip: str, style: str, method: str, size: int, folder: Path, every: int = 1, **film: Any
) -> dict[str, Any]:
    """Renders a film with a lossless codec and measures it."""
    job = film_job(
        clip, style, folder / f"{method}.mkv", size=size, method=method, codec="ffv1", **film
    )
    began = time.perf_counter()
    seconds = [event.seconds for event in job]
    job.assemble()
    all_in = (time.perf_counter() - began) / len(seconds)
    height, width = job.size
    picture = read_image(style_path(style)).to_tensor()
    scaled = resize(
        picture, size_to_fit((picture.shape[-2], picture.shape[-1]), max(height, width))
    )
    meter = FilmMeter(load_backbone(), [scaled], gaps=GAPS, every=every)
    film_read = open_clip(job.out).frames((height, width))
    figures = measure_film(same_frames(film_read, job.selected(), 0.0), meter)
    job.store.remove()
    row = {
        "seconds_a_frame": round(statistics.mean(seconds[1:]), 2),
        "seconds_all_in": round(all_in, 2),
        "style": round(figures.style or math.nan, 5),
        "content": round(figures.content, 3),
    }
    for gap in GAPS:
        row[f"error_{gap}"] = round(1e4 * figures.error[gap], 2)
        row[f"features_{gap}"] = round(figures.perceptual[gap], 4)
    return row | {"clip_error_1": round(1e4 * figures.error_of_clip[1], 2),
                  "clip_error_10": round(1e4 * figures.error_of_clip[10], 2),
                  "sharpness": [round(v, 4) for v in figures.sharpness],
                  "brightness": [round(v, 4) for v in figures.brightness]}  # fmt: skip


def table(size: int, frames: int, methods: list[str], clips: list[str]) -> dict[str, Any]:
    """Runs every method on the named clips, keeps existing rows of the others, and averages the ratios."""
    rows: dict[str, dict[str, Any]] = {}
    kept = RESULTS / "film_table.json"
    if clips and kept.exists():
        rows = json.loads(kept.read_text())["clips"]
    for clip, style, start in CLIPS:
        if clips and clip not in clips:
            continue
        rate = float(open_clip(clip_path(clip)).info.rate)
        rows[clip] = {}
        for method in methods:
            with tempfile.TemporaryDirectory() as folder:
                end = start + (frames - 0.5) / rate
                row = painted(clip, style, method, size, Path(folder), begin=start, end=end)
            row.pop("sharpness"), row.pop("brightness")
            rows[clip][method] = row
            print(clip, method, row, flush=True)
    means = {
        method: {
            f"steadier_{gap}": round(
                statistics.geometric_mean(
                    clip_rows["frame-by-frame"][f"error_{gap}"] / clip_rows[method][f"error_{gap}"]
                    for clip_rows in rows.values()
                ),
                2,
            )
            for gap in GAPS
        }
        | {
            "style_over_frame_by_frame": round(
                statistics.geometric_mean(
                    clip_rows[method]["style"] / clip_rows["frame-by-frame"]["style"]
                    for clip_rows in rows.values()
                ),
                3,
            ),
            "content_over_frame_by_frame": round(
                statistics.geometric_mean(
                    clip_rows[method]["content"] / clip_rows["frame-by-frame"]["content"]
                    for clip_rows in rows.values()
                ),
                3,
            ),
            "seconds_a_frame": round(
                statistics.mean(c[method]["seconds_a_frame"] for c in rows.values()), 2
            ),
        }
        for method in methods
    }
    return {"size": size, "frames": frames, "means": means, "clips": rows}


LONG_CLIPS = (
    ("pytorch-adain__cutBunny", "msgnet__starry_night", 0.0),
    ("fresco__dog", "msgnet__the_scream", 1.0),
    ("tokenflow__woman-running", "msgnet__candy", 0.0),
    ("torchcodec__nasa_13013", "msgnet__la_muse", 0.0),
    ("gradio__world", "titu__wave_kanagawa", 0.0),
    ("all-in-one-def__Winter_Scenes_in_Holland", "msgnet__starry_night", 0.0),
)
"""Clips of at least 96 frames, with painting and start time in seconds."""


def keyframes(size: int, frames: int, clips: list[str], between: list[str]) -> dict[str, Any]:
    """Compares films by keyframes with ``steady``: seconds per frame all in, and ratios of the errors."""
    rows: dict[str, dict[str, Any]] = {}
    for clip, style, start in LONG_CLIPS:
        if clips and clip not in clips:
            continue
        end = start + (frames - 0.5) / float(open_clip(clip_path(clip)).info.rate)
        rows[clip] = {}
        for name in ("steady", *between):
            changes = {} if name == "steady" else {"between": name}
            method = "steady" if name == "steady" else "keyframes"
            with tempfile.TemporaryDirectory() as folder:
                row = painted(
                    clip,
                    style,
                    method,
                    size,
                    Path(folder),
                    every=3,
                    begin=start,
                    end=end,
                    **changes,
                )
            row.pop("sharpness"), row.pop("brightness")
            rows[clip][name] = row
            print(clip, name, row, flush=True)
    ratios = {
        name: {
            figure: round(
                statistics.geometric_mean(
                    r[name][figure] / r["steady"][figure] for r in rows.values()
                ),
                3,
            )
            for figure in ("style", "content", "error_1", "error_2", "error_4", "error_10")
        }
        | {"seconds_per_frame": [r[name]["seconds_all_in"] for r in rows.values()]}
        for name in between
    }
    return {"size": size, "frames": frames, "ratios_to_steady": ratios, "clips": rows}


def drift(size: int) -> dict[str, Any]:
    """Measures sharpness and brightness of the 1st, 50th and 200th pastiche, with and without drift correction."""
    found = {}
    for hold in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            row = painted(
                "fresco__dog",
                "msgnet__the_scream",
                "steady",
                size,
                Path(folder),
                end=8.4,
                hold=hold,
            )
        picked = {n: (row["sharpness"][n - 1], row["brightness"][n - 1]) for n in (1, 50, 200)}
        found["held" if hold else "not held"] = {
            "sharpness": {n: s for n, (s, _b) in picked.items()},
            "brightness": {n: b for n, (_s, b) in picked.items() if math.isfinite(b)},
            "error_10": row["error_10"],
            "style": row["style"],
        }
    return {"size": size, "frames": 202, **found}


def still_drift(size: int, frames: int = 200) -> dict[str, Any]:
    """Measures the same on a static film: one frame repeated with simulated sensor noise."""
    first = next(iter(open_clip(clip_path("fresco__dog")).frames((size * 9 // 16, size))))
    noise = np.random.default_rng(0)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        for number in range(frames):
            grain = noise.normal(0, SENSOR_NOISE, first.pixels.shape)
            pixels = np.clip(first.pixels + grain, 0, 255).round().astype(np.uint8)
            Image.fromarray(pixels).save(source / f"{number:04d}.png")
        for hold in (True, False):
            job = prepare_film(
                source,
                [read_image(style_path("msgnet__the_scream"))],
                Path(folder) / "o.mkv",
                options(size=0),
                film_options("steady", hold=hold),
                fresh=True,
            )
            pictures = {
                event.index + 1: pixels_to_tensor(event.pixels)
                for event in job
                if event.index + 1 in (1, 50, frames)
            }
            job.store.remove()
            found["held" if hold else "not held"] = {
                "sharpness": {n: round(sharpness(p), 4) for n, p in pictures.items()},
                "brightness": {n: round(float(p.mean()), 4) for n, p in pictures.items()},
                "contrast": {n: round(float(p.std()), 4) for n, p in pictures.items()},
            }
    return found


def truth() -> dict[str, Any]:
    """Measures the warping error along Middlebury's ground-truth flow, frame by frame and with ``steady``."""
    rows: dict[str, dict[str, float]] = {}
    for folder in sorted(path.parent for path in (DATA / "flow").glob("*/flow10.flo")):
        flow, known = read_flow(folder / "flow10.flo")
        rows[folder.name] = {}
        for method in ("frame-by-frame", "steady"):
            with tempfile.TemporaryDirectory() as kept:
                job = prepare_film(
                    folder,
                    [read_image(style_path("msgnet__starry_night"))],
                    Path(kept) / "o.mkv",
                    options(size=0),
                    film_options(method),
                )
                first, second = (pixels_to_tensor(event.pixels) for event in job)
            moved = warp(second, flow, mode="bicubic").clamp(0, 1)
            rows[folder.name][method] = round(1e4 * warping_error(first, moved, known), 2)
    return {"error_along_true_flow": rows}


def memory(size: int) -> dict[str, Any]:
    """Measures resident memory after 20 and 500 frames of a long clip."""
    process, marks = psutil.Process(), {}
    with tempfile.TemporaryDirectory() as folder:
        job = film_job(
            "gradio__world", "msgnet__candy", Path(folder) / "o.mp4", size=size, frame_steps=[2],
            opening_steps=[5], end=17.0,
        )  # fmt: skip
        peak = 0
        for event in job:
            peak = max(peak, process.memory_info().rss)
            if event.index in (19, 499):
                marks[event.index + 1] = round(peak / 2**20)
        job.assemble()
        after = round(process.memory_info().rss / 2**20)
    return {
        "size": size,
        "peak_mib_at_frame": marks,
        "grown_mib": marks[500] - marks[20],
        "after_encoding_mib": after,
    }


def speed(frames: int) -> dict[str, Any]:
    """Measures seconds per frame at 640x360, excluding the first frame, including encoding."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "o.mp4"
        job = film_job(
            "pytorch-adain__cutBunny", "msgnet__starry_night", out, size=0, end=(frames - 0.5) / 24
        )
        seconds = [event.seconds for event in job]
        began = time.perf_counter()
        job.assemble()
        encode = (time.perf_counter() - began) / len(seconds)
    later = statistics.median(seconds[1:])
    return {
        "size": [job.size[1], job.size[0]],
        "first_frame_seconds": round(seconds[0], 2),
        "frame_seconds": round(later, 2),
        "encode_seconds": round(encode, 3),
        "all_in_seconds": round(later + encode, 2),
    }


def main() -> None:
    """Runs the named parts, or all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=[])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--clips", nargs="*", default=[], help="for table: clips to render again")
    parser.add_argument("--between", nargs="*", default=["carried"], help="for keyframes")
    args = parser.parse_args()
    need_data()
    runs = {
        "table": lambda: table(args.size, args.frames, args.methods, args.clips),
        "keyframes": lambda: keyframes(args.size, args.frames, args.clips, args.between),
        "truth": truth,
        "drift": lambda: drift(args.size),
        "memory": lambda: memory(160),
        "still": lambda: still_drift(args.size),
        "speed": lambda: speed(args.frames),
    }
    for part in args.parts or runs:
        report(f"film_{part}", runs[part]())


if __name__ == "__main__":
    main()
