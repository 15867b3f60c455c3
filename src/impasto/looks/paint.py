"""Stylization of images and frames with a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.looks.file import Look
from impasto.machine import resolve_device
from impasto.media import color_map, color_moments, pad_to
from impasto.motion.hold import held_to_motion
from impasto.types import FrameContext, Painted, Region
from impasto.weights import finite

__all__ = ["LookPainter"]

SETTLE = 0.1
"""Weight of the current frame in the moving average of color statistics, which prevents color flicker."""

Moments = tuple[Tensor, Tensor]


class LookPainter:
    """Stylizes images and frames in one pass; see `impasto.types.Stylizer`.

    Args:
        look: A look from `load_look`.
        strength: Opacity of the pastiche over the content, from 0 to 1.
        device: ``auto``, ``cpu``, ``cuda``, ...
    """

    forecast = None

    def __init__(self, look: Look, strength: float = 1.0, *, device: str = "cpu") -> None:
        self.look, self._strength, self._device = look, strength, resolve_device(device)
        look.painter.to(self._device).eval()
        self._code = None if look.code is None else look.code.to(self._device)

    def picture(self, image: Tensor, _regions: Sequence[Region] = (), /) -> Tensor:
        """Stylizes an image; see `impasto.types.Stylizer`. The whole image takes the look's style."""
        return self._stylized(image)

    @torch.no_grad()
    def _stylized(self, image: Tensor, own: Moments | None = None) -> Tensor:
        """Stylizes an image, with the given color moments instead of its own, such as a moving average over frames."""
        height, width = image.shape[-2:]
        if self.look.colors is None:
            raw = self.look.painter(255 * self._padded(image).to(self._device)) / 255
        else:
            colors = self.look.colors.double()
            moments = own or color_moments(image.double())
            matrix, offset = color_map(moments, (colors[..., :1], colors[..., 1:]))
            colored = (matrix.float() @ image.flatten(2) + offset.float()).view_as(image)
            raw = self.look.painter(self._padded(colored.clamp(0, 1)).to(self._device), self._code)
        pastiche = finite(raw[..., :height, :width].float().cpu()).clamp(0, 1)
        return image + self._strength * (pastiche - image)

    def _padded(self, image: Tensor) -> Tensor:
        """Pads an image to the multiple that the network needs."""
        return pad_to(image, self.look.multiple)

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Stylizes one frame, blended with the previous pastiche along the optical flow if that is available.

        Color statistics follow a moving average within a shot.
        """
        if self.look.colors is None:
            return Painted(image=held_to_motion(self._stylized(frame), context))
        own = _settled(color_moments(frame.double()), context.state)
        return Painted(
            image=held_to_motion(self._stylized(frame, own), context), state=_numbers(own)
        )


def _settled(now: Moments, state: Mapping[str, float]) -> Moments:
    if "color_0" not in state:
        return now
    numbers = [state[f"color_{n}"] for n in range(12)]
    before = torch.tensor(numbers, dtype=torch.float64).view(1, 3, 4)
    return (
        before[..., :1] + SETTLE * (now[0] - before[..., :1]),
        before[..., 1:] + SETTLE * (now[1] - before[..., 1:]),
    )


def _numbers(moments: Moments) -> dict[str, float]:
    flat = torch.cat(moments, dim=2).flatten().tolist()
    return {f"color_{number}": value for number, value in enumerate(flat)}
