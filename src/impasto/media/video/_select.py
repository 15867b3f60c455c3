"""Which frames of a clip are painted, and when each is shown."""

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
    """Takes an excerpt, numbered anew, on a clock that begins with it; a frame lasts until the next one kept.

    Args:
        frames: Of the clip, in order.
        start: Second after the first frame.
        end: Likewise; None for the end.
        fps: At most so many frames a second: a frame is kept when the next tick has come.
        every: Of those, keep the first of every so many.

    Yields:
        Frames with timestamps as exact rationals.
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
