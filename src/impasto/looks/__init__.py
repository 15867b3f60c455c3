"""Looks: feed-forward stylization networks, trained for one style or for any style."""

from impasto.looks.any_style import AnyStylePainter, with_style
from impasto.looks.export import WholeLook, graph_look, graph_of, on_runtime, read_graph
from impasto.looks.file import INSTANT, Look, load_look, save_look
from impasto.looks.instant import Instant
from impasto.looks.networks import Johnson, Painter, PainterShape
from impasto.looks.paint import LookPainter
from impasto.looks.ready import feed_forward_look

__all__ = [
    "INSTANT",
    "AnyStylePainter",
    "Instant",
    "Johnson",
    "Look",
    "LookPainter",
    "Painter",
    "PainterShape",
    "WholeLook",
    "feed_forward_look",
    "graph_look",
    "graph_of",
    "load_look",
    "on_runtime",
    "read_graph",
    "save_look",
    "with_style",
]
