"""The picture at the next scale, with fine detail that the last scale could not hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impasto.media.resize import resize, size_to_fit
from impasto.optimize.objective import shares

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["detail_strength", "enlarged"]

DETAIL_SHARE = 0.5
"""Largest detail of the photograph that is added, as a share of the styles' own in the same band (root mean square).
In full, it leaves noise on plain styles that the last steps do not remove."""


def enlarged(
    picture: Tensor, source: Tensor, size: tuple[int, int], limit: float | None = None
) -> Tensor:
    """Enlarges a picture and adds the detail of another one.

    The optimizer would find the detail again, but only after some tens of its most expensive steps.

    Args:
        picture: ``(1, 3, h, w)`` in ``[0, 1]``.
        source: ``(1, 3, ., .)``, of the wanted size or larger, the picture whose detail is added.
        size: Height and width wanted.
        limit: Largest root mean square of the detail; None for all of it.

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
    """Limit for `enlarged`: `DETAIL_SHARE` of the styles' detail between two scales.

    Args:
        styles: ``(1, 3, h, w)`` each, of any size.
        blend: Weight of each; equal when empty.
        before_px: Long edge of the styles at the coarser scale.
        after_px: Long edge at the finer one.
    """
    strengths = []
    for style in styles:
        own = (style.shape[-2], style.shape[-1])
        before, after = size_to_fit(own, before_px), size_to_fit(own, after_px)
        strengths.append(_strength(_detail(resize(style, after), before, after)))
    parts = zip(shares(len(strengths), blend), strengths, strict=True)
    return DETAIL_SHARE * sum(share * strength for share, strength in parts)


def _detail(source: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
    """What a picture of size ``after`` loses when it is reduced to ``before``."""
    return resize(source, after) - resize(resize(source, before), after, clamp=False)


def _strength(detail: Tensor) -> float:
    return float(detail.square().mean().sqrt())
