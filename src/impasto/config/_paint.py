"""Options for stylizing an image: all groups together, and presets."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from impasto.config._fields import change_fields, check_name
from impasto.config._groups import (
    ColorOptions,
    ExtractorOptions,
    FeedForwardOptions,
    ImageOptions,
    LossOptions,
    MachineOptions,
    OptimizerOptions,
    RegionOptions,
)
from impasto.config._nested import nested
from impasto.errors import UsageError

__all__ = [
    "PRESETS",
    "PaintOptions",
    "options",
]

if TYPE_CHECKING:

    class _Fields(
        ImageOptions,
        ColorOptions,
        FeedForwardOptions,
        RegionOptions,
        LossOptions,
        ExtractorOptions,
        OptimizerOptions,
        MachineOptions,
    ):
        """The fields of the groups, for type checkers; `nested` adds them."""

else:
    _Fields = object


@nested
@dataclass(frozen=True, kw_only=True)
class PaintOptions(_Fields):
    """All settings that determine a pastiche, apart from the input images.

    They are in groups, and each field of a group can also be used as a field of this class: ``PaintOptions(size=800)``
    sets ``image.size``, which can also be read as ``size``. The help text of each field gives its unit and the source
    of its default. Out-of-range values raise `impasto.errors.UsageError` at construction.

    Attributes:
        image: Size, strength and scale of the style.
        color: Preserved colors and detail.
        feedforward: The trained network that paints in place of the optimizer.
        region: Regions and the styles that they take.
        loss: Losses, layers and weights.
        extractor: The feature extractor.
        optimizer: Solver, steps and initial image.
        machine: Device, precision and memory.
    """

    image: ImageOptions = field(default=ImageOptions())
    color: ColorOptions = field(default=ColorOptions())
    feedforward: FeedForwardOptions = field(default=FeedForwardOptions())
    region: RegionOptions = field(default=RegionOptions())
    loss: LossOptions = field(default=LossOptions())
    extractor: ExtractorOptions = field(default=ExtractorOptions())
    optimizer: OptimizerOptions = field(default=OptimizerOptions())
    machine: MachineOptions = field(default=MachineOptions())

    def __post_init__(self) -> None:
        if self.optimizer.start == "look" and self.feedforward.look is None:
            raise UsageError("--start look requires a look; pass one with --look.")
        if self.paints_at_once and self.image.strength > 1:
            raise UsageError(
                f"--strength must be between 0 and 1 with --look; got {self.image.strength:g}."
            )
        if self.region.has_regions and self.loss.style_loss == "sliced":
            raise UsageError(
                "--style-loss sliced does not support regions; use mixed, gram, w2 or neighbor."
            )

    @property
    def paints_at_once(self) -> bool:
        """Whether a feed-forward look paints the result, rather than the optimizer."""
        return self.feedforward.look is not None and self.optimizer.start != "look"


STANDARD = PaintOptions()

PLAIN: Mapping[str, Any] = types.MappingProxyType(
    {
        "content_layers": ("relu4_2",), "style_falloff": 1.0, "coherence_weight": (0.0,), "grain_weight": 0.0,
    }
)  # fmt: skip
"""As in the papers: one content layer, equal style layer weights, and no coherence or grain loss."""

PRESETS: Mapping[str, PaintOptions] = types.MappingProxyType(
    {
        "draft": PaintOptions(size=384, steps=(60, 10), coherence_weight=(200.0, 0.0)),
        "standard": STANDARD,
        "fine": PaintOptions(
            size=1024, steps=(200, 100, 40, 16), coherence_weight=(200.0, 50.0, 10.0, 0.0), history=10
        ),
        "print": PaintOptions(
            size=4096, steps=(90, 30, 8, 4, 3), coherence_weight=(200.0, 50.0, 0.0, 0.0, 0.0)
        ),
        "faithful-gatys": PaintOptions(
            size=512, steps=(500,), coarsest=0, start="noise", style_loss="gram", pooling="average",
            content_loss="half-sum", content_weight=1.0, style_weight=1000.0, as_published=True, balance="fixed",
            history=50, **PLAIN,
        ),
        "photoreal": PaintOptions(
            steps=(120, 80, 50), style_weight=100.0, photoreal_weight=1e4, affine=0.01, style_loss="w2",
            start="recolored", balance="guard", **PLAIN,
        ),
        "deep-photo": PaintOptions(
            steps=(300, 200, 200), style_loss="gram", style_weight=100.0, photoreal_weight=1e4,
            style_layers=("relu1_1", "relu2_1", "relu3_1", "relu4_1"), start="recolored", balance="fixed", **PLAIN,
        ),
    }
)  # fmt: skip
"""Presets by intent. ``photoreal`` transfers the colors of one photograph to another and keeps the result
photorealistic. ``deep-photo`` is the published method for this: Gram matrices with the matting Laplacian at a weight of
1e4, without the final affine color transfer (Luan 2017, which also uses relu5_1). ``faithful-gatys`` follows the 2016
paper: noise, one scale, L-BFGS, average pooling, unnormalized losses with alpha / beta = 1e-3 and equal layer
weights."""


def options(preset: str = "standard", /, **overrides: Any) -> PaintOptions:
    """Returns a preset with some fields replaced.

    Args:
        preset: A name in `PRESETS`.
        **overrides: Fields of `PaintOptions`; lists become tuples, and strings become paths, as the field requires.

    Raises:
        UnknownNameError: The preset or a field does not exist.
        UsageError: A value is out of range.
    """
    made: PaintOptions = change_fields(PRESETS[check_name("preset", preset, PRESETS)], overrides)
    return made
