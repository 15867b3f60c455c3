"""Small images and a small network, so that an entire run takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def around(x: Tensor) -> Tensor:
    """Applies circular padding, so that an image and its tiling give the same features."""
    return F.pad(x, (1, 1, 1, 1), mode="circular")


class TinyNetwork(nn.Module):
    """A backbone with two random convolutions."""

    name = "tiny"
    layer_names = ("relu1_1", "relu2_1")

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.first = nn.Parameter(gain * torch.randn(8, 3, 3, 3, generator=generator) / 5)
        self.second = nn.Parameter(torch.randn(12, 8, 3, 3, generator=generator) / 8)
        self.requires_grad_(False)

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        x = F.relu(F.conv2d(around(image - 0.5), self.first))
        found = {"relu1_1": x}
        if "relu2_1" in layers:
            found["relu2_1"] = F.relu(F.conv2d(around(F.avg_pool2d(x, 2)), self.second))
        return {name: found[name] for name in layers}


LAYERS = {"content_layers": ("relu2_1",), "style_layers": ("relu1_1", "relu2_1")}


def photograph(height: int = 64, width: int = 96) -> Tensor:
    """Returns a color ramp with a disc on it."""
    y, x = torch.meshgrid(
        torch.linspace(0, 1, height), torch.linspace(0, 1.5, width), indexing="ij"
    )
    disc = ((y - 0.5) ** 2 + (x - 0.7) ** 2 < 0.08).float()
    return torch.stack([0.2 + 0.6 * disc, y, 1 - x / 1.5])[None].clamp(0, 1)


def painting(height: int = 64, width: int = 64, seed: int = 1) -> Tensor:
    """Returns colored stripes with some noise."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    stripes = torch.stack([torch.sin((x + k * y) / (2 + k + seed)) for k in range(3)])
    noise = 0.1 * torch.randn(3, height, width, generator=generator)
    return (0.5 + 0.4 * stripes + noise)[None].clamp(0, 1)
