"""Translators between two image domains, trained on two sets of images: CycleGAN and pix2pix."""

from impasto.translate.export import WholeTranslator, graph_of_translator
from impasto.translate.file import (
    Translator,
    is_translator,
    load_translator,
    save_translator,
)
from impasto.translate.networks import GeneratorShape, make_generator
from impasto.translate.paint import TranslatorPainter, feed_forward_translator

__all__ = [
    "GeneratorShape",
    "Translator",
    "TranslatorPainter",
    "WholeTranslator",
    "feed_forward_translator",
    "graph_of_translator",
    "is_translator",
    "load_translator",
    "make_generator",
    "save_translator",
]
