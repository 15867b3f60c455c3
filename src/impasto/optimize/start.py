"""Initial images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.config import StartName
from impasto.losses import moments, sqrtm
from impasto.media.color import transfer_linear
from impasto.media.resize import resize
from impasto.optimize.objective import shares
from impasto.types import Region

__all__ = ["RECOLORED", "first_picture"]

RECOLORED = ("recolored", "whitened")
"""Initial images that show the photograph in the style's colors."""

NOISE_SPREAD = 0.1
"""Standard deviation of the noise around mid-gray. White noise over the whole range would hide the content gradient."""


def first_picture(
    start: StartName,
    content: Tensor,
    styles: Sequence[Tensor],
    generator: torch.Generator,
    given: Tensor | None = None,
    regions: Sequence[Region] = (),
    blend: Sequence[float] = (),
    amount: float = 1.0,
) -> Tensor:
    """Creates the initial image of a run.

    Args:
        start: ``content``; ``recolored``, the content with the styles' mean and covariance of color, by optimal
            transport; ``whitened``, the same by whitening and coloring; ``noise`` around mid-gray; ``style``, noise
            with the first style's mean and covariance; ``gray``; or ``file`` or ``look``, which use ``given``.
        content: ``(1, 3, H, W)`` in ``[0, 1]`` at the coarsest scale.
        styles: ``(1, 3, h, w)`` each.
        generator: Random generator on the CPU, regardless of the device.
        given: ``(1, 3, h, w)``, required for ``file`` and ``look``; it is resampled.
        regions: For ``recolored`` and ``whitened``: regions that take the colors of their own region of a style. The
            content masks have the size of the content.
        blend: For ``recolored`` and ``whitened``: weight of each style; empty for equal weights.
        amount: For ``recolored`` and ``whitened``: strength of the color change, from 0 to 1.


    Returns:
        ``(1, 3, H, W)`` in ``[0, 1]``.
    """
    if start == "content":
        return content.clone()
    if start in RECOLORED:
        whiten = start == "whitened"
        if regions:
            picture = _recolored_by_region(content, styles, regions, whiten=whiten)
        else:
            picture = _recolored(content, styles, blend, whiten=whiten)
        return torch.lerp(content, picture, min(max(amount, 0.0), 1.0))
    if start in ("file", "look") and given is not None:
        return resize(given.to(content), (content.shape[-2], content.shape[-1])).clone()
    if start == "gray":
        return torch.full_like(content, 0.5)
    noise = torch.randn(content.shape, generator=generator).to(content)
    if start == "style":
        mean, covariance = moments(styles[0])
        colored = sqrtm(covariance) @ noise.flatten(2) + mean[..., None]
        return colored.view_as(content).clamp(0, 1)
    return (0.5 + NOISE_SPREAD * noise).clamp(0, 1)


def _recolored(
    content: Tensor, styles: Sequence[Tensor], blend: Sequence[float], *, whiten: bool
) -> Tensor:
    parts = zip(shares(len(styles), blend), styles, strict=True)
    pictures = [share * transfer_linear(content, style, whiten=whiten) for share, style in parts]
    return torch.stack(pictures).sum(0)


def _recolored_by_region(
    content: Tensor, styles: Sequence[Tensor], regions: Sequence[Region], *, whiten: bool
) -> Tensor:
    picture, covered = torch.zeros_like(content), torch.zeros_like(content[:, :1])
    for region in regions:
        style = styles[region.number]
        mask = region.content.to(content)
        wanted = resize(region.style.to(content), (style.shape[-2], style.shape[-1]))
        picture = picture + mask * transfer_linear(content, style, mask, wanted, whiten=whiten)
        covered = covered + mask
    return picture + (1 - covered).clamp_min(0) * content
