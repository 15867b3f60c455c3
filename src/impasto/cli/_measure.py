"""`impasto measure`: evaluates stylized images and videos."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from impasto.cli._options import split_list
from impasto.config import FilmOptions, check_fields, check_table, with_new_names
from impasto.errors import InputError, UsageError
from impasto.text import printable, shown

__all__ = ["measure"]

MOST_GAP = 500

measure = App(
    name="measure",
    help="Evaluate stylized images and videos.",
    group_parameters=Group.create_default_parameters("Options"),
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImageEvaluation:
    """Options of `impasto measure image`."""

    evaluator: str = "vgg19-lite"
    """Feature extractor for the style, content and semantic metrics; preferably not the one used for painting."""
    evaluator_weights: Path | None = None
    """File with the weights of --evaluator."""
    lpips: Path | None = None
    """Published LPIPS weights for --evaluator alexnet or vgg16."""
    json: bool = False
    """Print JSON."""


@measure.command
def image(
    out: Annotated[Path, Parameter(help="Pastiche, or folder of pastiches.")],
    /,
    *,
    content: Annotated[Path, Parameter(help="Content image, or folder of content images.")],
    style: Annotated[Path | None, Parameter(help="Style image, or folder of style images.")] = None,
    evaluation: ImageEvaluation | None = None,
) -> int:
    """Measure style, content, structure, palette and texture of OUT.

    Metrics computed with metric-net, a network that is never used for painting, are always included; --evaluator
    selects the network for the style, content and semantic metrics. In folders, each pastiche is matched with the
    content and style images that its embedded settings name, or whose names are part of its own; means are given with
    95% bootstrap confidence intervals.
    """
    from impasto.backbones import load_backbone
    from impasto.cli._measured import described, measure_files, pair_up, table

    evaluation = evaluation or ImageEvaluation()
    evaluator = load_backbone(evaluation.evaluator, weights=evaluation.evaluator_weights)
    found = measure_files(pair_up(out, content, style), evaluator, evaluation.lpips)
    for note in found.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    print(json.dumps(_plain(described(found))) if evaluation.json else table(found))
    return 0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class VideoEvaluation:
    """Options of `impasto measure video`."""

    begin: Annotated[float | None, Parameter(name="--from")] = field(
        default=None, metadata={"low": 0, "flag": "from"}
    )
    """Time in CLIP at which FILM begins, in seconds; read from FILM's embedded settings if not given."""
    end: Annotated[float | None, Parameter(name="--to")] = field(
        default=None, metadata={"low": 0, "flag": "to"}
    )
    """Time in CLIP at which measuring stops, in seconds; the end of FILM if not given."""
    gaps: str = "1,2,4,10"
    """Distances in frames between the compared frames. Comma-separated."""
    frames: int | None = field(default=None, metadata={"low": 1})
    """Maximum number of frames to measure; all if not given."""
    every: int = field(default=4, metadata={"low": 1})
    """Measure style, content and features on every Nth frame."""
    flow: Literal["dis", "dis-half", "farneback", "raft"] = "dis"
    """Optical flow method."""
    flow_weights: Path | None = None
    """RAFT checkpoint for --flow raft."""
    json: bool = False
    """Print JSON."""


@measure.command
def video(
    film: Annotated[Path, Parameter(help="Stylized video.")],
    clip: Annotated[Path, Parameter(help="Source video.")],
    /,
    *styles: Annotated[Path, Parameter(help="Style images, for the style loss.")],
    evaluation: VideoEvaluation | None = None,
) -> int:
    """Measure temporal consistency, drift, style and content of FILM, with CLIP's own warping error as a lower bound.

    The warping error is the mean squared difference (image range 0 to 1) along the optical flow, where the flow is
    reliable, within shots.
    """
    from impasto.backbones import load_backbone
    from impasto.measure import FilmMeter, measure_film, same_frames, until
    from impasto.media import read_image, resize_to_fit
    from impasto.media.video import open_clip, read_film_metadata
    from impasto.motion import make_estimator

    evaluation = evaluation or VideoEvaluation()
    check_fields(evaluation)
    gaps = _gaps(evaluation.gaps)
    painted, source = open_clip(film), open_clip(clip)
    begin = evaluation.begin
    if begin is None:
        begin = _begin_of({} if film.is_dir() else read_film_metadata(film))
    size = (painted.info.height_px, painted.info.width_px)
    pictures = [resize_to_fit(read_image(style).to_tensor(), max(size)) for style in styles]
    meter = FilmMeter(
        load_backbone(),
        pictures,
        gaps=gaps,
        estimator=make_estimator(evaluation.flow, weights=evaluation.flow_weights),
        every=evaluation.every,
    )
    pairs = same_frames(painted.frames(size), source.frames(size), begin)
    if evaluation.end is not None:
        pairs = until(pairs, evaluation.end)
    figures = dataclasses.asdict(measure_film(pairs, meter, evaluation.frames))
    if figures["frames"] == 0:
        raise InputError(f"{film} and {clip} have no frame in common; pass --from.")
    missing = [str(gap) for gap in gaps if gap not in figures["error"]]
    if missing:
        print(
            f"note: --gaps {','.join(missing)} could not be measured: no shot is long enough, or --every "
            "skips the frames",
            file=sys.stderr,
        )
    if evaluation.json:
        print(json.dumps(_plain(figures)))
    else:
        _print(figures)
    return 0


def _gaps(text: str) -> tuple[int, ...]:
    gaps: tuple[int, ...] = split_list("gaps", text, int)
    if not gaps or not all(1 <= gap <= MOST_GAP for gap in gaps):
        raise UsageError(
            f"--gaps must be numbers of frames between 1 and {MOST_GAP}; got {shown(text)}."
        )
    return gaps


def _begin_of(known: Mapping[str, Any]) -> float:
    """Returns the time in the clip at which a video begins, from its embedded settings, or 0 if they are invalid."""
    try:
        return FilmOptions(begin=with_new_names(check_table(known["film"], "film"))["begin"]).begin
    except (LookupError, TypeError, UsageError):
        return 0.0


def _plain(value: Any) -> Any:
    """Converts values for JSON, which cannot represent NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(figures: dict[str, Any]) -> None:
    print(f"{figures['frames']} frames")
    for gap, error in figures["error"].items():
        text = (
            f"gap {gap:>2}: warping error {error:.6f} (clip: {figures['error_of_clip'][gap]:.6f})"
        )
        if gap in figures["perceptual"]:
            own = figures["perceptual_of_clip"][gap]
            text += f", features {figures['perceptual'][gap]:.4f} (clip: {own:.4f})"
        print(text)
    if figures["style"] is not None:
        print(f"style {figures['style']:.5f}")
    print(f"content {figures['content']:.4f}")
    for name in ("brightness", "sharpness"):
        values = [value for value in figures[name] if math.isfinite(value)]
        if values:
            print(f"{name} of static areas: first {values[0]:.4f}, last {values[-1]:.4f}")
