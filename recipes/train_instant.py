"""Trains instant, the bundled look for any style.

The code reads top to bottom: styles, reconstruction, stylization, the run. The encoder is the bundled backbone and is
frozen; only the decoder is trained. First it learns to reconstruct pictures, level by level. With feature transport at
each level, this alone gives a rough result in any style. Then it learns strokes: photographs are stylized with views of
paintings, with content and style losses on five layers of the backbone. The style loss is the square root of the
relative error, so that a difficult style does not dominate the others. Temporal consistency is trained with noise and
shifts by whole pixels, which need no resampling, so that only errors of the network itself are penalized.
Everything is seeded, and an interrupted run resumes from its checkpoint.

    python recipes/train_instant.py --data DATA --out FILE [--steps 8100]

DATA holds ``photos/open`` and ``paintings/open``; every eighth file of each is held out. On two cores,
reconstruction takes six minutes, and a stylization step half a second.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from distil_backbone import load_pictures, random_crop
from torch import Tensor

from impasto.looks import Instant, Look, save_look
from impasto.looks.instant import LEVELS, Manner
from impasto.looks.transport import Gaussian, moments
from impasto.losses import gram_matrix
from impasto.media import resize, shifted

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"

FIRST_STEPS, FIRST_BATCH, FIRST_CROP_PX, FIRST_RATE = 1200, 8, 128, 2e-3
PIXEL_VARIANCE = 0.06
"""Variance of pictures, which normalizes the pixel error as the energy of features normalizes theirs."""

BATCH, CROP_PX, RATE = 4, 160, 5e-4
CONTENT_WEIGHT, STYLE_WEIGHT = 2.0, 4.0
MOMENTS_SHARE = 0.5
VARIATION_WEIGHT = 0.02
STEADY_WEIGHT, NOISE, MOVE_PX, EDGE_PX = 20.0, 0.02, 7, 12
LEAK = 0.05
"""Share of the values outside 0 to 1 that is passed to the losses."""
FLOOR = 1e-3
VIEWS = 4
CHECKED = 24


# --- styles -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Target:
    """A view of a painting: the targets of the losses, and the style as input of the network."""

    grams: list[Tensor]
    means: list[Tensor]
    variances: list[Tensor]
    manner: Manner


def view_of(picture: Tensor, number: int, rng: random.Random) -> Tensor:
    """Returns the whole picture at 256 px for number 0, else a crop of random size, recolored or inverted at times."""
    image, long_edge = picture[None].float() / 255, 256
    if number:
        height, width = image.shape[-2:]
        side = round(min(height, width) * rng.uniform(0.5, 1))
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        image = image[..., top : top + side, left : left + side]
        image = image[:, rng.sample(range(3), 3)] if rng.random() < 0.5 else image
        image = 1 - image if rng.random() < 0.2 else image
        long_edge = rng.randint(192, 448)
    scale = min(1.5, long_edge / max(image.shape[-2:]))
    return resize(image, tuple(max(64, round(n * scale)) for n in image.shape[-2:]))


@torch.no_grad()
def make_targets(
    pictures: list[Tensor], views: int, network: Instant, rng: random.Random
) -> list[Target]:
    """Measures ``views`` views of every picture."""
    made = []
    for picture in pictures:
        for number in range(views):
            image = view_of(picture, number, rng)
            maps = network.encoder(image, STYLE_LAYERS)
            known = [moments(maps[layer]) for layer in STYLE_LAYERS]
            made.append(
                Target(
                    [gram_matrix(maps[layer]) for layer in STYLE_LAYERS],
                    [mean for mean, _covariance in known],
                    [covariance.diagonal(dim1=1, dim2=2) for _mean, covariance in known],
                    network.manner(image),
                )
            )
    return made


def stacked(targets: list[Target]) -> Target:
    """Combines targets into one for a batch."""
    parts = [
        [torch.cat([getattr(t, name)[k] for t in targets]) for k in range(len(STYLE_LAYERS))]
        for name in ("grams", "means", "variances")
    ]
    levels = zip(*(t.manner.levels for t in targets), strict=True)
    joined = tuple(
        Gaussian(torch.cat([g.mean for g in level]), torch.cat([g.root for g in level]))
        for level in levels
    )
    return Target(*parts, Manner(joined))


# --- reconstruction ---------------------------------------------------------------------------------------
def relative(found: Tensor, wanted: Tensor) -> Tensor:
    """Returns the mean squared error relative to the energy of the target."""
    return (found - wanted).square().mean() / wanted.square().mean()


def first_lessons(network: Instant, pictures: list[list[Tensor]], rng: random.Random) -> None:
    """Trains the decoder to reconstruct pictures, and the features of each level."""
    crops = [random_crop(pictures[n % 2], random.Random(n), FIRST_CROP_PX) for n in range(64)]
    with torch.no_grad():
        maps = network.encoder(torch.cat(crops), LEVELS)
        network.scales.copy_(torch.stack([maps[layer].square().mean().sqrt() for layer in LEVELS]))
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    solver = torch.optim.Adam(learned, lr=FIRST_RATE)
    for step in range(FIRST_STEPS):
        warm = min(1.0, (step + 1) / 100)
        solver.param_groups[0]["lr"] = FIRST_RATE * warm * eased(step / FIRST_STEPS)
        image = torch.cat(
            [random_crop(rng.choice(pictures), rng, FIRST_CROP_PX) for _ in range(FIRST_BATCH)]
        )
        with torch.no_grad():
            maps = network.encoder(image, LEVELS)
        again, found = network.reconstruct(image)
        loss = (again - image).square().mean() / PIXEL_VARIANCE
        for level, layer in zip(found, LEVELS, strict=False):
            loss = loss + relative(level, maps[layer] / network.scales[LEVELS.index(layer)])
        solver.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        solver.step()
        if (step + 1) % 200 == 0:
            print(f"reconstruction, step {step + 1}: {loss.item():.3f}", flush=True)


def eased(share: float) -> float:
    """Cosine decay from 1 to 0.03."""
    return 0.03 + 0.97 * (0.5 + 0.5 * math.cos(math.pi * share))


# --- stylization ------------------------------------------------------------------------------------------
def judged(
    network: Instant, pastiche: Tensor, content: Tensor, target: Target
) -> dict[str, Tensor]:
    """Returns content and style losses for each picture of a batch; ``gram`` is only for comparison."""
    with torch.no_grad():
        wanted = network.encoder(content, (CONTENT_LAYER,))[CONTENT_LAYER]
    seen = network.encoder(pastiche, (*STYLE_LAYERS, CONTENT_LAYER))
    lost = (seen[CONTENT_LAYER] - wanted).square().mean((1, 2, 3))
    style = gram = torch.zeros(len(pastiche))
    for k, layer in enumerate(STYLE_LAYERS):
        apart = (gram_matrix(seen[layer]) - target.grams[k]).square().mean((1, 2))
        error = apart / target.grams[k].square().mean((1, 2))
        mean, covariance = moments(seen[layer])
        deviation = (covariance.diagonal(dim1=1, dim2=2) + 1e-8).sqrt()
        off = (mean - target.means[k]).square().sum((1, 2))
        off = off + (deviation - (target.variances[k] + 1e-8).sqrt()).square().sum(1)
        size = target.means[k].square().sum((1, 2)) + target.variances[k].sum(1)
        rooted = (error + FLOOR).sqrt() + MOMENTS_SHARE * (off / size + FLOOR).sqrt()
        style, gram = style + rooted / len(STYLE_LAYERS), gram + error / len(STYLE_LAYERS)
    content_error = lost / wanted.square().mean((1, 2, 3)).clamp_min(1e-6)
    return {"content": content_error, "style": style, "gram": gram}


def variation(image: Tensor) -> Tensor:
    """Returns the mean absolute difference of neighboring pixels."""
    across = (image[..., 1:] - image[..., :-1]).abs().mean()
    return across + (image[..., 1:, :] - image[..., :-1, :]).abs().mean()


class Run:
    """The network, its optimizer, and the training data."""

    def __init__(self, data: Path) -> None:
        torch.manual_seed(0)
        self.rng = random.Random(0)
        self.photos, unseen = load_pictures(data / "photos" / "open", 400)
        self.paintings, unseen_paintings = load_pictures(data / "paintings" / "open", 500)
        self.network = initial(Instant())
        self.learned = [w for w in self.network.parameters() if w.requires_grad]
        self.solver = torch.optim.Adam(self.learned, lr=RATE)
        self.step, self.log = 0, list[dict[str, Any]]()
        self._unseen, self._unseen_paintings = unseen, unseen_paintings

    def measure_styles(self) -> None:
        """Computes style targets; requires the network's scales."""
        rng = random.Random(0)
        self.targets = make_targets(self.paintings, VIEWS, self.network, rng)
        self.targets += make_targets(self.photos, 1, self.network, rng)
        self.checked = stacked(make_targets(self._unseen_paintings[:CHECKED], 1, self.network, rng))
        self.held = torch.cat(
            [random_crop(self._unseen, random.Random(n), 192) for n in range(CHECKED)]
        )

    def learn(self, share: float) -> dict[str, float]:
        """Takes one step; ``share`` is the fraction of steps already done."""
        self.solver.param_groups[0]["lr"] = RATE * min(1, (self.step + 1) / 100) * eased(share)
        target = stacked(self.rng.sample(self.targets, BATCH))
        stock = [self.photos if self.rng.random() < 0.85 else self.paintings for _ in range(BATCH)]
        content = torch.cat([random_crop(pictures, self.rng, CROP_PX) for pictures in stock])
        raw = self.network(content, [target.manner])
        shown = raw.clamp(0, 1)
        found = judged(self.network, shown + LEAK * (raw - shown), content, target)
        loss = (CONTENT_WEIGHT * found["content"] + STYLE_WEIGHT * found["style"]).mean()
        loss = loss + VARIATION_WEIGHT * variation(raw)
        if self.step % 2 == 0:
            loss = loss + STEADY_WEIGHT * self._unsteadiness(content, raw, target)
        self.solver.zero_grad()
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_(self.learned, 1.0)
        if torch.isfinite(length):
            self.solver.step()
        self.step += 1
        return {name: round(value.mean().item(), 4) for name, value in found.items()}

    def _unsteadiness(self, content: Tensor, raw: Tensor, target: Target) -> Tensor:
        """Returns the change caused by noise and a shift in one picture of the batch, away from its edges."""
        n = self.rng.randrange(BATCH)
        manner = Manner(
            tuple(Gaussian(g.mean[n : n + 1], g.root[n : n + 1]) for g in target.manner.levels)
        )
        right, down = (self.rng.randint(-MOVE_PX, MOVE_PX) for _ in range(2))
        noise = self.rng.uniform(0, NOISE) * torch.randn_like(content[n : n + 1])
        moved = (shifted(content[n : n + 1], down, right) + noise).clamp(0, 1)
        apart = self.network(moved, [manner]) - shifted(raw[n : n + 1], down, right)
        return apart[..., EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX].square().mean()

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """Returns mean losses over held-out photographs in held-out styles."""
        pastiche = self.network(self.held, [self.checked.manner]).clamp(0, 1)
        found = judged(self.network, pastiche, self.held, self.checked)
        return {name: round(value.mean().item(), 4) for name, value in found.items()}

    def keep(self, path: Path) -> None:
        """Writes a checkpoint."""
        state = {
            "network": self.network.state_dict(), "solver": self.solver.state_dict(), "step": self.step,
            "log": json.dumps(self.log),
        }  # fmt: skip
        torch.save(state, path)

    def take_up(self, path: Path) -> None:
        """Resumes from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        if state["solver"] is not None:
            self.solver.load_state_dict(state["solver"])
        self.step, self.log = state["step"], json.loads(state["log"])
        self.rng = random.Random(self.step)
        torch.manual_seed(self.step)


def initial(network: Instant) -> Instant:
    """Applies He initialization; the skip branch starts at zero."""
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d) and not name.startswith("encoder"):
            torch.nn.init.kaiming_normal_(module.weight, a=0.1)
            torch.nn.init.zeros_(module.bias)
    torch.nn.init.zeros_(network.side.weight)
    return network


# --- the run ----------------------------------------------------------------------------------------------
def main() -> None:
    """Trains and writes the look."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8100)
    args = parser.parse_args()
    run, kept = Run(args.data), args.out.with_suffix(".checkpoint")
    if kept.exists():
        run.take_up(kept)
    else:
        first_lessons(run.network, [run.photos, run.paintings], run.rng)
        run.keep(kept)
    run.measure_styles()
    print(f"{len(run.targets)} styles", flush=True)
    began = time.monotonic()
    while run.step < args.steps:
        found = run.learn(run.step / args.steps)
        if run.step % 200 == 0 or run.step == args.steps:
            run.log.append({"step": run.step, "train": found, "unseen": run.check()})
            print(run.log[-1], f"{time.monotonic() - began:.0f} s", flush=True)
            run.keep(kept)
            notes = {
                "recipe": "recipes/train_instant.py", "steps": run.step, "unseen": run.log[-1]["unseen"],
                "license": "MIT",
            }  # fmt: skip
            save_look(args.out, Look(run.network, about=notes))


if __name__ == "__main__":
    main()
