"""Definition of studies: contents x styles x cases x seeds, read from TOML files."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from impasto.backbones import backbone_names
from impasto.config import (
    METHODS,
    MOST_SEED,
    PRESETS,
    FilmOptions,
    PaintOptions,
    check_mapping,
    check_name,
    check_table,
    film_options,
    option_fields,
    options,
    parse_toml,
    read_toml,
    to_mapping,
    with_new_names,
)
from impasto.errors import InputError, MissingFileError, UsageError
from impasto.text import shown

__all__ = ["SKIMAGE_PICTURES", "Case", "Cell", "Plan", "bundled", "load_plan"]

TABLES = ("options", "film", "grid", "cases")
TEXTS = ("title", "question", "claim")
MOST_RUNS = 10_000

SKIMAGE_PICTURES = (
    "astronaut", "chelsea", "coffee", "colorwheel", "hubble_deep_field", "immunohistochemistry", "logo", "retina",
    "rocket",
)  # fmt: skip
"""Color images that are installed with scikit-image; its other images would have to be downloaded."""

CONTENTS = ("skimage:chelsea", "skimage:coffee")
STYLES = ("skimage:immunohistochemistry", "skimage:retina")
"""Defaults that are available in every installation; --contents and --styles replace them."""


RENAMED = {"judge": "evaluator", "judge_weights": "evaluator_weights"}
"""Entries of a study that had another name in version 0.2; the old names still work."""


@dataclass(frozen=True, kw_only=True)
class _Entries:
    """The entries of a study file other than tables."""

    title: str = ""
    question: str = ""
    claim: str = ""
    kind: Literal["picture", "film"] = "picture"
    preset: str = "draft"
    contents: tuple[str, ...] = CONTENTS
    styles: tuple[str, ...] = STYLES
    seeds: tuple[int, ...] = field(default=(0,), metadata={"low": 0, "high": MOST_SEED})
    best_of: str = ""
    evaluator: str = "vgg19-lite"
    evaluator_weights: Path | None = None

    def __post_init__(self) -> None:
        check_name("preset", self.preset, PRESETS)
        if self.best_of:
            check_name("option", self.best_of, [spec.name for spec in option_fields(PaintOptions)])
        for name in ("styles", "seeds"):
            if not getattr(self, name):
                raise UsageError(f"{name} is empty; list at least one value.")


@dataclass(frozen=True)
class Case:
    """One configuration.

    Attributes:
        name: Name in tables and reports.
        chosen: Options that differ from the other cases, as plain values.
        paint: All options.
        film: All video options, in a study of videos.
    """

    name: str
    chosen: Mapping[str, Any]
    paint: PaintOptions
    film: FilmOptions | None = None


@dataclass(frozen=True)
class Cell:
    """One run: a case for one content, style and seed."""

    case: Case
    content: str
    style: str
    seed: int
    key: str


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        name: Name of the file.
        title: Title of the report.
        question: Question that the study answers.
        claim: Earlier claim, with its source.
        kind: Whether the study uses images or videos.
        cases: Configurations.
        contents: Paths, or ``skimage:NAME``.
        styles: Paths, or ``skimage:NAME``.
        seeds: Random seeds, one per repetition.
        best_of: Option to tune: of the cases that differ only in it, the one with the lowest loss is marked.
        evaluator: Evaluation network.
        evaluator_weights: Weight file of the evaluation network.
    """

    name: str
    title: str
    question: str
    claim: str
    kind: Literal["picture", "film"]
    cases: tuple[Case, ...]
    contents: tuple[str, ...]
    styles: tuple[str, ...]
    seeds: tuple[int, ...]
    best_of: str
    evaluator: str
    evaluator_weights: Path | None = None

    def cells(self) -> Iterator[Cell]:
        """Yields all runs, each with a key that depends on everything that affects its result."""
        marks = {source: _mark(source) for source in (*self.contents, *self.styles)}
        for content, style, seed, case in itertools.product(
            self.contents, self.styles, self.seeds, self.cases
        ):
            film = None if case.film is None else to_mapping(case.film)
            told = [
                to_mapping(case.paint),
                film,
                marks[content],
                marks[style],
                seed,
                self.evaluator,
            ]
            text = json.dumps(told, sort_keys=True, default=str)
            yield Cell(case, content, style, seed, hashlib.sha256(text.encode()).hexdigest()[:16])


def _mark(source: str) -> str:
    path = Path(source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else source


def bundled() -> tuple[str, ...]:
    """Returns the names of the studies that ship with impasto."""
    folder = files("impasto.study") / "data"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def load_plan(
    name: str,
    *,
    contents: Sequence[str] = (),
    styles: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    evaluator: str | None = None,
    evaluator_weights: Path | None = None,
) -> Plan:
    """Reads a study.

    Args:
        name: Name of a bundled study, or a path that ends in ``.toml``.
        contents: Images or videos that replace the study's; folders stand for all files in them.
        styles: Images that replace the study's styles; folders stand for all files in them.
        overrides: Options for every case, for example ``{"size": 512}``.
        evaluator: Evaluation network that replaces the study's.
        evaluator_weights: Weight file of that network.

    Raises:
        InputError: A file cannot be read or is not valid TOML.
        UsageError: An entry is not allowed; the message says what is.
        MissingFileError: A file does not exist.
    """
    values = _read(name)
    tables = {key: values.pop(key) for key in TABLES if key in values}
    for old, new in RENAMED.items():
        if old in values:
            values[new] = values.pop(old)
    entries = _Entries(**check_mapping(_Entries, {k: _one_line(k, v) for k, v in values.items()}))
    cases = tuple(_cases(tables, entries, overrides or {}))
    names = [case.name for case in cases]
    if len(set(names)) < len(names):
        raise UsageError("two cases of the study have the same name; give each its own name.")
    plan = Plan(
        name=Path(name).stem,
        title=entries.title or Path(name).stem,
        question=entries.question,
        claim=entries.claim,
        kind=entries.kind,
        cases=cases,
        contents=_sources(contents or entries.contents),
        styles=_sources(styles or entries.styles),
        seeds=entries.seeds,
        best_of=entries.best_of,
        evaluator=check_name("backbone", evaluator or entries.evaluator, backbone_names()),
        evaluator_weights=evaluator_weights or entries.evaluator_weights,
    )
    runs = math.prod(map(len, (plan.cases, plan.contents, plan.styles, plan.seeds)))
    if runs > MOST_RUNS:
        raise UsageError(f"the study has {runs} runs; at most {MOST_RUNS} are allowed.")
    return plan


def _read(name: str) -> dict[str, Any]:
    if name.endswith(".toml"):
        return read_toml(Path(name), "study")
    check_name("study", name, bundled())
    return parse_toml((files("impasto.study") / "data" / f"{name}.toml").read_bytes(), name)


def _one_line(key: str, value: Any) -> Any:
    """Joins the lines of texts that may span several lines in the file."""
    return " ".join(value.split()) if key in TEXTS and isinstance(value, str) else value


def _cases(
    tables: Mapping[str, Any], entries: _Entries, overrides: Mapping[str, Any]
) -> Iterator[Case]:
    """Yields every case of [[cases]] with every combination of [grid]."""
    shared = {**check_mapping(PaintOptions, _table(tables, "options"), "options."), **overrides}
    film = check_mapping(
        FilmOptions, with_new_names(_table(tables, "film"), "film."), "film.", more=("method",)
    )
    film_method = check_name("method", film.pop("method", "steady"), METHODS)
    grid = _grid(_table(tables, "grid"))
    written = _written(tables.get("cases", [{}]))
    count = len(written) * math.prod(map(len, grid.values()))
    if count > MOST_RUNS:
        raise UsageError(f"the study has {count} cases; at most {MOST_RUNS} are allowed.")
    for case, combination in itertools.product(written, itertools.product(*grid.values())):
        chosen = {**case, **dict(zip(grid, combination, strict=True))}
        varied = [_told(key, value) for key, value in zip(grid, combination, strict=True)]
        name = chosen.pop("name", "")
        base = chosen.pop("preset", entries.preset)
        method = chosen.pop("method", film_method)
        if not name and not varied:
            name = ", ".join(_told(key, value) for key, value in chosen.items()) or base
        told = {"name": name, "method": method if entries.kind == "film" else None, **chosen}
        yield Case(
            name=", ".join([*([name] if name else []), *varied]),
            chosen={key: value for key, value in told.items() if value},
            paint=options(base, **{**shared, **chosen}),
            film=film_options(method, **film) if entries.kind == "film" else None,
        )


def _table(tables: Mapping[str, Any], key: str) -> dict[str, Any]:
    return check_table(tables.get(key, {}), key)


def _grid(table: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    """Validates all values of [grid]."""
    for key, choices in table.items():
        if not isinstance(choices, list) or not choices:
            raise UsageError(f"grid.{key} must be a list of values; got {shown(choices)}.")
        for choice in choices:
            _check_case({key: choice}, "grid.")
    return table


def _written(cases: object) -> list[dict[str, Any]]:
    """Validates all tables of [[cases]]."""
    if not isinstance(cases, list) or not cases:
        raise UsageError(f"cases must be one or more [[cases]] tables; got {shown(cases)}.")
    for number, case in enumerate(cases):
        _check_case(check_table(case, f"cases[{number}]"), f"cases[{number}].")
    return cases


def _check_case(case: Mapping[str, Any], prefix: str) -> None:
    """Validates the options of a case, which may also have a name, a preset and a method."""
    check_mapping(PaintOptions, case, prefix, more=("name", "preset", "method"))
    for key, allowed in (("preset", PRESETS), ("method", METHODS)):
        if key in case:
            check_name(key, case[key], allowed)
    if not isinstance(case.get("name", ""), str):
        raise UsageError(f"{prefix}name must be a string; got {shown(case['name'])}.")


def _told(name: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        text = "+".join(str(item) for item in value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {text}"


def _sources(given: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for source in given:
        path = Path(source)
        if source.startswith("skimage:"):
            check_name("scikit-image picture", source.partition(":")[2], SKIMAGE_PICTURES)
            found.append(source)
        elif path.is_dir():
            found += _files_in(path)
        elif path.is_file():
            found.append(source)
        else:
            raise MissingFileError(
                f"{source} does not exist; use files, folders, or a scikit-image picture such as skimage:chelsea."
            )
    return tuple(found)


def _files_in(folder: Path) -> list[str]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be read ({error.strerror}); check its permissions."
        ) from error
    return [str(path) for path in paths if path.is_file() and not path.name.startswith(".")]
