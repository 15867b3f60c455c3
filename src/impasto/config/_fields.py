"""Shared code of all option classes: fields with help and range, one validator, and plain values for TOML."""

from __future__ import annotations

import dataclasses
import difflib
import numbers
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from impasto.config._nested import option_fields, option_hints
from impasto.errors import UsageError, unknown_name
from impasto.text import is_utf8, printable, shown

__all__ = [
    "DEVICE",
    "MOST_SEED",
    "PathUse",
    "change_fields",
    "check_fields",
    "check_mapping",
    "check_name",
    "check_table",
    "derived_seed",
    "flag",
    "flag_of",
    "option",
    "path_fields",
    "to_mapping",
]

PathUse = Literal["read", "write"]
Spec = dataclasses.Field[Any]

MOST_SEED = 2**63 - 1
"""Largest seed that both torch and NumPy accept."""

MOST_INTEGER = 2**31 - 1
MOST_NUMBER = 1e9
MOST_ITEMS = 1000
MOST_CHARACTERS = 1000
MOST_PATH_CHARACTERS = 4096

DEVICE: Mapping[str, Any] = types.MappingProxyType(
    {"pattern": r"auto|cpu|cuda|cuda:\d{1,3}|mps", "allowed": "auto, cpu, cuda, cuda:N or mps"}
)
"""Arguments to `option` for a field that names a device."""


def option(
    default: Any,
    text: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    **more: Any,
) -> Any:
    """Defines a dataclass field with its help text and allowed values.

    Args:
        default: Default value.
        text: Help text.
        group: Heading in the help.
        low: Minimum of a number.
        high: Maximum of a number; `MOST_INTEGER` or `MOST_NUMBER` if not given.
        **more: ``path`` states whether a path is read or written (`PathUse`; required for every path). ``builtin``
            lists names that are allowed in place of a path. ``choices`` maps the allowed names to phrases, which are
            added to the help. ``flag`` is the option on the command line without dashes, if it is not the field's name.
            ``pattern`` is a regular expression that text must match, and ``allowed`` describes it in
            words. ``from_media`` states whether settings embedded in an image or video
            may set the field (by default all but paths).
    """
    usual: dict[str, Any] = {
        "path": None,
        "builtin": (),
        "choices": {},
        "flag": None,
        "pattern": None,
        "allowed": "",
        "from_media": None,
    }
    if more.keys() - usual.keys():
        raise TypeError(f"option() has no arguments {sorted(more.keys() - usual.keys())}")
    about = usual | more
    if about["from_media"] is None:
        about["from_media"] = about["path"] is None
    if about["choices"]:
        text = f"{text}: {_listed(about['choices'])}."
    about |= {"help": text, "group": group, "low": low, "high": high}
    return field(default=default, metadata=about)


def _listed(choices: Mapping[str, str]) -> str:
    *names, last = (f"{name} ({phrase})" for name, phrase in choices.items())
    return f"{', '.join(names)}, or {last}"


def check_fields(values: Any) -> None:
    """Validates every field of a frozen dataclass against its type, choices and range.

    Lists become tuples, integers become floats, and strings become paths, as the field requires. The magnitude of a
    number without ``low`` and ``high`` is limited to `MOST_NUMBER` or `MOST_INTEGER`.

    Raises:
        UsageError: A value is not allowed.
    """
    kind: type = type(values)
    hints = option_hints(kind)
    for spec in dataclasses.fields(values):
        given = getattr(values, spec.name)
        checked = _check(spec, hints[spec.name], given, flag_of(spec))
        if checked is not given:
            object.__setattr__(values, spec.name, checked)


def check_mapping(
    kind: type, values: Mapping[str, Any], prefix: str = "", more: Collection[str] = ()
) -> dict[str, Any]:
    """Validates a table of settings against the fields of an option class.

    Args:
        kind: The option class.
        values: Field values by name, from TOML, JSON or a caller.
        prefix: Path of the table, for error messages: ``"film."``.
        more: Further allowed keys, which are returned unchanged.

    Returns:
        The values, converted to the types of the fields.

    Raises:
        UnknownNameError: A key is not a field.
        UsageError: A value has the wrong type or is out of range; the message contains the key's path.
    """
    specs = {spec.name: spec for spec in option_fields(kind)}
    hints = option_hints(kind)
    checked = {}
    for key, value in values.items():
        if key in specs:
            checked[key] = _check(specs[key], hints[key], value, prefix + key)
        elif key in more:
            checked[key] = value
        else:
            allowed = [prefix + name for name in (*more, *specs)]
            raise unknown_name("option", prefix + str(key), allowed)
    return checked


def check_table(value: object, path: str) -> dict[str, Any]:
    """Returns a settings table as a dictionary.

    Raises:
        UsageError: The value is not a table.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{path} must be a table of options; got {shown(value)}.")
    return dict(value)


def check_name(kind: str, value: object, allowed: Iterable[str]) -> str:
    """Returns the name if it is one of the allowed names.

    Raises:
        UnknownNameError: It is not, or it is not a string.
    """
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise unknown_name(kind, value, names)
    return value


def change_fields(base: Any, overrides: Mapping[str, Any]) -> Any:
    """Returns a copy of the options with some fields replaced.

    Raises:
        UnknownNameError: A field does not exist.
        UsageError: A value has the wrong type or is out of range.
    """
    kind: type = type(base)
    names = [spec.name for spec in option_fields(kind)]
    for name in overrides:
        check_name("option", name, names)
    return dataclasses.replace(base, **overrides)


def path_fields(kind: type, use: PathUse | None = None) -> tuple[str, ...]:
    """Returns the names of path fields: all of them, or only those that are read or written."""
    uses = {spec.name: spec.metadata["path"] for spec in option_fields(kind)}
    return tuple(name for name, own in uses.items() if own is not None and use in (None, own))


def derived_seed(number: int) -> int:
    """Wraps a computed seed into the range from 0 to `MOST_SEED`."""
    return number % (MOST_SEED + 1)


def flag(name: str) -> str:
    """Returns the command-line option for a field."""
    return "--" + name.replace("_", "-")


def flag_of(spec: Spec) -> str:
    """Returns the command-line option for a field, which its metadata may name."""
    return flag(spec.metadata.get("flag") or spec.name)


def to_mapping(options: Any) -> dict[str, Any]:
    """Converts options to plain values for TOML and JSON: tuples to lists, paths to strings, without None fields."""
    plain: dict[str, Any] = {}
    kind: type = type(options)
    for spec in option_fields(kind):
        value = getattr(options, spec.name)
        if value is not None:
            plain[spec.name] = list(value) if isinstance(value, tuple) else (
                str(value) if isinstance(value, Path) else value
            )  # fmt: skip
    return plain


def _check(spec: Spec, hint: Any, value: Any, name: str) -> Any:
    """Converts the value to the type of the field, or raises an error that starts with ``name``."""
    if get_origin(hint) is tuple:
        return _check_items(spec, get_args(hint)[0], value, name)
    kinds = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = next(kind for kind in kinds if kind is not type(None))
    if get_origin(kind) is Literal:
        return _check_choice(get_args(kind), value, name)
    return _CHECKS[kind](spec, value, name)


def _check_items(spec: Spec, hint: Any, value: Any, name: str) -> tuple[Any, ...]:
    items = value if isinstance(value, (list, tuple)) else (value,)
    if len(items) > MOST_ITEMS:
        raise UsageError(f"{name} must have at most {MOST_ITEMS} values; got {len(items)}.")
    checked = tuple(
        _check(spec, hint, item, name if name.startswith("--") else f"{name}[{number}]")
        for number, item in enumerate(items)
    )
    same = isinstance(value, tuple) and all(a is b for a, b in zip(value, checked, strict=True))
    return value if same else checked


def _check_choice(allowed: tuple[str, ...], value: Any, name: str) -> Any:
    if isinstance(value, str) and value in allowed:
        return value
    near = difflib.get_close_matches(str(value)[:MOST_CHARACTERS], allowed, n=1) if (
        isinstance(value, str)
    ) else []  # fmt: skip
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"{name} must be one of {', '.join(allowed)}; got {shown(value)}.{hint}")


def _refuse(name: str, value: Any, allowed: str) -> typing.NoReturn:
    raise UsageError(f"{name} must be {allowed}; got {shown(value)}.")


def _check_bool(_spec: Spec, value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        _refuse(name, value, "true or false")
    return value


def _check_integer(spec: Spec, value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        _refuse(name, value, "an integer")
    _check_range(spec, value, name, MOST_INTEGER)
    return int(value)


def _check_number(spec: Spec, value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        _refuse(name, value, "a number")
    _check_range(spec, value, name, MOST_NUMBER)
    return float(value)


def _check_range(spec: Spec, value: Any, name: str, most: float) -> None:
    low, high = spec.metadata.get("low"), spec.metadata.get("high")
    low, high = -most if low is None else low, most if high is None else high
    if not low <= value <= high:  # also true for NaN
        _refuse(name, value, f"between {_number(low)} and {_number(high)}")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.10g}"


def _check_text(spec: Spec, value: Any, name: str) -> str:
    if not isinstance(value, str):
        _refuse(name, value, "a string")
    if len(value) > MOST_CHARACTERS or printable(value) != value:
        _refuse(name, value, f"a string of at most {MOST_CHARACTERS} printable characters")
    pattern = spec.metadata.get("pattern")
    if pattern is not None and not re.fullmatch(pattern, value, re.ASCII):
        _refuse(name, value, spec.metadata["allowed"])
    return value


def _check_path(_spec: Spec, value: Any, name: str) -> Path:
    if not isinstance(value, (str, Path)):
        _refuse(name, value, "a path")
    text = str(value)
    if not text or len(text) > MOST_PATH_CHARACTERS or "\0" in text or not is_utf8(text):
        _refuse(name, value, f"a path of 1 to {MOST_PATH_CHARACTERS} UTF-8 characters")
    return value if isinstance(value, Path) else Path(value)


_CHECKS: Mapping[type, Callable[[Spec, Any, str], Any]] = types.MappingProxyType(
    {bool: _check_bool, int: _check_integer, float: _check_number, str: _check_text, Path: _check_path}
)  # fmt: skip
