"""Looks as networks that are ready to paint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impasto.looks.any_style import AnyStylePainter
from impasto.looks.file import Look
from impasto.looks.paint import LookPainter
from impasto.types import FeedForward, Stylizer

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.config import PaintOptions

__all__ = ["feed_forward_look"]


def feed_forward_look(look: Look) -> FeedForward:
    """Returns a look as a network that is ready to paint."""
    network = look.instant

    def stylizer(styles: Sequence[Tensor], options: PaintOptions) -> Stylizer:
        if network is None:
            return LookPainter(look, options.strength, device=options.device)
        return AnyStylePainter(
            network, styles, manner=look.manner, strength=options.strength, blend=options.blend,
            style_scale=options.style_scale, device=options.device, runtime=options.runtime,
        )  # fmt: skip

    return FeedForward(takes_styles=look.takes_styles, stylizer=stylizer)
