"""A look as a stylizer of frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.errors import UsageError
from impasto.looks.file import Look
from impasto.looks.networks import Johnson, pad_to
from impasto.looks.style import style_statistics
from impasto.media import color_map, color_moments, resize
from impasto.types import FrameContext, Painted, Region

__all__ = ["LookPainter"]

SETTLE = 0.1
"""Share of a frame's own colours in the running mean that recolours it, so that no frame flickers in tone."""

Moments = tuple[Tensor, Tensor]


@dataclasses.dataclass(frozen=True)
class _Told:
    """What a painter is told of a style: its code, and mean and covariance of its colours."""

    code: Tensor
    colors: Moments


class LookPainter:
    """Paints pictures and frames in one pass; see `impasto.types.Stylizer`.

    Args:
        look: From `load_look`.
        styles: ``(1, 3, h, w)`` each; none for a look of one style.
        blend: Weight of each style; equal when empty.
        strength: How much of the pastiche, 0 to 1.
        device: auto, cpu, cuda ...

    Raises:
        UsageError: The look wants a style and none is given.
    """

    def __init__(
        self,
        look: Look,
        styles: Sequence[Tensor] = (),
        blend: Sequence[float] = (),
        strength: float = 1.0,
        *,
        device: str = "cpu",
    ) -> None:
        if look.any_style and not styles:
            raise UsageError("this look paints like the style it is shown; give at least one.")
        if blend and len(blend) != len(styles):
            raise UsageError(
                f"{len(blend)} blend weights for {len(styles)} styles; give as many, or none."
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.look, self._strength, self._device = look, strength, torch.device(device)
        look.painter.to(self._device).eval()
        self._styles = [style.cpu() for style in styles] if look.any_style else []
        self._blend = tuple(blend)
        self._known: dict[tuple[int, str, int], _Told] = {}
        self._whole = [self._tell(number, None) for number in range(len(self._styles))]

    def _tell(self, number: int, region: Region | None) -> _Told:
        """The code of a style, or of a region of it."""
        look, style = self.look, self._styles[number]
        assert look.predictor is not None
        weight = None if region is None else region.style
        with torch.no_grad():
            code = look.predictor(style_statistics(style, load_backbone(), weight))
        if weight is not None:
            weight = resize(weight, (style.shape[-2], style.shape[-1]))
        return _Told(code, color_moments(style.double(), weight))

    def _blended(self, shares: Sequence[float]) -> _Told:
        """The mean of several styles' codes and colours."""
        if not self._whole:
            assert self.look.code is not None
            assert self.look.colors is not None
            colors = self.look.colors.double()
            return _Told(self.look.code, (colors[..., :1], colors[..., 1:]))
        shares = list(shares) or [1.0] * len(self._whole)
        parts = [(share / sum(shares), one) for share, one in zip(shares, self._whole, strict=True)]
        return _Told(
            torch.stack([share * one.code for share, one in parts]).sum(0),
            (
                torch.stack([share * one.colors[0] for share, one in parts]).sum(0),
                torch.stack([share * one.colors[1] for share, one in parts]).sum(0),
            ),
        )

    @torch.no_grad()
    def picture(
        self,
        image: Tensor,
        regions: Sequence[Region] = (),
        blend: Sequence[float] = (),
        own: Moments | None = None,
    ) -> Tensor:
        """Paints a picture.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            regions: Parts of it with the parts of the styles that they take.
            blend: Weight of each style; the painter's own when empty.
            own: The picture's `color_moments`, where a running mean of them is wanted instead.

        Returns:
            Of the same shape.
        """
        if isinstance(self.look.painter, Johnson):
            pastiche = self._pass(image, None)
        elif not regions or not self._styles:
            pastiche = self._pass(image, self._blended(blend or self._blend), own)
        else:
            pastiche = image.clone()
            for region in regions:
                key = (region.number, region.name, region.version)
                if key not in self._known:
                    self._known[key] = self._tell(region.number, region)
                mask = resize(region.content, (image.shape[-2], image.shape[-1])).to(image)
                moments = color_moments(image.double(), mask.double())
                pastiche += mask * (self._pass(image, self._known[key], moments) - image)
        return (image + self._strength * (pastiche - image)).clamp(0, 1)

    def _pass(self, image: Tensor, told: _Told | None, own: Moments | None = None) -> Tensor:
        height, width = image.shape[-2:]
        if told is None:
            raw = self.look.painter(255 * pad_to(image).to(self._device)) / 255
        else:
            matrix, offset = color_map(own or color_moments(image.double()), told.colors)
            colored = (
                (matrix.float() @ image.flatten(2) + offset.float()).view_as(image).clamp(0, 1)
            )
            code = told.code.to(self._device)
            raw = self.look.painter(pad_to(colored).to(self._device), code)
        return raw[..., :height, :width].float().cpu().clamp(0, 1)

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Paints one frame; the colours it is given follow a running mean within a shot."""
        state: dict[str, float] = {}
        own = None
        if not isinstance(self.look.painter, Johnson) and not context.regions:
            own = _settled(color_moments(frame.double()), context.state)
            state = _numbers(own)
        image = self.picture(frame, context.regions, context.blend, own)
        return Painted(image=image, state=state)


def _settled(now: Moments, state: Mapping[str, float]) -> Moments:
    if "color_0" not in state:
        return now
    before = torch.tensor([[state[f"color_{n}"] for n in range(12)]], dtype=torch.float64).view(
        1, 3, 4
    )
    return (
        before[..., :1] + SETTLE * (now[0] - before[..., :1]),
        before[..., 1:] + SETTLE * (now[1] - before[..., 1:]),
    )


def _numbers(moments: Moments) -> dict[str, float]:
    flat = torch.cat(moments, dim=2).flatten().tolist()
    return {f"color_{number}": value for number, value in enumerate(flat)}
