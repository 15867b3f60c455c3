"""Options of a film, beside those of its pictures."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.config._fields import change_fields, check_fields, check_name, option
from impasto.errors import UsageError

__all__ = ["METHODS", "FilmOptions", "film_options"]

FrameStart = Literal["warped", "previous", "content", "noise"]
FlowName = Literal["dis", "dis-half", "farneback", "raft", "files"]


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """Everything that decides a film, apart from the clip, the styles and `PaintOptions`.

    Weights of terms mean the same at every picture size. Values out of range raise `impasto.errors.UsageError`.
    """

    start: float = option(0.0, "Second of the clip at which to begin.", group="Excerpt", low=0)
    end: float | None = option(
        None, "Second of the clip at which to stop; its end when not given.", group="Excerpt", low=0
    )
    fps: float | None = option(
        None, "At most so many frames a second, by leaving some out; the clip's own when not given. Of a sequence of "
        "pictures, its rate.",
        group="Excerpt", low=0.01, high=1000,
    )  # fmt: skip
    every: int = option(
        1, "Paint every so many frames; each is shown for that much longer.", group="Excerpt", low=1
    )
    loop: bool = option(
        False, "Lead the last frames back to the first pastiche, for films that are shown in a circle.",
        group="Excerpt",
    )  # fmt: skip

    frame_start: FrameStart = option(
        "warped", "What a frame begins with: the previous pastiche warped along the motion (Ruder 2016), the same "
        "unwarped, the initial image of a single picture, or noise.", group="Steadiness",
    )  # fmt: skip
    opening_steps: tuple[int, ...] = option(
        (160, 60, 40), "Steps at each scale of a shot's first frame, which the others live on; those of --steps when "
        "none.", group="Steadiness", low=0, high=100_000,
    )  # fmt: skip
    frame_steps: tuple[int, ...] = option(
        (11,), "Steps of every frame after a shot's first; none for the whole schedule of --steps at every frame.",
        group="Steadiness", low=0, high=100_000,
    )  # fmt: skip
    frame_tolerance: float = option(
        0.0, "Leave a frame when its loss fell by less than this share over ten steps; 0 never.",
        group="Steadiness", low=0, high=1,
    )  # fmt: skip
    flow_weight: float = option(
        60.0, "Weight of the squared difference from earlier pastiches warped along the motion, where the motion "
        "is reliable (Ruder 2016, eqs. 7 to 9).", group="Steadiness", low=0,
    )  # fmt: skip
    gaps: tuple[int, ...] = option(
        (1,), "How many frames back those pastiches lie; the closest that sees a pixel counts.",
        group="Steadiness", low=1, high=500,
    )  # fmt: skip
    still_weight: float = option(
        0.0, "Weight of the squared difference from the previous pastiche where nothing moves.",
        group="Steadiness", low=0,
    )  # fmt: skip
    previous_weight: float = option(
        0.0, "Weight of the squared difference from the previous pastiche, unwarped, everywhere.",
        group="Steadiness", low=0,
    )  # fmt: skip
    iterate_weight: float = option(
        0.0, "Weight of the squared difference from the previous frame's picture after as many steps.",
        group="Steadiness", low=0,
    )  # fmt: skip
    change_weight: float = option(
        0.0, "Weight of the change of content features and of Gram matrices since the previous pastiche.",
        group="Steadiness", low=0,
    )  # fmt: skip
    passes: int = option(
        1, "Passes over each shot, forward and backward in turn (Ruder 2016, section 4.4).",
        group="Steadiness", low=1, high=50,
    )  # fmt: skip
    hold: bool = option(
        True, "Hold texture, brightness and contrast against drift: undo what resampling blurs, keep the tones of what "
        "stands still.", group="Steadiness",
    )  # fmt: skip
    anchor: bool = option(
        True, "Check the way of each pixel against a frame ten back, at twice the searches for motion. Looks do "
        "without, whose paint is never old.", group="Steadiness",
    )  # fmt: skip

    flow: FlowName = option("dis", "How motion is found; files reads --flow-files.", group="Motion")
    flow_weights: Path | None = option(
        None,
        "Checkpoint of RAFT, small or large, for --flow raft.",
        group="Motion",
        path="read",
    )
    flow_files: Path | None = option(
        None, "Folder of fields for --flow files: from_000012_to_000011.flo (or .png as KITTI's), counted "
        "from the excerpt's first frame.", group="Motion", path="read",
    )  # fmt: skip
    flow_cache: Path | None = option(
        None,
        "Folder that keeps the fields found, for the next run over the same clip.",
        group="Motion",
        path="write",
    )
    cut_threshold: float = option(
        27.0, "Mean change of hue, saturation and brightness that makes a cut; 0 looks for none.",
        group="Motion", low=0, high=255,
    )  # fmt: skip

    schedule: tuple[float, ...] = option(
        (),
        "Second of the film at which each style begins; all are blended when empty.",
        group="Styles",
        low=0,
    )
    fade: float = option(1.0, "Seconds of cross-fade from style to style.", group="Styles", low=0)

    codec: str | None = option(
        None, "Video codec: h264, hevc, vp9, av1, prores, ffv1, mjpeg; what the file's name asks for when not given.",
        group="File",
    )  # fmt: skip
    crf: int | None = option(
        None, "Constant quality of the codec, lower is better; 17 for h264, 28 for vp9 and av1 when not given.",
        group="File", low=0, high=63,
    )  # fmt: skip
    pixel_format: str | None = option(
        None,
        "Pixel format, for example yuv420p10le; as deep as the clip when not given.",
        group="File",
    )
    sound: Literal["copy", "none"] = option(
        "copy", "Copy sound, subtitles and chapters as they are, or leave them out.", group="File"
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.end is not None and self.end <= self.start:
            raise UsageError(
                f"--end got {self.end:g}, which is not after --start {self.start:g}; give a later second."
            )
        if self.flow == "files" and self.flow_files is None:
            raise UsageError("--flow files needs the folder of fields; give it with --flow-files.")
        if list(self.schedule) != sorted(self.schedule):
            raise UsageError(f"--schedule got {self.schedule}; allowed are seconds that rise.")

    def for_look(self) -> FilmOptions:
        """The same film without what only the optimizer can do: one pass, and no terms but the motion's."""
        return dataclasses.replace(
            self, passes=1, loop=False, gaps=(1,), still_weight=0.0, previous_weight=0.0, iterate_weight=0.0,
            change_weight=0.0, anchor=False, frame_start="warped" if self.flow_weight > 0 else "content",
        )  # fmt: skip

    @property
    def remembers(self) -> bool:
        """Whether a frame depends on those before it."""
        weights = (self.flow_weight, self.still_weight, self.previous_weight, self.iterate_weight)
        return any(weight > 0 for weight in (*weights, self.change_weight)) or self.frame_start in (
            "warped",
            "previous",
        )

    @property
    def needs_motion(self) -> bool:
        """Whether fields of motion have to be found."""
        warped = self.frame_start == "warped"
        return warped or self.flow_weight > 0 or self.still_weight > 0 or self.passes > 1


_ALONE: dict[str, Any] = {
    "frame_start": "content", "frame_steps": (), "opening_steps": (), "flow_weight": 0.0, "gaps": (1,), "hold": False,
    "anchor": False,
}  # fmt: skip

METHODS: Mapping[str, FilmOptions] = types.MappingProxyType(
    {
        "steady": FilmOptions(),
        "ruder": FilmOptions(gaps=(1, 10, 20, 40), frame_steps=(40,), hold=False, anchor=False),
        "frame-by-frame": FilmOptions(**_ALONE),
        "seed-previous": FilmOptions(**_ALONE | {"previous_weight": 100.0}),
        "seed-iterates": FilmOptions(**_ALONE | {"iterate_weight": 100.0}),
        "seed-change": FilmOptions(**_ALONE | {"change_weight": 1.0}),
        "seed-still": FilmOptions(**_ALONE | {"still_weight": 100.0}),
    }
)
"""Ways to steadiness by name. ``steady`` is the default. ``ruder``: Ruder, Dosovitskiy and Brox 2016 with long-term
consistency. ``frame-by-frame``: nothing. The seeds' films again: ``seed-previous`` (mean square against the previous
pastiche), ``seed-iterates`` (against its picture at the same step), ``seed-change`` (content and style of neighbors),
``seed-still`` (the same only where nothing moves, which one of them wished for)."""


def film_options(method: str = "steady", /, **overrides: Any) -> FilmOptions:
    """Takes a method and changes fields of it.

    Args:
        method: A name in `METHODS`.
        **overrides: Fields of `FilmOptions`.

    Raises:
        UnknownNameError: There is no such method or field.
        UsageError: A value is out of its range.
    """
    made: FilmOptions = change_fields(METHODS[check_name("method", method, METHODS)], overrides)
    return made
