"""Suggested settings for one image: a small grid of runs at a small size, measured and displayed."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from impasto.backbones import load_backbone
from impasto.config import PaintOptions
from impasto.measure import PictureFigures, measure_against
from impasto.media import Picture
from impasto.pipeline import backbone_for, prepare
from impasto.study.sheet import draw_sheet

__all__ = ["STEPS", "Suggestion", "score_of", "suggest"]

SIZE_PX = 224
STEPS = (40,)
STRENGTHS = (0.6, 1.0, 1.6)
SCALES = (0.6, 1.0, 1.6)
KEPT = 0.25
"""Minimum of the structure metric; below it, the photograph is no longer recognizable."""


@dataclass(frozen=True)
class Suggestion:
    """One set of settings that was tried.

    Attributes:
        label: Description of the settings.
        options: Options for the full-size run.
        picture: The small pastiche.
        figures: Metrics of the small pastiche.
        score: Score, where lower is better.
    """

    label: str
    options: PaintOptions
    picture: Picture
    figures: PictureFigures
    score: float


def suggest(
    content: Picture,
    styles: Sequence[Picture],
    options: PaintOptions,
    *,
    size: int | None = None,
    on_try: Callable[[int, int], None] | None = None,
) -> tuple[list[Suggestion], Picture]:
    """Tries several strengths and style scales.

    The score is ``log style + log content`` of the metrics, whose ranking does not depend on the scale of either, plus
    a penalty if the structure metric is below 0.25.

    Args:
        content: The photograph.
        styles: One or more style images.
        options: Base options.
        size: Long edge of the small pastiches in pixels; None for 224.
        on_try: Called after each try with the number of tries so far and the total.

    Returns:
        The suggestions, best first, and a contact sheet of them in the order of the grid.
    """
    network, evaluator = backbone_for(options.extractor), load_backbone()
    sources = (content.to_tensor(), styles[0].to_tensor())
    tries: list[Suggestion] = []
    grid = list(itertools.product(STRENGTHS, SCALES))
    for number, (strength, scale) in enumerate(grid, 1):
        chosen = dataclasses.replace(options, strength=strength, style_scale=scale)
        small = dataclasses.replace(chosen, size=size or SIZE_PX, steps=STEPS, coarsest=0)
        job = prepare(content, styles, small, network)
        for _iterate in job.optimization:
            pass
        picture = job.finish()
        figures = measure_against(picture.to_tensor(), *sources, evaluator, style_scale=scale)
        label = f"strength {strength:g}, style scale {scale:g}"
        tries.append(Suggestion(label, chosen, picture, figures, score_of(figures)))
        if on_try is not None:
            on_try(number, len(grid))
    best = min(tries, key=lambda one: one.score)
    rows = [
        [
            (one.picture, one.label + (" (best)" if one is best else ""))
            for one in tries[n : n + len(SCALES)]
        ]
        for n in range(0, len(tries), len(SCALES))
    ]
    return sorted(tries, key=lambda one: one.score), draw_sheet(rows)


def score_of(figures: PictureFigures) -> float:
    """Returns the score that `suggest` uses; lower is better."""
    assert figures.style is not None
    lost = max(0.0, KEPT - figures.structure) / KEPT
    return math.log(figures.style + 1e-4) + math.log(figures.content + 1e-4) + lost
