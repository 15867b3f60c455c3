"""Writes the option reference into `docs/options.md` when the documentation is built, from the code itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

PLACE = "<!-- options -->"
NAMES = {int: "whole number", float: "number", str: "text", bool: "on or off", Path: "path"}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The hook of MkDocs."""
    return markdown.replace(PLACE, reference()) if page.file.src_uri == "options.md" else markdown


def reference() -> str:
    """Tables of every option, as Markdown."""
    from impasto.config import (
        METHODS,
        PRESETS,
        FilmOptions,
        PaintOptions,
        TrainOptions,
        TranslateOptions,
    )

    parts = [
        *_class(
            "Stylization",
            PaintOptions,
            "image, video, train (losses), live, study",
            PRESETS,
        ),
        *_class("Video", FilmOptions, "video", METHODS),
        *_class("Training a look", TrainOptions, "train", {}),
        *_class("Training a translator", TranslateOptions, "train-translator", {}),
        *_commands(),
    ]
    return "\n".join(parts)


def _class(title: str, kind: type, used_by: str, presets: Mapping[str, Any]) -> Iterator[str]:
    from impasto.config import flag_of, option_fields, option_hints

    hints = option_hints(kind)
    base = kind()
    yield f"## {title}\n"
    yield f"`{kind.__name__}`; used by {used_by}.\n"
    group = ""
    for spec in option_fields(kind):
        if "help" not in spec.metadata:
            continue
        if spec.metadata["group"] != group:
            group = spec.metadata["group"]
            yield f"\n### {title}: {group.lower()}\n"
            yield "| option | type and range | default | meaning |\n|---|---|---|---|"
        default = _value(getattr(base, spec.name))
        meaning = _escaped(spec.metadata["help"]) + _changed(spec.name, base, presets)
        yield f"| `{flag_of(spec)}` | {_type(hints[spec.name], spec)} | {default} | {meaning} |"
    yield ""


def _changed(name: str, base: Any, presets: Mapping[str, Any]) -> str:
    """Which presets set an option to something else."""
    usual = getattr(base, name)
    others = [
        f"`{preset}`: {_value(getattr(values, name))}"
        for preset, values in presets.items()
        if getattr(values, name) != usual
    ]
    return f" *Presets:* {', '.join(others)}." if others else ""


def _type(hint: Any, spec: dataclasses.Field[Any]) -> str:
    if get_origin(hint) is tuple:
        return "list of " + _type(get_args(hint)[0], spec)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    if get_args(hint):  # a union with None
        return _type(next(a for a in get_args(hint) if a is not type(None)), spec)
    low, high = spec.metadata.get("low"), spec.metadata.get("high")
    span = "" if low is None and high is None else f" {_bound(low)} to {_bound(high)}"
    span = f" from {_bound(low)}" if low is not None and high is None else span
    return NAMES.get(hint, str(hint)) + (span if hint in (int, float) else "")


def _bound(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def _value(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return f"`{','.join(_text(item) for item in value)}`"
    return f"`{_text(value)}`"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _commands() -> Iterator[str]:
    """The arguments of every command that are no options of the classes above."""
    from impasto.cli import app

    yield "## Arguments of the commands\n"
    yield from _arguments(app, "impasto")


def _arguments(app: Any, chain: str) -> Iterator[str]:
    for name in sorted(name for name in app if not name.startswith("-")):
        command, whole = app[name], f"{chain} {name}"
        if command.default_command is None:
            yield from _arguments(command, whole)
            continue
        rows = [
            f"| {_names(argument)} | {_escaped(argument.parameter.help or '')} |"
            for argument in command.assemble_argument_collection(parse_docstring=True)
            if argument.show and not _is_option(argument)
        ]
        if rows:
            yield f"### {whole}\n\n| argument | meaning |\n|---|---|"
            yield "\n".join(rows) + "\n"


def _names(argument: Any) -> str:
    return ", ".join(f"`{name}`" for name in argument.names) or f"`{argument.name}`"


def _is_option(argument: Any) -> bool:
    groups = argument.parameter.group or ()
    return any(getattr(group, "name", "") not in ("Options", "Arguments", "") for group in groups)
