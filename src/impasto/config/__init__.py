"""Options as frozen values: the command line, the page and the docs are made from these fields.

Nothing here imports torch, so that ``impasto --help`` is instant.
"""

from impasto.config._fields import to_mapping
from impasto.config._film import METHODS, FilmOptions, film_options
from impasto.config._paint import (
    PRESETS,
    KeepColors,
    PaintOptions,
    StartName,
    StyleLossName,
    from_mapping,
    option_fields,
    options,
)
from impasto.config._train import TrainOptions, train_options
from impasto.config._translate import TranslateOptions, translate_options

__all__ = [
    "METHODS",
    "PRESETS",
    "FilmOptions",
    "KeepColors",
    "PaintOptions",
    "StartName",
    "StyleLossName",
    "TrainOptions",
    "TranslateOptions",
    "film_options",
    "from_mapping",
    "option_fields",
    "options",
    "to_mapping",
    "train_options",
    "translate_options",
]
