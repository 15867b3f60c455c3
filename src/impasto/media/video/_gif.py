"""Adds a comment to a GIF, which FFmpeg cannot write."""

from __future__ import annotations

from pathlib import Path

__all__ = ["add_gif_comment"]

BLOCK_BYTES = 255
MOVED_BYTES = 1 << 20


def add_gif_comment(path: Path, text: str) -> None:
    """Inserts a comment (GIF89a, section 24) before the first image, in place.

    Args:
        path: A complete GIF.
        text: Encoded as UTF-8.
    """
    data = text.encode()
    blocks = (data[n : n + BLOCK_BYTES] for n in range(0, len(data), BLOCK_BYTES))
    comment = b"!\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    with path.open("r+b") as file:
        packed = file.read(13)[10]
        begin = 13 + (
            3 << ((packed & 7) + 1) if packed & 0x80 else 0
        )  # after the global color table
        place = file.seek(0, 2)
        while place > begin:
            count = min(MOVED_BYTES, place - begin)
            place -= count
            file.seek(place)
            moved = file.read(count)
            file.seek(place + len(comment))
            file.write(moved)
        file.seek(begin)
        file.write(comment)
