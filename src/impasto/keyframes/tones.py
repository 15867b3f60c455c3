"""A small network that learns from one or two painted keyframes how any other frame of the interval is colored.

After Texler et al. 2020, "Interactive Video Stylization Using Few-Shot Patch-Based Training": it is trained on small
patches, so that one painted frame is enough, and paints frames in any order. Position is an additional input, because
equal colors may be painted differently in different places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones import load_backbone
from impasto.looks.networks import doubled, same_size
from impasto.losses import gram_loss, gram_matrix
from impasto.media import pad_to, resize, size_to_fit

__all__ = ["ToneNetwork", "learn_tones"]

FOLD = 4
WIDTH = 24
DILATIONS = (1, 2, 4, 1)
LARGEST_PX = 480
"""Long edge at which the network sees frames; larger frames are reduced, since it provides colors rather than grain."""

BATCH, PATCH_PX, MARGIN_PX = 6, 48, 8
LEARNING_RATE = 4e-3
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1")


class ToneNetwork(nn.Module):
    """Maps a frame and the position of its pixels to a pastiche.

    Unlike the networks of looks it has no normalization over the image, so that patches and whole frames are treated
    alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 * FOLD**2 + 2, WIDTH, 3)
        self.blocks = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, dilation=d) for d in DILATIONS)
        self.rise = nn.Conv2d(WIDTH, WIDTH // 2, 3)
        self.head = nn.Conv2d(WIDTH // 2, 3, 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, place: Tensor) -> Tensor:
        """Paints images.

        Args:
            image: ``(B, 3, H, W)`` in ``[0, 1]``; H and W multiples of 4.
            place: Column and row of each pixel, ``(B, 2, H, W)`` in ``[-1, 1]``.

        Returns:
            ``(B, 3, H, W)``, not clamped.
        """
        folded = F.pixel_unshuffle(image, FOLD) - 0.5
        hidden = same_size(self.stem, torch.cat([folded, F.avg_pool2d(place, FOLD)], 1))
        for block in self.blocks:
            hidden = hidden + same_size(block, F.relu(hidden))
        return image + doubled(self.head, F.relu(doubled(self.rise, F.relu(hidden))))

    @torch.no_grad()
    def paint(self, image: Tensor) -> Tensor:
        """Paints a whole frame, ``(1, 3, H, W)`` in ``[0, 1]``, and returns the same shape and range."""
        height, width = image.shape[-2:]
        small = _reduced(image)
        place = pad_to(_places(small.shape[-2], small.shape[-1]), FOLD)
        painted = self(pad_to(small, FOLD), place)[..., : small.shape[-2], : small.shape[-1]]
        return resize(painted, (height, width)).clamp(0, 1)


def _reduced(image: Tensor) -> Tensor:
    size = (image.shape[-2], image.shape[-1])
    return resize(image, size_to_fit(size, LARGEST_PX)) if max(size) > LARGEST_PX else image


def _places(height: int, width: int) -> Tensor:
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None]


def learn_tones(
    frames: Sequence[Tensor],
    pastiches: Sequence[Tensor],
    *,
    steps: int,
    style_weight: float = 0.0,
    seed: int = 0,
) -> ToneNetwork:
    """Trains a network on painted frames.

    Args:
        frames: ``(1, 3, H, W)`` in ``[0, 1]`` each.
        pastiches: Their pastiches, of the same shapes.
        steps: Training steps.
        style_weight: Weight of the Gram loss between patches, in addition to the absolute difference.
        seed: Random seed; the result depends on nothing else.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ToneNetwork()
    sources = torch.cat([_reduced(frame) for frame in frames])
    targets = torch.cat([_reduced(pastiche) for pastiche in pastiches])
    places = _places(sources.shape[-2], sources.shape[-1])
    side = min(PATCH_PX, *(n // FOLD * FOLD for n in sources.shape[-2:]))
    solver = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    backbone = load_backbone() if style_weight > 0 else None
    margin = MARGIN_PX if side >= 4 * MARGIN_PX else 0
    inner = slice(margin, side - margin)
    for step in range(steps):
        solver.param_groups[0]["lr"] = LEARNING_RATE * (
            0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        )
        parts = [_patch((sources, targets, places), side, generator) for _ in range(BATCH)]
        source, target, place = (torch.cat(part) for part in zip(*parts, strict=True))
        painted = network(source, place)
        loss = (painted - target)[..., inner, inner].abs().mean()
        if backbone is not None:
            made = backbone(painted.clamp(-0.1, 1.1), STYLE_LAYERS)
            wanted = backbone(target, STYLE_LAYERS)
            for layer in STYLE_LAYERS:
                loss = loss + style_weight * gram_loss(
                    gram_matrix(made[layer]), gram_matrix(wanted[layer])
                )
        solver.zero_grad()
        loss.backward()
        solver.step()
    return network.eval()


def _patch(
    images: tuple[Tensor, Tensor, Tensor], side: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the same random square of a random frame, its pastiche and the positions."""
    sources, targets, places = images
    height, width = sources.shape[-2:]

    def draw(most: int) -> int:
        return int(torch.randint(0, most, (), generator=generator))

    number, top, left = draw(len(sources)), draw(height - side + 1), draw(width - side + 1)
    rows, columns = slice(top, top + side), slice(left, left + side)
    one = slice(number, number + 1)
    return (
        sources[one, :, rows, columns],
        targets[one, :, rows, columns],
        places[..., rows, columns],
    )
