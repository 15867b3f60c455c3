"""impasto: neural style transfer for images and videos.

    import impasto
    impasto.stylize("photo.jpg", "painting.jpg").save("out.png")
    impasto.stylize_video("clip.mp4", "painting.jpg", "out.mp4")

Importing this package loads nothing heavy; torch is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impasto._version import __version__
from impasto.config import METHODS, PRESETS, FilmOptions, PaintOptions, film_options, options
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.backbones import load_backbone
    from impasto.optimize import Optimization
    from impasto.pipeline import stylize, stylize_image, stylize_video

__all__ = [
    "METHODS",
    "PRESETS",
    "FilmOptions",
    "ImpastoError",
    "Optimization",
    "PaintOptions",
    "__version__",
    "film_options",
    "load_backbone",
    "options",
    "stylize",
    "stylize_image",
    "stylize_video",
]

_LAZY = {
    "Optimization": "impasto.optimize",
    "load_backbone": "impasto.backbones",
    "stylize": "impasto.pipeline",
    "stylize_image": "impasto.pipeline",
    "stylize_video": "impasto.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
