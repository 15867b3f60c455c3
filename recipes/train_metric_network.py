"""Trains metric-net, the small network for measurement only.

The code reads top to bottom: pictures, views, network, losses, training, validation, export. There are no labels and no
other network is involved. Each step takes three views of each of 36 pictures: two random crops, and the first crop
again with other colors. Three losses are summed:

- global: the mean and standard deviation of every channel, at strides 4 to 16, must tell the two crops of a picture
  from crops of the other pictures (NT-Xent of SimCLR, Chen et al. 2020, one projection head per stage);
- exemplar: from the same statistics, which of the training pictures the crop came from (Dosovitskiy et al. 2014);
- local: positions of the first crop must find themselves in its recolored copy among all positions of the batch.

Batch normalization is used in training and folded into the convolutions at export.

    python recipes/train_metric_network.py --data DATA --work FOLDER --out FILE [--bfloat16]

DATA holds ``photos/open`` and ``paintings/open``; every tenth file of each is held out. Training resumes exactly from
the newest checkpoint in FOLDER. One thread needs half an hour with --bfloat16 on a processor that has it. At the end,
or alone with ``--validate``, metrics on the held-out pictures are printed along with those of a random network.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.backbones.metric_net import STAGES, MetricNet, load_metric_net
from impasto.measure.independent import LAYERS, perceptual_distance, style_distance

LONG_EDGE_PX, VIEW_PX = 448, 80
PICTURES, VIEWS = 36, 3
AREA = (0.06, 0.6)
SHAPE_RATIO = 1.25
TEMPERATURE, LOCAL_TEMPERATURE = 0.15, 0.1
STAGE_WEIGHTS = {"relu3_2": 0.5, "relu4_2": 0.75, "relu5_2": 1.0}
LOCAL_LAYERS = ("relu4_2", "relu5_2")
LOCAL_GRID = 5
AVERAGING = 0.995


# --- pictures ---------------------------------------------------------------------------------------------
def load_pictures(folder: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the training pictures and the held-out pictures, uint8 ``(3, H, W)``."""
    training, held_out = [], []
    for index, path in enumerate(sorted(folder.iterdir())):
        with Image.open(path) as image:
            image.thumbnail((LONG_EDGE_PX, LONG_EDGE_PX), Image.Resampling.LANCZOS)
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        (held_out if index % 10 == 9 else training).append(pixels.contiguous())
    return training, held_out


# --- views ------------------------------------------------------------------------------------------------
def uniform(rng: torch.Generator, low: float, high: float) -> float:
    """Draws one uniform number."""
    return low + (high - low) * float(torch.rand((), generator=rng))


def random_view(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Returns a random crop, resized and flipped half of the time: float ``(3, VIEW_PX, VIEW_PX)`` in ``[0, 1]``."""
    height, width = picture.shape[-2:]
    area = height * width * math.exp(uniform(rng, math.log(AREA[0]), math.log(AREA[1])))
    ratio = math.exp(uniform(rng, -math.log(SHAPE_RATIO), math.log(SHAPE_RATIO)))
    high = min(height, round(math.sqrt(area * ratio)))
    wide = min(width, round(math.sqrt(area / ratio)))
    top = round(uniform(rng, 0, height - high))
    left = round(uniform(rng, 0, width - wide))
    crop = picture[None, :, top : top + high, left : left + wide].float() / 255
    crop = F.interpolate(crop, (VIEW_PX, VIEW_PX), mode="bilinear", antialias=True)[0]
    return crop.flip(-1) if uniform(rng, 0, 1) < 0.5 else crop


def recolored(views: Tensor, rng: torch.Generator) -> Tensor:
    """Changes the colors of ``(B, 3, H, W)``: weakly for half of them, strongly for a third, to gray for the rest."""

    def draw(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=rng) - 1  # -1 to 1

    count = len(views)
    kind = torch.rand(count, 1, 1, 1, generator=rng)
    amount = torch.where(kind < 0.5, 0.12, 0.5)
    gray = views.mean(1, keepdim=True)
    mean = views.mean((1, 2, 3), keepdim=True)
    contrast = 1 + amount * draw(count, 1, 1, 1)
    saturation = (1 + 1.6 * amount * draw(count, 1, 1, 1)).clamp_min(0)
    saturation = torch.where(kind > 0.85, 0.0, saturation)
    views = gray + saturation * (views - gray)
    views = _hue_turned(views, 2.4 * amount.flatten() * draw(count))
    views = mean + contrast * (views - mean) + 0.4 * amount * draw(count, 1, 1, 1)
    views = views.clamp(0, 1) ** torch.exp(0.7 * amount * draw(count, 1, 1, 1))
    return views


def _hue_turned(views: Tensor, angles: Tensor) -> Tensor:
    """Rotates colors about the gray axis by ``(B,)`` radians (Rodrigues' formula)."""
    axis = torch.full((3,), 1 / math.sqrt(3))
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cosine, sine = angles.cos().view(-1, 1, 1), angles.sin().view(-1, 1, 1)
    turn = cosine * torch.eye(3) + sine * cross + (1 - cosine) * torch.outer(axis, axis)
    return (turn @ views.flatten(2)).view_as(views)


def degraded(views: Tensor, rng: torch.Generator) -> Tensor:
    """Blurs a fifth of the views and adds noise to another fifth."""
    count = len(views)
    place = torch.arange(-3.0, 4)
    sigma = 0.5 + torch.rand(count, 1, generator=rng)
    bell = torch.exp(-place.square() / (2 * sigma.square()))
    bell = bell / bell.sum(1, keepdim=True)  # (B, 7)
    kernel = (bell[:, :, None] * bell[:, None, :]).repeat_interleave(3, 0)[
        :, None
    ]  # (3 B, 1, 7, 7)
    padded = F.pad(views, (3, 3, 3, 3), mode="replicate").flatten(0, 1)[None]
    blurred = F.conv2d(padded, kernel, groups=3 * count).view_as(views)
    kind = torch.rand(count, 1, 1, 1, generator=rng)
    noise = torch.randn(views.shape, generator=rng)
    noisy = views + 0.05 * torch.rand(count, 1, 1, 1, generator=rng) * noise
    return torch.where(kind < 0.2, blurred, torch.where(kind < 0.4, noisy, views)).clamp(0, 1)


def make_batch(pictures: list[Tensor], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns views ``(VIEWS * PICTURES, 3, VIEW_PX, VIEW_PX)``, first crops first, and the pictures' indices."""
    picked = torch.randperm(len(pictures), generator=rng)[:PICTURES]
    first, second = (
        torch.stack([random_view(pictures[int(i)], rng) for i in picked]) for _ in range(2)
    )
    views = degraded(recolored(torch.cat([first, second, first]), rng), rng)
    return views.contiguous(memory_format=torch.channels_last), picked


# --- network ----------------------------------------------------------------------------------------------
def projection(width: int) -> nn.Sequential:
    """Makes the projection head from a stage's statistics to the global loss."""
    return nn.Sequential(
        nn.BatchNorm1d(width), nn.Linear(width, 192), nn.ReLU(), nn.Linear(192, 64)
    )


class Learner(nn.Module):
    """The convolutions of `MetricNet` with batch normalization, and the heads that training needs."""

    def __init__(self, pictures: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(s.channels_in, s.channels_out, 3, bias=False) for s in STAGES
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(s.channels_out, momentum=0.05) for s in STAGES)
        wide = {s.name: s.channels_out for s in STAGES}
        self.heads = nn.ModuleDict({name: projection(2 * wide[name]) for name in STAGE_WEIGHTS})
        self.locals = nn.ModuleDict({name: nn.Conv2d(wide[name], 64, 1) for name in LOCAL_LAYERS})
        deepest = 2 * sum(wide[name] for name in LOCAL_LAYERS)
        self.exemplar = nn.Sequential(
            nn.BatchNorm1d(deepest), nn.Dropout(0.2), nn.Linear(deepest, pictures)
        )

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Returns all feature maps by layer, as `MetricNet` does."""
        found = {}
        for stage, conv, norm in zip(STAGES, self.convs, self.norms, strict=True):
            x = F.avg_pool2d(x, 2) if stage.halved else x
            x = F.relu(norm(conv(F.pad(x, (1, 1, 1, 1), mode="replicate"))))
            found[stage.name] = x
        return found


def statistics(maps: Tensor) -> Tensor:
    """Returns mean and standard deviation of each channel: ``(B, C, h, w)`` to ``(B, 2 C)``."""
    variance, mean = torch.var_mean(maps.float(), (2, 3), correction=0)
    return torch.cat([mean, (variance + 1e-4).sqrt()], 1)


# --- losses -----------------------------------------------------------------------------------------------
def matching_loss(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Matches each row of ``a`` to its row of ``b`` and vice versa: mean cross-entropy of cosine similarities."""
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    target = torch.arange(len(a))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def local_rows(learner: Learner, name: str, maps: Tensor) -> Tensor:
    """Returns projected features on a grid as rows: ``(B LOCAL_GRID^2, 64)``."""
    small = F.adaptive_avg_pool2d(maps.float(), LOCAL_GRID)
    return learner.locals[name](small).flatten(2).transpose(1, 2).flatten(0, 1)


def total_loss(
    learner: Learner, views: Tensor, picked: Tensor, *, bfloat16: bool
) -> dict[str, Tensor]:
    """Returns the three losses of a batch, and their weighted sum as ``loss``."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        maps = learner.features(views)
    found: dict[str, Tensor] = {"global": torch.zeros(()), "local": torch.zeros(())}
    seen = {name: statistics(maps[name]) for name in STAGE_WEIGHTS}
    for name, weight in STAGE_WEIGHTS.items():
        first, second, again = learner.heads[name](seen[name]).chunk(VIEWS)
        pairs = ((first, second), (again, second))
        loss = sum(matching_loss(a, b, TEMPERATURE) for a, b in pairs) / len(pairs)
        found["global"] = found["global"] + weight * loss / sum(STAGE_WEIGHTS.values())
    deepest = torch.cat([seen[name] for name in LOCAL_LAYERS], 1)
    found["exemplar"] = F.cross_entropy(learner.exemplar(deepest), picked.repeat(VIEWS))
    for name in LOCAL_LAYERS:
        first, _, again = maps[name].chunk(VIEWS)
        rows = (local_rows(learner, name, first), local_rows(learner, name, again))
        found["local"] = found["local"] + matching_loss(*rows, LOCAL_TEMPERATURE) / len(
            LOCAL_LAYERS
        )
    found["loss"] = found["global"] + 0.5 * found["exemplar"] + 0.3 * found["local"]
    return found


# --- training ---------------------------------------------------------------------------------------------
def learning_rate(step: int, steps: int, highest: float) -> float:
    """Linear warm-up over 100 steps, then cosine decay to a fiftieth."""
    if step < 100:
        return highest * (step + 1) / 100
    share = (step - 100) / max(1, steps - 100)
    return highest * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)


def train(
    learner: Learner, pictures: list[Tensor], held_out: list[Tensor], args: argparse.Namespace
) -> dict[str, Tensor]:
    """Trains to the last step and returns the exponential moving average of the weights."""
    optimizer = torch.optim.AdamW(learner.parameters(), lr=args.rate, weight_decay=1e-3)
    average = {k: v.clone() for k, v in learner.state_dict().items()}
    kept, begin, began = args.work / "checkpoint.pt", 0, time.monotonic()
    if kept.exists():
        saved = torch.load(kept, weights_only=True)
        learner.load_state_dict(saved["learner"])
        optimizer.load_state_dict(saved["optimizer"])
        average, begin = saved["average"], saved["step"]
    for step in range(begin, args.steps):
        rng = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        torch.manual_seed(step)  # for dropout
        views, picked = make_batch(pictures, rng)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps, args.rate)
        found = total_loss(learner, views, picked, bfloat16=args.bfloat16)
        optimizer.zero_grad(set_to_none=True)
        found["loss"].backward()
        optimizer.step()
        for key, value in learner.state_dict().items():
            average[key] = (
                torch.lerp(average[key], value, 1 - AVERAGING)
                if value.is_floating_point()
                else value.clone()
            )
        if (step + 1) % 25 == 0:
            figures = {k: round(v.item(), 3) for k, v in found.items()}
            print(
                json.dumps(
                    {"step": step + 1, "seconds": round(time.monotonic() - began), **figures}
                ),
                flush=True,
            )
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            state = {
                "learner": learner.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average,
                "step": step + 1,
            }
            torch.save(state, kept.with_suffix(".tmp"))
            kept.with_suffix(".tmp").replace(kept)
            network = folded(average)
            print(
                json.dumps({"step": step + 1, "held_out": retrieval(network, held_out)}), flush=True
            )
            export(average, args.work / "newest.safetensors", args, step + 1)
    return average


# --- validation -------------------------------------------------------------------------------------------
@torch.no_grad()
def retrieval(network: MetricNet, pictures: list[Tensor], crops: int = 6) -> dict[str, float]:
    """Returns the share of crops of held-out pictures whose nearest crop is of the same picture, by layer.

    Every crop is recolored weakly or strongly as in training; channel statistics are standardized over the crops.
    """
    rng = torch.Generator().manual_seed(7)
    views = torch.stack([random_view(p, rng) for p in pictures for _ in range(crops)])
    maps = network(recolored(views, rng), tuple(STAGE_WEIGHTS))
    labels = torch.arange(len(pictures)).repeat_interleave(crops)
    found = {}
    for name in STAGE_WEIGHTS:
        rows = statistics(maps[name])
        rows = F.normalize((rows - rows.mean(0)) / (rows.std(0) + 1e-6), dim=1)
        near = (rows @ rows.T).fill_diagonal_(-2).argmax(1)
        found[name] = round(float((labels[near] == labels).float().mean()), 3)
    return found


@torch.no_grad()
def style_auc(network: MetricNet, paintings: list[Tensor]) -> float:
    """Returns how often two halves of a held-out painting are nearer than halves of two paintings, by Gram distance.

    The halves do not overlap; 0.5 is chance and 1 perfect (area under the ROC curve).
    """
    maps = []
    for painting in paintings:
        image = painting[None].float() / 255
        halves = image.chunk(2, 3 if image.shape[3] >= image.shape[2] else 2)
        maps.append([network(half, LAYERS) for half in halves])
    same = torch.tensor([style_distance(*pair) for pair in maps])
    others = [(a, b) for n, a in enumerate(maps) for b in maps[n + 1 :]]
    other = torch.tensor([style_distance(x, y) for a, b in others for x in a for y in b])
    return round(float((same[:, None] < other).float().mean()), 3)


@torch.no_grad()
def damage_order(network: MetricNet, pictures: list[Tensor]) -> dict[str, dict[str, float]]:
    """Returns the median perceptual distance to damaged copies, and how often it increases with the damage."""
    rng = torch.Generator().manual_seed(5)
    table: dict[str, dict[str, list[float]]] = {}
    for picture in pictures:
        image = picture[None].float() / 255
        grain, bend = torch.randn(image.shape, generator=rng), smooth_shift(image, rng)
        for strength in (1, 2, 4, 8):
            small = [max(32, round(side / (1 + strength / 2))) for side in image.shape[-2:]]
            blurred = F.interpolate(image, small, mode="bilinear", antialias=True)
            damaged = {
                "blur": F.interpolate(blurred, image.shape[-2:], mode="bilinear"),
                "noise": (image + 0.02 * strength * grain).clamp(0, 1),
                "warp": F.grid_sample(
                    image, bend(strength), padding_mode="border", align_corners=True
                ),
            }
            for kind, other in damaged.items():
                distance = perceptual_distance(network(other, LAYERS), network(image, LAYERS))
                table.setdefault(kind, {}).setdefault(str(strength), []).append(distance)
    found = {}
    for kind, columns in table.items():
        rows = torch.tensor(list(columns.values())).T  # (pictures, strengths)
        found[kind] = {
            k: round(float(v), 3) for k, v in zip(columns, rows.median(0).values, strict=True)
        }
        found[kind]["ordered"] = round(float((rows.diff(dim=1) > 0).float().mean()), 3)
    return found


def smooth_shift(image: Tensor, rng: torch.Generator) -> Callable[[float], Tensor]:
    """Makes a smooth random warp: a function from its root mean square in pixels to a sampling grid."""
    height, width = image.shape[-2:]
    rough = torch.randn(1, 2, 5, 5, generator=rng)
    shift = F.interpolate(rough, (height, width), mode="bicubic").permute(0, 2, 3, 1)
    shift = shift / shift.square().mean().sqrt() * torch.tensor([2 / width, 2 / height])
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    here = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)[None]
    return lambda pixels: here + pixels * shift


def validate(network: MetricNet, photos: list[Tensor], paintings: list[Tensor]) -> dict[str, Any]:
    """Returns all validation metrics on held-out pictures."""
    return {
        "retrieval": retrieval(network, photos + paintings),
        "style_auc": style_auc(network, paintings),
        "damage": damage_order(network, photos[:6] + paintings[:6]),
    }


# --- export -----------------------------------------------------------------------------------------------
def folded(state: dict[str, Tensor]) -> MetricNet:
    """Returns a `MetricNet` with the batch normalization of a `Learner`'s state folded into its convolutions."""
    network = MetricNet().requires_grad_(False).eval()
    for n, stage in enumerate(STAGES):
        mean, variance = state[f"norms.{n}.running_mean"], state[f"norms.{n}.running_var"]
        scale = state[f"norms.{n}.weight"] / (variance + 1e-5).sqrt()
        conv = getattr(network, stage.module)
        conv.weight.copy_(state[f"convs.{n}.weight"] * scale.view(-1, 1, 1, 1))
        conv.bias.copy_(state[f"norms.{n}.bias"] - mean * scale)
    return network


def export(state: dict[str, Tensor], out: Path, args: argparse.Namespace, steps: int) -> None:
    """Writes float16 weights to a temporary file and moves it into place."""
    half = {k: v.half().contiguous() for k, v in folded(state).state_dict().items()}
    about = {
        "name": "metric-net",
        "license": "MIT",
        "recipe": f"recipes/train_metric_network.py --steps {args.steps} --seed {args.seed}",
        "steps": str(steps),
    }
    save_file(half, out.with_suffix(".tmp"), metadata=about)
    out.with_suffix(".tmp").replace(out)


def main() -> None:
    """Trains, exports, and prints validation metrics along with those of a random network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--validate", action="store_true", help="only validate OUT")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    photos, held_photos = load_pictures(args.data / "photos" / "open")
    paintings, held_paintings = load_pictures(args.data / "paintings" / "open")
    pictures = photos + paintings
    learner = Learner(len(pictures)).to(memory_format=torch.channels_last)
    untrained = folded(learner.state_dict())
    held = (held_photos, held_paintings)
    if not args.validate:
        average = train(learner, pictures, held_photos + held_paintings, args)
        export(average, args.out, args, args.steps)
    figures = {
        "random": validate(untrained, *held),
        "trained": validate(load_metric_net(args.out), *held),
    }
    print(json.dumps({"pictures": len(pictures), **figures}, indent=1))


if __name__ == "__main__":
    main()
