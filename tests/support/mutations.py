"""Seeded damage to files: flipped bits, cut ends, numbers in headers replaced."""

from __future__ import annotations

import random

SWAPS = (b"0", b"-1", b"99999999999", b"null", b"[]", b'""')


def flipped(data: bytes, draw: random.Random, most: int = 8) -> bytes:
    """A few bits anywhere."""
    made = bytearray(data)
    for _ in range(draw.randint(1, most)):
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    return bytes(made)


def cut(data: bytes, draw: random.Random) -> bytes:
    """The beginning."""
    return data[: draw.randrange(len(data))]


def early(data: bytes, draw: random.Random) -> bytes:
    """Bits among the first 400 bytes, where headers are."""
    return flipped(data[:400], draw, 4) + data[400:]


def overwritten(data: bytes, draw: random.Random) -> bytes:
    """A run of bytes replaced by noise, zeros or ones."""
    at, length = draw.randrange(len(data)), draw.randint(1, 64)
    filler = draw.choice([bytes(length), b"\xff" * length, draw.randbytes(length)])
    return data[:at] + filler + data[at + length :]


def spliced(data: bytes, draw: random.Random) -> bytes:
    """A number in the first 4000 bytes replaced by something else of another length."""
    places = [n for n in range(min(4000, len(data))) if data[n : n + 1].isdigit()]
    if not places:
        return cut(data, draw)
    at = draw.choice(places)
    return data[:at] + draw.choice(SWAPS) + data[at + 1 :]


MUTATIONS = (flipped, cut, early, overwritten, spliced)


def mutated(data: bytes, seed: int) -> bytes:
    """One damaged copy; the same for the same seed."""
    draw = random.Random(seed)
    return draw.choice(MUTATIONS)(data, draw)
