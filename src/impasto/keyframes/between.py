"""Frames between two keyframes: both pastiches follow the motion, and are joined pixel by pixel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from impasto.config import FilmOptions
from impasto.keyframes.tones import ToneNetwork, learn_tones
from impasto.media import box_mean, pixels_to_tensor
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
from impasto.motion.hold import held_to_motion
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


@dataclass
class Stretch:
    """Consecutive frames of a shot, with the motion between them; motion is estimated when it is first needed.

    Args:
        frames: The frames, in order.
        estimator: The flow estimator.
    """

    frames: Sequence[Frame]
    estimator: FlowEstimator
    _motions: dict[int, NeighborMotion] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

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


def closing_error(stretch: Stretch, chain: MotionChain, place: int, anchor: int) -> Tensor:
    """Returns by how much a chain is off at its end, ``(1, 2, H, W)`` in pixels; 0 where that is not known.

    Small errors add up along a chain. The anchor frame, warped along the chain, should look like the frame at its end;
    the flow between the two is the error.

    Args:
        stretch: The frames.
        chain: A chain that has reached the end.
        place: Place of the frame at its end.
        anchor: Place of its anchor.
    """
    frame, image = stretch.frames[place], stretch.image(place)
    other = stretch.frames[anchor]
    guess = warp(stretch.image(anchor), chain.way)
    most = 65535 if other.pixels.dtype == np.uint16 else 255
    values = guess[0].permute(1, 2, 0).numpy() * most
    pixels = np.round(values).astype(other.pixels.dtype)
    # Estimators may remember results by frame number; this image is none of the clip's frames.
    seen = replace(other, pixels=pixels, index=-1 - zlib.crc32(pixels.tobytes()))
    finder = DIS() if stretch.estimator.name == "files" else stretch.estimator
    residual = finder(frame, seen)
    known = chain.seen * (residual.square().sum(1, keepdim=True).sqrt() < MOST_ERROR_PX)
    before, after = (
        (x - image).square().mean(1, keepdim=True) for x in (guess, warp(guess, residual))
    )
    known = known * (box_mean(before - after, CLOSING_PX) > 0)
    return -box_mean(residual * known, CLOSING_PX)


@dataclass(frozen=True)
class _Side:
    """A keyframe seen from another frame: flow to it (float16), and how reliably each pixel is seen (uint8)."""

    way: Tensor
    seen: Tensor


def carry_side(stretch: Stretch, pastiche: Tensor) -> Earlier:
    """Carries the pastiche of a stretch's first frame to its last frame.

    Args:
        stretch: At least two frames.
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
    """
    chain = MotionChain(stretch.image(0))
    for place in range(1, len(stretch)):
        chain.step(stretch.image(place), *stretch.motion(place).to_previous())
    error = closing_error(stretch, chain, len(stretch) - 1, 0)
    return Earlier(
        gap=len(stretch) - 1,
        warped=_carried(pastiche, chain.way - error, chain.seen),
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
    end = len(stretch)
    places = range(0 if left is None else 1, end if right is None else end - 1)
    if not places:
        return
    backward = None if right is None else _backward(stretch)
    uncovered, sides = _forward(stretch, places, left, backward)
    if backward is not None and left is not None:
        _close(stretch, sides, backward)
    network = _network(stretch, left, right, film, uncovered)
    for place in places:
        one = None if left is None else sides[place]
        other = None if backward is None else backward[place]
        share = place / max(1, end - 1)
        joined, seen = _joined((one, left), (other, right), share)
        yield place, _finished(stretch.image(place), joined, seen, network, film)


def _backward(stretch: Stretch) -> dict[int, _Side]:
    """Follows the motion from the last frame back to the first."""
    found: dict[int, _Side] = {}
    chain = MotionChain(stretch.image(len(stretch) - 1))
    for place in range(len(stretch) - 2, -1, -1):
        chain.step(stretch.image(place), *stretch.motion(place + 1).to_next())
        found[place] = _side(chain)
    return found


def _close(stretch: Stretch, forward: dict[int, _Side], backward: dict[int, _Side]) -> None:
    """Corrects both chains by their error at the other keyframe, in proportion to the distance from their own.

    Correcting every frame by itself would be more exact, and would jitter.
    """
    end = len(stretch) - 1
    chain = MotionChain(stretch.image(0))
    chain.way, chain.seen = forward[end].way.float(), forward[end].seen.float() / 255
    error_right = closing_error(stretch, chain, end, 0)
    chain = MotionChain(stretch.image(end))
    chain.way, chain.seen = backward[0].way.float(), backward[0].seen.float() / 255
    error_left = closing_error(stretch, chain, 0, end)
    for place in range(1, end):
        share = place / end
        ahead, back = forward[place], backward[place]
        to_left, to_right = ahead.way.float(), back.way.float()
        forward[place] = replace(ahead, way=(to_left - share * warp(error_right, to_right)).half())
        backward[place] = replace(
            back, way=(to_right - (1 - share) * warp(error_left, to_left)).half()
        )


def _forward(
    stretch: Stretch, places: range, left: Tensor | None, backward: dict[int, _Side] | None
) -> tuple[float, dict[int, _Side]]:
    """Follows the motion from the first frame; returns the mean share that no keyframe covers, and the sides."""
    found: dict[int, _Side] = {}
    chain = MotionChain(stretch.image(0))
    total = 0.0
    for place in places:
        seen = torch.zeros_like(chain.seen)
        if left is not None:
            chain.step(stretch.image(place), *stretch.motion(place).to_previous())
            found[place] = _side(chain)
            seen = chain.seen
        if backward is not None:
            seen = torch.maximum(seen, backward[place].seen.float() / 255)
        total += float((1 - seen).mean())
    if left is not None and backward is not None:
        end = len(stretch) - 1
        chain.step(stretch.image(end), *stretch.motion(end).to_previous())
        found[end] = _side(chain)
    return total / len(places), found


def _side(chain: MotionChain) -> _Side:
    return _Side(chain.way.half(), (255 * chain.seen).round().to(torch.uint8))


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
    known = [(0, left), (len(stretch) - 1, right)]
    pairs = [(stretch.image(place), pastiche) for place, pastiche in known if pastiche is not None]
    return learn_tones(
        [frame for frame, _pastiche in pairs],
        [pastiche for _frame, pastiche in pairs],
        steps=LEARNED_STEPS if learned else FILL_STEPS,
        style_weight=LEARNED_STYLE if learned else 0.0,
    )


def _joined(
    one: tuple[_Side | None, Tensor | None], other: tuple[_Side | None, Tensor | None], share: float
) -> tuple[Tensor, Tensor]:
    """Carries one or both pastiches to a frame and joins them; returns the result and how reliable it is."""
    parts = []
    for side, pastiche in (one, other):
        if side is not None and pastiche is not None:
            seen = box_mean(closed(side.seen.float() / 255, GAP_PX), 1)
            parts.append((_carried(pastiche, side.way.float(), seen), seen))
    if len(parts) == 1:
        return parts[0]
    (a, seen_a), (b, seen_b) = parts
    return join_sides(a, seen_a * (1 - share), b, seen_b * share), torch.maximum(seen_a, seen_b)


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
    reach = max(1, round(max(frame.shape[-2:]) / 100))
    detail = lent - box_mean(box_mean(lent, reach), reach)
    return (seen * joined + (1 - seen) * (painted + detail)).clamp(0, 1)
