"""`impasto estimate`: the memory and time that `impasto image` would take."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli._options import Overrides, preset_names, settle
from impasto.cli._show import described, duration, where
from impasto.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["estimate"]


def estimate(
    content: Annotated[Path, Parameter(help="Content image.")],
    style: Annotated[Path, Parameter(help="Style image.")],
    /,
    *more_styles: Annotated[Path, Parameter(help="Additional style images.")],
    preset: Annotated[
        str | None,
        Parameter(
            name=["--preset", "-p"], help=f"Preset that sets the defaults: {preset_names()}."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        Parameter(help="Read options from a TOML file, or from an image made by impasto."),
    ] = None,
    json: Annotated[bool, Parameter(help="Print one JSON object.")] = False,
    options: Annotated[Overrides | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Estimate the memory and time to paint CONTENT in the style of STYLE, without painting.

    The options are those of impasto image.
    """
    from impasto.media import read_image
    from impasto.pipeline import prepare

    paint = settle(preset, config, options)
    if paint.look is not None:
        raise UsageError(
            "impasto estimate is only for the optimizer, but the options contain a look; remove --look."
        )
    picture = read_image(content)
    job = prepare(picture, [read_image(path) for path in (style, *more_styles)], paint)
    about = described(job, picture)
    print(json_module.dumps(about) if json else _text(about))
    return 0


def _text(about: Mapping[str, Any]) -> str:
    scales = ", ".join(f"{width}x{height} ({steps})" for width, height, steps in about["scales"])
    lines = [
        f"{about['width_px']}x{about['height_px']} px, {about['backbone']}, {about['precision']}, {where(about)}",
        f"scales (steps): {scales}",
        f"evaluation: {about['plan']}",
        f"memory: {about['memory_gib_foretold']:.2f} GiB of {about['memory_gib_available']:.2f} GiB available",
        f"time: about {duration(about['seconds_foretold'])}",
        *(f"note: {note}" for note in about["notes"]),
    ]
    return "\n".join(lines)
