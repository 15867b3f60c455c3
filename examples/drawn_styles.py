"""Painterly style pictures drawn by code, so that results made with them may be published.

    python examples/drawn_styles.py swirls OUT.png

Each picture is built like a painting. A flow field sets the direction of the strokes and a color plan sets their
colors; large strokes come first and small ones last. Every stroke is a bundle of bristles that leaves ridges, which
are lit from one side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float64]

SIDE_PX = 768


class Layer(NamedTuple):
    """One pass over the canvas: number, length and width of strokes, and spread of their colors."""

    strokes: int
    length_px: float
    width_px: float
    stray: float


COARSE_TO_FINE = (
    Layer(1500, 90, 22, 0.05),
    Layer(3000, 60, 12, 0.07),
    Layer(2600, 38, 6, 0.09),
)


def smooth_noise(rng: np.random.Generator, side: int, cells: int) -> Array:
    """Returns noise with about ``cells`` bumps along an edge, ``(side, side)`` in 0 to 1."""
    coarse = Image.fromarray(rng.random((cells + 3, cells + 3)).astype(np.float32))
    margin = (side * 3) // (2 * cells)
    fine = np.asarray(coarse.resize((side + 2 * margin,) * 2, Image.Resampling.BICUBIC), float)
    fine = fine[margin:-margin, margin:-margin]
    return (fine - fine.min()) / np.ptp(fine)


def along_palette(value: Array, palette: list[str]) -> Array:
    """Looks up palette colors by a value in 0 to 1: ``(..., 3)`` in 0 to 1."""
    stops = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in palette])
    at = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(value, at, stops[:, k]) for k in range(3)], axis=-1)


def paint(
    plan: Array, angle: Array, rng: np.random.Generator, layers: tuple[Layer, ...]
) -> Image.Image:
    """Lays strokes along ``angle`` in the colors of ``plan`` and lights their ridges.

    Args:
        plan: Colors, ``(side, side, 3)`` in 0 to 1.
        angle: Direction of strokes in radians, ``(side, side)``.
        rng: Random generator for positions and colors.
        layers: Passes, from large strokes to small ones.
    """
    side = plan.shape[0]
    canvas = Image.fromarray((plan * 255).astype(np.uint8))
    relief = Image.new("L", (side, side), 96)
    color_pen, relief_pen = ImageDraw.Draw(canvas), ImageDraw.Draw(relief)
    for layer in layers:
        for x, y in rng.uniform(0, side, (layer.strokes, 2)):
            path = follow(angle, x, y, layer.length_px * rng.uniform(0.6, 1.3))
            base = plan[int(y), int(x)] * rng.normal(1, layer.stray) + rng.normal(
                0, layer.stray / 2, 3
            )
            stroke(color_pen, relief_pen, path, base, layer.width_px * rng.uniform(0.7, 1.2), rng)
    height = np.asarray(relief.filter(ImageFilter.GaussianBlur(0.8)), float) / 255
    down, right = np.gradient(height)
    light = np.clip(1 + 1.1 * (down + right), 0.72, 1.3)[..., None]  # lit from the upper left
    return Image.fromarray(np.clip(np.asarray(canvas) * light, 0, 255).astype(np.uint8))


def follow(angle: Array, x: float, y: float, length_px: float, step_px: float = 4) -> Array:
    """Follows the flow from a point; returns ``(points, 2)``."""
    side = angle.shape[0]
    points = [(x, y)]
    for _ in range(max(2, int(length_px / step_px))):
        at = angle[min(max(int(y), 0), side - 1), min(max(int(x), 0), side - 1)]
        x, y = x + step_px * np.cos(at), y + step_px * np.sin(at)
        points.append((x, y))
    return np.array(points)


def stroke(
    color_pen: ImageDraw.ImageDraw,
    relief_pen: ImageDraw.ImageDraw,
    path: Array,
    base: Array,
    width_px: float,
    rng: np.random.Generator,
) -> None:
    """Draws one stroke as adjacent bristles that vary slightly in color and height."""
    ahead = np.gradient(path, axis=0)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], 1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    bristles = max(3, int(width_px / 1.8))
    for offset in np.linspace(-0.5, 0.5, bristles):
        first, last = rng.integers(0, 2), len(path) - rng.integers(0, 3)
        line = [tuple(p) for p in (path + across * offset * width_px)[first : max(first + 2, last)]]
        color = np.clip((base * rng.normal(1, 0.05)) * 255, 0, 255).astype(int)
        color_pen.line(line, fill=tuple(color.tolist()), width=3, joint="curve")
        ridge = 1 - 1.2 * abs(offset) + rng.normal(0, 0.12)
        relief_pen.line(line, fill=int(np.clip(90 + 150 * ridge, 0, 255)), width=2)


def swirls(seed: int = 3) -> Image.Image:
    """Draws a night sky of swirls: deep blues, sea green, ocher moons."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    flow_x, flow_y = np.ones_like(xs) * 0.8, 0.25 * np.sin(5 * xs)
    glow = np.zeros_like(xs)
    # Center x, center y and radius, as fractions of the side.
    whirls = [
        (0.28, 0.34, 0.17),
        (0.68, 0.24, 0.12),
        (0.62, 0.66, 0.20),
        (0.14, 0.78, 0.10),
        (0.90, 0.86, 0.09),
        (0.92, 0.45, 0.07),
    ]
    for x, y, radius in whirls:
        far = np.hypot(xs - x, ys - y) / radius
        pull = 2.6 * np.exp(-((far / 1.3) ** 2)) / (far + 0.15)
        flow_x, flow_y = flow_x - pull * (ys - y) / radius, flow_y + pull * (xs - x) / radius
        glow = np.maximum(
            glow, np.exp(-((far / 0.5) ** 2)) + 0.35 * np.exp(-((far - 1) ** 2) / 0.03)
        )
    bands = smooth_noise(rng, SIDE_PX, 7)
    value = np.clip(0.08 + 0.52 * bands + 0.62 * glow, 0, 1)
    palette = [
        "#0d1533",
        "#16306b",
        "#23549c",
        "#4f8fb8",
        "#8fbcae",
        "#d9c879",
        "#f2b632",
        "#fff0b8",
    ]
    return paint(along_palette(value, palette), np.arctan2(flow_y, flow_x), rng, COARSE_TO_FINE)


def meadow(seed: int = 5) -> Image.Image:
    """Draws a spring meadow of short vertical dabs: greens, rose, violet, cream."""
    rng = np.random.default_rng(seed)
    value = 0.65 * smooth_noise(rng, SIDE_PX, 6) + 0.35 * smooth_noise(rng, SIDE_PX, 17)
    value = np.clip((value - 0.5) * 1.5 + 0.5, 0, 1)
    palette = [
        "#1f3d2b",
        "#3f6f3a",
        "#7fa34a",
        "#c9cf7a",
        "#f4ead0",
        "#e9a7a5",
        "#c25b7a",
        "#6b4a8f",
    ]
    angle = np.pi / 2 + 0.9 * (smooth_noise(rng, SIDE_PX, 5) - 0.5) * 2
    dabs = (Layer(2500, 40, 22, 0.06), Layer(5000, 24, 12, 0.1), Layer(4000, 16, 7, 0.14))
    return paint(along_palette(value, palette), angle, rng, dabs)


def ember(seed: int = 8) -> Image.Image:
    """Draws broad knife strokes: charcoal, rust, orange, bone."""
    rng = np.random.default_rng(seed)
    value = smooth_noise(rng, SIDE_PX, 4)
    value = np.clip((0.7 * value + 0.3 * smooth_noise(rng, SIDE_PX, 11) - 0.5) * 1.6 + 0.5, 0, 1)
    palette = [
        "#171518",
        "#3b2226",
        "#7c2d1e",
        "#c4511d",
        "#ee9433",
        "#f3d9a4",
        "#5a7d7c",
        "#23434a",
    ]
    angle = 0.6 + 2.4 * smooth_noise(rng, SIDE_PX, 3)
    knife = (Layer(700, 130, 44, 0.05), Layer(900, 90, 26, 0.08), Layer(700, 50, 12, 0.12))
    return paint(along_palette(value, palette), angle, rng, knife)


STYLES: dict[str, Callable[[], Image.Image]] = {"swirls": swirls, "meadow": meadow, "ember": ember}


def main(styles: Mapping[str, Callable[[], Image.Image]]) -> None:
    """Draws the style given on the command line and saves it."""
    if len(sys.argv) != 3 or sys.argv[1] not in styles:
        raise SystemExit(f"usage: {Path(sys.argv[0]).name} {{{','.join(styles)}}} OUT.png")
    styles[sys.argv[1]]().save(sys.argv[2])


if __name__ == "__main__":
    main(STYLES)
