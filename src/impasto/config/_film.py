"""Options for stylizing a video, in addition to those for each frame."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.config._fields import change_fields, check_fields, check_name, option
from impasto.errors import UsageError

__all__ = ["METHODS", "FilmOptions", "film_options", "with_new_names"]

FrameStart = Literal["warped", "previous", "content", "noise"]
FlowName = Literal["dis", "dis-half", "farneback", "raft", "files"]


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """All settings that determine a stylized video, apart from the clip, the styles and `PaintOptions`.

    Loss weights have the same effect at every image size. Out-of-range values raise `impasto.errors.UsageError`.
    """

    begin: float = option(
        0.0, "Time in the clip at which to begin, in seconds.", group="Clip", low=0, flag="from"
    )
    end: float | None = option(
        None, "Time in the clip at which to stop, in seconds; the clip's end if not given.", group="Clip", low=0,
        flag="to",
    )  # fmt: skip
    fps: float | None = option(
        None, "Maximum frame rate; extra frames are dropped. The clip's own rate if not given. For an image sequence, "
        "its frame rate.",
        group="Clip", low=0.01, high=1000,
    )  # fmt: skip
    every: int = option(
        1, "Paint every Nth frame only, and show each N times as long.", group="Clip", low=1
    )
    loop: bool = option(
        False, "Lead the last frames back to the first pastiche, so that a looping clip stays seamless. Ignored with "
        "looks.", group="Clip",
    )  # fmt: skip

    frame_start: FrameStart = option(
        "warped", "Initial image of each frame: the previous pastiche warped along the optical flow (Ruder 2016) or "
        "unwarped, the initial image as for a single image (content), or noise.", group="Temporal consistency",
    )  # fmt: skip
    opening_steps: tuple[int, ...] = option(
        (160, 60, 40), "Steps at each scale for the first frame of a shot, which later frames build on; if none, the "
        "values of --steps.", group="Temporal consistency", low=0, high=100_000,
    )  # fmt: skip
    frame_steps: tuple[int, ...] = option(
        (11,), "Steps for each later frame of a shot; if none, every frame uses the whole schedule of --steps.",
        group="Temporal consistency", low=0, high=100_000,
    )  # fmt: skip
    frame_tolerance: float = option(
        0.0, "Finish a frame early when its loss fell by less than this fraction over ten steps; 0 never does.",
        group="Temporal consistency", low=0, high=1,
    )  # fmt: skip
    flow_weight: float = option(
        60.0, "Weight of the temporal consistency loss: the squared difference from earlier pastiches warped along the "
        "optical flow, where the flow is reliable (Ruder 2016, eqs. 7 to 9).", group="Temporal consistency", low=0,
    )  # fmt: skip
    gaps: tuple[int, ...] = option(
        (1,), "Distances in frames to the earlier pastiches of --flow-weight; each pixel uses the nearest one in which "
        "it is visible.", group="Temporal consistency", low=1, high=500,
    )  # fmt: skip
    still_weight: float = option(
        0.0, "Weight of the squared difference from the previous pastiche where nothing moves.",
        group="Temporal consistency", low=0,
    )  # fmt: skip
    previous_weight: float = option(
        0.0, "Weight of the squared difference from the previous pastiche, unwarped, over the whole frame.",
        group="Temporal consistency", low=0,
    )  # fmt: skip
    iterate_weight: float = option(
        0.0, "Weight of the squared difference from the previous frame's iterate at the same step.",
        group="Temporal consistency", low=0,
    )  # fmt: skip
    change_weight: float = option(
        0.0, "Weight of the change in content features and Gram matrices since the previous pastiche.",
        group="Temporal consistency", low=0,
    )  # fmt: skip
    passes: int = option(
        1, "Passes over each shot, alternating forward and backward (Ruder 2016, section 4.4). Ignored with "
        "looks.", group="Temporal consistency", low=1, high=50,
    )  # fmt: skip
    hold: bool = option(
        True, "Prevent drift of texture, brightness and contrast: undo the blur of resampling, and keep the tones of "
        "static areas.", group="Temporal consistency",
    )  # fmt: skip
    anchor: bool = option(
        True, "Check the motion of each pixel against a frame ten frames back, which doubles the optical flow "
        "computation. Not used with looks.", group="Temporal consistency",
    )  # fmt: skip

    keyframe_every: int = option(
        24, "Largest distance in frames between keyframes. Only keyframes are optimized; the frames between them "
        "follow the motion. 0 optimizes every frame, beginning with the frame before.", group="Keyframes", low=0,
        high=500,
    )  # fmt: skip
    coverage: float = option(
        0.7, "Place a keyframe where less than this share of a frame is reliably visible in the keyframe before.",
        group="Keyframes", low=0, high=1,
    )  # fmt: skip
    keyframe_steps: tuple[int, ...] = option(
        (25,), "Steps for each later keyframe of a shot.", group="Keyframes", low=0, high=100_000,
    )  # fmt: skip
    keyframe_weight: float = option(
        200.0, "Weight of the squared difference from the keyframe before, warped along the motion, where the motion "
        "is reliable.", group="Keyframes", low=0,
    )  # fmt: skip
    between: Literal["carried", "learned"] = option(
        "carried", "How frames between keyframes are painted: both keyframes are warped along the motion and joined "
        "(carried), or a small network is trained on them (learned; slower, softer).", group="Keyframes",
    )  # fmt: skip

    flow: FlowName = option(
        "dis", "Optical flow method; files reads --flow-files.", group="Optical flow"
    )
    flow_weights: Path | None = option(
        None,
        "RAFT checkpoint (small or large) for --flow raft.",
        group="Optical flow",
        path="read",
    )
    flow_files: Path | None = option(
        None, "Folder of flow fields for --flow files, named from_000012_to_000011.flo (or .png, in KITTI's format); "
        "frames are numbered from --from.", group="Optical flow", path="read",
    )  # fmt: skip
    flow_cache: Path | None = option(
        None,
        "Folder that caches flow fields for later runs on the same clip.",
        group="Optical flow",
        path="write",
    )
    cut_threshold: float = option(
        27.0, "Mean change in hue, saturation and brightness that counts as a cut; 0 disables cut detection.",
        group="Optical flow", low=0, high=255,
    )  # fmt: skip

    schedule: tuple[float, ...] = option(
        (),
        "Start time of each style in the output, in seconds; if empty, all styles are blended.",
        group="Style schedule",
        low=0,
    )
    fade: float = option(
        1.0, "Crossfade between styles, in seconds.", group="Style schedule", low=0
    )

    codec: str | None = option(
        None, "Video codec: h264, hevc, vp9, av1, prores, ffv1 or mjpeg; if not given, chosen by the output file name.",
        group="Output",
    )  # fmt: skip
    crf: int | None = option(
        None, "Constant rate factor of the codec, lower is better; if not given, 17 for h264, and 28 for vp9 and av1.",
        group="Output", low=0, high=63,
    )  # fmt: skip
    pixel_format: str | None = option(
        None,
        "Pixel format, such as yuv420p10le; if not given, matches the clip's bit depth.",
        group="Output",
    )
    sound: Literal["copy", "none"] = option(
        "copy", "Copy sound, subtitles and chapters unchanged, or omit them.", group="Output"
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.end is not None and self.end <= self.begin:
            raise UsageError(f"--to must be after --from {self.begin:g}; got {self.end:g}.")
        if self.flow == "files" and self.flow_files is None:
            raise UsageError(
                "--flow files requires a folder of flow fields; pass it with --flow-files."
            )
        if self.keyframe_every > 0:
            self._check_keyframes()
        if list(self.schedule) != sorted(self.schedule):
            raise UsageError(
                f"--schedule must be in ascending order; got {', '.join(f'{s:g}' for s in self.schedule)}."
            )

    def _check_keyframes(self) -> None:
        """Rejects options of methods that optimize every frame."""
        wrong = [
            name
            for name in ("still_weight", "previous_weight", "iterate_weight", "change_weight")
            if getattr(self, name) > 0
        ]
        wrong += ["passes"] if self.passes > 1 else []
        wrong += ["gaps"] if self.gaps != (1,) else []
        if wrong:
            flag = "--" + wrong[0].replace("_", "-")
            raise UsageError(
                f"{flag} requires a method that optimizes every frame; add --method steady, or remove {flag}."
            )

    def for_keyframes(self) -> FilmOptions:
        """Returns a copy in which the options of later frames are those of keyframes."""
        return dataclasses.replace(
            self, frame_steps=self.keyframe_steps, flow_weight=self.keyframe_weight
        )

    def for_look(self) -> FilmOptions:
        """Returns a copy without the features that require the optimizer: one pass, and only the flow term."""
        return dataclasses.replace(
            self, passes=1, loop=False, gaps=(1,), still_weight=0.0, previous_weight=0.0, iterate_weight=0.0,
            change_weight=0.0, anchor=False, keyframe_every=0,
            frame_start="warped" if self.flow_weight > 0 else "content",
        )  # fmt: skip

    @property
    def remembers(self) -> bool:
        """Whether a frame depends on the frames before it."""
        weights = (self.flow_weight, self.still_weight, self.previous_weight, self.iterate_weight)
        return any(weight > 0 for weight in (*weights, self.change_weight)) or self.frame_start in (
            "warped",
            "previous",
        )

    @property
    def needs_motion(self) -> bool:
        """Whether optical flow is required."""
        if self.keyframe_every > 0:
            return True
        warped = self.frame_start == "warped"
        return warped or self.flow_weight > 0 or self.still_weight > 0 or self.passes > 1


_ALONE: dict[str, Any] = {
    "frame_start": "content", "frame_steps": (), "opening_steps": (), "flow_weight": 0.0, "gaps": (1,), "hold": False,
    "anchor": False, "keyframe_every": 0,
}  # fmt: skip

METHODS: Mapping[str, FilmOptions] = types.MappingProxyType(
    {
        "keyframes": FilmOptions(),
        "steady": FilmOptions(keyframe_every=0),
        "ruder": FilmOptions(
            keyframe_every=0, gaps=(1, 10, 20, 40), frame_steps=(40,), hold=False, anchor=False
        ),
        "frame-by-frame": FilmOptions(**_ALONE),
        "seed-previous": FilmOptions(**_ALONE | {"previous_weight": 100.0}),
        "seed-iterates": FilmOptions(**_ALONE | {"iterate_weight": 100.0}),
        "seed-change": FilmOptions(**_ALONE | {"change_weight": 1.0}),
        "seed-still": FilmOptions(**_ALONE | {"still_weight": 100.0}),
    }
)
"""Temporal consistency methods by name. ``keyframes``, the default, optimizes a few frames and derives the others from
them; ``steady`` optimizes every frame, beginning with the frame before. ``ruder`` is Ruder, Dosovitskiy and Brox 2016
with long-term consistency. ``frame-by-frame`` uses none. Four simpler methods are included for comparison:
``seed-previous`` (mean squared difference from the previous pastiche), ``seed-iterates`` (from the previous frame's
iterate at the same step), ``seed-change`` (change in content and style features between neighboring frames), and
``seed-still`` (like ``seed-previous``, but only where nothing moves)."""


def with_new_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Renames the fields of earlier versions: ``start`` is now ``begin``.

    Args:
        values: Fields of `FilmOptions` by name.
        prefix: Path of the table, for error messages.

    Raises:
        UsageError: A field is given under both names.
    """
    renamed = dict(values)
    if "start" in renamed:
        if "begin" in renamed:
            raise UsageError(
                f"{prefix}start is the earlier name of {prefix}begin; remove one of them."
            )
        renamed["begin"] = renamed.pop("start")
    return renamed


def film_options(method: str = "keyframes", /, **overrides: Any) -> FilmOptions:
    """Returns a method with some fields replaced.

    Args:
        method: A name in `METHODS`.
        **overrides: Fields of `FilmOptions`; ``start``, the earlier name of ``begin``, is accepted too.

    Raises:
        UnknownNameError: The method or a field does not exist.
        UsageError: A value is out of range.
    """
    made: FilmOptions = change_fields(
        METHODS[check_name("method", method, METHODS)], with_new_names(overrides)
    )
    return made
