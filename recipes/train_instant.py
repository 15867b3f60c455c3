"""Trains instant, the mirror that ships: any style at once.

Reads top to bottom: styles, steadiness, the student, the loop. The encoder is the shipped backbone and stays as it is;
only the decoder learns. It sees photographs that are already in the style's colours. Content and style are judged by
the backbone too, style by its logarithm, so that a style that is hard to meet does not drown the others. Steadiness is
taught with noise and with small known moves of the photograph. Everything is seeded, and a run that was stopped goes
on from its checkpoint.

    python recipes/train_instant.py --data DATA --out FILE [--minutes 60]

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
from impasto.looks import Look, Mirror, StyleCode, save_look
from impasto.looks.networks import MIRRORED
from impasto.looks.recolor import recolor_batch
from impasto.looks.style import StyleTarget, look_terms, measure_style, style_statistics
from impasto.media import resize

CROP_PX = 128
STYLE_PX = 256
BATCH = 4
STYLE_WEIGHT = 3.0
VARIATION_WEIGHT = 0.02
STEADY_WEIGHT = 15.0
NOISE = 0.03
LEAK = 0.05
RATE = 1e-3
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


class Student:
    """The mirror, its solver, and what it is taught with."""

    def __init__(self, data: Path, views: int) -> None:
        torch.manual_seed(0)
        self.rng = random.Random(0)
        self.backbone = load_backbone()
        self.photos, unseen_photos = load_pictures(data / "photos" / "open", 400)
        paintings, unseen_paintings = load_pictures(data / "paintings" / "open", 400)
        self.styles = make_styles(paintings + self.photos, self.rng, self.backbone, views)
        self.checked_styles = make_styles(unseen_paintings, self.rng, self.backbone, 1)[:CHECKED]
        rng = random.Random(1)
        self.checked = torch.cat(
            [random_crop(unseen_photos, rng, CROP_PX) for _ in self.checked_styles]
        )
        maps = self.backbone(self.checked[:1], MIRRORED)
        self.mirror = Mirror(self.backbone, tuple(maps[layer].shape[1] for layer in MIRRORED))
        self.code = StyleCode(self.mirror.codes)
        self.solver = torch.optim.Adam(self.mirror.parameters(), lr=RATE)
        self.step, self.minutes, self.log = 0, 0.0, []

    def take_up(self, kept: Path) -> None:
        """Goes on from a checkpoint."""
        state = torch.load(kept, weights_only=True)
        self.mirror.load_state_dict(state["mirror"])
        self.solver.load_state_dict(state["solver"])
        self.step, self.minutes = state["step"], state["minutes"]
        self.log = json.loads(state["log"])
        self.rng = random.Random(self.step)
        torch.manual_seed(self.step)

    def keep(self, kept: Path) -> None:
        """Writes a checkpoint."""
        state = {
            "mirror": self.mirror.state_dict(), "solver": self.solver.state_dict(), "step": self.step,
            "minutes": self.minutes, "log": json.dumps(self.log),
        }  # fmt: skip
        torch.save(state, kept)

    def learn(self, share: float) -> dict[str, float]:
        """One step; ``share`` of the time is over."""
        warm = min(1.0, (self.step + 1) / WARM_STEPS)
        for group in self.solver.param_groups:
            group["lr"] = RATE * warm * (0.03 + 0.97 * (0.5 + 0.5 * math.cos(math.pi * share)))
        chosen = self.rng.sample(self.styles, BATCH)
        content = torch.cat([random_crop(self.photos, self.rng, CROP_PX) for _ in chosen])
        colored = recolor_batch(content, [small for _target, _statistics, small in chosen])
        code = self.code(torch.cat([statistics for _target, statistics, _small in chosen]))
        raw = self.mirror(colored, code)
        held = raw.clamp(0, 1)
        target = StyleTarget.stack([target for target, _statistics, _small in chosen])
        terms = look_terms(held + LEAK * (raw - held), content, target, self.backbone)
        grid, moved = small_move(colored, self.rng)
        noise = self.rng.uniform(0, NOISE) * torch.randn_like(moved)
        steady = (self.mirror((moved + noise).clamp(0, 1), code) - along(raw, grid)).square().mean()
        loss = terms["content"] + STYLE_WEIGHT * terms["log_style"] + STEADY_WEIGHT * steady
        loss = loss + VARIATION_WEIGHT * variation(raw)
        self.solver.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.mirror.parameters(), 1.0)
        self.solver.step()
        self.step += 1
        return {"loss": loss.item(), "steady": steady.item()}

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """Content and style of unseen photographs in unseen styles."""
        code = self.code(torch.cat([s for _t, s, _p in self.checked_styles]))
        colored = recolor_batch(self.checked, [p for _t, _s, p in self.checked_styles])
        target = StyleTarget.stack([t for t, _s, _p in self.checked_styles])
        pastiche = self.mirror(colored, code).clamp(0, 1)
        terms = look_terms(pastiche, self.checked, target, self.backbone)
        return {name: round(value.item(), 4) for name, value in terms.items()}


def main() -> None:
    """Trains for so many minutes and writes the look."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--views", type=int, default=STYLES_A_PAINTING)
    args = parser.parse_args()
    student, kept = Student(args.data, args.views), args.out.with_suffix(".checkpoint")
    if kept.exists():
        student.take_up(kept)
    before, began = student.minutes, time.monotonic()
    while student.minutes < args.minutes:
        found = student.learn(student.minutes / args.minutes)
        student.minutes = before + (time.monotonic() - began) / 60
        if student.step % 200 == 0:
            minutes = round(student.minutes, 1)
            student.log.append(
                {"step": student.step, "minutes": minutes, **found, **student.check()}
            )
            print(student.log[-1], flush=True)
            student.keep(kept)
    notes = {
        "recipe": "recipes/train_instant.py", "steps": student.step, "unseen": student.check(),
        "licence": "MIT", "log": student.log,
    }  # fmt: skip
    save_look(args.out, Look(student.mirror, student.code), notes)
    print(json.dumps(notes["unseen"]))


if __name__ == "__main__":
    main()
