"""Feed-forward networks that paint at once: any style, or one they were trained for."""

from impasto.looks.file import SHIPPED, Look, load_look, save_look
from impasto.looks.networks import Johnson, Mirror, Painter, PainterShape, StyleCode
from impasto.looks.paint import LookPainter

__all__ = [
    "SHIPPED",
    "Johnson",
    "Look",
    "LookPainter",
    "Mirror",
    "Painter",
    "PainterShape",
    "StyleCode",
    "load_look",
    "save_look",
]
