"""Command-line options, generated from the fields of `PaintOptions` so that each default is defined only once."""

from __future__ import annotations

import dataclasses
import json
import sys
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from cyclopts import Group, Parameter

from impasto.cli._help import shows_every_option
from impasto.config import (
    PRESETS,
    PaintOptions,
    Settings,
    flag,
    flag_of,
    option_fields,
    option_hints,
    options,
    read_settings,
    read_toml,
    settings_of_media,
)
from impasto.errors import InputError, MissingFileError, OutputError, UsageError
from impasto.text import printable, shown

__all__ = [
    "COMMON",
    "Overrides",
    "carried",
    "check_config_place",
    "given",
    "make_overrides",
    "preset_names",
    "read_config",
    "settle",
    "split_list",
    "write_config",
]

MARK = "# Settings written by impasto."
"""First line of a settings file; a file without this line is never replaced."""

NO_SETTINGS = (
    "{} contains no impasto settings; pass a TOML file, or an image or video made by impasto."
)
_GROUPS: dict[str, Group] = {}

COMMON = frozenset(
    ("size", "strength", "style_scale", "blend", "keep_colors", "look", "regions", "steps", "seed")
)
"""Options of `PaintOptions` that --help shows; --help-all shows every option."""


def _group(name: str) -> Group:
    return _GROUPS.setdefault(name, Group(name, sort_key=len(_GROUPS) + 1))


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _field(
    spec: dataclasses.Field[Any], hint: Any, usual: str, *, common: bool
) -> tuple[str, Any, Any]:
    """Returns an optional command-line version of a field; lists become one comma-separated word."""
    listed = get_origin(hint) is tuple
    text = f"{spec.metadata['help']} [default: {usual}]"
    if listed:
        text = text.replace(" [default", " Comma-separated. [default")
    kind = str if listed else hint
    parameter = Parameter(
        name=flag_of(spec),
        help=text,
        group=_group(spec.metadata["group"]),
        show_default=False,
        show=common or shows_every_option(),
    )
    return spec.name, Annotated[typing.Optional[kind], parameter], dataclasses.field(default=None)  # noqa: UP045


def make_overrides(
    name: str,
    options: type,
    without: tuple[str, ...] = (),
    usual: Mapping[str, str] | None = None,
    common: Collection[str] | None = None,
) -> type:
    """Creates a dataclass with the fields of an option class, all None unless given.

    Args:
        name: Name of the new class.
        options: The option class.
        without: Fields to omit.
        usual: Default values to show in the help instead of the fields' own.
        common: Fields that --help shows; all if None.
    """
    hints, said = option_hints(options), usual or {}
    fields = [
        _field(
            spec,
            hints[spec.name],
            said.get(spec.name, _said(spec.default)),
            common=common is None or spec.name in common,
        )
        for spec in option_fields(options)
        if spec.name not in without
    ]
    made = dataclasses.make_dataclass(name, fields, frozen=True, kw_only=True)
    made.__module__ = __name__  # otherwise it would be `types`
    return made


Overrides = make_overrides("Overrides", PaintOptions, common=COMMON)


def given(overrides: Any, options: type = PaintOptions) -> dict[str, Any]:
    """Returns the options given on the command line, as field values."""
    values: dict[str, Any] = {}
    hints = option_hints(options)
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
    """Splits a comma-separated list."""
    try:
        return tuple(kind(item) for item in text.replace(",", " ").split())
    except ValueError as error:
        what = {int: "integers", float: "numbers"}.get(kind, "names")
        raise UsageError(
            f"{flag(name)} must be comma-separated {what}; got {shown(text)}."
        ) from error


def read_config(path: Path) -> Settings:
    """Reads settings from a TOML file, or from an image or video made by impasto.

    Settings embedded in an image or video cannot name files or allow downloads; ignored keys are printed to standard
    error.

    Raises:
        MissingFileError: The file does not exist.
        InputError: The file contains no readable settings.
        UsageError: A setting is not allowed; the message contains the file and the key's path.
    """
    if not path.exists():
        raise MissingFileError(
            f"there is no file {path}; pass a TOML file, or an image or video made by impasto."
        )
    if path.suffix.lower() == ".toml":
        return _settings_in(path, read_toml(path, "settings file"))
    kept, dropped = settings_of_media(_settings_in(path, _carried(path)))
    if dropped:
        names = ", ".join(dropped)
        more = "; pass the look with --look" if "look" in dropped else ""
        print(
            printable(f"note: ignored settings in {path.name} that name files or allow downloads: {names}{more}"),
            file=sys.stderr,
        )  # fmt: skip
    return kept


def _settings_in(path: Path, values: object) -> Settings:
    """Validates settings and adds the file name to any error."""
    try:
        return read_settings(values)
    except UsageError as error:
        raise type(error)(f"in {path}, {error}") from error


def _carried(path: Path) -> object:
    """Reads the settings embedded in an image or video.

    Raises:
        InputError: The file contains none.
    """
    try:
        values = carried(path)
        return {**values["options"], "film": values.get("film", {})}
    except (LookupError, TypeError) as error:
        raise InputError(NO_SETTINGS.format(path)) from error


def carried(path: Path) -> dict[str, Any]:
    """Reads all metadata that impasto embedded in an image or video.

    Raises:
        InputError: The metadata is missing or damaged.
    """
    from impasto.media import is_film

    try:
        values = _film_metadata(path) if is_film(path) else _metadata(path)
    except Exception as error:  # the file is untrusted, and readers raise arbitrary errors
        raise InputError(NO_SETTINGS.format(path)) from error
    if not isinstance(values, dict):
        raise InputError(NO_SETTINGS.format(path))
    return values


def _film_metadata(path: Path) -> Any:
    from impasto.media.video import read_film_metadata

    return read_film_metadata(path)


def _metadata(path: Path) -> Any:
    from impasto.media import read_metadata

    return json.loads(read_metadata(path)["impasto"])


def check_config_place(path: Path) -> None:
    """Rejects a settings path that is not a .toml file or would replace a file that impasto did not write.

    Raises:
        UsageError: The name does not end in .toml.
        OutputError: The file exists and does not begin with `MARK`, or the folder cannot be written.
    """
    from impasto.media import check_place

    if path.suffix.lower() != ".toml":
        raise UsageError(
            f"settings must be written to a .toml file, not to {path.name}; change the name."
        )
    check_place(path, "settings file")
    if path.exists() and not _is_ours(path):
        raise OutputError(
            f"{path} exists and was not written by impasto; choose another name, or remove it."
        )


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def write_config(path: Path, values: dict[str, Any], source: Path | None = None) -> None:
    """Writes options to a TOML file, for `read_config`.

    Args:
        path: The file.
        values: The options.
        source: The file that options were read from, which is not replaced.

    Raises:
        UsageError: The name does not end in .toml, or the file is `source`.
        OutputError: The file cannot be written, or would replace one that impasto did not write.
    """
    import tomli_w

    from impasto.media import check_not_input, replacing

    check_config_place(path)
    check_not_input([path], [source])
    with replacing(path) as beside:
        beside.write_text(f"{MARK}\n{tomli_w.dumps(values)}", encoding="utf-8")


def settle(preset: str | None, config: Path | None, overrides: Any) -> PaintOptions:
    """Combines the preset, the config file and the command line; later ones take precedence."""
    settings = read_config(config) if config is not None else Settings()
    base = preset or settings.preset or "standard"
    return options(base, **{**settings.paint, **given(overrides)})


def preset_names() -> str:
    """Returns the preset names for the help text."""
    return ", ".join(PRESETS)
