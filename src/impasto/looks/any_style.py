"""Stylization of images and frames with the any-style look `instant`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from impasto.errors import UsageError
from impasto.looks.export import on_runtime
from impasto.looks.file import Look
from impasto.looks.instant import Instant, Manner, blend_manners, pad_to_eight
from impasto.machine import resolve_device
from impasto.media import resize, size_to_fit
from impasto.motion.hold import held_to_motion
from impasto.runtimes import Runtime, refuse_bfloat16
from impasto.types import FrameContext, Painted, Region
from impasto.weights import finite

__all__ = ["AnyStylePainter", "with_style"]

STYLE_SHARE = 0.6
"""Long edge at which a style is measured, relative to the pastiche's. The network draws strokes of at most about thirty
pixels, and a smaller style image has more of its character in strokes of that size."""

STYLE_PX = (192, 768)
"""Limits of that long edge in pixels, before it is scaled by ``style_scale``."""

WHOLE_PX = 2_500_000
"""Images with more pixels are processed in strips of rows."""

STRIP_PX = 1_600_000


class AnyStylePainter:
    """Stylizes images and frames in any style in one pass; see `impasto.types.Stylizer`.

    Args:
        network: Network of a look from `load_look`.
        styles: ``(1, 3, h, w)`` in ``[0, 1]`` each; empty if the look has its own style.
        manner: The look's own style statistics.
        strength: Opacity of the pastiche over the content, from 0 to 1.
        blend: Weight of each style; empty for equal weights.
        style_scale: Relative size of the style's strokes; 1 is the default size.
        device: ``auto``, ``cpu``, ``cuda``, ...
        runtime: Runtime for the network; with regions, torch is used.
    """

    forecast = None

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
        self, image: Tensor, regions: Sequence[Region] = (), /, blend: Sequence[float] = ()
    ) -> Tensor:
        """Stylizes an image; see `impasto.types.Stylizer`.

        Args:
            image: ``(1, 3, H, W)`` in ``[0, 1]``.
            regions: Regions of the content, each with its region of a style; empty to match whole images.
            blend: Weight of each style; empty for the painter's weights.

        Returns:
            Pastiche with the shape of ``image``.

        Raises:
            DivergedError: The network's output is not finite.
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
        """Stylizes one frame, blended with the previous pastiche along the optical flow if that is available."""
        pastiche = self.picture(frame, context.regions, context.blend)
        return Painted(image=held_to_motion(pastiche, context))

    @torch.no_grad()
    def manners(
        self, size: tuple[int, int], regions: Sequence[Region] = (), blend: Sequence[float] = ()
    ) -> list[Manner]:
        """Returns the target statistics of each region, or of the whole image, for an image size."""
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
        """Returns the network with this style in the other runtime; only the last one is cached."""
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


def with_style(look: Look, style: Tensor, size_px: int, name: str) -> Look:
    """Returns a look that takes any style with one style built in.

    Args:
        look: The look.
        style: ``(1, 3, h, w)`` in ``[0, 1]``.
        size_px: Long edge of the images to stylize, which sets the scale of the style.
        name: Name of the style, for the look's description.

    Raises:
        UsageError: The look has a style of its own.
    """
    network = look.instant
    if network is None or look.manner is not None:
        raise UsageError(f"the look has a style of its own, so {name} cannot be added; remove it.")
    manner = AnyStylePainter(network, [style]).manners((size_px, size_px))[0]
    return Look(network, about={**look.about, "style": name}, manner=manner)
