"""Frames between two keyframes: both pastiches follow the motion, and are joined pixel by pixel."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from impasto.config import FilmOptions
from impasto.keyframes.tones import ToneNetwork, learn_tones
from impasto.media import box_mean, pixels_to_tensor, tensor_to_pixels
from impasto.motion import (
    DIS,
    FlowEstimator,
    MotionChain,
    NeighborMotion,
    motion_between,
    warp,
)
from impasto.motion.carry import borrow_texture, keep_sharp
from impasto.motion.chain import closed
from impasto.motion.hold import held_to_motion, tones_of
from impasto.types import Earlier, Frame, FrameContext

__all__ = ["Stretch", "carry_side", "join_sides", "paint_between"]

FILL_STEPS, LEARNED_STEPS = 120, 500
"""Training steps of the network that fills uncovered areas, and of the one that paints whole frames."""

LEARNED_STYLE = 0.05
"""Weight of its Gram loss."""

LEAST_UNCOVERED = 0.003
"""Mean uncovered share of an interval below which no network is trained to fill it."""

TONES_PX, DETAIL_PX = 3, 4
"""Radii of the mean that separates tones from detail, and of the window over which the detail's energy is measured."""

MOST_GAIN = 2.0

GAP_PX = 3
"""Radius of the gaps that are closed."""

MOST_ERROR_PX, CLOSING_PX = 6.0, 4
"""A larger error of a chain is taken for an error of the flow; radius over which the error is averaged, in pixels."""


@dataclass(frozen=True)
class Side:
    """A keyframe seen from another frame.

    Attributes:
        way: Flow to the keyframe, float16 ``(1, 2, H, W)`` in pixels.
        seen: How reliably each pixel is seen in it, uint8 ``(1, 1, H, W)``.
    """

    way: Tensor
    seen: Tensor

    def trust(self) -> Tensor:
        """Returns ``seen`` as float32 in ``[0, 1]``."""
        return self.seen.float() / 255


@dataclass(frozen=True)
class Followed:
    """A keyframe followed through a stretch.

    Attributes:
        sides: The keyframe seen from each other frame, by place.
        chain: The chain at the other end.
    """

    sides: Mapping[int, Side]
    chain: MotionChain


class Stretch:
    """Consecutive frames of a shot, with the motion between them; everything is computed once, when it is first needed.

    Args:
        frames: The frames, in order.
        estimator: The flow estimator.
    """

    def __init__(self, frames: Sequence[Frame], estimator: FlowEstimator) -> None:
        self.frames, self.estimator = frames, estimator
        self._motions: dict[int, NeighborMotion] = {}

    @property
    def last(self) -> int:
        """Place of the last frame."""
        return len(self.frames) - 1

    def image(self, place: int) -> Tensor:
        """Returns a frame as ``(1, 3, H, W)`` in ``[0, 1]``."""
        return pixels_to_tensor(self.frames[place].pixels)

    def motion(self, place: int) -> NeighborMotion:
        """Returns the motion between the frame at a place, at least 1, and the one before."""
        if place not in self._motions:
            self._motions[place] = motion_between(
                self.estimator,
                self.frames[place],
                self.image(place),
                self.frames[place - 1],
                self.image(place - 1),
            )
        return self._motions[place]

    @cached_property
    def from_first(self) -> Followed:
        """The first frame, followed to the last."""
        links = ((place, self.motion(place).to_previous()) for place in range(1, self.last + 1))
        return self._follow(0, links)

    @cached_property
    def from_last(self) -> Followed:
        """The last frame, followed back to the first."""
        places = range(self.last - 1, -1, -1)
        return self._follow(
            self.last, ((place, self.motion(place + 1).to_next()) for place in places)
        )

    def _follow(self, anchor: int, links: Iterable[tuple[int, tuple[Tensor, Tensor]]]) -> Followed:
        chain, sides = MotionChain(self.image(anchor)), {}
        for place, (flow, trust) in links:
            chain.step(self.image(place), flow, trust)
            seen = (255 * chain.seen).round().to(torch.uint8)
            sides[place] = Side(chain.way.half(), seen)
        return Followed(sides, chain)

    @cached_property
    def error_at_last(self) -> Tensor:
        """By how much the way from the last frame to the first is off, ``(1, 2, H, W)`` in pixels."""
        return self._closing_error(self.from_first.chain, 0, self.last)

    @cached_property
    def error_at_first(self) -> Tensor:
        """By how much the way from the first frame to the last is off, ``(1, 2, H, W)`` in pixels."""
        return self._closing_error(self.from_last.chain, self.last, 0)

    def _closing_error(self, chain: MotionChain, anchor: int, place: int) -> Tensor:
        """Returns the error of a chain from an anchor to a place; 0 where it is not known.

        Small errors add up along a chain. The anchor frame, warped along the chain, should look like the frame at its
        end; the flow between the two is the error.
        """
        frame, image = self.frames[place], self.image(place)
        guess = warp(self.image(anchor), chain.way)
        pixels = tensor_to_pixels(guess, deep=frame.pixels.dtype == np.uint16)
        # Estimators may remember results by frame number; this image is none of the clip's frames.
        seen = replace(frame, pixels=pixels, index=-1 - zlib.crc32(pixels.tobytes()))
        finder = DIS() if self.estimator.name == "files" else self.estimator
        residual = finder(frame, seen)
        known = chain.seen * (residual.square().sum(1, keepdim=True).sqrt() < MOST_ERROR_PX)
        before, after = (
            (x - image).square().mean(1, keepdim=True) for x in (guess, warp(guess, residual))
        )
        known = known * (box_mean(before - after, CLOSING_PX) > 0)
        return -box_mean(residual * known, CLOSING_PX)

    def corrected(self) -> tuple[dict[int, Side], dict[int, Side]]:
        """Returns both keyframes seen from the frames between them, corrected by their errors at each other.

        The correction is proportional to the distance from a keyframe. Correcting every frame by itself would be more
        exact, and would jitter.
        """
        to_first, to_last = {}, {}
        for place in range(1, self.last):
            share = place / self.last
            one, other = self.from_first.sides[place], self.from_last.sides[place]
            way, back = one.way.float(), other.way.float()
            moved = way - share * warp(self.error_at_last, back)
            to_first[place] = replace(one, way=moved.half())
            moved = back - (1 - share) * warp(self.error_at_first, way)
            to_last[place] = replace(other, way=moved.half())
        return to_first, to_last


def carry_side(stretch: Stretch, pastiche: Tensor) -> Earlier:
    """Carries the pastiche of a stretch's first frame to its last frame.

    Args:
        stretch: At least two frames.
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
    """
    chain = stretch.from_first.chain
    return Earlier(
        gap=stretch.last,
        warped=_carried(pastiche, chain.way - stretch.error_at_last, chain.seen),
        reliability=chain.seen,
    )


def _carried(pastiche: Tensor, way: Tensor, seen: Tensor) -> Tensor:
    warped = warp(pastiche, way, mode="bicubic").clamp(0, 1)
    return keep_sharp(warped, pastiche, seen)


def paint_between(
    stretch: Stretch,
    left: Tensor | None,
    right: Tensor | None,
    film: FilmOptions,
) -> Iterator[tuple[int, Tensor]]:
    """Paints all frames of a stretch but its keyframes, in order.

    Args:
        stretch: The frames; the first is a keyframe if ``left`` is given, the last if ``right`` is.
        left: Pastiche of the first frame, ``(1, 3, H, W)`` in ``[0, 1]``, or None.
        right: Pastiche of the last frame, likewise; at least one of the two must be given.
        film: Uses ``between``.

    Yields:
        Place in the stretch, and pastiche.
    """
    last = stretch.last
    places = range(0 if left is None else 1, last + 1 if right is None else last)
    if not places:
        return
    keys: list[tuple[Mapping[int, Side], Tensor]] = []
    if left is not None and right is not None:
        to_first, to_last = stretch.corrected()
        keys = [(to_first, left), (to_last, right)]
    elif left is not None:
        keys = [(stretch.from_first.sides, left)]
    elif right is not None:
        keys = [(stretch.from_last.sides, right)]
    uncovered = fmean(
        float(1 - reduce(torch.maximum, [sides[place].trust() for sides, _pastiche in keys]).mean())
        for place in places
    )
    network = _network(stretch, left, right, film, uncovered)
    for place in places:
        parts = [_seen_from(sides[place], pastiche) for sides, pastiche in keys]
        joined, seen = parts[0] if len(parts) == 1 else _joined(parts, place / last)
        yield place, _finished(stretch.image(place), joined, seen, network, film)


def _seen_from(side: Side, pastiche: Tensor) -> tuple[Tensor, Tensor]:
    """Carries a keyframe's pastiche to a frame; returns it and how reliable it is."""
    seen = box_mean(closed(side.trust(), GAP_PX), 1)
    return _carried(pastiche, side.way.float(), seen), seen


def _joined(parts: Sequence[tuple[Tensor, Tensor]], share: float) -> tuple[Tensor, Tensor]:
    """Joins two carried pastiches; ``share`` is the distance from the first keyframe, from 0 to 1."""
    (a, seen_a), (b, seen_b) = parts
    return join_sides(a, seen_a * (1 - share), b, seen_b * share), torch.maximum(seen_a, seen_b)


def _network(
    stretch: Stretch,
    left: Tensor | None,
    right: Tensor | None,
    film: FilmOptions,
    uncovered: float,
) -> ToneNetwork | None:
    """Trains a network on the keyframes of the stretch, if it is needed."""
    learned = film.between == "learned"
    if not learned and uncovered < LEAST_UNCOVERED:
        return None
    known = [(0, left), (stretch.last, right)]
    pairs = [(stretch.image(place), pastiche) for place, pastiche in known if pastiche is not None]
    return learn_tones(
        [frame for frame, _pastiche in pairs],
        [pastiche for _frame, pastiche in pairs],
        steps=LEARNED_STEPS if learned else FILL_STEPS,
        style_weight=LEARNED_STYLE if learned else 0.0,
    )


def join_sides(a: Tensor, weight_a: Tensor, b: Tensor, weight_b: Tensor) -> Tensor:
    """Blends two pastiches without losing contrast where their strokes differ.

    A mean of two unlike textures has less detail than either, which shows as a ghost in the middle of an interval. The
    detail of the mean is therefore amplified to the energy that the two have on average.

    Args:
        a: ``(1, 3, H, W)`` in ``[0, 1]``.
        weight_a: ``(1, 1, H, W)``, at least 0.
        b: Like ``a``.
        weight_b: Like ``weight_a``.
    """
    share = (weight_b + 1e-5) / (weight_a + weight_b + 2e-5)
    tones_a, tones_b = (box_mean(box_mean(x, TONES_PX), TONES_PX) for x in (a, b))
    detail_a, detail_b = a - tones_a, b - tones_b

    def energy(x: Tensor, y: Tensor) -> Tensor:
        return box_mean((x * y).mean(1, keepdim=True), DETAIL_PX)

    of_a, of_b = energy(detail_a, detail_a), energy(detail_b, detail_b)
    mixed = (1 - share) * detail_a + share * detail_b
    of_mixed = (
        (1 - share).square() * of_a
        + share.square() * of_b
        + 2 * share * (1 - share) * energy(detail_a, detail_b)
    )
    wanted = (1 - share) * of_a + share * of_b
    gain = (wanted / of_mixed.clamp_min(1e-6)).sqrt().clamp(1, MOST_GAIN)
    return (tones_a + share * (tones_b - tones_a) + gain * mixed).clamp(0, 1)


def _finished(
    frame: Tensor, joined: Tensor, seen: Tensor, network: ToneNetwork | None, film: FilmOptions
) -> Tensor:
    """Fills what no keyframe covers: colors of the network, and texture of similar areas of the frame."""
    given = Earlier(gap=1, warped=joined, reliability=seen)
    if network is None:
        return borrow_texture(frame, [given]).clamp(0, 1)
    painted = network.paint(frame)
    if film.between == "learned":
        context = FrameContext(index=0, opens_shot=False, blend=(), earlier=(given,))
        return held_to_motion(painted, context).clamp(0, 1)
    lent = borrow_texture(frame, [given])
    detail = lent - tones_of(lent)
    return (seen * joined + (1 - seen) * (painted + detail)).clamp(0, 1)
