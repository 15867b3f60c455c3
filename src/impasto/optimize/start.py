"""What the first picture is."""

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
"""Initial images that are the photograph in the style's colors."""

NOISE_SPREAD = 0.1
"""Standard deviation of the noise about mid gray. White noise over the whole range hides what the content asks for."""


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
    """Makes the first picture of a run.

    Args:
        start: ``content``; ``recolored``, the content with the styles' mean and covariance of color, by the least
            motion; ``whitened``, by whitening and coloring; ``noise`` about gray; ``style``, noise with the first
            style's mean and covariance; ``gray``; or ``file`` or ``look``, which is ``given``.
        content: ``(1, 3, H, W)`` in ``[0, 1]`` at the coarsest scale.
        styles: ``(1, 3, h, w)`` each.
        generator: On the CPU, whatever the device.
        given: ``(1, 3, h, w)`` for ``file``; it is resampled.
        regions: For ``recolored`` and ``whitened``, each region is given the colors of its own part of its style;
            content masks of the content's size.
        blend: For ``recolored`` and ``whitened``, the weight of each style; equal when empty.
        amount: For ``recolored`` and ``whitened``, the share of the change of color, from 0 to 1.

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
