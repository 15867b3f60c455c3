"""The groups of options for stylizing an image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from impasto.config._choices import SOLVERS, STYLE_LOSSES
from impasto.config._fields import DEVICE, MOST_SEED, check_fields, option
from impasto.errors import UsageError
from impasto.text import shown

__all__ = [
    "ColorOptions",
    "ExtractorOptions",
    "FeedForwardOptions",
    "ImageOptions",
    "KeepColors",
    "LossOptions",
    "MachineOptions",
    "OptimizerOptions",
    "RegionOptions",
    "StartName",
]

DistanceName = Literal["mse", "l1", "huber", "half-sum"]
VariationName = Literal["l1", "l2", "nine-point"]
StartName = Literal["content", "recolored", "whitened", "look", "noise", "style", "gray", "file"]
KeepColors = Literal["none", "luminance", "linear", "histogram"]


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Size of the pastiche, and how strongly and at what scale the style applies."""

    size: int = option(
        512, "Long edge of the output in pixels; 0 keeps the content image's size.",
        group="Image", low=0, high=32768,
    )  # fmt: skip
    strength: float = option(
        1.0, "Stylization strength: 0 returns the content image, 1 is the preset's strength, and larger values are "
        "stronger. The style weight is multiplied by strength cubed.", group="Image", low=0, high=4,
    )  # fmt: skip
    style_scale: float = option(
        1.0, "Size of the style image relative to the output (ratio of their long edges); larger values give larger "
        "strokes.", group="Image", low=0.1, high=8,
    )  # fmt: skip
    blend: tuple[float, ...] = option(
        (), "Relative weights of several style images; equal if empty.", group="Image", low=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class ColorOptions:
    """What the pastiche keeps of the content image's colors and detail."""

    keep_colors: KeepColors = option(
        "none", "Preserve the content image's colors: luminance combines its chrominance with the pastiche's "
        "luminance; linear (mean and covariance) and histogram are color transfers (Gatys 2017, section 5).",
        group="Color",
    )  # fmt: skip
    keep_colors_when: Literal["before", "after"] = option(
        "after", "Recolor the style image before painting, or the pastiche afterwards; luminance always applies "
        "afterwards.", group="Color",
    )  # fmt: skip
    affine: float = option(
        0.0, "Keep the content image's detail and transfer only color, with locally affine color transforms in windows "
        "of this fraction of the long edge; 0 disables it, 0.01 is typical.", group="Color", low=0, high=0.5,
    )  # fmt: skip
    deliver: int | None = option(
        None, "With --affine, long edge of the written image in pixels, independent of --size; 0 uses the content "
        "image's size.", group="Color", low=0, high=32768,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if self.deliver is not None and self.affine == 0:
            raise UsageError("--deliver requires --affine; add it, for example --affine 0.01.")


@dataclass(frozen=True, kw_only=True)
class FeedForwardOptions:
    """The trained network that paints in place of the optimizer."""

    look: Path | None = option(
        None, "Use a trained feed-forward network instead of the optimizer: instant (any style), a .look from impasto "
        "train, an .onnx from impasto export, or a fast_neural_style checkpoint. With --start look, it only produces "
        "the initial image.", group="Looks", path="read", builtin=("instant",),
    )  # fmt: skip
    direction: Literal["ab", "ba"] = option(
        "ab", "Direction of a translator: from domain A to B, or from B to A.", group="Looks"
    )  # fmt: skip
    runtime: Literal["torch", "onnx", "openvino", "openvino-bfloat16"] = option(
        "torch",
        "Runtime for the network of --look. All but torch require the extra `fast`; openvino-bfloat16 trades accuracy "
        "for speed on processors that support bfloat16, and cannot run instant.",
        group="Looks",
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class RegionOptions:
    """Regions of the content image and the styles that they take."""

    regions: Literal["none", "auto", "semantic"] = option(
        "none", "Find regions in the content image and their counterparts in the style image: auto groups similar "
        "areas of both; semantic segments both with the network in --segmenter.", group="Regions",
    )  # fmt: skip
    region_count: int = option(
        4, "Maximum number of regions for --regions auto.", group="Regions", low=2, high=9
    )
    segmenter: Path | None = option(
        None, "Folder of a transformers segmentation model for --regions semantic, such as SegFormer.", group="Regions",
        path="read",
    )  # fmt: skip
    content_regions: Path | None = option(
        None, "Region mask of the content image: each color takes its style from the same color in --style-regions. A "
        "grayscale mask is soft, with white as one region and black as the other. Can also be a folder with one mask "
        "per region or, for a video, a video of masks.", group="Regions", path="read",
    )  # fmt: skip
    style_regions: Path | None = option(
        None, "Region mask of the style image; see --content-regions.", group="Regions", path="read"
    )
    assign: tuple[str, ...] = option(
        (), "Style assigned to each region when there are several styles, such as white=1.", group="Regions"
    )  # fmt: skip
    only: tuple[str, ...] = option(
        (), "Paint only these regions and leave the rest unchanged.", group="Regions"
    )  # fmt: skip
    background: Literal["paint", "keep"] = option(
        "paint", "How to handle regions that have no match in the style or no assigned style: paint them with the "
        "whole style, or keep the content.", group="Regions",
    )  # fmt: skip
    feather: float = option(
        0.01, "Softness of region edges, as a fraction of the long edge.", group="Regions", low=0, high=0.2,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        files = self.content_regions is not None
        if self.style_regions is not None and not files:
            raise UsageError("--style-regions requires --content-regions; pass both.")
        if files and self.regions != "none":
            raise UsageError(
                f"--content-regions and --regions {self.regions} are mutually exclusive; remove one of them."
            )
        if files and self.style_regions is None and not (self.assign or self.only):
            raise UsageError(
                "--content-regions requires --style-regions, --only or --assign; add one of them."
            )
        if self.regions == "semantic" and self.segmenter is None:
            raise UsageError(
                "--regions semantic requires a segmentation model; pass its folder with --segmenter."
            )
        if not self.has_regions and (self.assign or self.only or self.background == "keep"):
            raise UsageError(
                "--assign, --only and --background keep require regions; add --content-regions or --regions auto."
            )
        _assignments(self.assign)

    @property
    def has_regions(self) -> bool:
        """Whether the image is divided into regions."""
        return self.regions != "none" or self.content_regions is not None

    @property
    def assigned(self) -> Mapping[str, int]:
        """Zero-based style index for each region name.

        Raises:
            UsageError: An assignment does not have the form ``name=number``.
        """
        return _assignments(self.assign)


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """Losses, their layers and their weights."""

    style_loss: str = option("w2", "Style loss", group="Losses", choices=STYLE_LOSSES)
    content_weight: float = option(1.0, "Weight of the content loss.", group="Losses", low=0)
    style_weight: float = option(
        150.0, "Weight of the style loss; independent of image size, layers and backbone.", group="Losses", low=0,
    )  # fmt: skip
    content_layers: tuple[str, ...] = option(
        ("relu3_1", "relu4_2"), "Content loss layers.", group="Losses"
    )
    content_layer_weights: tuple[float, ...] = option(
        (), "Relative weight of each content layer; equal if empty.", group="Losses", low=0
    )
    style_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "Style loss layers (Gatys 2016).", group="Losses",
    )  # fmt: skip
    style_layer_weights: tuple[float, ...] = option(
        (),
        "Relative weight of each style layer; derived from --style-falloff if empty.",
        group="Losses",
        low=0,
    )
    style_falloff: float = option(
        4.0, "Weight of each style layer relative to the next one listed (Crowson uses 4). With 1, all layers are "
        "weighted equally, and objects from the style image may appear in the result.",
        group="Losses", low=0.1, high=100,
    )  # fmt: skip
    content_loss: DistanceName = option(
        "mse",
        "Distance between content features; half-sum is Gatys 2016, eq. 1.",
        group="Losses",
    )
    tv_weight: float = option(0.0, "Weight of the total variation loss.", group="Losses", low=0)
    tv_kind: VariationName = option("l2", "Form of the total variation loss.", group="Losses")
    laplacian_weight: float = option(
        0.0, "Weight of the Laplacian loss, which preserves edges (Li 2017).", group="Losses", low=0
    )
    coherence_weight: tuple[float, ...] = option(
        (200.0, 50.0, 0.0), "Weight of color coherence at each scale, coarse to fine; with more scales than values, "
        "the first value repeats, and with fewer, the last values are used. Penalizes color changes that are not "
        "affine within 3x3 px (Levin 2008, eq. 5), so that each object keeps consistent colors.",
        group="Losses", low=0,
    )  # fmt: skip
    grain_weight: float = option(
        3.0, "Weight of the grain loss, which matches the strength of the style's finest detail and prevents speckle.",
        group="Losses", low=0,
    )  # fmt: skip
    photoreal_weight: float = option(
        0.0, "Weight of the photorealism loss, which penalizes color changes that are not affine within 3x3 px "
        "(Luan 2017, eq. 2).", group="Losses", low=0,
    )  # fmt: skip
    balance: Literal["fixed", "guard", "auto"] = option(
        "fixed", "How --style-weight is set: fixed keeps it; guard lowers it at the coarsest scale until the content "
        "loss reaches --content-budget; auto can also raise it.", group="Losses",
    )  # fmt: skip
    content_budget: float = option(
        0.45, "Target content loss for --balance: the fraction of the content features' energy that may change.",
        group="Losses", low=0.01, high=2,
    )  # fmt: skip
    as_published: bool = option(
        False,
        "Use the unnormalized losses of Gatys 2016 (eqs. 1, 4, 5) on pixel values from 0 to 255.",
        group="Losses",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.coherence_weight:
            raise UsageError(
                "--coherence-weight is empty; pass one number, or several from coarse to fine."
            )
        _check_pairing("content", self.content_layers, self.content_layer_weights)
        _check_pairing("style", self.style_layers, self.style_layer_weights)

    @property
    def style_shares(self) -> tuple[float, ...]:
        """Relative weight of each style layer."""
        if self.style_layer_weights:
            return self.style_layer_weights
        return tuple(self.style_falloff**-n for n in range(len(self.style_layers)))


@dataclass(frozen=True, kw_only=True)
class ExtractorOptions:
    """The feature extractor."""

    backbone: str = option(
        "vgg19-lite", "Feature extractor; see `impasto backbones`.", group="Backbone"
    )
    weights: Path | None = option(
        None, "File with the backbone's weights.", group="Backbone", path="read"
    )
    pooling: Literal["max", "average", "l2"] | None = option(
        None, "Pooling type; the backbone's own if not given.", group="Backbone"
    )
    download: bool = option(
        False,
        "Allow a one-time download of the backbone's published weights.",
        group="Backbone",
        from_media=False,
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """The solver, its steps at each scale, and the initial image."""

    solver: str = option("lbfgs", "Optimizer", group="Optimizer", choices=SOLVERS)
    steps: tuple[int, ...] = option(
        (90, 30, 8), "Steps at each scale, coarse to fine; with more scales than values, the first value repeats; with "
        "fewer, the last values are used; a single scale uses the first.", group="Optimizer", low=0, high=100_000,
    )  # fmt: skip
    learning_rate: float | None = option(
        None,
        "Learning rate; if not given, 1 for lbfgs, and 0.03 for adam and sgd.",
        group="Optimizer",
        low=1e-6,
        high=10,
    )
    history: int = option(12, "L-BFGS history size.", group="Optimizer", low=1, high=200)
    coarsest: int = option(
        112, "Long edge in pixels below which no coarser scale is added; 0 uses a single scale.",
        group="Optimizer", low=0,
    )  # fmt: skip
    margin: float = option(
        0.0, "Padding around the image, cropped afterwards, as a fraction of the long edge; removes the border that "
        "some styles produce. 0.03 takes about 12% longer.", group="Optimizer", low=0, high=0.25,
    )  # fmt: skip
    carry_state: bool = option(
        False, "Carry the optimizer state over to the next scale.", group="Optimizer"
    )
    start: StartName = option(
        "recolored", "Initial image; recolored is the content image with the color mean and covariance of the style.",
        group="Optimizer",
    )  # fmt: skip
    start_file: Path | None = option(
        None, "Image file for --start file.", group="Optimizer", path="read"
    )
    averaging: float = option(
        0.0, "Decay of the exponential moving average of the image that is kept as the result; 0 disables it.",
        group="Optimizer", low=0, high=0.999,
    )  # fmt: skip
    tolerance: float = option(
        0.0, "Finish a scale early when the loss fell by less than this fraction over ten steps; 0 never does.",
        group="Optimizer", low=0, high=1,
    )  # fmt: skip
    seed: int = option(0, "Random seed.", group="Optimizer", low=0, high=MOST_SEED)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.start == "file" and self.start_file is None:
            raise UsageError("--start file requires an image; pass one with --start-file.")
        if not self.steps:
            raise UsageError("--steps is empty; pass one number, or several from coarse to fine.")


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """Device, precision and memory."""

    device: str = option(
        "auto", "Compute device: auto, cpu, cuda, cuda:1 or mps.", group="Hardware", **DEVICE
    )
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto",
        "Precision of the backbone; auto uses bfloat16 on GPUs that support it, and float32 on the CPU unless memory "
        "is short.",
        group="Hardware",
    )
    checkpointing: Literal["auto", "on", "off"] = option(
        "auto",
        "Gradient checkpointing: trades time for memory. auto enables it when memory is short.",
        group="Hardware",
    )
    tile: int = option(
        0, "Side of the tiles in which the image is evaluated, at least 128 px; 0 uses tiles only if memory is short.",
        group="Hardware", low=0, high=32768,
    )  # fmt: skip
    memory_gib: float | None = option(
        None,
        "Memory limit in GiB; all free memory if not given.",
        group="Hardware",
        low=0.05,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if 0 < self.tile < 128:
            raise UsageError(f"--tile must be 0 or at least 128; got {self.tile}.")


def _assignments(texts: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in texts:
        name, _equals, number = text.partition("=")
        if not re.fullmatch("[1-9][0-9]{0,3}", number):
            raise UsageError(
                f"--assign must be a region and a style number, such as white=1; got {shown(text)}."
            )
        found[name] = int(number) - 1
    return found


def _check_pairing(role: str, layers: tuple[str, ...], weights: tuple[float, ...]) -> None:
    if not layers:
        raise UsageError(
            f"--{role}-layers is empty; pass at least one layer, or disable the loss with --{role}-weight 0."
        )
    if weights and len(weights) != len(layers):
        raise UsageError(
            f"got {len(weights)} {role} layer weights for {len(layers)} {role} layers; pass one per layer, or none."
        )
    if weights and sum(weights) == 0:
        raise UsageError(f"all {role} layer weights are 0; at least one must be greater than 0.")
