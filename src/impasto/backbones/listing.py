"""A readable table of the backbones."""

from __future__ import annotations

from impasto.backbones.fetch import find_weights
from impasto.backbones.registry import ENTRIES

__all__ = ["describe"]


def describe() -> str:
    """Returns a readable table of all backbones: name, size, availability, license and description."""
    lines = []
    for entry in ENTRIES.values():
        where = (
            "available"
            if find_weights(entry.name)
            else ("--download" if entry.url else "--weights")
        )
        size = f"{entry.size_bytes / 1e6:.1f} MB"
        lines.append(
            f"{entry.name:<17} {size:>9}  {where:<11} {entry.license}\n{'':<18}{entry.note}"
        )
    return "\n".join(lines)
