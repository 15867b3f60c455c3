"""A translator as a stylizer of pictures and frames."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.errors import InputError
from impasto.machine import resolve_device
from impasto.media import pad_to
from impasto.motion.hold import held_to_motion
from impasto.translate.file import Translator
from impasto.types import FrameContext, Painted
from impasto.weights import finite

__all__ = ["TranslatorPainter"]

WHOLE_PX = 1_500_000
"""Pictures of more pixels are worked on in strips of rows."""

STRIP_PX = 400_000


class TranslatorPainter:
    """Translates pictures and frames; see `impasto.types.Stylizer`.

    Args:
        translator: From `load_translator`.
        direction: ``ab`` or ``ba``; a published checkpoint has one, which both mean.
        strength: How much of the translation, 0 to 1.
        device: auto, cpu, cuda ...

    Raises:
        WeightsError: There is no such direction.
    """

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
    def picture(self, image: Tensor) -> Tensor:
        """Translates a picture at its own size.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.

        Returns:
            Of the same shape.

        Raises:
            InputError: It is too small for the network.
            DivergedError: The network painted a value that is not finite.
        """
        height, width = image.shape[-2:]
        multiple = self._network.shape.multiple
        down, right = (-height) % multiple, (-width) % multiple
        if height <= max(down, 8) or width <= max(right, 8):
            raise InputError(
                f"the picture is {width}x{height} px; this network needs {multiple // 2 + 8} px on each side."
            )
        padded = pad_to(2 * image - 1, multiple, mirrored=True).to(self._device)
        large = height * width > WHOLE_PX
        found = self._network(padded, rows=max(32, STRIP_PX // width // 4 * 4) if large else 0)
        made = ((finite(found[..., :height, :width].float().cpu()) + 1) / 2).clamp(0, 1)
        return image + self._strength * (made - image)

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Translates one frame; held to the one before, along the motion, where the film knows that."""
        return Painted(image=held_to_motion(self.picture(frame), context))
