"""Options as frozen dataclasses, from which the command line and the docs are generated.

Nothing here imports torch, so that ``impasto --help`` is instant.
"""

from impasto.config._choices import SOLVERS, STYLE_LOSSES
from impasto.config._fields import (
    DEVICE,
    MOST_SEED,
    change_fields,
    check_fields,
    check_mapping,
    check_name,
    check_table,
    derived_seed,
    flag,
    flag_of,
    option,
    path_fields,
    to_mapping,
)
from impasto.config._film import METHODS, FilmOptions, film_options, with_new_names
from impasto.config._groups import (
    ColorOptions,
    ExtractorOptions,
    FeedForwardOptions,
    ImageOptions,
    KeepColors,
    LossOptions,
    MachineOptions,
    OptimizerOptions,
    RegionOptions,
    StartName,
)
from impasto.config._nested import option_fields, option_hints
from impasto.config._paint import PRESETS, PaintOptions, options
from impasto.config._settings import Settings, from_mapping, read_settings, settings_of_media
from impasto.config._toml import parse_toml, read_toml
from impasto.config._train import TrainOptions, train_options
from impasto.config._translate import TranslateOptions, translate_options

__all__ = [
    "DEVICE",
    "METHODS",
    "MOST_SEED",
    "PRESETS",
    "SOLVERS",
    "STYLE_LOSSES",
    "ColorOptions",
    "ExtractorOptions",
    "FeedForwardOptions",
    "FilmOptions",
    "ImageOptions",
    "KeepColors",
    "LossOptions",
    "MachineOptions",
    "OptimizerOptions",
    "PaintOptions",
    "RegionOptions",
    "Settings",
    "StartName",
    "TrainOptions",
    "TranslateOptions",
    "change_fields",
    "check_fields",
    "check_mapping",
    "check_name",
    "check_table",
    "derived_seed",
    "film_options",
    "flag",
    "flag_of",
    "from_mapping",
    "option",
    "option_fields",
    "option_hints",
    "options",
    "parse_toml",
    "path_fields",
    "read_settings",
    "read_toml",
    "settings_of_media",
    "to_mapping",
    "train_options",
    "translate_options",
    "with_new_names",
]
