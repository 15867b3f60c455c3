"""Options that consist of groups: flat names for construction, reading and listing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal, TypeVar, cast, get_type_hints

__all__ = ["nested", "option_fields", "option_hints"]

Kind = TypeVar("Kind", bound=type)


@functools.cache
def option_fields(kind: type) -> tuple[dataclasses.Field[Any], ...]:
    """Returns the fields of an option class, with their metadata: ``help``, ``group``, ``low``, ``high``.

    Groups are replaced by their fields.
    """
    found: list[dataclasses.Field[Any]] = []
    for spec in dataclasses.fields(kind):
        group = _group_of(spec)
        found += [spec] if group is None else option_fields(group)
    return tuple(found)


@functools.cache
def option_hints(kind: type) -> dict[str, Any]:
    """Returns the type of each field in `option_fields`; a `typing.Literal` for a field with ``choices``."""
    hints: dict[str, Any] = {}
    own, literal = get_type_hints(kind), cast("Any", Literal)
    for spec in dataclasses.fields(kind):
        group = _group_of(spec)
        choices = tuple(spec.metadata.get("choices", ()))
        hint = literal[choices] if choices else own[spec.name]
        hints |= {spec.name: hint} if group is None else option_hints(group)
    return hints


def nested(kind: Kind) -> Kind:
    """Decorates a frozen dataclass whose fields are groups, so that the fields of the groups work like its own.

    They can be passed to the constructor and to `dataclasses.replace`, where they take precedence over a group that is
    passed along, and they can be read as attributes, as can the properties of the groups.

    Raises:
        TypeError: Two groups have a field of the same name, or a field has the name of a group.
    """
    homes: dict[str, str] = dict.fromkeys((spec.name for spec in dataclasses.fields(kind)), "")
    for group in list(homes):
        members: Any = type(_defaults(kind)[group])
        for spec in dataclasses.fields(members):
            if spec.name in homes:
                raise TypeError(f"{kind.__name__} has two fields {spec.name!r}")
            homes[spec.name] = group
        for name in _flat_names(members):
            setattr(kind, name, property(attrgetter(f"{group}.{name}")))
    type.__setattr__(kind, "__init__", _flat_init(kind, homes))
    return kind


def _defaults(kind: type) -> dict[str, Any]:
    return {spec.name: spec.default for spec in dataclasses.fields(kind)}


def _group_of(spec: dataclasses.Field[Any]) -> type | None:
    """Returns the class of a group; None for a field that is not a group."""
    default: Any = spec.default
    return type(default) if dataclasses.is_dataclass(default) else None


def _flat_names(group: type) -> list[str]:
    """Returns the names of fields and properties."""
    fields = [spec.name for spec in dataclasses.fields(group)]
    return fields + [name for name, value in vars(group).items() if isinstance(value, property)]


def _flat_init(kind: type, homes: dict[str, str]) -> Callable[..., None]:
    """Returns a constructor that takes groups and fields of groups by name."""
    grouped, defaults = vars(kind)["__init__"], _defaults(kind)

    @functools.wraps(grouped)
    def build(self: Any, **values: Any) -> None:
        flat: dict[str, dict[str, Any]] = {}
        given: dict[str, Any] = {}
        for name, value in values.items():
            if homes.get(name):
                flat.setdefault(homes[name], {})[name] = value
            else:
                given[name] = value
        for group, fields in flat.items():
            given[group] = dataclasses.replace(given.get(group, defaults[group]), **fields)
        grouped(self, **given)

    return build
