"""Detects damaged frames by their checksums and drops them together with all dependent frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from impasto.pipeline.store import PaintStore

__all__ = ["Damage", "repair", "without_motion"]


@dataclass(frozen=True)
class Damage:
    """A missing or damaged frame, and the frames that must be stylized again because of it.

    Attributes:
        frame: Its number.
        frames: Numbers of the frames to stylize again.
        turn: The pass.
    """

    frame: int
    frames: list[int]
    turn: int

    def __str__(self) -> str:
        where = f" in pass {self.turn}" if self.turn > 1 else ""
        first, last = min(self.frames), max(self.frames)
        if first == last:
            return f"frame {self.frame} was damaged and is processed again{where}"
        return (
            f"frame {self.frame} was damaged; frames {first} to {last} are processed again{where}"
        )


def repair(
    store: PaintStore, turns: int = 1, *, loop: bool = False, steps: bool = False
) -> list[Damage]:
    """Verifies every file's checksum and drops damaged frames together with the frames that depend on them.

    A frame depends on the earlier frames of its shot; in a further pass, on the same frame of the previous pass and on
    its neighbor. The end of a loop depends on its beginning.

    Args:
        store: The completed frames.
        turns: Number of passes.
        loop: Whether the video loops back to its first frame.
        steps: Whether a frame needs the previous frame's iterates; if they are missing, the entire shot is dropped.

    Returns:
        What was dropped. An incomplete end after an interruption is not damage.
    """
    painted = store.painted()
    found, shots = _first_pass(store, painted, steps=steps)
    if loop and any(0 in damage.frames for damage in found):
        found, shots = [Damage(0, list(range(max(painted) + 1)), 1)], []
    lost = {index for damage in found for index in damage.frames}
    dropped = {(index, turn) for index in lost for turn in range(1, turns + 1)}
    for turn in range(2, turns + 1):
        later, lost = _further_pass(store, shots, turn, lost)
        found += later
        dropped |= {(index, turn) for index in lost}
    for index, turn in sorted(dropped):
        store.drop(index, turn)
    return found


def _first_pass(
    store: PaintStore, painted: Iterable[int], *, steps: bool
) -> tuple[list[Damage], list[list[int]]]:
    """Returns the damage of the first pass, and the frames of each shot."""
    found: list[Damage] = []
    shots: list[list[int]] = []
    broken: Damage | None = None
    for index in range(max(painted, default=-1) + 1):
        record = store.whole(index)
        if record is not None and record["opens"]:
            broken = None
        if not shots or (record is not None and record["opens"]):
            shots.append([])
        shots[-1].append(index)
        if record is None and broken is None:
            broken = Damage(index, _from(store, shots[-1], steps=steps), 1)
            found.append(broken)
        elif broken is not None:
            broken.frames.append(index)
    if steps and shots and broken is None and not store.has_iterates(shots[-1][-1]):
        found.append(Damage(shots[-1][-1], list(shots[-1]), 1))
    return found, shots


def _from(store: PaintStore, shot: Sequence[int], *, steps: bool) -> list[int]:
    """Returns the frames of a shot to stylize again, up to the last one given, which is damaged."""
    if steps and len(shot) > 1 and not store.has_iterates(shot[-2]):
        return list(shot)
    return [shot[-1]]


def _further_pass(
    store: PaintStore, shots: Sequence[Sequence[int]], turn: int, lost: set[int]
) -> tuple[list[Damage], set[int]]:
    """Returns the damage of a further pass, and the frames to drop from it."""
    found, gone = [], set[int]()
    for shot in shots:
        order = list(reversed(shot)) if turn % 2 == 0 else list(shot)
        whole = [store.whole(index, turn) is not None for index in order]
        first = next(
            (n for n, index in enumerate(order) if index in lost or not whole[n]), len(order)
        )
        rest = order[first:]
        gone.update(rest)
        if not lost.intersection(rest) and any(store.has(index, turn) for index in rest):
            found.append(Damage(order[first], rest, turn))
    return found, gone


def without_motion(
    store: PaintStore, opens: Sequence[bool], painted: frozenset[int], reach: int
) -> frozenset[int]:
    """Returns frames whose motion must be recomputed, because later frames need it and it is no longer stored.

    Drift correction accumulates from the start of a shot, so motion is recomputed from there.

    Args:
        store: The completed frames.
        opens: Whether each frame starts a shot, up to the last completed one; False if unknown.
        painted: The completed frames.
        reach: How many frames back motion is needed.
    """
    found: set[int] = set()
    opening = 0
    for index in range(len(opens) + 1):
        if index < len(opens) and opens[index]:
            opening = index
        elif index not in painted and index - 1 in painted:
            wanted = range(max(opening + 1, index - reach), index)
            if not all(store.has_flow(one) for one in wanted):
                found.update(range(opening + 1, index))
    return frozenset(found)
