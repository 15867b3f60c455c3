"""What every class of options shares: fields with help and range, checks, and plain values for TOML."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from impasto.errors import UsageError, unknown_name

__all__ = ["changed", "check_fields", "flag", "option", "to_mapping"]


def option(
    default: Any,
    text: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field with what the command line and the docs say of it, and its allowed range."""
    return field(default=default, metadata={"help": text, "group": group, "low": low, "high": high})


def check_fields(values: Any) -> None:
    """Holds every field of a dataclass of options against its choices and range.

    Raises:
        UsageError: A value is not allowed.
    """
    hints = get_type_hints(type(values))
    for spec in dataclasses.fields(values):
        _check(spec, hints[spec.name], getattr(values, spec.name))


def flag(name: str) -> str:
    """The option of the command that goes with a field."""
    return "--" + name.replace("_", "-")


def _check(spec: dataclasses.Field[Any], hint: Any, value: Any) -> None:
    allowed = _choices(hint)
    if allowed and value is not None and value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint_text = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"{flag(spec.name)} got {value!r}; allowed: {', '.join(allowed)}.{hint_text}"
        )
    low, high = spec.metadata["low"], spec.metadata["high"]
    for number in value if isinstance(value, tuple) else (value,):
        if number is None or isinstance(number, (str, bool, Path)):
            continue
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            span = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
            raise UsageError(f"{flag(spec.name)} got {number!r}; allowed is {span}.")


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(c for part in get_args(hint) for c in _choices(part))
    return ()


def changed(base: Any, overrides: Mapping[str, Any]) -> Any:
    """A copy of options with fields changed; lists become tuples and text paths where the field says so.

    Raises:
        UnknownNameError: There is no such field.
        UsageError: A value is of another type or out of its range.
    """
    hints = get_type_hints(type(base))
    for name in overrides:
        if name not in hints:
            raise unknown_name("option", name, hints)
    values = {name: _coerce(name, hints[name], value) for name, value in overrides.items()}
    return dataclasses.replace(base, **values)


def _coerce(name: str, hint: Any, value: Any) -> Any:
    """Makes the field's type of what TOML or a caller gives: lists to tuples, text to paths, ints to floats."""
    if get_origin(hint) is tuple:
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_coerce(name, get_args(hint)[0], item) for item in items)
    kinds = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = kinds[0]
    if get_origin(kind) is Literal:
        return value
    if kind is Path and isinstance(value, str):
        value = Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{flag(name)} got {value!r}; allowed is a value of type {kind.__name__}.")
    return value


def to_mapping(options: Any) -> dict[str, Any]:
    """Plain values for TOML and JSON: tuples as lists, paths as text, fields that are None left out."""
    plain: dict[str, Any] = {}
    for spec in dataclasses.fields(options):
        value = getattr(options, spec.name)
        if value is not None:
            plain[spec.name] = list(value) if isinstance(value, tuple) else (
                str(value) if isinstance(value, Path) else value
            )  # fmt: skip
    return plain
