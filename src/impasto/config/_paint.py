"""Options of a picture."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.config._fields import (
    DEVICE,
    MOST_SEED,
    change_fields,
    check_fields,
    check_name,
    option,
)
from impasto.errors import UsageError
from impasto.text import shown

__all__ = [
    "PRESETS",
    "PaintOptions",
    "option_fields",
    "options",
]

StyleLossName = Literal["mixed", "gram", "w2", "sliced", "neighbor"]
DistanceName = Literal["mse", "l1", "huber", "half-sum"]
VariationName = Literal["l1", "l2", "nine-point"]
StartName = Literal["content", "recolored", "whitened", "look", "noise", "style", "gray", "file"]
KeepColors = Literal["none", "luminance", "linear", "histogram"]


@dataclass(frozen=True, kw_only=True)
class PaintOptions:
    """Everything that decides a pastiche, apart from the pictures.

    The help text of each field gives its unit and where its default comes from. Values out of range raise
    `impasto.errors.UsageError` when the object is made.
    """

    size: int = option(
        512, "Long edge of the pastiche in pixels; 0 keeps the content's own size.",
        group="Picture", low=0, high=32768,
    )  # fmt: skip
    strength: float = option(
        1.0, "How much of the style: 0 is the photograph, 1 the preset, 2 more than it. The style's weight is "
        "multiplied by its cube.", group="Picture", low=0, high=4,
    )  # fmt: skip
    style_scale: float = option(
        1.0, "Size of the style's strokes: its long edge over the pastiche's.", group="Picture", low=0.1, high=8,
    )  # fmt: skip
    blend: tuple[float, ...] = option(
        (), "Weight of each style when there are several; equal when empty.", group="Picture", low=0,
    )  # fmt: skip
    keep_colors: KeepColors = option(
        "none", "Keep the photograph's colors: its chrominance under the pastiche's luminance, or a linear "
        "(mean and covariance) or histogram transfer (Gatys 2017, section 5).", group="Picture",
    )  # fmt: skip
    keep_colors_when: Literal["before", "after"] = option(
        "after", "Recolor the style before painting, or the pastiche after; luminance is always after.",
        group="Picture",
    )  # fmt: skip

    affine: float = option(
        0.0, "Keep every detail the photograph's own and take over only the change of color, locally affine in "
        "windows of this share of the long edge; 0 is off, 0.01 is usual.", group="Picture", low=0, high=0.5,
    )  # fmt: skip
    deliver: int | None = option(
        None, "With --affine, long edge of the picture to write, whatever the size it was painted at; 0 is the "
        "photograph's own.", group="Picture", low=0, high=32768,
    )  # fmt: skip

    look: Path | None = option(
        None, "Paint at once with a trained network: instant (any style), a .look of impasto train, an .onnx of "
        "impasto export, or a checkpoint of fast_neural_style. With --start look it paints only the first picture.",
        group="Picture", path="read", builtin=("instant",),
    )  # fmt: skip

    regions: Literal["none", "auto", "semantic"] = option(
        "none", "Find parts of the photograph and the parts of the style that they take after: auto groups what looks "
        "alike in both, semantic asks the network in --segmenter what things are.", group="Regions",
    )  # fmt: skip
    region_count: int = option(4, "Most regions that auto finds.", group="Regions", low=2, high=9)
    segmenter: Path | None = option(
        None, "Folder of a network of transformers for --regions semantic, such as SegFormer's.", group="Regions",
        path="read",
    )  # fmt: skip
    content_regions: Path | None = option(
        None, "Regions of the photograph as colors of a picture; each takes its style from the same color of "
        "--style-regions. Grays are a soft mask: white one region, black the other. A folder holds a mask a region; "
        "for a film, a film of masks.", group="Regions", path="read",
    )  # fmt: skip
    style_regions: Path | None = option(None, "Regions of the style.", group="Regions", path="read")
    assign: tuple[str, ...] = option(
        (), "Which style a region takes after, when there are several: white=1.", group="Regions"
    )  # fmt: skip
    only: tuple[str, ...] = option(
        (), "Paint these regions only and leave the rest as it is.", group="Regions"
    )  # fmt: skip
    background: Literal["paint", "keep"] = option(
        "paint", "What becomes of regions that the style lacks, or that no style is assigned to.", group="Regions"
    )  # fmt: skip
    feather: float = option(
        0.01, "Softness of the regions' borders, as a share of the long edge.", group="Regions", low=0, high=0.2,
    )  # fmt: skip

    style_loss: StyleLossName = option(
        "w2", "Style loss: Gram matrices, Gaussians of features (w2), both (mixed; the Gram alone on the finest "
        "of several scales), whole distributions (sliced), or nearest neighbors.", group="Losses",
    )  # fmt: skip
    content_weight: float = option(1.0, "Weight of the content loss.", group="Losses", low=0)
    style_weight: float = option(
        150.0, "Weight of the style loss, free of picture size, layers and backbone.", group="Losses", low=0,
    )  # fmt: skip
    content_layers: tuple[str, ...] = option(
        ("relu3_1", "relu4_2"), "Layers of the content loss.", group="Losses"
    )
    content_layer_weights: tuple[float, ...] = option(
        (), "Share of each content layer; equal when empty.", group="Losses", low=0
    )
    style_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "Layers of the style loss (Gatys 2016).", group="Losses",
    )  # fmt: skip
    style_layer_weights: tuple[float, ...] = option(
        (),
        "Relative weight of each style layer; derived from --style-falloff when empty.",
        group="Losses",
        low=0,
    )
    style_falloff: float = option(
        4.0, "Weight of each style layer relative to the next one listed (Crowson uses 4). With 1, all layers weigh "
        "the same, and objects of the style may appear in the picture.", group="Losses", low=0.1, high=100,
    )  # fmt: skip
    content_loss: DistanceName = option(
        "mse",
        "Distance of content features; half-sum is the seeds' and Gatys' eq. 1.",
        group="Losses",
    )
    tv_weight: float = option(0.0, "Weight of total variation.", group="Losses", low=0)
    tv_kind: VariationName = option("l2", "Kind of total variation.", group="Losses")
    laplacian_weight: float = option(
        0.0, "Weight of the Laplacian loss, which keeps edges (Li 2017).", group="Losses", low=0
    )
    coherence_weight: tuple[float, ...] = option(
        (200.0, 50.0, 0.0), "Weight of color coherence at each scale, coarse to fine: the first repeats, or the last "
        "ones count. It penalizes color changes that are not affine within 3x3 px (Levin 2008, eq. 5), so that each "
        "object keeps consistent colors.",
        group="Losses", low=0,
    )  # fmt: skip
    grain_weight: float = option(
        3.0, "Weight of the grain loss, which matches the strength of the style's finest detail and prevents speckle.",
        group="Losses", low=0,
    )  # fmt: skip
    photoreal_weight: float = option(
        0.0, "Weight of photorealism: how far the change of color is from affine within 3x3 px (Luan 2017, eq. 2).",
        group="Losses", low=0,
    )  # fmt: skip
    balance: Literal["fixed", "guard", "auto"] = option(
        "fixed", "How --style-weight is set: fixed keeps it; guard lowers it on the coarsest scale until the content "
        "loss reaches --content-budget; auto can also raise it.", group="Losses",
    )  # fmt: skip
    content_budget: float = option(
        0.45, "Content loss that balance aims at: the share of the content features' energy that may change.",
        group="Losses", low=0.01, high=2,
    )  # fmt: skip
    as_published: bool = option(
        False,
        "Losses on the paper's own scale (Gatys 2016, eqs. 1, 4, 5) on pixels of 0 to 255.",
        group="Losses",
    )

    backbone: str = option(
        "vgg19-lite", "The network that sees; see `impasto backbones`.", group="Backbone"
    )
    weights: Path | None = option(
        None, "File of the backbone's weights.", group="Backbone", path="read"
    )
    pooling: Literal["max", "average", "l2"] | None = option(
        None, "Pooling; the backbone's own when not given.", group="Backbone"
    )
    download: bool = option(
        False,
        "Allow the backbone's published weights to be fetched once.",
        group="Backbone",
        from_media=False,
    )

    solver: Literal["lbfgs", "adam", "sgd"] = option(
        "lbfgs", "How steps are taken.", group="Solver"
    )
    steps: tuple[int, ...] = option(
        (90, 30, 8), "Steps at each scale, coarse to fine; the first repeats when there are more scales, the "
        "last ones count when there are fewer, and a single scale gets the first.", group="Solver", low=0, high=100_000,
    )  # fmt: skip
    learning_rate: float | None = option(
        None,
        "Step length; 1 for lbfgs, 0.03 for adam and sgd when not given.",
        group="Solver",
        low=1e-6,
        high=10,
    )
    history: int = option(12, "Steps that L-BFGS remembers.", group="Solver", low=1, high=200)
    coarsest: int = option(
        112, "Long edge in pixels under which no coarser scale is made; 0 for a single scale.",
        group="Solver", low=0,
    )  # fmt: skip
    margin: float = option(
        0.0, "Painted beyond each border and cut off again, as a share of the long edge, against a frame that some "
        "styles leave; 0.03 costs an eighth more time.", group="Solver", low=0, high=0.25,
    )  # fmt: skip
    carry_state: bool = option(
        False, "Carry the solver's state over to the next scale.", group="Solver"
    )
    start: StartName = option(
        "recolored", "Initial image; recolored is the photograph with the mean and covariance of the style's colors.",
        group="Solver",
    )  # fmt: skip
    start_file: Path | None = option(
        None, "The picture for --start file.", group="Solver", path="read"
    )
    averaging: float = option(
        0.0, "Decay of the running average of pictures that is kept as the result; 0 for none.",
        group="Solver", low=0, high=0.999,
    )  # fmt: skip
    tolerance: float = option(
        0.0, "Leave a scale when the loss fell by less than this share over ten steps; 0 never.",
        group="Solver", low=0, high=1,
    )  # fmt: skip
    seed: int = option(0, "Seed of everything random.", group="Solver", low=0, high=MOST_SEED)

    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps.", group="Machine", **DEVICE)
    direction: Literal["ab", "ba"] = option(
        "ab", "Which way a translator goes: from its world A to B, or back.", group="Picture"
    )  # fmt: skip
    runtime: Literal["torch", "onnx", "openvino", "openvino-bfloat16"] = option(
        "torch",
        "Runtime for the network of --look; all but torch need the extra fast, and openvino-bfloat16 trades accuracy "
        "for speed on processors that have bfloat16, and cannot run instant.",
        group="Machine",
    )
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto",
        "Precision of the backbone; auto is bfloat16 on GPUs that have it, and float32 on the CPU unless memory is "
        "short.",
        group="Machine",
    )
    checkpointing: Literal["auto", "on", "off"] = option(
        "auto",
        "Compute activations twice to hold fewer; auto when memory is short.",
        group="Machine",
    )
    memory_gib: float | None = option(
        None,
        "Memory that may be used, in GiB; what is free when not given.",
        group="Machine",
        low=0.05,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        self._check_regions()
        if self.deliver is not None and self.affine == 0:
            raise UsageError(
                "--deliver enlarges by --affine; give that too, for example --affine 0.01."
            )
        if self.start == "look" and self.look is None:
            raise UsageError("start is 'look' but no look was given; give one with --look.")
        if self.paints_at_once and self.strength > 1:
            raise UsageError(
                f"--strength got {self.strength:g}; allowed with --look is from 0 to 1."
            )
        if self.start == "file" and self.start_file is None:
            raise UsageError("start is 'file' but no file was given; give one with --start-file.")
        if not self.steps:
            raise UsageError("--steps is empty; give one number, or several from coarse to fine.")
        if not self.coherence_weight:
            raise UsageError(
                "--coherence-weight is empty; give one number, or several from coarse to fine."
            )
        _assignments(self.assign)
        _check_pairing("content", self.content_layers, self.content_layer_weights)
        _check_pairing("style", self.style_layers, self.style_layer_weights)

    def _check_regions(self) -> None:
        files = self.content_regions is not None
        if self.style_regions is not None and not files:
            raise UsageError("--style-regions go with --content-regions; give both.")
        if files and self.regions != "none":
            raise UsageError(
                f"regions come from files or from --regions {self.regions}; leave one of them away."
            )
        if files and self.style_regions is None and not (self.assign or self.only):
            raise UsageError(
                "regions come in pairs; give --style-regions too, or --only or --assign to say what becomes of them."
            )
        if self.regions == "semantic" and self.segmenter is None:
            raise UsageError("--regions semantic needs the folder of a network; give --segmenter.")
        if not self.has_regions and (self.assign or self.only or self.background == "keep"):
            raise UsageError(
                "--assign, --only and --background are of regions; give --content-regions or --regions auto."
            )
        if self.has_regions and self.style_loss == "sliced":
            raise UsageError(
                "--style-loss sliced knows no regions; allowed with them: mixed, gram, w2, neighbor."
            )

    @property
    def paints_at_once(self) -> bool:
        """Whether a look paints, and not the optimizer."""
        return self.look is not None and self.start != "look"

    @property
    def style_shares(self) -> tuple[float, ...]:
        """Relative weight of each style layer."""
        if self.style_layer_weights:
            return self.style_layer_weights
        return tuple(self.style_falloff**-n for n in range(len(self.style_layers)))

    @property
    def has_regions(self) -> bool:
        """Whether parts of the picture are told apart."""
        return self.regions != "none" or self.content_regions is not None

    @property
    def assigned(self) -> Mapping[str, int]:
        """Number of the style, from 0, by the region's name.

        Raises:
            UsageError: An assignment is not of the form ``name=number``.
        """
        return _assignments(self.assign)


def _assignments(texts: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in texts:
        name, _equals, number = text.partition("=")
        if not re.fullmatch("[1-9][0-9]{0,3}", number):
            raise UsageError(
                f"--assign got {shown(text)}; allowed is a region and a style's number, like white=1."
            )
        found[name] = int(number) - 1
    return found


def _check_pairing(role: str, layers: tuple[str, ...], weights: tuple[float, ...]) -> None:
    if not layers:
        raise UsageError(f"no {role} layer was given; give at least one, or a {role} weight of 0.")
    if weights and len(weights) != len(layers):
        raise UsageError(
            f"{len(weights)} {role} layer weights for {len(layers)} {role} layers; give as many, or none."
        )
    if weights and sum(weights) == 0:
        raise UsageError(f"all {role} layer weights are 0; give at least one above 0.")


STANDARD = PaintOptions()

PLAIN: Mapping[str, Any] = types.MappingProxyType(
    {
        "content_layers": ("relu4_2",), "style_falloff": 1.0, "coherence_weight": (0.0,), "grain_weight": 0.0,
    }
)  # fmt: skip
"""One content layer, equal style layers, and neither coherence nor grain: as in the papers."""

PRESETS: Mapping[str, PaintOptions] = types.MappingProxyType(
    {
        "draft": PaintOptions(size=384, steps=(60, 10), coherence_weight=(200.0, 0.0)),
        "standard": STANDARD,
        "fine": PaintOptions(
            size=1024, steps=(200, 100, 40, 16), coherence_weight=(200.0, 50.0, 10.0, 0.0), history=10
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
"""Presets by intent. ``photoreal`` gives a photograph the look of another and leaves it one; ``deep-photo`` is the
published way there, Gram matrices with the matting Laplacian at 1e4 and nothing taken over at the end (Luan 2017,
which has relu5_1 too). ``faithful-gatys`` is the 2016 paper as written: noise, one scale, L-BFGS, average pooling,
unnormalized losses with alpha / beta = 1e-3 and equal layer weights."""


def option_fields() -> tuple[dataclasses.Field[Any], ...]:
    """The fields of `PaintOptions`, with their metadata: ``help``, ``group``, ``low``, ``high``."""
    return dataclasses.fields(PaintOptions)


def options(preset: str = "standard", /, **overrides: Any) -> PaintOptions:
    """Takes a preset and changes fields of it.

    Args:
        preset: A name in `PRESETS`.
        **overrides: Fields of `PaintOptions`; lists become tuples and strings paths where the field says so.

    Raises:
        UnknownNameError: There is no such preset or field.
        UsageError: A value is out of its range.
    """
    made: PaintOptions = change_fields(PRESETS[check_name("preset", preset, PRESETS)], overrides)
    return made
