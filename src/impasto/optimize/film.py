"""Stylization of video frames by the optimizer: initial images and temporal consistency terms."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.config import FilmOptions, PaintOptions, derived_seed
from impasto.losses import temporal_loss
from impasto.machine import thread_notes
from impasto.media.resize import resize
from impasto.motion.carry import borrow_texture, hold_tones, merged
from impasto.optimize.loop import InFilm, Optimization
from impasto.optimize.objective import (
    StyleMemory,
    Term,
    change_term,
    tiling_for,
    without_weak_layers,
)
from impasto.optimize.tiles import Parts
from impasto.types import Backbone, Earlier, FrameContext, Iterate, Painted, Region, RunForecast

__all__ = ["FilmOptimizer"]

PASS_BLEND = 0.5
"""Weight of the warped neighbor in the initial image of a pass where the flow is reliable (Ruder 2016, eq. 10)."""


MOSTLY_NEW = 0.5
"""Mean reliability below which a frame is optimized at two scales."""

NEW_STEPS = (20, 15)
"""Steps at those two scales, at least. On fast motion they keep more of a face than thirty at the finest scale."""


class FilmOptimizer:
    """Stylizes the frames of a video one after another.

    The first frame of a shot is optimized like a single image, and the style weight found there by automatic balancing
    is used for the whole shot. All other frames are initialized from the warped pastiches of their neighbors.

    Args:
        styles: One or more of ``(1, 3, h, w)`` in ``[0, 1]``.
        backbone: Feature extractor.
        paint: Options for single images.
        film: Options for temporal consistency.
        size: Height and width of the frames.

    Attributes:
        trial: An optimization of a gray frame that is never run; it holds the plan, the device and the precision.
    """

    def __init__(
        self,
        styles: Sequence[Tensor],
        backbone: Backbone,
        paint: PaintOptions,
        film: FilmOptions,
        size: tuple[int, int],
    ) -> None:
        self.backbone, self.paint_options, self.film = backbone, paint, film
        self._memory: StyleMemory = {}
        self.trial = Optimization(
            torch.full((1, 3, *size), 0.5), styles, backbone, paint, size=size
        )
        self.styles = self.trial.styles
        self._size = size

    @property
    def forecast(self) -> RunForecast:
        """Expected time and memory; see `impasto.types.Stylizer`."""
        plan, steps = self.trial.plan, self.film.frame_steps
        seconds = plan.forecast.seconds
        if steps:
            pixels = sum(scale.pixels * scale.steps for scale in self.trial.scales)
            seconds *= sum(steps) * self._size[0] * self._size[1] / max(1, pixels)
        return RunForecast(
            backbone=self.backbone.name,
            device=str(self.trial.device),
            precision=self.trial.precision,
            seconds_per_frame=seconds,
            memory_bytes=plan.forecast.memory_bytes,
            notes=(*plan.notes, *thread_notes(self.trial.device)),
        )

    def picture(self, image: Tensor, regions: Sequence[Region] = (), /) -> Tensor:
        """Stylizes an image with the options for single images; see `impasto.types.Stylizer`."""
        size = (image.shape[-2], image.shape[-1])
        run = Optimization(
            image, self.styles, self.backbone, self.paint_options, size=size, regions=regions
        )
        for _iterate in run:
            pass
        return run.result.detach().cpu()

    def paint(self, frame: Tensor, context: FrameContext) -> Painted:
        """Stylizes one frame; see `impasto.types.Stylizer`."""
        alone = context.opens_shot and context.own is None
        options = dataclasses.replace(
            self.paint_options,
            blend=context.blend or self.paint_options.blend,
            seed=self._seed(context),
        )
        if "style_weight" in context.state:
            factor = options.strength**3  # the stored weight already includes the strength
            weight = context.state["style_weight"] / factor if factor > 0 else 0.0
            options = dataclasses.replace(options, balance="fixed", style_weight=weight)
        if alone and self.film.opening_steps and self.film.remembers:
            options = dataclasses.replace(options, steps=self.film.opening_steps)
        elif self.film.frame_steps and not alone:
            options = _shortened(options, self.film, context)
        start = None if alone else self._start(frame, context)
        run = Optimization(
            frame,
            self.styles,
            self.backbone,
            options,
            size=self._size,
            start=start,
            regions=context.regions,
            film=InFilm(
                terms=lambda size: self._terms(size, context),
                plan=self.trial.plan,
                styles=self._memory,
            ),
        )
        keep = self.film.iterate_weight > 0
        pictures = [run.image] if keep else []
        last: Iterate | None = None
        notes: list[str] = []
        for last in run:
            if last.note:
                notes.append(last.note)
            if keep:
                pictures.append(run.image)
        image = run.result.detach()
        if self.film.hold and context.still is not None and context.previous is not None:
            before, still = (part.to(image) for part in (context.previous, context.still))
            fits = context.earlier[0].fits if context.earlier else None
            image = hold_tones(image, before, still if fits is None else still * fits.to(image))
        return Painted(
            image=image,
            terms={} if last is None else last.terms,
            state={"style_weight": run.balancer.weight},
            iterates=pictures,
            notes=tuple(notes),
        )

    def _seed(self, context: FrameContext) -> int:
        """Returns the random seed of a frame."""
        return derived_seed(self.paint_options.seed * 1_000_003 + context.index)

    def _start(self, frame: Tensor, context: FrameContext) -> Tensor | None:
        """Returns the initial image of a frame that has neighbors; None to follow the options for single images."""
        if context.own is not None:
            own = context.own.to(self.trial.device)
            for other in context.earlier[:1]:
                share = PASS_BLEND * other.reliability.to(own)
                own = own + share * (other.warped.to(own) - own)
            return own
        kind = self.film.frame_start
        if kind == "warped" and context.earlier:
            return borrow_texture(frame.to(self.trial.device), context.earlier)
        if kind == "previous" and context.previous is not None:
            return context.previous.to(self.trial.device)
        if kind == "noise":
            generator = torch.Generator().manual_seed(self._seed(context))
            noise = torch.randn(frame.shape, generator=generator)
            return (0.5 + 0.1 * noise).clamp(0, 1).to(self.trial.device)
        return None

    def _terms(self, size: tuple[int, int], context: FrameContext) -> Mapping[str, Term]:
        """Returns the temporal terms at one scale, without those of weight 0."""
        terms: dict[str, Term] = {}
        device = self.trial.device

        def at(image: Tensor) -> Tensor:
            return resize(image.to(device), size)

        if self.film.flow_weight > 0 and context.earlier:
            target, trust = merged([_as_far_as_it_fits(one) for one in context.earlier])
            terms["flow"] = _pull(self.film.flow_weight, at(target), at(trust))
        if context.previous is not None:
            previous = at(context.previous)
            if self.film.still_weight > 0 and context.still is not None:
                terms["still"] = _pull(self.film.still_weight, previous, at(context.still))
            if self.film.previous_weight > 0:
                terms["previous"] = _pull(self.film.previous_weight, previous)
            if self.film.change_weight > 0:
                terms["change"] = self._change(previous)
        if self.film.iterate_weight > 0 and context.iterates:
            terms["iterate"] = self._iterates(size, context.iterates)
        return terms

    def _change(self, previous: Tensor) -> Term:
        plan, options = self.trial.plan, self.paint_options
        layers = tuple(dict.fromkeys(options.content_layers + options.style_layers))
        tiling = tiling_for(self.backbone, options, plan.tile_px)
        before = Parts(self.backbone, previous, layers, tiling, autocast=plan.autocast)
        return change_term(before, options, self.film.change_weight)

    def _iterates(self, size: tuple[int, int], pictures: Sequence[Tensor]) -> Term:
        def measure(_features: object, image: Tensor, step: int) -> Tensor:
            target = pictures[min(step, len(pictures) - 1)].to(image)
            return temporal_loss(image, resize(target, size))

        return Term(weight=self.film.iterate_weight, measure=measure)


def _shortened(options: PaintOptions, film: FilmOptions, context: FrameContext) -> PaintOptions:
    """Reduces the number of steps, and uses only the finest scale if a single number of steps was given.

    A frame of which little is visible in earlier ones is optimized at two scales nevertheless: a few steps at the
    finest scale cannot paint it anew, and what is borrowed there would dissolve into noise within ten frames.

    ``mixed`` stays mixed there: with the Gram loss alone, the palette fades within thirty frames.
    """
    steps = film.frame_steps
    if len(steps) == 1 and context.earlier and _covered(context.earlier) < MOSTLY_NEW:
        steps = (NEW_STEPS[0], max(steps[0], NEW_STEPS[1]))
    return dataclasses.replace(
        without_weak_layers(options),
        steps=steps,
        coarsest=options.coarsest if len(steps) > 1 else 0,
        tolerance=film.frame_tolerance,
    )


def _covered(earlier: Sequence[Earlier]) -> float:
    """Returns the mean reliability of what is known of a frame from earlier ones."""
    return float(merged(earlier)[1].clamp(0, 1).mean())


def _as_far_as_it_fits(one: Earlier) -> Earlier:
    if one.fits is None:
        return one
    return dataclasses.replace(one, reliability=one.reliability * one.fits)


def _pull(weight: float, target: Tensor, where: Tensor | None = None) -> Term:
    return Term(
        weight=weight, measure=lambda _features, image, _step: temporal_loss(image, target, where)
    )
