"""Options of the command, made from the fields of `PaintOptions`, so that a default exists once."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from impasto.config import PRESETS, PaintOptions, options
from impasto.errors import InputError, MissingFileError, OutputError, UsageError

__all__ = [
    "Overrides",
    "given",
    "make_overrides",
    "read_config",
    "settle",
    "split_list",
    "write_config",
]

FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
_GROUPS: dict[str, Group] = {}


def _group(name: str) -> Group:
    return _GROUPS.setdefault(name, Group(name, sort_key=len(_GROUPS) + 1))


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _field(spec: dataclasses.Field[Any], hint: Any, usual: str) -> tuple[str, Any, Any]:
    """The same option, empty unless given; a list is one word with commas."""
    listed = get_origin(hint) is tuple
    text = f"{spec.metadata['help']} [default: {usual}]"
    if listed:
        text = text.replace(" [default", " Separated by commas. [default")
    kind = str if listed else hint
    parameter = Parameter(help=text, group=_group(spec.metadata["group"]), show_default=False)
    return spec.name, Annotated[typing.Optional[kind], parameter], dataclasses.field(default=None)  # noqa: UP045


def make_overrides(
    name: str, options: type, without: tuple[str, ...] = (), usual: Mapping[str, str] | None = None
) -> type:
    """A dataclass with the fields of a class of options, all empty unless given.

    Args:
        name: Of the class.
        options: The class of options.
        without: Fields that are left away.
        usual: What help says of defaults that are other than the options' own.
    """
    hints, said = get_type_hints(options), usual or {}
    fields = [
        _field(spec, hints[spec.name], said.get(spec.name, _said(spec.default)))
        for spec in dataclasses.fields(options)
        if spec.name not in without
    ]
    made = dataclasses.make_dataclass(name, fields, frozen=True, kw_only=True)
    made.__module__ = __name__  # else it passes for a builtin of `types`
    return made


Overrides = make_overrides("Overrides", PaintOptions)


def given(overrides: Any, options: type = PaintOptions) -> dict[str, Any]:
    """What was given on the command line, as values of the fields."""
    values: dict[str, Any] = {}
    hints = get_type_hints(options)
    for spec in dataclasses.fields(overrides) if overrides is not None else ():
        value = getattr(overrides, spec.name)
        if value is not None:
            hint = hints[spec.name]
            values[spec.name] = (
                split_list(spec.name, value, get_args(hint)[0])
                if get_origin(hint) is tuple
                else value
            )
    return values


def split_list(name: str, text: str, kind: type) -> tuple[Any, ...]:
    """Takes a list apart that was given as one word with commas."""
    try:
        return tuple(kind(item) for item in text.replace(",", " ").split())
    except ValueError as error:
        flag = "--" + name.replace("_", "-")
        what = {int: "whole numbers", float: "numbers"}.get(kind, "names")
        raise UsageError(f"{flag} got {text!r}; allowed are {what} separated by commas.") from error


def read_config(path: Path) -> dict[str, Any]:
    """Reads options from a TOML file, or from a picture or film that impasto painted."""
    if not path.exists():
        raise MissingFileError(
            f"there is no file {path}; give a TOML file, or a picture or film made by impasto."
        )
    if path.suffix.lower() in FILMS:
        return _from_film(path)
    if path.suffix.lower() != ".toml":
        return _from_picture(path)
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef]
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} is not TOML that can be read ({error}).") from error
    return values


def write_config(path: Path, values: dict[str, Any]) -> None:
    """Writes settled options to a TOML file, for `read_config`.

    Raises:
        OutputError: It cannot be written.
    """
    import tomli_w

    try:
        path.write_text(tomli_w.dumps(values), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another place."
        ) from error


def _from_film(path: Path) -> dict[str, Any]:
    from impasto.media.video import read_film_metadata

    values = read_film_metadata(path)
    if not isinstance(values.get("options"), dict):
        raise InputError(
            f"{path} carries no settings of impasto; give a TOML file or a film made by impasto."
        )
    return {**values["options"], "film": values.get("film", {})}


def _from_picture(path: Path) -> dict[str, Any]:
    import json

    from impasto.media import read_metadata

    try:
        text = read_metadata(path)["impasto"]
        values: dict[str, Any] = json.loads(text)["options"]
    except (KeyError, ValueError, OSError) as error:
        raise InputError(
            f"{path} carries no settings of impasto; give a TOML file or a picture made by impasto."
        ) from error
    return values


def settle(preset: str | None, config: Path | None, overrides: Any) -> PaintOptions:
    """Preset, then the config's values, then those of the command line."""
    values = read_config(config) if config is not None else {}
    values.pop("film", None)
    base = values.pop("preset", "standard")
    return options(preset or base, **(values | given(overrides)))


def preset_names() -> str:
    """For the help text."""
    return ", ".join(PRESETS)
