"""Training reports as images: stylized validation images and loss curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from impasto.media.picture import Picture

__all__ = ["draw_curves", "draw_rows"]

WIDTH_PX, HEIGHT_PX, EDGE_PX = 760, 420, 56
INKS = (
    (40, 40, 40), (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0),
    (140, 90, 40),
)  # fmt: skip
NAMES_A_ROW, NAME_PX, ROW_PX = 6, 110, 16
LEAST = 1e-6


def draw_rows(rows: Sequence[Tensor]) -> Picture:
    """Stacks rows of ``(3, H, W)`` in ``[0, 1]`` vertically and pads shorter rows with white."""
    width = max(row.shape[-1] for row in rows)
    filled = [F.pad(row.cpu(), (0, width - row.shape[-1]), value=1.0) for row in rows]
    return Picture.from_tensor(torch.cat(filled, dim=1)[None])


def draw_curves(history: Sequence[Mapping[str, float]]) -> Picture:
    """Plots every loss against the training step on a logarithmic scale, skipping missing values.

    Args:
        history: At least one entry, each with a ``step``.
    """
    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), "white")
    pen = ImageDraw.Draw(image)
    names = list(dict.fromkeys(name for one in history for name in one if name != "step"))
    values = np.array([[one.get(name, np.nan) for name in names] for one in history])
    values = np.log10(np.maximum(values, LEAST))
    steps = np.array([one["step"] for one in history])
    low, high = float(np.floor(np.nanmin(values))), float(np.ceil(np.nanmax(values)))
    wide, tall = WIDTH_PX - 2 * EDGE_PX, HEIGHT_PX - 2 * EDGE_PX

    def place(step: float, value: float) -> tuple[float, float]:
        share = (value - low) / max(high - low, 1e-9)
        across = (step - steps[0]) / max(steps[-1] - steps[0], 1)
        return EDGE_PX + wide * across, HEIGHT_PX - EDGE_PX - tall * share

    for power in range(int(low), int(high) + 1):
        ends = [place(steps[0], power), place(steps[-1], power)]
        pen.line(ends, fill=(220, 220, 220))
        pen.text((6, ends[0][1] - 6), f"1e{power}", fill="black")
    for number, name in enumerate(names):
        ink = INKS[number % len(INKS)]
        known = ~np.isnan(values[:, number])
        points = [place(*point) for point in zip(steps[known], values[known, number], strict=True)]
        pen.line(points if len(points) > 1 else points * 2, fill=ink, width=2)
        row, column = divmod(number, NAMES_A_ROW)
        pen.text((EDGE_PX + NAME_PX * column, 10 + ROW_PX * row), name, fill=ink)
    pen.text((EDGE_PX, HEIGHT_PX - 28), f"step {steps[0]:.0f} to {steps[-1]:.0f}", fill="black")
    return Picture(rgb=np.asarray(image, np.float32) / 255)
