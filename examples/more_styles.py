"""Three more styles drawn by code: a mosaic, a woodcut and dots.

python examples/more_styles.py {mosaic,woodcut,dots} OUT.png
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from drawn_styles import main
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

SIDE_PX = 640


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float64)
    return y, x


def _waves(seed: int, count: int = 5) -> np.ndarray:
    """A smooth field between 0 and 1, ``(H, W)``."""
    rng, (y, x) = np.random.default_rng(seed), _grid()
    total = np.zeros_like(x)
    for _ in range(count):
        fy, fx = rng.normal(0, 2.2, 2)
        total += np.sin(2 * np.pi * (fy * y + fx * x) / SIDE_PX + rng.uniform(0, 2 * np.pi))
    return (total - total.min()) / (total.max() - total.min())


def _palette(values: np.ndarray, colors: list[tuple[int, int, int]]) -> np.ndarray:
    """Values between 0 and 1 to colors, ``(..., 3)``, by linear interpolation."""
    stops = np.linspace(0, 1, len(colors))
    return np.stack(
        [np.interp(values, stops, [color[c] for color in colors]) for c in range(3)], axis=-1
    )


def mosaic() -> Image.Image:
    """Tiles of glass with dark grout between them, in blue, turquoise, gold and red."""
    rng, (y, x) = np.random.default_rng(4), _grid()
    step = 17
    centers = np.stack(
        np.meshgrid(np.arange(0, SIDE_PX, step), np.arange(0, SIDE_PX, step)), -1
    ).reshape(-1, 2)
    centers = centers + rng.uniform(-5, 5, centers.shape)
    apart, nearest = cKDTree(centers).query(np.stack([x.ravel(), y.ravel()], -1), k=2)
    edge = (apart[:, 1] - apart[:, 0]).reshape(x.shape)
    at = np.clip(centers[nearest[:, 0]].round().astype(int), 0, SIDE_PX - 1)
    value = _waves(11)[at[:, 1], at[:, 0]].reshape(x.shape)
    value = np.clip(value + rng.normal(0, 0.07, len(centers))[nearest[:, 0]].reshape(x.shape), 0, 1)
    colors = [
        (18, 40, 110),
        (20, 110, 160),
        (70, 180, 170),
        (236, 200, 90),
        (226, 120, 50),
        (150, 30, 40),
    ]
    glass = (
        _palette(value, colors)
        * (0.85 + 0.3 * rng.random(len(centers))[nearest[:, 0]].reshape(x.shape))[..., None]
    )
    grout = np.clip((edge - 1.2) / 1.6, 0, 1)[..., None]
    pixels = gaussian_filter(glass * grout + 34 * (1 - grout), (0.6, 0.6, 0))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def woodcut() -> Image.Image:
    """Cut lines whose width follows the light, in black on cream."""
    y, x = _grid()
    light, bend = _waves(21, 4), 40 * _waves(33, 3)
    across = np.cos(2 * np.pi * (y + bend + 0.35 * x) / 9)
    second = np.cos(2 * np.pi * (x - bend + 0.25 * y) / 11)
    ink = (across > 2.6 * light - 1.2) | ((second > 4.2 * light - 0.4) & (light < 0.45))
    noise = gaussian_filter(np.random.default_rng(2).normal(0, 1, x.shape), 1.2)
    soft = gaussian_filter((ink ^ (noise > 0.75) & ink).astype(np.float64), 0.7)[..., None]
    cream, black = np.array([240, 230, 205.0]), np.array([28, 24, 26.0])
    return Image.fromarray(np.clip(cream + soft * (black - cream), 0, 255).astype(np.uint8))


def dots() -> Image.Image:
    """Small touches of pure color side by side, like a painting by points."""
    rng, (y, x) = np.random.default_rng(9), _grid()
    field, other = _waves(5), _waves(8)
    colors = [
        (40, 60, 130),
        (70, 130, 190),
        (120, 180, 120),
        (240, 215, 120),
        (235, 150, 90),
        (200, 80, 90),
    ]
    pixels = _palette(0.8 * field + 0.1, colors)
    pixels = gaussian_filter(pixels, (6, 6, 0)) * 0.9
    for _ in range(11_000):
        row, column = rng.integers(0, SIDE_PX, 2)
        size = rng.uniform(2.0, 4.2)
        value = np.clip(0.8 * field[row, column] + 0.1 + rng.normal(0, 0.14), 0, 1)
        color = (
            _palette(np.array(value), colors)
            + 40 * (other[row, column] - 0.5)
            + rng.normal(0, 14, 3)
        )
        top, left = max(0, row - 5), max(0, column - 5)
        part = np.s_[top : row + 6, left : column + 6]
        inside = np.clip(size - np.hypot(y[part] - row, x[part] - column), 0, 1)[..., None]
        pixels[part] += inside * (color - pixels[part])
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


MORE_STYLES: dict[str, Callable[[], Image.Image]] = {
    "mosaic": mosaic,
    "woodcut": woodcut,
    "dots": dots,
}


if __name__ == "__main__":
    main(MORE_STYLES)
