"""`impasto flow`: optical flow as images."""

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
    """Options of `impasto flow`."""

    flow: Literal["dis", "dis-half", "farneback", "raft"] = "dis"
    """Optical flow method."""
    flow_weights: Path | None = None
    """RAFT checkpoint for --flow raft."""
    begin: Annotated[float, Parameter(name="--from")] = field(
        default=0.0, metadata={"low": 0, "flag": "from"}
    )
    """Time in the clip at which to begin, in seconds."""
    end: Annotated[float | None, Parameter(name="--to")] = field(
        default=None, metadata={"low": 0, "flag": "to"}
    )
    """Time in the clip at which to stop, in seconds; the clip's end if not given."""
    size: int = field(default=0, metadata={"low": 0, "high": 32768})
    """Long edge in pixels; 0 keeps the clip's size."""
    longest: float | None = field(default=None, metadata={"low": 0.01})
    """Flow length in pixels that is shown at full saturation; the maximum of each frame if not given."""
    fields: Literal["none", "flo", "png"] = "none"
    """Also write the flow fields, as .flo or in KITTI's .png format."""
    overwrite: bool = False
    """Replace files that impasto did not write. Also required to replace flow fields, which cannot be marked."""


def _names(view: View) -> tuple[str, ...]:
    """Returns the names of the output files, with placeholders for frame numbers."""
    fields = f"from_%06d_to_%06d.{view.fields}"
    pictures = ("%06d_flow.png", "%06d_reliability.png")
    return pictures if view.fields == "none" else (*pictures, fields)


def flow(
    clip: Annotated[Path, Parameter(help="Video, or folder of images.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Output folder.")],
    view: View | None = None,
) -> int:
    """Write the optical flow of CLIP and its reliability as images.

    For each frame after the first, writes 000001_flow.png (flow to the previous frame; hue is direction, saturation is
    length) and 000001_reliability.png (white is reliable). With --fields, also writes from_000001_to_000000.flo and the
    reverse flow, for --flow files.
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
    for frame in select_frames(frames, start=view.begin, end=view.end):
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
        raise InputError(
            f"{clip} has fewer than two frames in this range; choose a longer one with --from and --to."
        )
    print(printable(f"wrote the flow of {count} frames to {out}"))
    return 0
