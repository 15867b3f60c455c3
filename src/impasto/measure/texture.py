"""Metrics of fine texture, borders and palette, to compare a pastiche with its style."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dctn
from torch import Tensor

from impasto.measure.picture import luminance
from impasto.media import to_lab

__all__ = ["border", "palette_distance", "seam", "speckle"]

HALF_NYQUIST = 0.25
"""Cycles per pixel above which energy counts as speckle."""

RING_SHARE = 0.03
"""Width of the border ring, as a share of the short edge."""

CELL_PX = 4
SEAM_SHARE = 0.06
"""Largest distance of a seam from the border, as a share of the short edge."""

DIRECTIONS, QUANTILES = 32, 512


def speckle(image: Tensor) -> float:
    """Share of the luminance energy above half the Nyquist frequency.

    Uses the discrete cosine transform, which extends the image by reflection. Unlike with the Fourier transform, there
    is no discontinuity between opposite edges; unlike with a window, all parts of the image have equal weight.
    Frequencies are radial, in cycles per pixel, regardless of the aspect ratio.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.

    Returns:
        0 to 1; 0 for a flat image and 1 - pi / 16, about 0.80, for white noise.
    """
    y = luminance(image)[0, 0].double().cpu().numpy()
    power = np.square(dctn(y - y.mean(), norm="ortho"))
    down, right = (np.arange(side) / (2 * side) for side in y.shape)
    radius = np.hypot(down[:, None], right)
    total = float(power.sum())
    return float(power[radius > HALF_NYQUIST].sum()) / total if total > 1e-12 * y.size else 0.0


def border(image: Tensor) -> float:
    """Mean squared luminance gradient in the outermost ring, divided by that of the interior.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``. The width of the ring is 3% of the short edge.

    Returns:
        At least 0; 1 if the border is like the interior.
    """
    y = luminance(image)
    energy = F.pad(y.diff(dim=2).square(), (0, 0, 0, 1)) + F.pad(y.diff(dim=3).square(), (0, 1))
    height, width = y.shape[-2:]
    ring = max(1, round(RING_SHARE * min(height, width)))
    interior = energy[..., ring:-ring, ring:-ring]
    outer = (energy.sum() - interior.sum()) / (energy.numel() - interior.numel())
    return float((outer + 1e-8) / (interior.mean() + 1e-8))


def seam(image: Tensor) -> float:
    """Strength of color steps parallel to the borders, relative to steps between lines of the interior.

    In CIE Lab on cells of 4 px, the gradient toward the interior is averaged along each side, which leaves only the
    steps of strips that run along the whole side. The largest one within 6% of the short edge is divided by the root
    mean square of the same averages over the interior. The four sides are combined by their root mean square.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``, at least 64 px on each side.

    Returns:
        At least 0; between 0.5 and 2.5 for most natural images.
    """
    cells = F.avg_pool2d(to_lab(image), CELL_PX)  # (1, 3, H / 4, W / 4)
    deep = max(2, round(SEAM_SHARE * min(cells.shape[-2:])))
    squares = []
    for lines in (cells, cells.flip(2), cells.mT, cells.mT.flip(2)):
        steps = lines.diff(dim=2).mean(3).square().sum(1)[0]  # by depth
        inside = steps[deep:-deep].mean() if len(steps) > 2 * deep else steps.mean()
        squares.append(float((steps[:deep].max() + 1e-4) / (inside + 1e-4)))
    return (sum(squares) / len(squares)) ** 0.5


def palette_distance(image: Tensor, other: Tensor) -> float:
    """Sliced Wasserstein distance between the colors of two images in CIE Lab (Rabin et al. 2011, eq. 3).

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        other: ``(1, 3, h, w)`` in ``[0, 1]``, of any size.

    Returns:
        Mean absolute difference of sorted projections onto random directions, in units of CIE Lab; 0 for equal
        palettes. Shifting all colors by ``d`` gives ``d / 2`` (the mean absolute cosine to a random direction in 3D
        is 1/2).

    """
    generator = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(DIRECTIONS, 3, generator=generator), dim=1)
    levels = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    quantiles = []
    for picture in (image, other):
        along = directions @ to_lab(picture)[0].flatten(1).float().cpu()  # (DIRECTIONS, H W)
        place = (levels * (along.shape[1] - 1)).round().long()
        in_order = np.sort(along.numpy(), axis=1)  # ten times faster than torch's sort
        quantiles.append(torch.from_numpy(in_order)[:, place])
    return float((quantiles[0] - quantiles[1]).abs().mean())
