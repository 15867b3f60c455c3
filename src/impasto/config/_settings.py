"""Settings stored in files: options for images and videos, with the names of their preset and method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from impasto.config._fields import check_mapping, check_name, check_table
from impasto.config._film import METHODS, FilmOptions, with_new_names
from impasto.config._nested import option_fields
from impasto.config._paint import PRESETS, PaintOptions, options

__all__ = ["Settings", "from_mapping", "read_settings", "settings_of_media"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The validated contents of a settings file.

    Attributes:
        preset: Name of a preset, or None.
        paint: Fields of `PaintOptions` by name.
        method: Name of a method, or None.
        film: Fields of `FilmOptions` by name.
    """

    preset: str | None = None
    paint: Mapping[str, Any] = field(default_factory=dict)
    method: str | None = None
    film: Mapping[str, Any] = field(default_factory=dict)


def read_settings(values: object) -> Settings:
    """Validates settings from TOML or JSON.

    Args:
        values: A table of `PaintOptions` fields and ``preset``, with a table ``film`` of `FilmOptions` fields and
            ``method``; all keys are optional.

    Raises:
        UnknownNameError: A key or name does not exist.
        UsageError: A value is not allowed; the message contains the key's path.
    """
    paint = check_mapping(PaintOptions, check_table(values, "settings"), more=("preset", "film"))
    told = with_new_names(check_table(paint.pop("film", {}), "film"), "film.")
    film = check_mapping(FilmOptions, told, "film.", more=("method",))
    preset, method = paint.pop("preset", None), film.pop("method", None)
    if preset is not None:
        check_name("preset", preset, PRESETS)
    if method is not None:
        check_name("method", method, METHODS)
    return Settings(preset=preset, paint=paint, method=method, film=film)


def settings_of_media(settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Removes unsafe keys from settings embedded in an image or video.

    Such files may be untrusted, so their settings cannot name files to read or write or allow downloads. Looks that
    ship with impasto are kept.

    Returns:
        The settings, and the paths of the dropped keys.
    """
    paint, dropped = _trusted(PaintOptions, settings.paint)
    film, dropped_film = _trusted(FilmOptions, settings.film)
    kept = dataclasses.replace(settings, paint=paint, film=film)
    return kept, (*dropped, *(f"film.{name}" for name in dropped_film))


def _trusted(kind: type, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    refused = {
        spec.name
        for spec in option_fields(kind)
        if not spec.metadata["from_media"]
        and values.get(spec.name) != spec.default
        and str(values.get(spec.name)) not in spec.metadata["builtin"]
    }
    kept = {name: value for name, value in values.items() if name not in refused}
    return kept, [name for name in values if name in refused]


def from_mapping(values: Mapping[str, Any], base: str = "standard") -> PaintOptions:
    """Inverse of `to_mapping`; the key ``preset`` names the preset to start from."""
    settings = read_settings(values)
    return options(settings.preset or base, **settings.paint)
