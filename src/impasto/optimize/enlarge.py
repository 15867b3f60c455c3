"""Upsampling to the next scale, with added detail that the previous scale could not represent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impasto.media.resize import resize, size_to_fit
from impasto.optimize.objective import shares

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["detail_strength", "enlarged"]

DETAIL_SHARE = 0.5
"""Limit on the photograph's added detail, as a share of the styles' detail in the same band (root mean square).
Without a limit it leaves noise with flat styles that the last steps do not remove."""


def enlarged(
    picture: Tensor, source: Tensor, size: tuple[int, int], limit: float | None = None
) -> Tensor:
    """Enlarges an image and adds the detail of another image.

    The optimizer would recover the detail by itself, but only after dozens of its most expensive steps.

    Args:
        picture: ``(1, 3, h, w)`` in ``[0, 1]``.
        source: ``(1, 3, H, W)``, of the target size or larger: the image whose detail is added.
        size: Target height and width.
        limit: Largest root mean square of the detail; None for no limit.

    Returns:
        ``(1, 3, *size)`` in ``[0, 1]``.
    """
    detail = _detail(source, (picture.shape[-2], picture.shape[-1]), size)
    if limit is not None:
        detail = detail * min(1.0, limit / max(_strength(detail), 1e-6))
    return (resize(picture, size, clamp=False) + detail).clamp(0, 1)


def detail_strength(
    styles: Sequence[Tensor], blend: Sequence[float], before_px: int, after_px: int
) -> float:
    """Returns the limit for `enlarged`: `DETAIL_SHARE` of the styles' detail between two scales.

    Args:
        styles: ``(1, 3, h, w)`` each, of any size.
        blend: Weight of each style; empty for equal weights.
        before_px: Long edge of the styles at the coarser scale.
        after_px: Long edge of the styles at the finer scale.
    """
    strengths = []
    for style in styles:
        own = (style.shape[-2], style.shape[-1])
        before, after = size_to_fit(own, before_px), size_to_fit(own, after_px)
        strengths.append(_strength(_detail(resize(style, after), before, after)))
    parts = zip(shares(len(strengths), blend), strengths, strict=True)
    return DETAIL_SHARE * sum(share * strength for share, strength in parts)


def _detail(source: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
    """Returns the detail that an image of size ``after`` loses when it is reduced to ``before``."""
    return resize(source, after) - resize(resize(source, before), after, clamp=False)


def _strength(detail: Tensor) -> float:
    return float(detail.square().mean().sqrt())
