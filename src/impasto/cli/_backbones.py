"""`impasto backbones`: which networks there are, and where their weights come from."""

from __future__ import annotations

__all__ = ["backbones"]


def backbones() -> int:
    """List the networks that can see for the optimizer, their weights and licenses."""
    from impasto.backbones import describe

    print(describe())
    return 0
