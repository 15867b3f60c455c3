"""`impasto flow`: motion as pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.config import check_fields
from impasto.text import printable

__all__ = ["flow"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class View:
    """What is shown, and how motion is found."""

    flow: Literal["dis", "dis-half", "farneback", "raft"] = "dis"
    """How motion is found."""
    flow_weights: Path | None = None
    """Checkpoint of RAFT."""
    start: float = field(default=0.0, metadata={"low": 0})
    """Second at which to begin."""
    end: float | None = field(default=None, metadata={"low": 0})
    """Second at which to stop."""
    size: int = field(default=0, metadata={"low": 0, "high": 32768})
    """Long edge in pixels; 0 for the clip's own."""
    longest: float | None = field(default=None, metadata={"low": 0.01})
    """Length in pixels that is shown in full color; each field's own when not given."""
    fields: Literal["none", "flo", "png"] = "none"
    """Write the fields too: .flo, or KITTI's .png."""
    overwrite: bool = False
    """Replace files that impasto did not make; fields of motion have no place for its mark, and count as such."""


def _names(view: View) -> tuple[str, ...]:
    """Of what is written, with places for the numbers of frames."""
    fields = f"from_%06d_to_%06d.{view.fields}"
    pictures = ("%06d_flow.png", "%06d_reliability.png")
    return pictures if view.fields == "none" else (*pictures, fields)


def flow(
    clip: Annotated[Path, Parameter(help="Film, or folder of pictures.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder to write to.")],
    view: View | None = None,
) -> int:
    """Write the motion of CLIP as colors and its reliability as pictures.

    For each frame after the first: 000001_flow.png (hue is direction, saturation length, to the frame before) and
    000001_reliability.png (white is trusted). With --fields, from_000001_to_000000.flo and back, for --flow files.
    """
    from impasto.errors import InputError
    from impasto.media import (
        Picture,
        check_outputs,
        make_folder,
        pixels_to_tensor,
        write_image,
    )
    from impasto.media.video import open_clip, painted_size, select_frames
    from impasto.motion import color_flow, make_estimator, reliability, write_flow

    view = view or View()
    check_fields(view)
    opened = open_clip(clip)
    find = make_estimator(view.flow, weights=view.flow_weights)
    make_folder(out)
    outs = [out / name for name in _names(view)]
    check_outputs(outs, [clip, view.flow_weights], overwrite=view.overwrite)
    before = None
    count = 0
    frames = opened.frames(painted_size(opened.info, view.size))
    for frame in select_frames(frames, start=view.start, end=view.end):
        if before is not None:
            there, back = find(frame, before), find(before, frame)
            trust = reliability(
                there, back, pixels_to_tensor(frame.pixels), pixels_to_tensor(before.pixels)
            )
            for name, image in (
                ("flow", color_flow(there, view.longest)),
                ("reliability", trust.expand(1, 3, -1, -1)),
            ):
                write_image(out / f"{frame.index:06d}_{name}.png", Picture.from_tensor(image))
            if view.fields != "none":
                write_flow(
                    out / f"from_{frame.index:06d}_to_{before.index:06d}.{view.fields}", there
                )
                write_flow(
                    out / f"from_{before.index:06d}_to_{frame.index:06d}.{view.fields}", back
                )
            count += 1
        before = frame
    if count == 0:
        raise InputError(f"{clip} has fewer than two frames there; choose a longer excerpt.")
    print(printable(f"{count} fields of motion are in {out}"))
    return 0
