"""Stylization of images and frames with a translator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.errors import InputError
from impasto.machine import resolve_device
from impasto.media import pad_to
from impasto.motion.hold import held_to_motion
from impasto.translate.file import Translator
from impasto.types import FeedForward, FrameContext, Painted, Region
from impasto.weights import finite

__all__ = ["TranslatorPainter", "feed_forward_translator"]

WHOLE_PX = 1_500_000
"""Images with more pixels are processed in strips of rows."""

STRIP_PX = 400_000


class TranslatorPainter:
    """Translates images and frames; see `impasto.types.Stylizer`.

    Args:
        translator: A translator from `load_translator`.
        direction: ``ab`` or ``ba``; published checkpoints have a single direction, to which both names refer.
        strength: Opacity of the translation over the input, from 0 to 1.
        device: ``auto``, ``cpu``, ``cuda``, ...

    Raises:
        WeightsError: There is no such direction.
    """

    forecast = None

    def __init__(
        self,
        translator: Translator,
        direction: str = "ab",
        strength: float = 1.0,
        *,
        device: str = "cpu",
    ) -> None:
        self._device, self._strength = resolve_device(device), strength
        self._network = translator.generator(direction).to(self._device).eval()

    @torch.no_grad()
    def picture(self, image: Tensor, _regions: Sequence[Region] = (), /) -> Tensor:
        """Translates an image at its own size; see `impasto.types.Stylizer`.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.

        Returns:
            Translation with the shape of ``image``.

        Raises:
            InputError: The image is too small for the network.
            DivergedError: The network's output is not finite.
        """
        height, width = image.shape[-2:]
        multiple = self._network.shape.multiple
        down, right = (-height) % multiple, (-width) % multiple
        if height <= max(down, 8) or width <= max(right, 8):
            raise InputError(
                f"the image is {width}x{height} px, but this translator needs at least {multiple // 2 + 8} px on each "
                "side; use a larger image."
            )
        padded = pad_to(2 * image - 1, multiple, mirrored=True).to(self._device)
        large = height * width > WHOLE_PX
        found = self._network(padded, rows=max(32, STRIP_PX // width // 4 * 4) if large else 0)
        made = ((finite(found[..., :height, :width].float().cpu()) + 1) / 2).clamp(0, 1)
        return image + self._strength * (made - image)

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Translates one frame, blended with the previous result along the optical flow if that is available."""
        return Painted(image=held_to_motion(self.picture(frame), context))


def feed_forward_translator(translator: Translator) -> FeedForward:
    """Returns a translator as a network that is ready to paint."""
    return FeedForward(
        takes_styles=False,
        stylizer=lambda _styles, options: TranslatorPainter(
            translator, options.direction, options.strength, device=options.device
        ),
    )
