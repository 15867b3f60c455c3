"""`impasto measure`: figures of what was painted."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from impasto.cli._options import split_list
from impasto.config import FilmOptions, check_fields
from impasto.errors import InputError, UsageError
from impasto.text import printable, shown

__all__ = ["measure"]

MOST_GAP = 500

measure = App(name="measure", help="Figures of what was painted.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Judging:
    """Who judges, and how it is told."""

    judge: str = "vgg19-lite"
    """Network for style, content and things; preferably not the one that painted."""
    judge_weights: Path | None = None
    """File of its weights."""
    lpips: Path | None = None
    """Published weights of LPIPS for --judge alexnet or vgg16."""
    json: bool = False
    """Print JSON."""


@measure.command
def image(
    out: Annotated[Path, Parameter(help="The pastiche, or a folder of them.")],
    /,
    *,
    content: Annotated[Path, Parameter(help="Its photograph, or a folder with the photographs.")],
    style: Annotated[Path | None, Parameter(help="Its style, or a folder with the styles.")] = None,
    how: Judging | None = None,
) -> int:
    """Measure style, content, structure, palette and texture of OUT.

    Figures by metric-net, a network that never paints, are always included; --judge chooses the network behind style,
    content and things. In folders, each picture's photograph and style are those that its own settings name, or those
    whose names are in its own; the means come with bootstrap intervals.
    """
    from impasto.backbones import load_backbone
    from impasto.cli._measured import described, measure_files, pair_up, table

    how = how or Judging()
    judge = load_backbone(how.judge, weights=how.judge_weights)
    found = measure_files(pair_up(out, content, style), judge, how.lpips)
    for note in found.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    print(json.dumps(_plain(described(found))) if how.json else table(found))
    return 0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """What is compared, and how motion is found."""

    start: float | None = field(default=None, metadata={"low": 0})
    """Second of CLIP at which FILM begins; what FILM's own settings say when not given."""
    gaps: str = "1,2,4,10"
    """Frames between the two that are compared."""
    frames: int | None = field(default=None, metadata={"low": 1})
    """Measure so many frames; all when not given."""
    every: int = field(default=4, metadata={"low": 1})
    """Measure style, content and features on every so many frames."""
    flow: Literal["dis", "dis-half", "farneback", "raft"] = "dis"
    """How motion is found."""
    flow_weights: Path | None = None
    """Checkpoint of RAFT."""
    json: bool = False
    """Print JSON."""


@measure.command
def video(
    film: Annotated[Path, Parameter(help="The painted film.")],
    clip: Annotated[Path, Parameter(help="The clip it was painted from.")],
    /,
    *styles: Annotated[Path, Parameter(help="The styles, for the style loss.")],
    how: How | None = None,
) -> int:
    """Measure steadiness, drift, style and content of FILM, beside the clip's own unsteadiness, which is the floor.

    Errors are mean squares of values of 0 to 1 along the motion, where it is reliable, within shots.
    """
    from impasto.backbones import load_backbone
    from impasto.measure import FilmMeter, measure_film, same_frames
    from impasto.media import read_image, resize_to_fit
    from impasto.media.video import open_clip, read_film_metadata
    from impasto.motion import make_estimator

    how = how or How()
    check_fields(how)
    gaps = _gaps(how.gaps)
    painted, source = open_clip(film), open_clip(clip)
    start = how.start
    if start is None:
        start = _start_of({} if film.is_dir() else read_film_metadata(film))
    size = (painted.info.height_px, painted.info.width_px)
    pictures = [resize_to_fit(read_image(style).to_tensor(), max(size)) for style in styles]
    meter = FilmMeter(
        load_backbone(),
        pictures,
        gaps=gaps,
        estimator=make_estimator(how.flow, weights=how.flow_weights),
        every=how.every,
    )
    pairs = same_frames(painted.frames(size), source.frames(size), start)
    figures = dataclasses.asdict(measure_film(pairs, meter, how.frames))
    if figures["frames"] == 0:
        raise InputError(f"{film} and {clip} share no frame; give --start.")
    if how.json:
        print(json.dumps(_plain(figures)))
    else:
        _print(figures)
    return 0


def _gaps(text: str) -> tuple[int, ...]:
    gaps: tuple[int, ...] = split_list("gaps", text, int)
    if not gaps or not all(1 <= gap <= MOST_GAP for gap in gaps):
        raise UsageError(
            f"--gaps got {shown(text)}; allowed are numbers of frames from 1 to {MOST_GAP}."
        )
    return gaps


def _start_of(known: Mapping[str, Any]) -> float:
    """Second of the clip at which a film's own settings say that it begins; 0 where they say nothing usable."""
    try:
        return FilmOptions(start=known["film"]["start"]).start
    except (LookupError, TypeError, UsageError):
        return 0.0


def _plain(value: Any) -> Any:
    """Values for JSON, which knows no nan."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(figures: dict[str, Any]) -> None:
    print(f"{figures['frames']} frames")
    for gap, error in figures["error"].items():
        text = (
            f"gap {gap:>2}: error {error:.6f} (the clip's own {figures['error_of_clip'][gap]:.6f})"
        )
        if gap in figures["perceptual"]:
            own = figures["perceptual_of_clip"][gap]
            text += f", features {figures['perceptual'][gap]:.4f} ({own:.4f})"
        print(text)
    if figures["style"] is not None:
        print(f"style {figures['style']:.5f}")
    print(f"content {figures['content']:.4f}")
    for name in ("brightness", "sharpness"):
        values = [value for value in figures[name] if math.isfinite(value)]
        if values:
            print(f"{name} of what stands still: first {values[0]:.4f}, last {values[-1]:.4f}")
