"""Metrics of a video, with those of the original clip as a baseline, since no clip is free of noise."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from impasto.measure.picture import (
    luminance,
    perceptual_difference,
    sharpness,
    style_and_content,
    warping_error,
)
from impasto.media import pixels_to_tensor
from impasto.motion import DIS, FlowEstimator, ShotFinder, trusted_flow, warp
from impasto.types import Backbone, Frame

__all__ = ["FilmFigures", "FilmMeter", "measure_film", "same_frames", "until"]

GAPS = (1, 2, 4, 10)
STILL_SINCE_START = 0.03
"""Change from the first frame of the shot below which a pixel counts as static."""

LEAST_STILL = 0.01

CONTAINER_SHIFT = Fraction(1, 10)
"""Seconds; a smaller time of the first frame is treated as an offset of the container."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmFigures:
    """Metrics of a video; errors are means over pairs of frames within a shot.

    Attributes:
        frames: Number of frames.
        error: Warping error of the pastiches by gap in frames: mean squared difference along the optical flow.
        error_of_clip: Warping error of the clip itself, the baseline.
        perceptual: Feature distance of the pastiches along the optical flow, by gap in frames.
        perceptual_of_clip: Feature distance of the clip itself.
        style: Mean relative Gram error, or None without styles.
        content: Mean relative content error.
        brightness: For each frame, the mean luminance of pixels that are static since the first frame of the shot;
            nan if there are none.
        sharpness: For each frame, the root mean square of the Laplacian at the static pixels, or at all pixels if
            there are none.
    """

    frames: int
    error: dict[int, float]
    error_of_clip: dict[int, float]
    perceptual: dict[int, float]
    perceptual_of_clip: dict[int, float]
    style: float | None
    content: float
    brightness: list[float]
    sharpness: list[float]


class FilmMeter:
    """Measures a video frame by frame; it keeps only as many frames as the longest gap.

    Args:
        backbone: Feature extractor.
        styles: ``(1, 3, h, w)`` in ``[0, 1]`` each; may be empty.
        gaps: Gaps between compared frames, in frames.
        estimator: Optical flow estimator; None for DIS.
        every: Style, content and perceptual distance are measured on every Nth frame.
        cut_threshold: See `ShotFinder`.
    """

    def __init__(
        self,
        backbone: Backbone,
        styles: Sequence[Tensor] = (),
        *,
        gaps: Sequence[int] = GAPS,
        estimator: FlowEstimator | None = None,
        every: int = 4,
        cut_threshold: float = 27.0,
    ) -> None:
        self._backbone, self._styles, self._gaps = backbone, styles, tuple(gaps)
        self._flow = estimator or DIS()
        self._every = every
        self._shots = ShotFinder(cut_threshold)
        self._held: deque[tuple[Frame, Tensor, Tensor]] = deque(maxlen=max(gaps))
        self._sums: dict[tuple[str, int], list[float]] = {}
        self._losses: list[tuple[float, float]] = []
        self._brightness: list[float] = []
        self._sharpness: list[float] = []
        self._still: Tensor | None = None
        self._first: Tensor | None = None
        self._count = 0

    @torch.no_grad()
    def add(self, pastiche: Frame, source: Frame) -> None:
        """Adds the next pastiche and its source frame, which must have the same size."""
        image, frame = pixels_to_tensor(pastiche.pixels), pixels_to_tensor(source.pixels)
        opens = self._shots.opens(source)
        if opens:
            self._held.clear()
            self._first, self._still = frame, torch.ones_like(frame[:, :1])
        self._add_drift(image, frame)
        sampled = self._count % self._every == min(1, self._every - 1)
        for gap in self._gaps:
            if gap <= len(self._held) and (sampled or gap == 1):
                self._add_pair(gap, image, frame, source, sampled=sampled)
        if sampled:
            self._losses.append(
                style_and_content(image, frame, self._styles or [frame], self._backbone)
            )
        self._held.append((source, frame, image))
        self._count += 1

    def _add_pair(
        self, gap: int, image: Tensor, frame: Tensor, source: Frame, *, sampled: bool
    ) -> None:
        other_source, other, other_image = self._held[-gap]
        flow, trust = trusted_flow(self._flow, source, frame, other_source, other)
        for name, one, two in (("pastiche", image, other_image), ("clip", frame, other)):
            warped = warp(two, flow, mode="bicubic").clamp(0, 1)
            self._note(name, gap, warping_error(one, warped, trust))
            if sampled:
                distance = perceptual_difference(one, warped, trust, self._backbone)
                self._note(name + " perceptual", gap, distance)

    def _note(self, name: str, gap: int, value: float) -> None:
        if np.isfinite(value):
            self._sums.setdefault((name, gap), []).append(value)

    def _add_drift(self, image: Tensor, frame: Tensor) -> None:
        assert self._first is not None
        assert self._still is not None
        change = (frame - self._first).abs().amax(1, keepdim=True)
        self._still = self._still * (change < STILL_SINCE_START)
        if float(self._still.mean()) < LEAST_STILL:
            self._brightness.append(float("nan"))
            self._sharpness.append(sharpness(image))
            return
        mean = (self._still * luminance(image)).sum() / self._still.sum()
        self._brightness.append(float(mean))
        self._sharpness.append(sharpness(image, self._still))

    def figures(self) -> FilmFigures:
        """Returns the metrics of all frames so far."""

        def by_gap(name: str) -> dict[int, float]:
            return {g: fmean(self._sums[name, g]) for g in self._gaps if (name, g) in self._sums}

        return FilmFigures(
            frames=self._count,
            error=by_gap("pastiche"),
            error_of_clip=by_gap("clip"),
            perceptual=by_gap("pastiche perceptual"),
            perceptual_of_clip=by_gap("clip perceptual"),
            style=fmean(s for s, _c in self._losses) if self._styles and self._losses else None,
            content=fmean(c for _s, c in self._losses) if self._losses else float("nan"),
            brightness=self._brightness,
            sharpness=self._sharpness,
        )


def same_frames(
    pastiches: Iterable[Frame], sources: Iterable[Frame], start_seconds: float = 0.0
) -> Iterator[tuple[Frame, Frame]]:
    """Pairs each pastiche with the frame of the clip that is closest in time.

    Some containers delay the whole video by a few hundredths of a second, so that no audio starts before 0; this delay
    is removed.

    Args:
        pastiches: Frames of the stylized video, in order.
        sources: Frames of the clip, in order.
        start_seconds: Start of the stylized video within the clip, in seconds.
    """
    remaining = iter(sources)
    source = next(remaining, None)
    coming = next(remaining, None)
    if source is None:
        return
    moved: Fraction | None = None
    for pastiche in pastiches:
        if moved is None:
            moved = pastiche.pts_seconds if pastiche.pts_seconds < CONTAINER_SHIFT else Fraction(0)
        wanted = pastiche.pts_seconds - moved + Fraction(start_seconds)
        while coming is not None and abs(coming.pts_seconds - wanted) <= abs(
            source.pts_seconds - wanted
        ):
            source, coming = coming, next(remaining, None)
        yield pastiche, source


def until(
    pairs: Iterable[tuple[Frame, Frame]], end_seconds: float
) -> Iterator[tuple[Frame, Frame]]:
    """Returns the pairs whose frame of the clip comes before a time.

    Args:
        pairs: Pairs of pastiche and source frame, in order.
        end_seconds: The time, in seconds of the clip.
    """
    return itertools.takewhile(lambda pair: pair[1].pts_seconds < end_seconds, pairs)


def measure_film(
    pairs: Iterable[tuple[Frame, Frame]], meter: FilmMeter, most: int | None = None
) -> FilmFigures:
    """Measures pairs of pastiche and source frame.

    Args:
        pairs: Pairs of frames, for example from `same_frames`.
        meter: Meter to use.
        most: Maximum number of frames; None for no limit.
    """
    for number, (pastiche, source) in enumerate(pairs):
        if most is not None and number >= most:
            break
        meter.add(pastiche, source)
    return meter.figures()
