"""Creates damaged copies of valid files; deterministic for a given seed."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

__all__ = ["checked_chunks", "mutated", "mutated_text"]

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBERS = (b"0", b"-1", b"99999999999", b"null", b"[]", b'""')
TOKENS = (
    "nan", "inf", "-inf", "-1", "0", "1e400", "-0.0", "true", "false", '""', '"\\u0000"', '"\\u001b[2J"', "[]", "[[]]",
    "{}", "{a = {}}", "[1, 'a']", "2026-11-24", "1979-05-27T07:32:00Z", "0x7fffffffffffffff", "9" * 400,
    '"' + "x" * 5000 + '"', '"/etc/passwd"', '"../../escape"', "[" * 300 + "]" * 300, "[film]", "[[options]]",
    "preset = []", "\ufeff", "\u202e",
)  # fmt: skip


def mutated(whole: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Returns a copy with one to four kinds of damage.

    Args:
        whole: The contents of a valid file.
        rng: Determines the damage.
        others: Contents of more files, pieces of which may be inserted.
    """
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        rng.choice(DAMAGES)(data, rng)
    if others and rng.random() < 0.05:
        _splice(data, rng, rng.choice(others))
    return bytes(data)


def mutated_text(whole: str, rng: random.Random) -> bytes:
    """Returns a copy of a text with values and lines replaced, as UTF-8, occasionally with invalid bytes."""
    lines = whole.splitlines()
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        name = lines[at].partition("=")[0].strip() or "x"
        lines[at] = rng.choice(
            (
                f"{name} = {rng.choice(TOKENS)}", f"{name}{rng.randrange(9)} = 1", rng.choice(TOKENS), f"[{name}]",
                f"[[{name}]]", f"{name}.a.b = 1", lines[rng.randrange(len(lines))], lines[at] + rng.choice(TOKENS), "",
            )
        )  # fmt: skip
    data = "\n".join(lines).encode(errors="surrogatepass")
    return mutated(data, rng) if rng.random() < 0.2 and data else data


def checked_chunks(data: bytes) -> bytes:
    """Corrects the chunk checksums of a damaged PNG; returns other files unchanged."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    made, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = min(int.from_bytes(data[at : at + 4], "big"), len(data) - at - 12)
        body = data[at + 4 : at + 8 + length]
        made += length.to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return bytes(made)


def _place(data: bytearray, rng: random.Random) -> int:
    """Returns a random position, more often near the beginning, where headers are."""
    most = max(1, len(data))
    return rng.randrange(min(most, 512)) if rng.random() < 0.6 else rng.randrange(most)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at : at + rng.choice((1, 2, 4, 16))] = rng.randbytes(rng.choice((1, 2, 4, 16)))


def _extreme(data: bytearray, rng: random.Random) -> None:
    kind = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    at, size = _place(data, rng), struct.calcsize(kind)
    data[at : at + size] = struct.pack(kind, rng.choice(EXTREMES) & (256**size - 1))


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 4, 32, 512))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = data[at : at + rng.choice((4, 32, 512))] * rng.choice((1, 3))


def _zero(data: bytearray, rng: random.Random) -> None:
    at, count = _place(data, rng), rng.choice((4, 64, 1024))
    data[at : at + count] = bytes(len(data[at : at + count]))


def _splice(data: bytearray, rng: random.Random, other: bytes) -> None:
    at, start = _place(data, rng), rng.randrange(max(1, len(other)))
    data[at:at] = other[start : start + rng.choice((8, 64, 1024))]


def _swap_number(data: bytearray, rng: random.Random) -> None:
    """Replaces a digit near the beginning with a value of another length, as in a JSON header."""
    places = [at for at in range(min(4000, len(data))) if data[at : at + 1].isdigit()]
    if places:
        at = rng.choice(places)
        data[at : at + 1] = rng.choice(NUMBERS)


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _overwrite, _extreme, _extreme, _cut, _remove, _repeat, _zero, _swap_number,
)  # fmt: skip
