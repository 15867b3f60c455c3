"""Compares translators with looks: size, work and speed; and temporal consistency on films.

python benchmarks/bench_translate.py table
python benchmarks/bench_translate.py films --model made/model.translator [--model steady/model.translator]

``films`` translates three clips with each model, frame by frame and stabilized along the motion, and renders the
optimizer's photoreal film for comparison; warping errors are relative to the clip's own.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import DATA, need_data, report

from impasto.backbones import load_backbone
from impasto.config import PaintOptions, film_options, options
from impasto.looks import AnyStylePainter, load_look
from impasto.looks.networks import weights_of
from impasto.measure import FilmMeter, measure_film, same_frames
from impasto.media import Picture, read_image
from impasto.media.video import open_clip
from impasto.pipeline import prepare_film
from impasto.translate import GeneratorShape, make_generator
from impasto.translate.networks import multiply_adds

CLIPS = ("co-tracker__bear", "fresco__car-turn", "tokenflow__woman-running")
SIZES = ((256, 256), (512, 512), (720, 1280))
SHAPES = {
    "published resnet, 9 blocks": GeneratorShape(),
    "published resnet, 6 blocks": GeneratorShape(blocks=6),
    "small": GeneratorShape(channels=24, blocks=4, resized=True, skip=True),
}
EVENING = DATA / "photos" / "demo" / "gordic__golden_gate.jpg"


@torch.no_grad()
def table(largest: int) -> dict[str, Any]:
    """Measures weights in millions, multiply-adds at 256 px in billions, and seconds per picture."""
    rows: dict[str, Any] = {}
    runs = {}
    for name, shape in SHAPES.items():
        network = make_generator(shape).eval()
        rows[name] = {
            "weights_m": round(weights_of(network) / 1e6, 3),
            "multiply_adds_g": round(multiply_adds(network, (256, 256)) / 1e9, 1),
        }
        runs[name] = lambda x, network=network: network(2 * x - 1)
    shipped = load_look(Path("instant")).painter
    painter = AnyStylePainter(shipped, [torch.rand(1, 3, 256, 256)])  # type: ignore[arg-type]
    rows["look instant"] = {"weights_m": round(weights_of(shipped) / 1e6, 3)}
    runs["look instant"] = painter.picture
    for height, width in SIZES:
        if height * width > largest:
            continue
        image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        for name, run in runs.items():
            run(image)
            times = []
            for _ in range(3):
                began = time.perf_counter()
                run(image)
                times.append(time.perf_counter() - began)
            rows[name][f"seconds {width}x{height}"] = round(statistics.median(times), 3)
            print(name, rows[name], flush=True)
    return rows


def filmed(
    clip: Path, paint: PaintOptions, method: str, styles: list[Picture], frames: int
) -> dict[str, float]:
    """Measures the warping error relative to the clip's own, and seconds per frame."""
    rate = float(open_clip(clip).info.rate)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        job = prepare_film(
            clip, styles, Path(folder) / "o.mkv", paint,
            film_options(method, end=(frames - 0.5) / rate, codec="ffv1"),
        )  # fmt: skip
        count = sum(1 for _event in job)
        job.assemble()
        seconds = (time.perf_counter() - began) / count
        meter = FilmMeter(load_backbone(), gaps=(1,))
        figures = measure_film(
            same_frames(open_clip(job.out).frames(job.size), job.selected(), 0.0), meter
        )
    return {
        "error_over_clips": round(figures.error[1] / figures.error_of_clip[1], 2),
        "seconds_a_frame": round(seconds, 2),
    }


def films(models: list[Path], frames: int, size: int) -> dict[str, Any]:
    """Runs every model on every clip, and the photoreal optimizer."""
    rows = {}
    for name, model, method in itertools.product(CLIPS, models, ("frame-by-frame", "steady")):
        clip = DATA / "clips" / f"{name}.mp4"
        key = f"{name}, {model.parent.name}, {method}"
        rows[key] = filmed(clip, options(size=size, look=model), method, [], frames)
        print(key, rows[key], flush=True)
    for name in CLIPS:
        clip = DATA / "clips" / f"{name}.mp4"
        rows[f"{name}, optimizer, photoreal"] = filmed(
            clip, options("photoreal", size=size), "steady", [read_image(EVENING)], frames
        )
        print(name, rows[f"{name}, optimizer, photoreal"], flush=True)
    return rows


def main() -> None:
    """Runs one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", nargs="?", default="table", choices=("table", "films"))
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument(
        "--largest", type=int, default=1280 * 720, help="largest picture to time, in pixels"
    )
    args = parser.parse_args()
    need_data()
    if args.part == "table":
        report("translate_table", table(args.largest))
    else:
        report("translate_films", films(args.model, args.frames, args.size))


if __name__ == "__main__":
    main()
