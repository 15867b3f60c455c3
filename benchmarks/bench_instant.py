"""Benchmarks ``instant`` and other runtimes for looks: speed, with quality.

python benchmarks/bench_instant.py pairs     style and content on 40 held-out pairs, and 300 optimizer steps
python benchmarks/bench_instant.py start     steps saved by starting the optimizer from instant
python benchmarks/bench_instant.py runtimes --looks FOLDER   frames per second by network, size and runtime
python benchmarks/bench_instant.py films     consistency and frames per second, end to end
python benchmarks/bench_instant.py large     a 4K still: time, memory, seams
python benchmarks/bench_instant.py sheet --out FILE          a contact sheet of eight photographs in eight styles

``--looks`` is a folder of looks trained on Starry Night with several widths (``impasto train --width``). They are
scored and timed along with instant and Johnson's network.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import DATA, PAIRS, evaluate, need_data, report, teacher
from PIL import Image
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.config import film_options, options
from impasto.looks import AnyStylePainter, Johnson, Look, graph_of, load_look, on_runtime
from impasto.looks.networks import weights_of
from impasto.looks.recolor import recolor_batch
from impasto.measure import FilmMeter, measure_film, same_frames
from impasto.media import read_image, resize, resize_to_fit
from impasto.media.video import open_clip
from impasto.optimize import Optimization
from impasto.pipeline import prepare_film

CANDY = DATA / "looks" / "candy_fp16.pth"
STARRY = DATA / "paintings" / "demo" / "msgnet__starry_night.jpg"
CLIPS = ("co-tracker__bear", "fresco__car-turn", "pytorch-adain__cutBunny")
SIZES = ((360, 640), (720, 1280))
PAIRS_PX = 256
LARGE = (2160, 3840)
SHEET_PX, SHEET_CELL = 448, (216, 288)


def read(path: Path, long_edge: int) -> Tensor:
    """Reads a picture as ``(1, 3, H, W)`` at the given long edge."""
    image = read_image(path).to_tensor()[:, :3]
    return resize_to_fit(image, long_edge)


def unseen_pairs(count: int) -> list[tuple[Tensor, Tensor]]:
    """Returns photographs of ``research`` and paintings of ``demo``, none of which were used for training."""
    photos = sorted((DATA / "photos" / "research").iterdir())
    paintings = sorted((DATA / "paintings" / "demo").iterdir())
    every, other = len(photos) // count, len(paintings) // count
    return [
        (read(photos[n * every], PAIRS_PX), read(paintings[n * other], PAIRS_PX))
        for n in range(count)
    ]


def instant(styles: Sequence[Tensor], **settings: Any) -> AnyStylePainter:
    """Loads the bundled look for these styles."""
    network = load_look(Path("instant")).painter
    return AnyStylePainter(network, styles, **settings)  # type: ignore[arg-type]


def pairs(count: int, steps: int) -> dict[str, Any]:
    """Scores instant, the photograph recolored to the style, and optional optimizer steps with the teacher."""
    network, rows = teacher(), []
    backbone = load_backbone()
    for content, style in unseen_pairs(count):
        size = (content.shape[-2], content.shape[-1])
        began = time.perf_counter()
        made = {"instant": instant([style], style_scale=1 / 0.6).picture(content)}
        seconds = time.perf_counter() - began
        made["recolored"] = recolor_batch(content, [style])
        if steps:
            plan = options("draft", size=0, steps=(steps,), coarsest=0)
            run = Optimization(content, [style], backbone, plan, size=size)
            for _iterate in run:
                pass
            made["optimizer"] = run.result
        row = {"seconds": seconds}
        for name, picture in made.items():
            scores = evaluate(network, picture, content, style)
            row |= {f"{name}_style": scores.style, f"{name}_content": scores.content}
        rows.append(row)
        print(len(rows), {k: round(v, 3) for k, v in row.items()}, flush=True)
    means = {key: round(statistics.mean(row[key] for row in rows), 4) for key in rows[0]}
    medians = {
        f"{key}_median": round(statistics.median(row[key] for row in rows), 4) for key in rows[0]
    }
    return {"pairs": count, "optimizer_steps": steps, "long_edge": PAIRS_PX, **means, **medians}


def start() -> dict[str, Any]:
    """Counts the steps from instant that reach the loss of 100 steps from the photograph."""
    backbone, rows = load_backbone(), []
    for photo, painting in PAIRS[:6]:
        content = read(DATA / "photos" / "demo" / f"{photo}.jpg", PAIRS_PX)
        style = read(DATA / "paintings" / "demo" / f"{painting}.jpg", PAIRS_PX)
        size = (content.shape[-2], content.shape[-1])
        plan = options("standard", size=0, steps=(100,), coarsest=0, balance="fixed")
        first = instant([style]).picture(content)
        curves = {}
        for name, began_with in (("content", None), ("instant", first)):
            run = Optimization(content, [style], backbone, plan, size=size, start=began_with)
            curves[name] = [iterate.loss for iterate in run]
        reached = next(
            (n for n, v in enumerate(curves["instant"], 1) if v <= curves["content"][-1]), 100
        )
        same = {n: next((k for k, v in enumerate(curves["instant"], 1) if v <= curves["content"][n - 1]), 100)
                for n in (10, 25, 50)}  # fmt: skip
        rows.append({"first_loss": curves["instant"][0] / curves["content"][0], "steps_for_100": reached,
                     **{f"steps_for_{n}": v for n, v in same.items()}})  # fmt: skip
        print(photo, rows[-1], flush=True)
    return {key: round(statistics.mean(row[key] for row in rows), 2) for key in rows[0]}


def timed(run: Callable[[], object], times: int) -> float:
    """Returns the median time in seconds, after one warm-up run."""
    run()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def quality(paint: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Scores style and content on six held-out photographs at 512 px in Starry Night, with the teacher."""
    network, style = teacher(), read(STARRY, 1024)
    scores = []
    for photo, _painting in PAIRS[:6]:
        content = read(DATA / "photos" / "demo" / f"{photo}.jpg", 512)
        scores.append(evaluate(network, paint(content), content, style))
    return {
        "style": round(statistics.mean(s.style for s in scores), 4),
        "content": round(statistics.mean(s.content for s in scores), 4),
    }


@torch.no_grad()
def runtimes(folder: Path | None) -> dict[str, Any]:
    """Measures frames per second of the networks alone in every runtime, and the quality of their pictures."""
    from impasto.looks import LookPainter

    rows: dict[str, Any] = {}
    style = read(STARRY, 512)
    found = sorted(folder.glob("*.look")) if folder is not None else []
    looks = {path.stem: load_look(path) for path in found}
    shipped = load_look(Path("instant"))
    for name, look in looks.items():
        rows[name] = {"weights": weights_of(look.painter), **quality(LookPainter(look).picture)}
    rows["instant"] = {"weights": weights_of(shipped.painter), **quality(instant([style]).picture)}
    looks["instant"] = Look(shipped.painter, manner=instant([style]).manners(SIZES[0])[0])
    looks["johnson"] = load_look(CANDY)
    rows["johnson"] = {"weights": weights_of(looks["johnson"].painter)}
    for name, look in looks.items():
        for runtime in ("torch", "onnx", "openvino", "openvino-bfloat16", "int8"):
            if runtime != "openvino-bfloat16" or look.manner is None:
                rows[name][runtime] = speed_of(look, runtime)
        print(name, rows[name], flush=True)
    return rows


def speed_of(look: Look, runtime: str) -> dict[str, float]:
    """Returns frames per second by size."""
    if runtime == "int8":
        run = quantized(look)
    elif runtime == "torch":
        run = torch_of(look)
    else:
        run = on_runtime(look, runtime).painter  # type: ignore[arg-type]
    found = {}
    for height, width in SIZES:
        image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        seconds = timed(lambda x=image: run(x), 5 if look.code is not None else 3)  # type: ignore[misc]
        found[f"{width}x{height}"] = round(1 / seconds, 2)
    if runtime not in ("torch", "int8"):
        found |= errors_of(look, run)
    return found


@torch.no_grad()
def errors_of(look: Look, run: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Returns differences from torch on a photograph, in units of the range 0 to 1."""
    white = 255.0 if isinstance(look.painter, Johnson) else 1.0
    image = read(DATA / "photos" / "demo" / f"{PAIRS[0][0]}.jpg", 640)
    image = image[..., : image.shape[-2] // 8 * 8, : image.shape[-1] // 8 * 8]
    wanted, found = torch_of(look)(image) / white, run(white * image) / white
    apart = (found.clamp(0, 1) - wanted.clamp(0, 1)).abs()
    return {
        "mean_error": round(float(apart.mean()), 5),
        "largest_error": round(float(apart.max()), 5),
    }


def torch_of(look: Look) -> Callable[[Tensor], Tensor]:
    """Returns the network bound to its style."""
    if look.manner is not None:
        return lambda image: look.painter(image, [look.manner])
    if look.code is not None:
        return lambda image: look.painter(image, look.code)
    return lambda image: look.painter(255 * image)


def quantized(look: Look) -> Callable[[Tensor], Tensor]:
    """Quantizes convolutions to 8 bits for ONNX Runtime, calibrated on photographs."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Photographs(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            files = sorted((DATA / "photos" / "open").iterdir())[:8]
            images = [read(path, 320) for path in files]
            self._rest = iter([
                {"image": image[..., : image.shape[-2] // 8 * 8, : image.shape[-1] // 8 * 8].numpy()}
                for image in images
            ])  # fmt: skip

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._rest, None)

    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        plain.write_bytes(graph_of(look, recolors=False))
        quantize_static(
            plain, small, Photographs(), op_types_to_quantize=["Conv"],
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
        )  # fmt: skip
        session = onnxruntime.InferenceSession(
            small.read_bytes(), providers=["CPUExecutionProvider"]
        )
    return lambda image: torch.from_numpy(session.run(["pastiche"], {"image": image.numpy()})[0])


def films(frames: int, looks: Path | None) -> dict[str, Any]:
    """Measures the warping error relative to the clip's at a gap of 1, and end-to-end frames per second at 640 px."""
    rows = {}
    style = read_image(STARRY)
    named: list[tuple[str, str]] = [("instant", "torch"), ("instant", "openvino")]
    if looks is not None:
        named += [(str(path), "openvino") for path in sorted(looks.glob("*.look"))]
    for clip_name, (look, runtime), method in itertools.product(
        CLIPS, named, ("frame-by-frame", "steady")
    ):
        clip = DATA / "clips" / f"{clip_name}.mp4"
        rate = float(open_clip(clip).info.rate)
        with tempfile.TemporaryDirectory() as folder:
            job = prepare_film(
                clip, [style] if look == "instant" else [], Path(folder) / "o.mp4",
                options(size=640, look=look, runtime=runtime),
                film_options(method, end=(frames - 0.5) / rate),
            )  # fmt: skip
            events = iter(job)
            next(events)  # the first frame builds the graph
            began = time.perf_counter()
            count = sum(1 for _event in events)
            job.assemble()
            seconds = time.perf_counter() - began
            meter = FilmMeter(load_backbone(), gaps=(1,))
            figures = measure_film(
                same_frames(open_clip(job.out).frames(job.size), job.selected(), 0.0), meter
            )
        name = f"{clip_name}, {Path(look).stem} {runtime}, {method}"
        rows[name] = {
            "frames_a_second": round(count / seconds, 2),
            "error_over_clips": round(figures.error[1] / figures.error_of_clip[1], 2),
        }
        print(name, rows[name], flush=True)
    return rows


@torch.no_grad()
def large() -> dict[str, Any]:
    """Renders a 3840x2160 still in strips, and compares strips with the whole at a quarter of that size."""
    photo, style = sorted((DATA / "photos" / "open").iterdir())[0], read(STARRY, 1024)
    painter = instant([style])
    image = resize(read(photo, 1024), LARGE).clamp(0, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    painter.picture(image)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    small = resize(image, (1080, 1920)).clamp(0, 1)
    network = load_look(Path("instant")).painter
    manners = painter.manners((1080, 1920))
    whole, strips = (
        network(small, manners).clamp(0, 1),
        network(small, manners, rows=128).clamp(0, 1),
    )
    return {
        "seconds": round(seconds, 2), "peak_gib": round(peak / 2**20, 2), "before_gib": round(before / 2**20, 2),
        "strips_against_whole_of_255": round(255 * float((whole - strips).abs().max()), 3),
    }  # fmt: skip


def sheet(out: Path) -> None:
    """Draws eight photographs in eight held-out styles."""
    photos = [f"{photo}.jpg" for photo, _painting in PAIRS[:8]]
    paintings = [f"{painting}.jpg" for _photo, painting in PAIRS[:4] + PAIRS[5:9]]
    height, width = SHEET_CELL

    def cell(image: Tensor) -> np.ndarray:
        pixels = (255 * image[0].clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
        canvas = Image.new("RGB", (width, height), "white")
        picture = Image.fromarray(pixels)
        picture.thumbnail((width - 4, height - 4), Image.Resampling.LANCZOS)
        canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
        return np.asarray(canvas)

    styles = [read(DATA / "paintings" / "demo" / name, 1024) for name in paintings]
    rows = [[np.full((height, width, 3), 255, np.uint8), *(cell(style) for style in styles)]]
    painters = [instant([style]) for style in styles]
    for name in photos:
        content = read(DATA / "photos" / "demo" / name, SHEET_PX)
        rows.append([cell(content), *(cell(painter.picture(content)) for painter in painters)])
    Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows])).save(out)


def main() -> None:
    """Runs one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "part",
        nargs="?",
        default="large",
        choices=("pairs", "start", "runtimes", "films", "large", "sheet"),
    )
    parser.add_argument("--looks", type=Path)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument(
        "--optimizer-steps", type=int, default=300, help="optimizer steps for pairs; 0 skips them"
    )
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    args = parser.parse_args()
    need_data()
    if args.part == "sheet":
        sheet(args.out)
        return
    parts = {
        "pairs": lambda: pairs(args.pairs, args.optimizer_steps), "start": start,
        "runtimes": lambda: runtimes(args.looks), "films": lambda: films(args.frames, args.looks), "large": large,
    }  # fmt: skip
    report(f"instant_{args.part}", parts[args.part]())


if __name__ == "__main__":
    main()
