"""Tests whether a translator learns, on two unpaired domains with a known ground truth.

Domain A is half of the photographs; domain B is the other half after a fixed, strong change of color and texture. The
translator sees no pairs. It is scored on held-out photographs by the distance of its translation from the ground truth,
relative to the distance of the photograph itself. The goal is a third. The identity loss is disabled, because it would
preserve colors that should change. A small style loss adds textures that small discriminators learn late.

    python recipes/learn_translation.py --data DATA --out FOLDER [--side 64] [--steps 2400]

DATA holds ``photos/open``. It takes half an hour on two cores, and an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from impasto.config import translate_options
from impasto.media import draw_curves, draw_rows, resize
from impasto.translate import save_translator
from impasto.translate.domains import Domain, crop_of
from impasto.translate.train import TranslatorTraining

MIXING = ((0.90, 0.15, 0.00), (0.15, 0.50, 0.05), (0.10, 0.05, 0.25))
OFFSET = (0.06, -0.02, 0.02)
RELIEF = 0.4
HELD_OUT = 6


def hidden_truth(image: Tensor) -> Tensor:
    """Applies the ground-truth change to ``(1, 3, H, W)`` in ``[0, 1]``: warmer, darker, and lit from one side."""
    mixed = torch.einsum("ij,bjhw->bihw", torch.tensor(MIXING), image)
    mixed = mixed + torch.tensor(OFFSET).view(1, 3, 1, 1)
    light = F.pad(image.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    relief = light[..., 2:, 2:] - light[..., :-2, :-2]
    return (mixed + RELIEF * relief).clamp(0, 1)


def photographs(folder: Path, side: int) -> list[Tensor]:
    """Returns three square crops ``(1, 3, side, side)`` along the long edge of each photograph."""
    found = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"), np.float32) / 255
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        height, width = image.shape[-2:]
        short = min(height, width)
        for share in (0.0, 0.5, 1.0):
            top, left = round(share * (height - short)), round(share * (width - short))
            found.append(resize(image[..., top : top + short, left : left + short], (side, side)))
    return found


def domain(name: str, images: list[Tensor]) -> Domain:
    """Makes a domain of these pictures."""
    whole = [(255 * image[0].clamp(0, 1)).round().to(torch.uint8) for image in images]
    marks = frozenset(hash(picture.numpy().tobytes()) for picture in whole)
    names = [str(number) for number in range(len(whole))]
    return Domain(
        name, whole[3 * HELD_OUT :], names[3 * HELD_OUT :], whole[: 3 * HELD_OUT : 3], marks
    )


@torch.no_grad()
def judged(training: TranslatorTraining) -> dict[str, float]:
    """Returns the RMS distance to the ground truth relative to the photograph's, held out, in both directions."""
    ratios = []
    for direction in ("ab", "ba"):
        generator = training.results[direction].eval()
        errors, floors = [], []
        for picture in training.domains["a"].held:
            image = (crop_of(picture, picture.shape[-1], None) + 1) / 2
            truth = hidden_truth(image)
            source, wanted = (image, truth) if direction == "ab" else (truth, image)
            made = (generator(2 * source - 1) + 1) / 2
            errors.append(float((made - wanted).square().mean()))
            floors.append(float((source - wanted).square().mean()))
        ratios.append(math.sqrt(sum(errors) / sum(floors)))
    return {"ab": round(ratios[0], 3), "ba": round(ratios[1], 3)}


def main() -> None:
    """Trains, evaluates, and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2400)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    images = photographs(args.data / "photos" / "open", args.side)
    half = len(images) // 6 * 3
    a, b = domain("A", images[:half]), domain("B", [hidden_truth(image) for image in images[half:]])
    options = translate_options(
        network="small", size=args.side, crop=args.side, flip=False, discriminator_layers=2, identity_weight=0.0,
        averaging=0.998, style_weight=0.3, steps=args.steps // 2,
        decay_steps=args.steps - args.steps // 2, sample_every=250,
    )  # fmt: skip
    training, kept = TranslatorTraining(a, b, options), args.out / "checkpoint.pt"
    log: list[dict[str, float]] = []
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        log = json.loads(state.pop("log"))
        training.load_state_dict(state)
    print("before:", judged(training), flush=True)
    began = time.monotonic()
    for step in training:
        if not step.sample:
            continue
        log.append({"step": step.step, **judged(training)})
        print(log[-1], f"{time.monotonic() - began:.0f} s", flush=True)
        torch.save({**training.state_dict(), "log": json.dumps(log)}, kept)
        draw_rows(training.samples()).to_pil().save(args.out / "samples.png")
        draw_curves(training.history).to_pil().save(args.out / "curves.png")
        save_translator(args.out / "model.translator", training.translator(license="MIT"))
    (args.out / "log.json").write_text(json.dumps(log, indent=1) + "\n")


if __name__ == "__main__":
    main()
