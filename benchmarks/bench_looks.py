"""Benchmarks looks: quality relative to the optimizer, speed and temporal consistency.

python benchmarks/bench_looks.py [--look my.look]

Without --look, a look is first trained on Starry Night and ``photos/open`` with the defaults. The teacher scores it on
held-out photographs, along with the preset `draft`, and it is timed along with Johnson's network at its usual width.
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
from common import DATA, PAIRS, evaluate, need_data, report, teacher

from impasto.backbones import load_backbone
from impasto.config import film_options, options, train_options
from impasto.looks import Johnson, Look, feed_forward_look, load_look, save_look
from impasto.looks.data import gather_data
from impasto.looks.networks import weights_of
from impasto.looks.train import Training
from impasto.measure import FilmMeter, measure_film, same_frames
from impasto.media import read_image, resize, size_to_fit
from impasto.media.video import open_clip
from impasto.pipeline import paint_at_once, prepare_film, stylize_image

STYLE = DATA / "paintings" / "demo" / "msgnet__starry_night.jpg"
CLIPS = ("co-tracker__bear", "fresco__car-turn", "pytorch-adain__cutBunny")
SIZES = ((360, 640), (720, 1280))


def trained(path: Path) -> float:
    """Trains a look with the defaults and returns the time in seconds."""
    began = time.perf_counter()
    data = gather_data([DATA / "photos" / "open"])
    training = Training([read_image(STYLE).to_tensor()], data, train_options())
    for _step in training:
        pass
    save_look(path, training.look())
    return time.perf_counter() - began


def quality(look: Look) -> dict[str, Any]:
    """Scores style and content on held-out photographs at 512 px, relative to `draft` at that size."""
    network, style = teacher(), read_image(STYLE)
    rows = []
    for photo, _painting in PAIRS[:6]:
        content = read_image(DATA / "photos" / "demo" / f"{photo}.jpg")
        image = content.to_tensor()
        image = resize(image, size_to_fit((image.shape[-2], image.shape[-1]), 512))
        began = time.perf_counter()
        looked, _notes = paint_at_once(content, options(), feed_forward_look(look))
        middle = time.perf_counter()
        drafted = stylize_image(content, [style], options("draft", size=512))
        ended = time.perf_counter()
        row: dict[str, float] = {"look_seconds": middle - began, "draft_seconds": ended - middle}
        for name, picture in (("look", looked), ("draft", drafted)):
            scores = evaluate(network, picture.to_tensor(), image, style.to_tensor())
            row |= {f"{name}_style": scores.style, f"{name}_content": scores.content}
        rows.append(row)
        print(photo, {key: round(value, 4) for key, value in row.items()}, flush=True)
    means = {key: statistics.mean(row[key] for row in rows) for key in rows[0]}
    return {
        **{key: round(value, 4) for key, value in means.items()},
        "style_over_draft": round(means["look_style"] / means["draft_style"], 2),
        "content_over_draft": round(means["look_content"] / means["draft_content"], 2),
    }


@torch.no_grad()
def speed(look: Look) -> dict[str, Any]:
    """Measures frames per second of the network alone and of Johnson's, in one run."""
    johnson, rows = Johnson().eval(), {}
    for height, width in SIZES:
        image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        named = {
            "look": lambda x=image: look.painter(x, look.code),
            "johnson": lambda x=image: johnson(255 * x),
        }
        for name, run in named.items():
            times = []
            for _ in range(7 if name == "look" else 3):
                began = time.perf_counter()
                run()
                times.append(time.perf_counter() - began)
            rows[f"{name} {width}x{height}"] = round(1 / statistics.median(times[1:]), 2)
    return rows | {"look_weights": weights_of(look.painter), "johnson_weights": weights_of(johnson)}


def films(look: Path, frames: int) -> dict[str, Any]:
    """Measures the warping error relative to the clip's at a gap of 1, and end-to-end frames per second at 640 px."""
    rows = {}
    for name, method in itertools.product(CLIPS, ("steady", "frame-by-frame")):
        clip = DATA / "clips" / f"{name}.mp4"
        rate = float(open_clip(clip).info.rate)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            job = prepare_film(
                clip, [], Path(folder) / "o.mkv", options(size=640, look=look),
                film_options(method, end=(frames - 0.5) / rate, codec="ffv1"),
            )  # fmt: skip
            count = sum(1 for _event in job)
            job.assemble()
            seconds = time.perf_counter() - began
            meter = FilmMeter(load_backbone(), gaps=(1,))
            read = open_clip(job.out).frames(job.size)
            figures = measure_film(same_frames(read, job.selected(), 0.0), meter)
        rows[f"{name}, {method}"] = {
            "frames_a_second": round(count / seconds, 2),
            "error_1": round(1e4 * figures.error[1], 2),
            "error_over_clips": round(figures.error[1] / figures.error_of_clip[1], 2),
        }
        print(name, method, rows[f"{name}, {method}"], flush=True)
    return rows


def main() -> None:
    """Trains a look if none is given, and measures it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--look", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    args = parser.parse_args()
    need_data()
    with tempfile.TemporaryDirectory() as folder:
        path = args.look or Path(folder) / "starry.look"
        minutes = None if args.look else round(trained(path) / 60, 1)
        look = load_look(path)
        report(
            "looks",
            {
                "training_minutes": minutes,
                "quality": quality(look),
                "frames_a_second": speed(look),
                "films": films(path, args.frames),
            },
        )


if __name__ == "__main__":
    main()
