"""Trains instant, the painter of any style that ships.

Reads top to bottom: styles, steadiness, the student, the loop. The painter sees photographs that are already in the
style's colours, so that it has only strokes and texture to learn; a predictor makes its code from the
statistics of the style's features. Content and style are judged by vgg19-lite. Steadiness is taught with noise and with
small known moves of the photograph. Everything is seeded, and a run that was stopped goes on from its checkpoint.

    python recipes/train_instant.py --data DATA --out FILE [--minutes 60] [--width 32] [--rank 0]

DATA holds ``photos/open`` and ``paintings/open``; every eighth file of each is kept unseen.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from distil_backbone import load_pictures, random_crop
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.looks import Look, Painter, PainterShape, StylePredictor, save_look
from impasto.looks.recolor import recolor_batch
from impasto.looks.style import StyleTarget, look_terms, measure_style, style_statistics
from impasto.media import resize

CROP_PX = 160
STYLE_PX = 256
BATCH = 4
STYLE_WEIGHT = 12.0
VARIATION_WEIGHT = 0.02
STEADY_WEIGHT = 30.0
NOISE = 0.03
RATE = 2e-3
WARM_STEPS = 200
STYLES_A_PAINTING = 3
CHECKED = 24


# --- styles -----------------------------------------------------------------------------------------------
def make_styles(
    pictures: list[Tensor], rng: random.Random, backbone: object, views: int
) -> list[tuple[StyleTarget, Tensor, Tensor]]:
    """Views of every painting, the whole and crops in other colours: target, statistics, small picture."""
    made = []
    for picture in pictures:
        whole = picture[None].float() / 255
        for view in range(views):
            image = whole
            if view:
                height, width = whole.shape[-2:]
                side = round(min(height, width) * rng.uniform(0.5, 1.0))
                top, left = rng.randint(0, height - side), rng.randint(0, width - side)
                image = whole[..., top : top + side, left : left + side]
                image = image.flip(-1) if rng.random() < 0.5 else image
                image = image[:, rng.sample(range(3), 3)] if rng.random() < 0.5 else image
            long_edge = max(image.shape[-2:])
            scale = STYLE_PX / long_edge
            image = resize(image, tuple(max(16, round(n * scale)) for n in image.shape[-2:]))
            made.append(
                (
                    measure_style(image, backbone),
                    style_statistics(image, backbone),
                    resize(image, (64, 64)),
                )
            )
    return made


# --- steadiness -------------------------------------------------------------------------------------------
def small_move(image: Tensor, rng: random.Random) -> tuple[Tensor, Tensor]:
    """A grid that shifts, turns and enlarges a little, and the picture along it."""
    angle, scale = rng.uniform(-0.03, 0.03), math.exp(rng.uniform(-0.03, 0.03))
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    shift = [rng.uniform(-0.04, 0.04) for _ in range(2)]
    matrix = torch.tensor([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])
    grid = F.affine_grid(
        matrix[None].expand(len(image), 2, 3), list(image.shape), align_corners=False
    )
    return grid, along(image, grid)


def along(image: Tensor, grid: Tensor) -> Tensor:
    """A picture along a grid."""
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


# --- the loop ---------------------------------------------------------------------------------------------
def variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbours."""
    return (image[..., 1:] - image[..., :-1]).abs().mean() + (
        image[..., 1:, :] - image[..., :-1, :]
    ).abs().mean()


def main() -> None:
    """Trains for so many minutes and writes the look."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--views", type=int, default=STYLES_A_PAINTING)
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = random.Random(0)
    backbone = load_backbone()
    photos, unseen_photos = load_pictures(args.data / "photos" / "open", 400)
    paintings, unseen_paintings = load_pictures(args.data / "paintings" / "open", 400)
    styles = make_styles(paintings + photos, rng, backbone, args.views)
    checked_styles = make_styles(unseen_paintings, rng, backbone, 1)[:CHECKED]
    check_rng = random.Random(1)
    checked = torch.cat([random_crop(unseen_photos, check_rng, CROP_PX) for _ in checked_styles])
    shape = PainterShape(width=args.width, rank=args.rank)
    painter = Painter(shape)
    statistics = torch.cat([statistics for _target, statistics, _small in styles])
    predictor = StylePredictor(statistics.shape[1], shape.codes)
    predictor.mean.copy_(statistics.mean(0))
    predictor.deviation.copy_(statistics.std(0).clamp_min(1e-3))
    weights = [*painter.parameters(), *predictor.parameters()]
    solver = torch.optim.Adam(weights, lr=RATE)
    log: list[dict[str, float]] = []
    began, step, spent = time.monotonic(), 0, 0.0
    kept = args.out.with_suffix(".checkpoint")
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        painter.load_state_dict(state["painter"])
        predictor.load_state_dict(state["predictor"])
        solver.load_state_dict(state["solver"])
        step, spent, log = state["step"], state["spent"], json.loads(state["log"])
        rng = random.Random(step)
        torch.manual_seed(step)

    def check() -> dict[str, float]:
        with torch.no_grad():
            code = predictor(torch.cat([s for _t, s, _p in checked_styles]))
            colored = recolor_batch(checked, [p for _t, _s, p in checked_styles])
            pastiche = painter(colored, code).clamp(0, 1)
            target = StyleTarget.stack([t for t, _s, _p in checked_styles])
            terms = look_terms(pastiche, checked, target, backbone)
        return {name: round(value.item(), 4) for name, value in terms.items()}

    while (elapsed := spent + (time.monotonic() - began) / 60) < args.minutes:
        share = elapsed / args.minutes
        rate = RATE * min(1.0, (step + 1) / WARM_STEPS) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in solver.param_groups:
            group["lr"] = rate
        chosen = rng.sample(styles, BATCH)
        content = torch.cat([random_crop(photos, rng, CROP_PX) for _ in chosen])
        colored = recolor_batch(content, [small for _target, _statistics, small in chosen])
        code = predictor(torch.cat([statistics for _target, statistics, _small in chosen]))
        raw = painter(colored, code)
        pastiche = raw.clamp(0, 1) + 0.05 * (raw - raw.clamp(0, 1))
        terms = look_terms(
            pastiche, content, StyleTarget.stack([t for t, _s, _p in chosen]), backbone
        )
        grid, moved = small_move(colored, rng)
        moved = (moved + rng.uniform(0, NOISE) * torch.randn_like(moved)).clamp(0, 1)
        steady = (painter(moved, code) - along(raw, grid)).square().mean()
        loss = terms["content"] + STYLE_WEIGHT * terms["style"] + STEADY_WEIGHT * steady
        loss = loss + VARIATION_WEIGHT * variation(raw)
        solver.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        solver.step()
        step += 1
        if step % 250 == 0:
            now = {
                "step": step,
                "minutes": round(elapsed, 2),
                "steady": round(steady.item(), 5),
                **check(),
            }
            log.append(now)
            print(now, flush=True)
            torch.save(
                {
                    "painter": painter.state_dict(), "predictor": predictor.state_dict(),
                    "solver": solver.state_dict(), "step": step, "spent": elapsed, "log": json.dumps(log),
                },
                kept,
            )  # fmt: skip
    notes = {"steps": step, "minutes": args.minutes, "unseen": check(), "log": log}
    save_look(
        args.out,
        Look(painter, predictor=predictor),
        {"recipe": "recipes/train_instant.py", **notes},
    )
    print(json.dumps(notes["unseen"]))


if __name__ == "__main__":
    main()
