"""Creates vgg19-lite, the bundled backbone: a smaller network that reproduces the features of a distilled VGG-19.

The code reads top to bottom: pictures, teacher, channels, fit, fidelity. The teacher's activations are recorded on
pictures; a third to a half of its channels in blocks 3 to 5 are inactive on all of them, so the student omits those.
Then each of its convolutions, first to last, is fitted to the teacher's pre-activations by least squares, with the
student's own features as input. This is a convex problem with a closed-form solution that gradient descent takes hours
to approach; `recipes/log_distil.md` describes the other approaches that were tried.

    python recipes/distil_backbone.py --data DATA --teacher vgg19_16x.safetensors --out FILE

DATA holds ``photos/open`` and ``paintings/open``; every eighth file of each is held out. It takes two
minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.backbones.vgg19_lite import STEPS, Vgg19Lite, load_vgg19_lite
from impasto.losses import gram_matrix

JUDGED = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
CROP_PX = 128


# --- pictures ---------------------------------------------------------------------------------------------
def load_pictures(folder: Path, long_edge: int = 640) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the training pictures and the held-out pictures, uint8 ``(3, H, W)``."""
    learn, unseen = [], []
    for index, path in enumerate(sorted(folder.iterdir())):
        with Image.open(path) as image:
            image.thumbnail((long_edge, long_edge), Image.Resampling.LANCZOS)
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        (unseen if index % 8 == 7 else learn).append(pixels.contiguous())
    return learn, unseen


def random_crop(pictures: list[Tensor], rng: random.Random, size: int = CROP_PX) -> Tensor:
    """Returns a square crop at a random scale, flipped half the time: float ``(1, 3, size, size)``."""
    picture = rng.choice(pictures)[None].float() / 255
    height, width = picture.shape[-2:]
    side = round(min(height, width, size * math.exp(rng.uniform(-0.2, math.log(4)))))
    top, left = rng.randint(0, height - side), rng.randint(0, width - side)
    crop = picture[..., top : top + side, left : left + side]
    crop = F.interpolate(crop, (size, size), mode="bilinear", antialias=True)
    return crop.flip(-1) if rng.random() < 0.5 else crop


def disturbed(crop: Tensor, other: Tensor, rng: random.Random) -> Tensor:
    """Applies disturbances that occur during optimization: blends, unusual colors, blur, noise, contrast."""
    kind = rng.random()
    if kind < 0.25:
        crop = torch.lerp(crop, other, rng.uniform(0.1, 0.9))
    elif kind < 0.4:
        mixing = torch.eye(3) + 0.35 * torch.randn(3, 3)
        crop = (mixing @ (crop - 0.5).flatten(2)).view_as(crop) + 0.5 + 0.1 * torch.randn(3, 1, 1)
    elif kind < 0.5:
        size = crop.shape[-1]
        small = F.interpolate(
            crop, scale_factor=rng.uniform(0.15, 0.7), mode="bilinear", antialias=True
        )
        crop = F.interpolate(small, (size, size), mode="bicubic")
    if rng.random() < 0.4:
        crop = crop + math.exp(rng.uniform(-5, -1.2)) * torch.randn_like(crop)
    return crop.clamp(0, 1)


# --- the teacher ------------------------------------------------------------------------------------------
class Teacher:
    """VGG-19 with a quarter of its channels (Wang et al. 2020), and optional access to pre-activations."""

    ORDER = tuple("11 12 p 21 22 p 31 32 33 34 p 41 42 43 44 p 51".split(" "))  # noqa: SIM905

    def __init__(self, path: Path) -> None:
        state = load_file(path)
        to_pixels = state["conv0.weight"][:, :, 0, 0]  # RGB 0..1 to BGR 0..255
        first = state["conv11.weight"]
        state["conv11.bias"] = state["conv11.bias"] + (first.sum((2, 3)) @ state["conv0.bias"])
        state["conv11.weight"] = torch.einsum("oihw,ij->ojhw", first, to_pixels)
        self.state: dict[str, Tensor] = {k: v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v
                      for k, v in state.items()}  # fmt: skip

    def __call__(self, image: Tensor, *, before_relu: bool = False) -> dict[str, Tensor]:
        """Returns all layers of ``(B, 3, H, W)``, by name."""
        x, maps = image.contiguous(memory_format=torch.channels_last), {}
        for name in self.ORDER:
            if name == "p":
                x = F.max_pool2d(x, 2)
                continue
            padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
            before = F.conv2d(
                padded, self.state[f"conv{name}.weight"], self.state[f"conv{name}.bias"]
            )
            x = F.relu(before)
            maps[f"relu{name[0]}_{name[1]}"] = before if before_relu else x
        return maps


# --- closed-form fit --------------------------------------------------------------------------------------
@torch.no_grad()
def live_channels(teacher: Teacher, crops: Tensor) -> dict[str, Tensor]:
    """Selects the teacher's most active channels for each layer, as many as the student has.

    The importance of a channel is its standard deviation times the norm of the weights that read it.
    """
    square: dict[str, Tensor] = {}
    mean: dict[str, Tensor] = {}
    for batch in crops.split(16):
        for name, x in teacher(batch).items():
            share = len(batch) / len(crops)
            mean[name] = mean.get(name, 0) + share * x.mean((0, 2, 3))
            square[name] = square.get(name, 0) + share * x.square().mean((0, 2, 3))
    picked = {}
    for step, after in zip(STEPS, (*STEPS[1:], None), strict=True):
        worth = (square[step.name] - mean[step.name].square()).clamp_min(0).sqrt()
        if after is not None:
            reads = teacher.state["conv" + after.name[4] + after.name[6] + ".weight"]
            worth = worth * reads.square().sum((0, 2, 3)).sqrt()
        picked[step.name] = worth.topk(step.channels_out).indices.sort().values
    return picked


@torch.no_grad()
def fit_convolutions(
    student: Vgg19Lite, teacher: Teacher, crops: Tensor, channels: dict[str, Tensor]
) -> None:
    """Fits each convolution to the teacher's pre-activations by least squares, first to last."""
    inputs = list(crops.split(16))
    targets = [teacher(batch, before_relu=True) for batch in inputs]
    for step in STEPS:
        conv = getattr(student, step.name.replace("relu", "conv"))
        size = step.channels_in * 9 + 1
        normal = torch.zeros(size, size, dtype=torch.float64)
        right = torch.zeros(size, step.channels_out, dtype=torch.float64)
        if step.pooled:
            inputs = [F.max_pool2d(x, 2) for x in inputs]
        inputs = [F.pad(x, (1, 1, 1, 1), mode="reflect") for x in inputs]
        for x, target in zip(inputs, targets, strict=True):
            patches, wanted = patch_rows(x, target[step.name][:, channels[step.name]])
            normal += patches.T @ patches
            right += patches.T @ wanted
        normal += 1e-9 * normal.diagonal().mean() * torch.eye(size)
        solution = torch.linalg.solve(normal, right).T.float()  # (C_out, 9 C_in + 1)
        conv.weight.copy_(solution[:, :-1].reshape(conv.weight.shape))
        conv.bias.copy_(solution[:, -1])
        inputs = [F.relu(conv(x)) for x in inputs]


def patch_rows(x: Tensor, y: Tensor, most: int = 4096) -> tuple[Tensor, Tensor]:
    """Returns 3x3 patches of the padded ``x`` with a constant 1 appended, and ``y`` there: float64 rows."""
    columns = F.unfold(x, 3)  # (B, 9 C, h w)
    rows = columns.transpose(1, 2).reshape(-1, columns.shape[1])
    wanted = y.permute(0, 2, 3, 1).reshape(-1, y.shape[1])
    some = slice(None, None, max(1, len(rows) // most))
    return F.pad(rows[some], (0, 1), value=1.0).double(), wanted[some].double()


# --- fidelity ---------------------------------------------------------------------------------------------
@torch.no_grad()
def fidelity(
    student: Vgg19Lite, teacher: Teacher, crops: Tensor, channels: dict[str, Tensor]
) -> dict[str, dict[str, float]]:
    """Measures normalized error, error about each channel's mean, and Gram error per layer on held-out pictures.

    Channels that the student lacks count as zero.
    """
    table: dict[str, dict[str, float]] = {}
    wanted, seen = teacher(crops), student(crops, JUDGED)
    for name in JUDGED:
        t = wanted[name]
        s = torch.zeros_like(t).index_copy(1, channels[name], seen[name])
        centered = t - t.mean((2, 3), keepdim=True)
        gram_s, gram_t = gram_matrix(s), gram_matrix(t)
        error = (s - t).square().sum()
        table[name] = {
            "error": float(error / t.square().sum()),
            "centered_error": float(error / centered.square().sum()),
            "gram_error": float(
                ((gram_s - gram_t).square().sum((1, 2)) / gram_t.square().sum((1, 2))).mean()
            ),
        }
    return table


def rounded(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Rounds to three significant digits."""
    return {k: {m: float(f"{x:.3g}") for m, x in row.items()} for k, row in table.items()}


def save(student: Vgg19Lite, channels: dict[str, Tensor], args: argparse.Namespace) -> None:
    """Writes float16 weights to a temporary file and moves it into place."""
    half = {k: v.half().contiguous() for k, v in student.state_dict().items()}
    about = {
        "name": "vgg19-lite",
        "license": "MIT",
        "recipe": f"recipes/distil_backbone.py --crops {args.crops} --seed {args.seed}",
        "teacher": "MingSun-Tse/Collaborative-Distillation 16x (Wang et al., CVPR 2020), MIT",
        "channels": json.dumps({k: v.tolist() for k, v in channels.items()}),
    }
    beside = args.out.with_suffix(".tmp")
    save_file(half, beside, metadata=about)
    beside.replace(args.out)


def main() -> None:
    """Creates the weights and prints their fidelity as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began, rng = time.monotonic(), random.Random(args.seed)
    torch.manual_seed(args.seed)
    photos, unseen_photos = load_pictures(args.data / "photos" / "open")
    paintings, unseen_paintings = load_pictures(args.data / "paintings" / "open")
    heaps = (photos, paintings)
    crops = torch.cat(
        [
            disturbed(random_crop(heaps[i % 2], rng), random_crop(heaps[1 - i % 2], rng), rng)
            for i in range(args.crops)
        ]
    )  # (crops, 3, CROP_PX, CROP_PX), half photographs, half paintings
    unseen = torch.cat([random_crop([p], rng, 256) for p in unseen_photos + unseen_paintings])
    teacher, student = Teacher(args.teacher), Vgg19Lite()
    channels = live_channels(teacher, crops)
    fit_convolutions(student, teacher, crops, channels)
    save(student, channels, args)
    shipped = load_vgg19_lite(args.out)
    report = {
        "crops": args.crops,
        "seconds": round(time.monotonic() - began),
        "learnt_from": len(photos) + len(paintings),
        "unseen": len(unseen),
        "fidelity": rounded(fidelity(shipped, teacher, unseen, channels)),
        "fidelity_disturbed": rounded(
            fidelity(shipped, teacher, disturbed_all(unseen, rng), channels)
        ),
    }
    print(json.dumps(report, indent=1))


def disturbed_all(crops: Tensor, rng: random.Random) -> Tensor:
    """Disturbs each crop; its neighbor is the partner for blends."""
    return torch.cat(
        [
            disturbed(a, b, rng)
            for a, b in zip(crops.split(1), crops.roll(1, 0).split(1), strict=True)
        ]
    )


if __name__ == "__main__":
    main()
