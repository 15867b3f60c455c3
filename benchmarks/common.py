"""Shared by the benchmarks: pairs of pictures, the evaluator, machine information, and the output format.

The pictures are not part of the project; ``IMPASTO_DATA`` is the folder that contains them
(default: ``../shared/data``).
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import impasto
from impasto.backbones import load_backbone
from impasto.config import PaintOptions
from impasto.losses import content_loss, gram_loss, gram_matrix
from impasto.media import read_image, resize, resize_to_fit
from impasto.optimize import Optimization
from impasto.types import Backbone, Iterate

DATA = Path(os.environ.get("IMPASTO_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RESULTS = Path(__file__).parent / "results"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
PAIRS = (
    ("gordic__tubingen", "msgnet__starry_night"),
    ("gordic__golden_gate", "msgnet__the_scream"),
    ("titu__Dawn_Sky", "gordic__vg_wheat_field"),
    ("adain__cornell", "adain__woman_with_hat_matisse"),
    ("styleswap__gentlecat", "msgnet__candy"),
    ("adain__brad_pitt", "msgnet__la_muse"),
    ("nsdocker__liberty", "titu__wave_kanagawa"),
    ("styleswap__boat", "nsdocker__monet"),
    ("gordic__taj_mahal", "msgnet__mosaic"),
    ("adain__avril", "adain__sketch"),
    ("titu__Sunlit_Mountains", "msgnet__shipwreck"),
    ("titu__Kinkaku-ji", "titu__misty-mood-leonid-afremov"),
)
"""Photographs and paintings that were not used to train any weights of the project."""


class Scores(NamedTuple):
    """Scores of a pastiche: relative Gram error (mean of five layers) and content error by the teacher, and speckle."""

    style: float
    content: float
    speckle: float


def pair(index: int, long_edge_px: int = 1024) -> tuple[Tensor, Tensor]:
    """Returns content and style of a pair, float ``(1, 3, H, W)``."""
    photo, painting = PAIRS[index]
    pictures = []
    for path in (
        DATA / "photos" / "demo" / f"{photo}.jpg",
        DATA / "paintings" / "demo" / f"{painting}.jpg",
    ):
        image = read_image(path).to_tensor()
        pictures.append(resize_to_fit(image, long_edge_px))
    return pictures[0], pictures[1]


def teacher() -> Backbone:
    """Loads the public distilled VGG-19 that serves as the evaluator."""
    return load_backbone("vgg19-16x", weights=DATA / "teacher" / "vgg19_16x.safetensors")


@torch.no_grad()
def evaluate(network: Backbone, pastiche: Tensor, content: Tensor, style: Tensor) -> Scores:
    """Scores a pastiche, with content and style resized to its size."""
    size = (pastiche.shape[-2], pastiche.shape[-1])
    content = resize(content, size)
    style = resize_to_fit(style, max(size))
    seen = network(pastiche, (*STYLE_LAYERS, CONTENT_LAYER))
    wanted = network(style, STYLE_LAYERS)
    errors = [gram_loss(gram_matrix(seen[k]), gram_matrix(wanted[k])).item() for k in STYLE_LAYERS]
    target = network(content, [CONTENT_LAYER])[CONTENT_LAYER]
    return Scores(
        style=sum(errors) / len(errors),
        content=content_loss(seen[CONTENT_LAYER], target).item(),
        speckle=speckle(pastiche) / max(speckle(style), 1e-9),
    )


def speckle(image: Tensor) -> float:
    """Returns the share of a picture's energy above 0.35 cycles per pixel, excluding the mean."""
    gray = image.mean(1)[0]
    power = torch.fft.fft2(gray - gray.mean()).abs().square()
    down, right = torch.fft.fftfreq(gray.shape[0]), torch.fft.fftfreq(gray.shape[1])
    high = (down[:, None].square() + right.square()).sqrt() > 0.35
    return float(power[high].sum() / power.sum())


def paint(
    content: Tensor, style: Tensor, network: Backbone, settings: PaintOptions
) -> tuple[Tensor, float, list[Iterate]]:
    """Returns a pastiche, the time in seconds, and the iterates."""
    began, iterates = time.perf_counter(), []
    optimization = Optimization(content, [style], network, settings)
    for iterate in optimization:
        iterates.append(iterate)
    return optimization.result, time.perf_counter() - began, iterates


def ratios(ours: Iterator[float] | list[float], theirs: list[float]) -> dict[str, float]:
    """Returns the mean and worst of the pairwise ratios."""
    found = [a / max(b, 1e-12) for a, b in zip(ours, theirs, strict=True)]
    return {"mean": round(sum(found) / len(found), 3), "worst": round(max(found), 3)}


def machine() -> dict[str, Any]:
    """Describes the machine and versions."""
    return {
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "impasto": impasto.__version__,
        "vector_unit": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "seed": 0,
    }


def report(name: str, values: Mapping[str, Any]) -> None:
    """Prints JSON and saves it in ``results/``."""
    text = json.dumps({"benchmark": name, "machine": machine(), **values}, indent=1)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def need_data() -> None:
    """Exits with status 0 and a message if the pictures are missing."""
    if not DATA.is_dir():
        print(
            f"Skipped: {DATA} does not exist; set IMPASTO_DATA to the folder of pictures.",
            file=sys.stderr,
        )
        sys.exit(0)
