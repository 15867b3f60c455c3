"""Layer names: canonical names and common aliases."""

from __future__ import annotations

import re
from collections.abc import Sequence

from impasto.errors import unknown_name

__all__ = ["resolve_layer", "resolve_layers"]

PAPER = re.compile(r"^(conv|relu|pool)(\d)_?(\d)?$")
KERAS = re.compile(r"^block(\d)_(conv|pool)(\d)?$")


def resolve_layer(name: str, available: Sequence[str]) -> str:
    """Resolves a layer name or alias to the canonical name.

    The canonical name of a VGG layer is that of its activation, ``relu4_2``. The papers write ``conv4_2``, but all
    published implementations use the feature map after the ReLU, so ``conv4_2`` means ``relu4_2`` here too.
    Keras' ``block4_conv2`` is the same layer, because Keras fuses the ReLU into the convolution. ``relu42`` and
    ``conv42``, without the underscore, are also accepted.

    Args:
        name: Canonical name or alias.
        available: Canonical names of the backbone's layers.

    Raises:
        UnknownNameError: There is no such layer; the message suggests the closest name.
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
    """Resolves several layer names, in order."""
    return tuple(resolve_layer(name, available) for name in names)
