"""Benchmarks photorealistic transfer on the pairs of Deep Photo Style Transfer, with the published results.

python benchmarks/bench_photoreal.py [pairs] [speed] [laplacian] [film] [--size 400]

The teacher scores style per region (see `impasto.measure`); structure is compared with the content.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import DATA, need_data, report, teacher
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.config import film_options, options
from impasto.losses import matting_laplacian, photorealism_loss
from impasto.measure import (
    FilmMeter,
    measure_film,
    region_style,
    same_frames,
    spill,
    structure_kept,
)
from impasto.media import Picture, pixels_to_tensor, read_image, resize, size_to_fit
from impasto.media.video import open_clip
from impasto.pipeline import prepare_film, stylize_image
from impasto.regions import match_regions, read_masks
from impasto.types import Frame

PAIRS = DATA / "masks" / "deep_photo"
VARIANTS: dict[str, dict[str, Any]] = {
    "photoreal": {},
    "found regions": {"regions": "auto"},
    "no regions": {"regions": "none"},
    "no affine finish": {"affine": 0.0},
    "no Laplacian": {"photoreal_weight": 0.0},
    "neither": {"photoreal_weight": 0.0, "affine": 0.0},
    "closed form": {"steps": [0]},
    "closed form, whitened": {"steps": [0], "start": "whitened"},
    "deep-photo": {"preset": "deep-photo"},
}
FILMS = (
    ("pytorch-adain__cutBunny", "4"),
    ("fresco__car-turn", "1"),
    ("tokenflow__woman-running", "52"),
)
"""Clip, and the pair that provides its style."""


def found(folder: Path, stem: str) -> Path:
    """Finds a file by its stem."""
    return next(folder.glob(f"{stem}.*"))


def painted(folder: Path, variant: dict[str, Any], size: int) -> tuple[Picture, float]:
    """Renders one variant and returns it with the time in seconds."""
    change = dict(variant)
    preset = change.pop("preset", "photoreal")
    if change.get("regions") is None:
        change |= {
            "content_regions": folder / "content_regions.png",
            "style_regions": folder / "style_regions.png",
        }
    content, style = (read_image(found(folder, stem)) for stem in ("content", "style"))
    began = time.perf_counter()
    picture = stylize_image(content, [style], options(preset, size=size, **change))
    return picture, time.perf_counter() - began


def scored(image: Tensor, folder: Path, evaluator: Any) -> dict[str, float]:
    """Measures style by region, preserved structure, and spill of a picture."""
    size = (image.shape[-2], image.shape[-1])
    content = resize(read_image(found(folder, "content")).to_tensor(), size)
    style = read_image(found(folder, "style")).to_tensor()
    style = resize(style, size_to_fit((style.shape[-2], style.shape[-1]), max(size)))
    masks = [read_masks(folder / f"{role}_regions.png") for role in ("content", "style")]
    regions = match_regions(masks[0], masks[1]).regions
    pairs = [(resize(r.content, size), r.style) for r in regions]
    kept = structure_kept(image, content)
    hard = {name: (resize(mask, size) > 0.5).float() for name, mask in masks[0].items()}
    return {
        "style": region_style(image, style, pairs, evaluator),
        "ssim": kept.ssim,
        "structure": kept.structure,
        "gradient": kept.gradient,
        "spill": spill(image, content, hard),
    }


def pairs(size: int, keep: Path | None) -> dict[str, Any]:
    """Scores every variant on every pair and the published results, all at one size."""
    evaluator = teacher()
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for folder in sorted(PAIRS.iterdir(), key=lambda path: int(path.name)):
        rows[folder.name] = {}
        for name, variant in VARIANTS.items():
            picture, seconds = painted(folder, variant, size)
            row = scored(picture.to_tensor(), folder, evaluator) | {"seconds": seconds}
            rows[folder.name][name] = {key: round(value, 4) for key, value in row.items()}
            if keep is not None:
                keep.mkdir(exist_ok=True)
                picture.to_pil().save(keep / f"{folder.name}-{name.replace(' ', '_')}.png")
            print(folder.name, name, rows[folder.name][name], flush=True)
        published = read_image(found(folder, "published_result")).to_tensor()
        whole = read_image(found(folder, "content"))
        image = resize(published, size_to_fit((whole.height_px, whole.width_px), size))
        row = scored(image, folder, evaluator)
        rows[folder.name]["published"] = {key: round(value, 4) for key, value in row.items()}
        print(folder.name, "published", rows[folder.name]["published"], flush=True)
    first = next(iter(rows.values()))
    means = {
        name: {
            key: round(statistics.mean(pair[name][key] for pair in rows.values()), 4)
            for key in first[name]
        }
        for name in first
    }
    return {"size": size, "means": means, "pairs": rows}


def speed() -> dict[str, Any]:
    """Measures the time at 700 px."""
    rows = {}
    for name in ("4", "14"):
        picture, seconds = painted(PAIRS / name, {}, 700)
        rows[name] = {"size": [picture.width_px, picture.height_px], "seconds": round(seconds, 1)}
    return rows


def laplacian() -> dict[str, Any]:
    """Measures build time, memory and loss-and-gradient time of the matting Laplacian at one megapixel."""
    image = torch.rand(1, 3, 1000, 1000, generator=torch.Generator().manual_seed(0))
    began = time.perf_counter()
    matrix = matting_laplacian(image)
    built = time.perf_counter() - began
    times = []
    for _ in range(7):
        x = image.clone().requires_grad_(True)
        began = time.perf_counter()
        torch.autograd.grad(photorealism_loss(x, matrix), x)
        times.append(time.perf_counter() - began)
    bytes_held = sum(
        part.numel() * part.element_size()
        for part in (matrix.values(), matrix.col_indices(), matrix.crow_indices())
    )
    return {
        "build_seconds": round(built, 2),
        "held_mib": round(bytes_held / 2**20),
        "loss_and_gradient_seconds": round(statistics.median(times), 4),
    }


def steepness(frame: Frame) -> float:
    """Returns the gradient energy of a frame; noise and motion errors scale with it if only contrast changes."""
    image = pixels_to_tensor(frame.pixels)
    return float((image[..., 1:] - image[..., :-1]).square().mean())


def film(size: int, frames: int) -> dict[str, Any]:
    """Measures photorealistic films: seconds per frame, and the warping error relative to the clip's own."""
    rows = {}
    for clip, pair in FILMS:
        path = DATA / "clips" / f"{clip}.mp4"
        style = read_image(found(PAIRS / pair, "style"))
        rate = float(open_clip(path).info.rate)
        for regions in ("auto", "none"):
            with tempfile.TemporaryDirectory() as folder:
                job = prepare_film(
                    path,
                    [style],
                    Path(folder) / "o.mkv",
                    options("photoreal", size=size, regions=regions),
                    film_options("steady", end=(frames - 0.5) / rate, codec="ffv1"),
                )
                seconds = [event.seconds for event in job]
                began = time.perf_counter()
                job.assemble()
                last = (time.perf_counter() - began) / len(seconds)
                meter = FilmMeter(load_backbone(), [style.to_tensor()], gaps=(1, 4))
                read = open_clip(job.out).frames(job.size)
                both = list(same_frames(read, job.selected(), 0.0))
                figures = measure_film(iter(both), meter)
                gain = steepness(both[-1][0]) / steepness(both[-1][1])
            rows[f"{clip}, regions {regions}"] = {
                "seconds_a_frame": round(statistics.median(seconds[1:]) + last, 2),
                "error_1": round(1e4 * figures.error[1], 2),
                "clip_error_1": round(1e4 * figures.error_of_clip[1], 2),
                "error_over_clips": round(figures.error[1] / figures.error_of_clip[1], 2),
                "contrast_gain": round(gain, 2),
                "error_over_clips_at_its_contrast": round(
                    figures.error[1] / figures.error_of_clip[1] / gain, 2
                ),
            }
            print(clip, regions, rows[f"{clip}, regions {regions}"], flush=True)
    return {"size": size, "frames": frames, "films": rows}


def main() -> None:
    """Runs the named parts, or all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=[])
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="folder to save the pictures in, for inspection")
    args = parser.parse_args()
    need_data()
    runs = {
        "pairs": lambda: pairs(args.size, args.keep),
        "speed": speed,
        "laplacian": laplacian,
        "film": lambda: film(args.size, args.frames),
    }
    for part in args.parts or runs:
        report(f"photoreal_{part}", runs[part]())


if __name__ == "__main__":
    main()
