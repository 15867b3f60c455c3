"""`impasto plan` and `impasto keyframes`: what a video will be painted from, and the frames to paint by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli._options import given, make_overrides
from impasto.config import FilmOptions, film_options, option_fields
from impasto.errors import UsageError
from impasto.text import printable

if TYPE_CHECKING:
    from impasto.keyframes import FilmPlan
    from impasto.media import Picture
    from impasto.media.video import Clip

__all__ = ["keyframes", "plan"]

COLUMNS = 6
CURVE_PX = (240, 200)


PLANNED = ("begin", "end", "fps", "every", "keyframe_every", "coverage", "cut_threshold")
"""Fields of `FilmOptions` that decide the plan."""

Excerpt = make_overrides(
    "Excerpt",
    FilmOptions,
    without=tuple(spec.name for spec in option_fields(FilmOptions) if spec.name not in PLANNED),
)


def film_of(excerpt: Any) -> FilmOptions:
    """Returns the options of a video with the settings of a command.

    Raises:
        UsageError: They are out of range, or ask for a video without keyframes.
    """
    film = film_options("keyframes", **given(excerpt, FilmOptions))
    if film.keyframe_every == 0:
        raise UsageError("--keyframe-every must be at least 1 for a plan; got 0.")
    return film


ClipPath = Annotated[
    Path, Parameter(help="Video, folder of images, or a pattern such as a_%05d.png.")
]


def plan(
    clip: ClipPath,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Output plan (.json).")],
    overwrite: Annotated[bool, Parameter(help="Replace existing files.")] = False,
    excerpt: Annotated[Excerpt | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Plan which frames of CLIP are painted, and write the plan and a picture of it.

    The plan lists the shots and their keyframes and may be edited; pass it to impasto video --plan. The picture, with
    the same name and the suffix .png, shows every keyframe with its number and time, and the coverage of each shot.
    """
    from impasto.keyframes import write_plan
    from impasto.media import check_outputs, write_image
    from impasto.media.video import open_clip
    from impasto.pipeline.keyed import plan_clip

    film = film_of(excerpt)
    if out.suffix.lower() != ".json":
        raise UsageError(f"a plan is written as .json; got {out}.")
    picture = out.with_suffix(".png")
    check_outputs([out, picture], [clip], overwrite=overwrite)
    opened = open_clip(clip, rate=film.fps)
    made = plan_clip(opened, film)
    write_image(picture, _sheet(opened, made, film))
    write_plan(out, made)
    for line in _described(made):
        print(printable(line))
    print(printable(f"wrote {out} and {picture}"))
    return 0


def keyframes(
    clip: ClipPath,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Output folder.")],
    use: Annotated[Path | None, Parameter(name="--plan", help="A plan from impasto plan.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace existing files.")] = False,
    excerpt: Annotated[Excerpt | None, Parameter(name="*")] = None,  # type: ignore[valid-type]
) -> int:
    """Write the keyframes of CLIP as images, to be painted by hand or with any other tool.

    The images are named by their frame numbers. Paint over them, keep their shape, and pass each to impasto video as
    --keyframe NUMBER=FILE.
    """
    from impasto.keyframes import read_plan
    from impasto.media import Picture, check_outputs, make_folder, pixels_to_tensor, write_image
    from impasto.media.video import open_clip, painted_size
    from impasto.pipeline.keyed import PlannedClip, plan_clip

    film = film_of(excerpt)
    opened = open_clip(clip, rate=film.fps)
    made = plan_clip(opened, film) if use is None else read_plan(use)
    make_folder(out)
    files = {number: out / f"{number:06d}.png" for number in made.keyframes}
    check_outputs(list(files.values()), [clip, use], overwrite=overwrite)
    source = PlannedClip(opened, made, film, painted_size(opened.info, 0))
    for number, file in files.items():
        frame = source.frames(number, number)[0]
        write_image(file, Picture.from_tensor(pixels_to_tensor(frame.pixels)))
    given = " ".join(f"--keyframe {number}={file}" for number, file in files.items())
    print(printable(f"wrote {len(files)} keyframes to {out}; once they are painted:"))
    print(printable(f"impasto video {clip} {given} -o out.mp4"))
    return 0


def _described(made: FilmPlan) -> list[str]:
    """Describes each shot in one line."""
    lines = [f"{made.frames} frames, {len(made.shots)} shots, {len(made.keyframes)} keyframes"]
    for number, shot in enumerate(made.shots, 1):
        times = ", ".join(f"{key} ({float(made.times[key]):.2f} s)" for key in shot.keyframes)
        least = min(made.coverage[shot.first + 1 : shot.last + 1], default=1.0)
        lines.append(
            f"shot {number}: frames {shot.first} to {shot.last}, coverage at least {least:.0%}; keyframes {times}"
        )
    return lines


def _sheet(clip: Clip, made: FilmPlan, film: FilmOptions) -> Picture:
    """Draws the keyframes with their times, and the coverage curve of each shot."""
    from impasto.media import Picture, pixels_to_tensor
    from impasto.media.video import painted_size
    from impasto.pipeline.keyed import PlannedClip
    from impasto.study.sheet import draw_sheet

    size = painted_size(clip.info, min(CURVE_PX[0], max(clip.info.width_px, clip.info.height_px)))
    source = PlannedClip(clip, made, film, size)
    cells: list[tuple[Picture | None, str]] = []
    for number, shot in enumerate(made.shots, 1):
        cells.append((_curve(made, shot.first, shot.last), f"shot {number}: coverage"))
        for key in shot.keyframes:
            frame = source.frames(key, key)[0]
            image = Picture.from_tensor(pixels_to_tensor(frame.pixels))
            cells.append((image, f"{key}  {float(made.times[key]):.2f} s"))
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    return draw_sheet(rows)


def _curve(made: FilmPlan, first: int, last: int) -> Picture:
    """Draws the coverage of a shot's frames, from 0 at the bottom to 1 at the top, with its keyframes."""
    import numpy as np
    from PIL import Image, ImageDraw

    from impasto.media import Picture

    width, height = CURVE_PX
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    scale = (width - 20) / max(1, last - first)

    def point(number: int, share: float) -> tuple[float, float]:
        return 10 + scale * (number - first), (height - 10) - share * (height - 20)

    for share in (0.0, 0.5, 1.0):
        pen.line([point(first, share), point(last, share)], fill="#dddddd")
    for key in made.keyframes:
        if first <= key <= last:
            pen.line([point(key, 0), point(key, 1)], fill="#d07020")
    inside = range(first + 1, last + 1)
    line = [point(first, 1.0), *(point(number, made.coverage[number]) for number in inside)]
    pen.line(line if len(line) > 1 else [*line, *line], fill="#204080", width=2)
    return Picture(rgb=np.asarray(image, np.float32) / 255)
