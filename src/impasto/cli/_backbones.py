"""`impasto backbones`: the available feature extractors and the sources of their weights."""

from __future__ import annotations

__all__ = ["backbones"]


def backbones() -> int:
    """List feature extractors with their weights and licenses."""
    from impasto.backbones import describe

    print(describe())
    return 0
