"""instant as a stylizer of pictures and frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from impasto.looks.export import on_runtime
from impasto.looks.file import Look
from impasto.looks.instant import Instant, Manner, blend_manners, pad_to_eight
from impasto.machine import resolve_device
from impasto.media import resize, size_to_fit
from impasto.motion.hold import held_to_motion
from impasto.runtimes import Runtime, refuse_bfloat16
from impasto.types import FrameContext, Painted, Region
from impasto.weights import finite

__all__ = ["AnyStylePainter"]

STYLE_SHARE = 0.6
"""Long edge at which a style is measured, over the pastiche's. The network draws strokes of some thirty pixels at most,
and a style seen smaller has more of its manner in strokes of that size."""

STYLE_PX = (192, 768)
"""Between these, whatever the share says, before the stroke size is asked for."""

WHOLE_PX = 2_500_000
"""Pictures of more pixels are worked on in strips of rows."""

STRIP_PX = 1_600_000


class AnyStylePainter:
    """Paints pictures and frames in any style in one pass; see `impasto.types.Stylizer`.

    Args:
        network: From `load_look`.
        styles: ``(1, 3, h, w)`` in ``[0, 1]`` each; none where the look has a manner of its own.
        manner: The look's own.
        strength: How much of the pastiche, 0 to 1.
        blend: Share of each style; equal when empty.
        style_scale: Size of the style's strokes, 1 for the usual.
        device: auto, cpu, cuda ...
        runtime: What runs the network where there are no regions.
    """

    def __init__(
        self,
        network: Instant,
        styles: Sequence[Tensor] = (),
        *,
        manner: Manner | None = None,
        strength: float = 1.0,
        blend: Sequence[float] = (),
        style_scale: float = 1.0,
        device: str = "cpu",
        runtime: Runtime = "torch",
    ) -> None:
        self._device = resolve_device(device)
        self._network = network.to(self._device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._styles, self._manner = list(styles), manner
        self._strength, self._scale = strength, style_scale
        self._blend = tuple(blend) or (1.0,) * len(self._styles)
        self._measured: dict[tuple[object, ...], Manner] = {}
        refuse_bfloat16(runtime)
        self._runtime, self._sessions = runtime, dict[tuple[object, ...], Look]()

    @torch.no_grad()
    def picture(
        self, image: Tensor, regions: Sequence[Region] = (), blend: Sequence[float] = ()
    ) -> Tensor:
        """Paints a picture.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            regions: Parts with the parts of the styles that they take; none for the whole.
            blend: Share of each style, where it is another than the painter's.

        Returns:
            Of the same shape.

        Raises:
            DivergedError: The network painted a value that is not finite.
        """
        height, width = image.shape[-2:]
        padded = pad_to_eight(image).to(self._device, memory_format=torch.channels_last)
        manners = self.manners((height, width), regions, blend)
        rows = max(16, STRIP_PX // width // 8 * 8) if height * width > WHOLE_PX else 0
        if self._runtime != "torch" and not regions:
            raw = self._session(manners[0], (height, width), tuple(blend))(padded)
        else:
            raw = self._network(padded, manners, rows=rows)
        pastiche = finite(raw[..., :height, :width].float().cpu()).clamp(0, 1)
        return image + self._strength * (pastiche - image)

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Paints one frame; held to the pastiche before, along the motion, where the film knows that."""
        pastiche = self.picture(frame, context.regions, context.blend)
        return Painted(image=held_to_motion(pastiche, context))

    @torch.no_grad()
    def manners(
        self, size: tuple[int, int], regions: Sequence[Region] = (), blend: Sequence[float] = ()
    ) -> list[Manner]:
        """What each region, or the whole, of a picture of this size is to look like."""
        if self._manner is not None:
            return [self._manner]
        seen_px = round(self._scale * min(max(STYLE_PX[0], STYLE_SHARE * max(size)), STYLE_PX[1]))
        if not regions:
            each = [self._measure(number, seen_px) for number in range(len(self._styles))]
            return each if len(each) == 1 else [blend_manners(each, tuple(blend) or self._blend)]
        found = []
        for region in regions:
            levels = self._measure(region.number, seen_px, region).levels
            weight = pad_to_eight(region.content).to(self._device)
            found.append(Manner(levels, weight))
        return found

    def _session(self, manner: Manner, *key: object) -> nn.Module:
        """The network with this manner in the other runtime; only the last is kept."""
        if key not in self._sessions:
            baked = Look(self._network, manner=manner)
            self._sessions = {key: on_runtime(baked, self._runtime)}
        return self._sessions[key].painter

    def _measure(self, number: int, seen_px: int, region: Region | None = None) -> Manner:
        key: tuple[object, ...] = (number, seen_px)
        if region is not None:
            key = (*key, region.name, region.version)
        if key not in self._measured:
            style = self._styles[number]
            size = size_to_fit((style.shape[-2], style.shape[-1]), seen_px)
            mask = None if region is None else pad_to_eight(resize(region.style, size))
            seen = pad_to_eight(resize(style, size)).to(self._device)
            weight = None if mask is None else mask.clamp(0, 1).to(self._device)
            self._measured[key] = self._network.manner(seen, weight)
        return self._measured[key]
