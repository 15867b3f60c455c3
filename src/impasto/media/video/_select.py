"""Selects the frames of a clip to process, and sets their timestamps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction

from impasto.types import Frame

__all__ = ["select_frames"]


def select_frames(
    frames: Iterable[Frame],
    *,
    start: float = 0.0,
    end: float | None = None,
    fps: float | None = None,
    every: int = 1,
) -> Iterator[Frame]:
    """Selects an excerpt with new frame numbers and timestamps; a kept frame lasts until the next kept one.

    Args:
        frames: Frames of the clip, in order.
        start: Start time in seconds after the first frame.
        end: End time in seconds after the first frame; None for the end of the clip.
        fps: Maximum frame rate: a frame is kept once the next tick has been reached.
        every: Of those frames, keep every Nth, beginning with the first.

    Yields:
        Frames with timestamps as exact rationals, relative to ``start``.
    """
    begin = Fraction(str(start))
    stop = None if end is None else Fraction(str(end))
    tick = None if fps is None else 1 / Fraction(str(fps))
    origin: Fraction | None = None
    due, count, kept = Fraction(0), 0, 0
    held: Frame | None = None
    over = Fraction(0)
    for frame in frames:
        origin = frame.pts_seconds if origin is None else origin
        since = frame.pts_seconds - origin
        if since < begin:
            continue
        if stop is not None and since >= stop:
            break
        now = frame.pts_seconds - begin
        over = now + frame.duration_seconds
        if tick is not None:
            if since - begin < due:
                continue
            due = (since - begin) // tick * tick + tick
        count += 1
        if (count - 1) % every:
            continue
        if held is not None:
            yield dataclasses.replace(held, duration_seconds=now - held.pts_seconds)
        held = dataclasses.replace(frame, pts_seconds=now, index=kept)
        kept += 1
    if held is not None:
        yield dataclasses.replace(held, duration_seconds=over - held.pts_seconds)
