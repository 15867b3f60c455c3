"""Options as frozen values: the command line, the page and the docs are made from these fields.

Nothing here imports torch, so that ``impasto --help`` is instant.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from impasto.errors import UsageError, unknown_name

__all__ = [
    "PRESETS",
    "PaintOptions",
    "from_mapping",
    "option_fields",
    "options",
    "to_mapping",
]

StyleLossName = Literal["mixed", "gram", "w2", "sliced", "neighbour"]
DistanceName = Literal["mse", "l1", "huber", "half-sum"]
VariationName = Literal["l1", "l2", "nine-point"]
StartName = Literal["content", "recolored", "noise", "style", "grey", "file"]
KeepColors = Literal["none", "luminance", "linear", "histogram"]


def _option(
    default: Any,
    text: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field with what the command line and the docs say of it, and its allowed range."""
    return field(default=default, metadata={"help": text, "group": group, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class PaintOptions:
    """Everything that decides a pastiche, apart from the pictures.

    The help text of each field gives its unit and where its default comes from. Values out of range raise
    `impasto.errors.UsageError` when the object is made.
    """

    size: int = _option(
        512, "Long edge of the pastiche in pixels; 0 keeps the content's own size.",
        group="Picture", low=0, high=32768,
    )  # fmt: skip
    strength: float = _option(
        1.0, "How much of the style: 0 is the photograph, 1 the preset, 2 more than it. The style's weight is "
        "multiplied by its cube.", group="Picture", low=0, high=4,
    )  # fmt: skip
    style_scale: float = _option(
        1.0, "Size of the style's strokes: its long edge over the pastiche's.", group="Picture", low=0.1, high=8,
    )  # fmt: skip
    blend: tuple[float, ...] = _option(
        (), "Weight of each style when there are several; equal when empty.", group="Picture", low=0,
    )  # fmt: skip
    keep_colors: KeepColors = _option(
        "none", "Keep the photograph's colours: its chrominance under the pastiche's luminance, or a linear "
        "(mean and covariance) or histogram transfer (Gatys 2017, section 5).", group="Picture",
    )  # fmt: skip
    keep_colors_when: Literal["before", "after"] = _option(
        "after", "Recolour the style before painting, or the pastiche after; luminance is always after.",
        group="Picture",
    )  # fmt: skip

    style_loss: StyleLossName = _option(
        "mixed", "What style is: Gram matrices, Gaussians of features (w2), both (mixed; the Gram alone on the finest "
        "of several scales), whole distributions (sliced), or nearest neighbours.", group="Losses",
    )  # fmt: skip
    content_weight: float = _option(1.0, "Weight of the content loss.", group="Losses", low=0)
    style_weight: float = _option(
        100.0, "Weight of the style loss, free of picture size, layers and backbone.", group="Losses", low=0,
    )  # fmt: skip
    content_layers: tuple[str, ...] = _option(
        ("relu4_2",), "Layers of the content loss (Gatys 2016).", group="Losses"
    )
    content_layer_weights: tuple[float, ...] = _option(
        (), "Share of each content layer; equal when empty.", group="Losses", low=0
    )
    style_layers: tuple[str, ...] = _option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "Layers of the style loss (Gatys 2016).", group="Losses",
    )  # fmt: skip
    style_layer_weights: tuple[float, ...] = _option(
        (), "Share of each style layer; equal when empty.", group="Losses", low=0
    )
    content_loss: DistanceName = _option(
        "mse",
        "Distance of content features; half-sum is the seeds' and Gatys' eq. 1.",
        group="Losses",
    )
    tv_weight: float = _option(0.0, "Weight of total variation.", group="Losses", low=0)
    tv_kind: VariationName = _option("l2", "Kind of total variation.", group="Losses")
    laplacian_weight: float = _option(
        0.0, "Weight of the Laplacian loss, which keeps edges (Li 2017).", group="Losses", low=0
    )
    balance: Literal["guard", "auto", "fixed"] = _option(
        "guard", "guard lowers the style's weight where the photograph would be lost, until the content loss keeps to "
        "--content-budget on the coarsest scale; auto also raises it; fixed leaves it.", group="Losses",
    )  # fmt: skip
    content_budget: float = _option(
        0.45, "Content loss that balance aims at: the share of the content features' energy that may change.",
        group="Losses", low=0.01, high=2,
    )  # fmt: skip
    as_published: bool = _option(
        False,
        "Losses on the paper's own scale (Gatys 2016, eqs. 1, 4, 5) on pixels of 0 to 255.",
        group="Losses",
    )

    backbone: str = _option(
        "vgg19-lite", "The network that sees; see `impasto backbones`.", group="Backbone"
    )
    weights: Path | None = _option(None, "File of the backbone's weights.", group="Backbone")
    pooling: Literal["max", "average", "l2"] | None = _option(
        None, "Pooling; the backbone's own when not given.", group="Backbone"
    )
    download: bool = _option(
        False, "Allow the backbone's published weights to be fetched once.", group="Backbone"
    )

    solver: Literal["lbfgs", "adam", "sgd"] = _option(
        "lbfgs", "How steps are taken.", group="Solver"
    )
    steps: tuple[int, ...] = _option(
        (100, 60, 40), "Steps at each scale, coarse to fine; the first repeats when there are more scales, and "
        "the last ones count when there are fewer.", group="Solver", low=0, high=100_000,
    )  # fmt: skip
    learning_rate: float | None = _option(
        None,
        "Step length; 1 for lbfgs, 0.03 for adam and sgd when not given.",
        group="Solver",
        low=1e-6,
        high=10,
    )
    history: int = _option(12, "Steps that L-BFGS remembers.", group="Solver", low=1, high=200)
    coarsest: int = _option(
        112, "Long edge in pixels under which no coarser scale is made; 0 for a single scale.",
        group="Solver", low=0,
    )  # fmt: skip
    margin: float = _option(
        0.0, "Painted beyond each border and cut off again, as a share of the long edge, against a frame that some "
        "styles leave; 0.03 costs an eighth more time.", group="Solver", low=0, high=0.25,
    )  # fmt: skip
    carry_state: bool = _option(
        False, "Carry the solver's state over to the next scale.", group="Solver"
    )
    start: StartName = _option("content", "What the first picture is.", group="Solver")
    start_file: Path | None = _option(None, "The picture for --start file.", group="Solver")
    averaging: float = _option(
        0.0, "Decay of the running average of pictures that is kept as the result; 0 for none.",
        group="Solver", low=0, high=0.999,
    )  # fmt: skip
    tolerance: float = _option(
        0.0, "Leave a scale when the loss fell by less than this share over ten steps; 0 never.",
        group="Solver", low=0, high=1,
    )  # fmt: skip
    seed: int = _option(0, "Seed of everything random.", group="Solver", low=0)

    device: str = _option("auto", "auto, cpu, cuda, cuda:1, mps.", group="Machine")
    precision: Literal["auto", "float32", "bfloat16"] = _option(
        "auto",
        "Arithmetic of the backbone; auto takes bfloat16 only where the hardware has it.",
        group="Machine",
    )
    checkpointing: Literal["auto", "on", "off"] = _option(
        "auto",
        "Compute activations twice to hold fewer; auto when memory is short.",
        group="Machine",
    )
    memory_gib: float | None = _option(
        None,
        "Memory that may be used, in GiB; what is free when not given.",
        group="Machine",
        low=0.05,
    )

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for spec in dataclasses.fields(self):
            _check(spec, hints[spec.name], getattr(self, spec.name))
        if self.start == "file" and self.start_file is None:
            raise UsageError("start is 'file' but no file was given; give one with --start-file.")
        _check_pairing("content", self.content_layers, self.content_layer_weights)
        _check_pairing("style", self.style_layers, self.style_layer_weights)


def _check_pairing(role: str, layers: tuple[str, ...], weights: tuple[float, ...]) -> None:
    if not layers:
        raise UsageError(f"no {role} layer was given; give at least one, or a {role} weight of 0.")
    if weights and len(weights) != len(layers):
        raise UsageError(
            f"{len(weights)} {role} layer weights for {len(layers)} {role} layers; give as many, or none."
        )
    if weights and sum(weights) == 0:
        raise UsageError(f"all {role} layer weights are 0; give at least one above 0.")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _check(spec: dataclasses.Field[Any], hint: Any, value: Any) -> None:
    allowed = _choices(hint)
    if allowed and value is not None and value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint_text = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"{_flag(spec.name)} got {value!r}; allowed: {', '.join(allowed)}.{hint_text}"
        )
    low, high = spec.metadata["low"], spec.metadata["high"]
    for number in value if isinstance(value, tuple) else (value,):
        if number is None or isinstance(number, (str, bool, Path)):
            continue
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            span = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
            raise UsageError(f"{_flag(spec.name)} got {number!r}; allowed is {span}.")


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(c for part in get_args(hint) for c in _choices(part))
    return ()


STANDARD = PaintOptions()

PRESETS: Mapping[str, PaintOptions] = types.MappingProxyType(
    {
        "draft": PaintOptions(size=384, steps=(60, 30, 20)),
        "standard": STANDARD,
        "fine": PaintOptions(size=1024, steps=(200, 120, 60, 30), history=10),
        "faithful-gatys": PaintOptions(
            size=512, steps=(500,), coarsest=0, start="noise", style_loss="gram", pooling="average",
            content_loss="half-sum", content_weight=1.0, style_weight=1000.0, as_published=True, balance="fixed",
            history=50,
        ),
    }
)  # fmt: skip
"""Presets by intent. ``faithful-gatys`` is the 2016 paper as written: noise, one scale, L-BFGS, average pooling,
unnormalised losses with alpha / beta = 1e-3 and equal layer weights."""


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
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    hints = get_type_hints(PaintOptions)
    for name in overrides:
        if name not in hints:
            raise unknown_name("option", name, hints)
    values = {name: _coerce(name, hints[name], value) for name, value in overrides.items()}
    return dataclasses.replace(PRESETS[preset], **values)


def _coerce(name: str, hint: Any, value: Any) -> Any:
    """Makes the field's type of what TOML or a caller gives: lists to tuples, text to paths, ints to floats."""
    if get_origin(hint) is tuple:
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_coerce(name, get_args(hint)[0], item) for item in items)
    kinds = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = kinds[0]
    if get_origin(kind) is Literal:
        return value
    if kind is Path and isinstance(value, str):
        value = Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(
            f"{_flag(name)} got {value!r}; allowed is a value of type {kind.__name__}."
        )
    return value


def to_mapping(paint: PaintOptions) -> dict[str, Any]:
    """Plain values for TOML and JSON: tuples as lists, paths as text, fields that are None left out."""
    plain: dict[str, Any] = {}
    for spec in dataclasses.fields(paint):
        value = getattr(paint, spec.name)
        if value is not None:
            plain[spec.name] = list(value) if isinstance(value, tuple) else (
                str(value) if isinstance(value, Path) else value
            )  # fmt: skip
    return plain


def from_mapping(values: Mapping[str, Any], base: str = "standard") -> PaintOptions:
    """The reverse of `to_mapping`; a key ``preset`` names the preset to start from."""
    rest = dict(values)
    return options(rest.pop("preset", base), **rest)
