"""Feed-forward networks that paint at once, each in the style that it was taught."""

from impasto.looks.file import Look, load_look, save_look
from impasto.looks.networks import Johnson, Painter, PainterShape
from impasto.looks.paint import LookPainter

__all__ = [
    "Johnson",
    "Look",
    "LookPainter",
    "Painter",
    "PainterShape",
    "load_look",
    "save_look",
]
