"""Pictures of a training: what has become of photographs, and how the losses fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from impasto.media import Picture

__all__ = ["draw_curves", "draw_samples"]

WIDTH_PX, HEIGHT_PX, EDGE_PX = 720, 400, 56
INKS: Mapping[str, tuple[int, int, int]] = {
    "loss": (40, 40, 40),
    "content": (0, 114, 178),
    "style": (213, 94, 0),
    "gram": (0, 158, 115),
}


def draw_samples(photographs: Tensor, pastiches: Tensor) -> Picture:
    """Photographs above, pastiches below; ``(B, 3, H, W)`` in ``[0, 1]`` each."""
    rows = [torch.cat(list(part.cpu()), dim=2) for part in (photographs, pastiches)]
    return Picture.from_tensor(torch.cat(rows, dim=1)[None])  # (1, 3, 2 H, B W)


def draw_curves(history: Sequence[Mapping[str, float]]) -> Picture:
    """Every figure of the validations over the steps, on a logarithmic scale.

    Args:
        history: At least two, each with ``step``.
    """
    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), "white")
    pen = ImageDraw.Draw(image)
    names = [name for name in INKS if name in history[0]]
    values = np.log10([[max(one[name], 1e-6) for name in names] for one in history])
    steps = np.array([one["step"] for one in history])
    low, high = float(np.floor(values.min())), float(np.ceil(values.max()))
    wide, tall = WIDTH_PX - 2 * EDGE_PX, HEIGHT_PX - 2 * EDGE_PX

    def place(step: float, value: float) -> tuple[float, float]:
        share = (value - low) / max(high - low, 1e-9)
        across = (step - steps[0]) / max(steps[-1] - steps[0], 1)
        return EDGE_PX + wide * across, HEIGHT_PX - EDGE_PX - tall * share

    for power in range(int(low), int(high) + 1):
        line = [place(steps[0], power), place(steps[-1], power)]
        pen.line(line, fill=(220, 220, 220))
        pen.text((6, line[0][1] - 6), f"1e{power}", fill="black")
    for number, name in enumerate(names):
        points = [place(step, value) for step, value in zip(steps, values[:, number], strict=True)]
        pen.line(points, fill=INKS[name], width=2)
        pen.text((EDGE_PX + 90 * number, 12), name, fill=INKS[name])
    pen.text((EDGE_PX, HEIGHT_PX - 28), f"step {steps[0]:.0f} to {steps[-1]:.0f}", fill="black")
    return Picture(rgb=np.asarray(image, np.float32) / 255)
