"""What a study is: contents x styles x cases x seeds, read from a small TOML."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from impasto.config import FilmOptions, PaintOptions, film_options, options, to_mapping
from impasto.errors import InputError, MissingFileError, UsageError, unknown_name

__all__ = ["Case", "Cell", "Plan", "bundled", "load_plan"]

KEYS = (
    "title", "question", "claim", "kind", "preset", "contents", "styles", "seeds", "best_of", "judge", "judge_weights",
    "options", "film", "grid", "cases",
)  # fmt: skip
CONTENTS = ("skimage:chelsea", "skimage:coffee")
STYLES = ("skimage:immunohistochemistry", "skimage:retina")
"""What every installation has at hand; --contents and --styles give others."""


@dataclass(frozen=True)
class Case:
    """One way to paint.

    Attributes:
        name: For people.
        chosen: What differs from the other cases, as plain values.
        paint: All of it.
        film: Likewise, of a study of films.
    """

    name: str
    chosen: Mapping[str, Any]
    paint: PaintOptions
    film: FilmOptions | None = None


@dataclass(frozen=True)
class Cell:
    """One run: a case on one content and style with one seed."""

    case: Case
    content: str
    style: str
    seed: int
    key: str


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        name: Of its file.
        title: For people.
        question: What it asks.
        claim: What was claimed before, and where.
        kind: Whether it paints pictures or films.
        cases: Ways to paint.
        contents: Paths, or ``skimage:NAME``.
        styles: Likewise.
        seeds: Repeats.
        best_of: An option that is tuned: of the cases that differ in it alone, the one of the least loss counts.
        judge: Network that judges.
        judge_weights: File of its weights.
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
    judge: str
    judge_weights: Path | None = None

    def cells(self) -> Iterator[Cell]:
        """Every run, with a key that changes with anything that decides it."""
        marks = {source: _mark(source) for source in (*self.contents, *self.styles)}
        for content, style, seed, case in itertools.product(
            self.contents, self.styles, self.seeds, self.cases
        ):
            film = None if case.film is None else to_mapping(case.film)
            told = [to_mapping(case.paint), film, marks[content], marks[style], seed, self.judge]
            text = json.dumps(told, sort_keys=True, default=str)
            yield Cell(case, content, style, seed, hashlib.sha256(text.encode()).hexdigest()[:16])


def _mark(source: str) -> str:
    path = Path(source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else source


def bundled() -> tuple[str, ...]:
    """Names of the studies that come with impasto."""
    folder = files("impasto.study") / "data"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def load_plan(
    name: str,
    *,
    contents: Sequence[str] = (),
    styles: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    judge: str | None = None,
    judge_weights: Path | None = None,
) -> Plan:
    """Reads a study.

    Args:
        name: Of a bundled one, or a path ending in .toml.
        contents: Pictures in place of the study's own; folders count as all that is in them.
        styles: Likewise.
        overrides: Options for every case, for example ``{"size": 512}``.
        judge: A network in place of its own.
        judge_weights: File of that network's weights.

    Raises:
        UsageError: Something in it is not allowed; the message says what is.
        MissingFileError: A file is not there.
    """
    values = _read(name)
    for key in values:
        if key not in KEYS:
            raise unknown_name("entry of a study", key, KEYS)
    shared = {**values.get("options", {}), **(overrides or {})}
    kind = values.get("kind", "picture")
    if kind not in ("picture", "film"):
        raise UsageError(f"kind got {kind!r}; allowed are picture and film.")
    cases = tuple(_cases(values, shared, kind))
    if not cases:
        raise UsageError("the study has no case; give [grid] or [[cases]].")
    names = [case.name for case in cases]
    if len(set(names)) < len(names):
        raise UsageError("two cases of the study have one name; give each its own.")
    return Plan(
        name=Path(name).stem,
        title=values.get("title", Path(name).stem),
        question=values.get("question", ""),
        claim=values.get("claim", ""),
        kind=kind,
        cases=cases,
        contents=_sources(contents or values.get("contents", CONTENTS)),
        styles=_sources(styles or values.get("styles", STYLES)),
        seeds=tuple(values.get("seeds", (0,))),
        best_of=values.get("best_of", ""),
        judge=judge or values.get("judge", "vgg19-lite"),
        judge_weights=judge_weights,
    )


def _read(name: str) -> dict[str, Any]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef]
    if name.endswith(".toml"):
        path = Path(name)
        if not path.exists():
            raise MissingFileError(f"there is no study {path}; bundled are {', '.join(bundled())}.")
        text = path.read_text(encoding="utf-8")
    elif name in bundled():
        text = (files("impasto.study") / "data" / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise unknown_name("study", name, bundled())
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML that can be read ({error}).") from error


def _cases(values: Mapping[str, Any], shared: Mapping[str, Any], kind: str) -> Iterator[Case]:
    preset, film = values.get("preset", "draft"), dict(values.get("film", {}))
    grid: Mapping[str, list[Any]] = values.get("grid", {})
    for name, choices in grid.items():
        if not isinstance(choices, list) or not choices:
            raise UsageError(f"grid.{name} got {choices!r}; allowed is a list of values.")
    written = values.get("cases", [{}])
    for case, combination in itertools.product(written, itertools.product(*grid.values())):
        chosen = {**case, **dict(zip(grid, combination, strict=True))}
        name = chosen.pop("name", "")
        base = chosen.pop("preset", preset)
        method = chosen.pop("method", film.get("method", "steady"))
        varied = [_told(key, chosen[key]) for key in grid]
        if not name and not varied:
            name = ", ".join(_told(key, value) for key, value in chosen.items()) or base
        paint = options(base, **{**shared, **chosen})
        yield Case(
            name=", ".join([*([name] if name else []), *varied]),
            chosen={
                k: v
                for k, v in {
                    "name": name,
                    "method": method if kind == "film" else None,
                    **chosen,
                }.items()
                if v
            },
            paint=paint,
            film=film_options(method, **{k: v for k, v in film.items() if k != "method"})
            if kind == "film"
            else None,
        )


def _told(name: str, value: Any) -> str:
    if isinstance(value, list):
        text = "+".join(str(item) for item in value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {text}"


def _sources(given: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for source in given:
        path = Path(source)
        if source.startswith("skimage:"):
            found.append(source)
        elif path.is_dir():
            found += [
                str(p) for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")
            ]
        elif path.is_file():
            found.append(source)
        else:
            raise MissingFileError(
                f"there is no picture {source}; give files, folders, or skimage:chelsea."
            )
    return tuple(found)
