"""Layer names: the field's own, and the other names people know them by."""

from __future__ import annotations

import re
from collections.abc import Sequence

from impasto.errors import unknown_name

__all__ = ["resolve_layer", "resolve_layers"]

PAPER = re.compile(r"^(conv|relu|pool)(\d)_?(\d)?$")
KERAS = re.compile(r"^block(\d)_(conv|pool)(\d)?$")


def resolve_layer(name: str, available: Sequence[str]) -> str:
    """Finds the layer that a name means.

    The canonical name of a VGG layer is that of its activation, ``relu4_2``. The papers write ``conv4_2`` and every
    published implementation of them reads the map after the ReLU, so ``conv4_2`` means ``relu4_2`` here too.
    Keras' ``block4_conv2`` is the same layer: Keras fuses the ReLU into the convolution. ``relu42`` and ``conv42``,
    without the underscore, pass as well.

    Args:
        name: Canonical or an alias.
        available: The backbone's own names.

    Raises:
        UnknownNameError: Nothing is meant, with the nearest name.
    """
    if name in available:
        return name
    candidate = name.lower()
    keras = KERAS.match(candidate)
    if keras:
        kind = "pool" if keras[2] == "pool" else "relu"
        candidate = f"{kind}{keras[1]}" + (f"_{keras[3]}" if keras[3] else "")
    else:
        paper = PAPER.match(candidate)
        if paper:
            kind = "pool" if paper[1] == "pool" else "relu"
            candidate = f"{kind}{paper[2]}" + (f"_{paper[3]}" if paper[3] else "")
    if candidate in available:
        return candidate
    raise unknown_name("layer", name, available)


def resolve_layers(names: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Resolves several names, in order."""
    return tuple(resolve_layer(name, available) for name in names)
