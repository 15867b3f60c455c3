"""Options that make libx264 deterministic across processors."""

from __future__ import annotations

from impasto.machine import has_avx512

__all__ = ["repeatable_x264"]


def repeatable_x264() -> dict[str, str]:
    """Returns options for libx264, to be merged with others.

    With AVX-512, its macroblock tree reads uninitialized memory unless the width is a multiple of 128 px, so that the
    same frames can give different files. AVX2 gives the same quality at the same speed.
    """
    return {"x264-params": "asm=avx2"} if has_avx512() else {}
