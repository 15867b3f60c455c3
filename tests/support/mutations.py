"""Deterministic damage to files: flipped bits, truncation, and replaced numbers in headers."""

from __future__ import annotations

import random

SWAPS = (b"0", b"-1", b"99999999999", b"null", b"[]", b'""')


def flipped(data: bytes, draw: random.Random, most: int = 8) -> bytes:
    """Flips a few bits anywhere."""
    made = bytearray(data)
    for _ in range(draw.randint(1, most)):
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    return bytes(made)


def cut(data: bytes, draw: random.Random) -> bytes:
    """Truncates the data."""
    return data[: draw.randrange(len(data))]


def early(data: bytes, draw: random.Random) -> bytes:
    """Flips bits in the first 400 bytes, where headers are."""
    return flipped(data[:400], draw, 4) + data[400:]


def overwritten(data: bytes, draw: random.Random) -> bytes:
    """Replaces a range of bytes with noise, zeros or ones."""
    at, length = draw.randrange(len(data)), draw.randint(1, 64)
    filler = draw.choice([bytes(length), b"\xff" * length, draw.randbytes(length)])
    return data[:at] + filler + data[at + length :]


def spliced(data: bytes, draw: random.Random) -> bytes:
    """Replaces a number in the first 4000 bytes with a value of another length."""
    places = [n for n in range(min(4000, len(data))) if data[n : n + 1].isdigit()]
    if not places:
        return cut(data, draw)
    at = draw.choice(places)
    return data[:at] + draw.choice(SWAPS) + data[at + 1 :]


MUTATIONS = (flipped, cut, early, overwritten, spliced)


def mutated(data: bytes, seed: int) -> bytes:
    """Returns a damaged copy; deterministic for a given seed."""
    draw = random.Random(seed)
    return draw.choice(MUTATIONS)(data, draw)
