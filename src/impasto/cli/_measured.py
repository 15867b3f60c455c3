"""Matches pastiches with their content and style images, and formats their metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli._options import carried
from impasto.errors import InputError
from impasto.text import printable

if TYPE_CHECKING:
    from impasto.measure import PictureFigures
    from impasto.types import Backbone

__all__ = ["Found", "Trio", "described", "measure_files", "pair_up", "table"]

ARROWS = {"lower": "lower is better", "higher": "higher is better", "near": "best near the style's"}


@dataclass(frozen=True)
class Trio:
    """A pastiche with its content and style images."""

    out: Path
    content: Path
    style: Path | None


@dataclass
class Found:
    """Metrics of images, in order."""

    trios: list[Trio]
    figures: list[PictureFigures]
    notes: list[str] = field(default_factory=list)


def pair_up(out: Path, content: Path, style: Path | None) -> list[Trio]:
    """Finds the content and style image of each pastiche.

    Raises:
        InputError: No match was found for a pastiche.
    """
    from impasto.media import find_images

    pictures = find_images([str(out)])
    return [
        Trio(
            path,
            _match(path, content, "content"),
            None if style is None else _match(path, style, "styles"),
        )
        for path in pictures
    ]


def _match(path: Path, place: Path, kind: str) -> Path:
    if not place.is_dir():
        return place
    from impasto.media import find_images

    candidates = find_images([str(place)])
    named = _embedded(path).get(kind)
    names = named if isinstance(named, list) else [named]
    for candidate in candidates:
        if candidate.name in names:
            return candidate
    like = [c for c in candidates if path.stem.startswith(c.stem) or path.stem.endswith(c.stem)]
    if not like:
        raise InputError(
            f"{path} matches no image in {place}; pass the file itself, or use matching file names."
        )
    return max(like, key=lambda c: len(c.stem))


def _embedded(path: Path) -> dict[str, Any]:
    try:
        return carried(path)
    except InputError:
        return {}


def measure_files(trios: Sequence[Trio], evaluator: Backbone, lpips: Path | None = None) -> Found:
    """Measures images at their own size, with the style resized to the same long edge."""
    from impasto.measure import Lpips, measure_against
    from impasto.media import read_image

    perceptual = None if lpips is None else Lpips(evaluator, lpips)
    found = Found(list(trios), [])
    for trio in trios:
        image, content = (read_image(path).to_tensor() for path in (trio.out, trio.content))
        style = None if trio.style is None else read_image(trio.style).to_tensor()
        found.figures.append(measure_against(image, content, style, evaluator, perceptual))
        if (
            _embedded(trio.out).get("options", {}).get("backbone") == evaluator.name
            and not found.notes
        ):
            found.notes.append(
                f"{trio.out.name} was painted with {evaluator.name}, which also evaluates it; choose another with "
                "--evaluator"
            )
    return found


def described(found: Found) -> dict[str, Any]:
    """Returns plain values: metrics of each image, their means, and mean ratios to the style's, with intervals."""
    from impasto.measure import METRICS, bootstrap

    rows = [
        {
            **{name: str(getattr(trio, name) or "") for name in ("out", "content", "style")},
            "figures": dataclasses.asdict(figures),
            "over_style": figures.over_style,
        }
        for trio, figures in zip(found.trios, found.figures, strict=True)
    ]
    means = {}
    for name in METRICS:
        values = [getattr(figures, name) for figures in found.figures]
        known = [value for value in values if value is not None]
        if known:
            means[name] = dataclasses.asdict(bootstrap(known))
    ratios = {
        name: dataclasses.asdict(bootstrap([figures.over_style[name] for figures in found.figures]))
        for name in found.figures[0].over_style
    }
    return {"pictures": rows, "means": means, "over_style": ratios}


def table(found: Found) -> str:
    """Formats the metrics as text, one per line, stating which direction is better."""
    from impasto.measure import METRICS

    values = described(found)
    lines = (
        [f"{len(found.figures)} images"]
        if len(found.figures) > 1
        else [printable(found.trios[0].out)]
    )
    for name, mean in values["means"].items():
        text = f"{name:<18} {mean['mean']:9.4f}"
        if len(found.figures) > 1:
            text += f"  [{mean['low']:.4f}, {mean['high']:.4f}]"
        if name in values["over_style"]:
            text += f"  ({values['over_style'][name]['mean']:.2f} times the style's)"
        lines.append(f"{text}  {ARROWS[METRICS[name].better]}")
    return "\n".join(lines)
