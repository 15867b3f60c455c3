"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014), with the parameter names of the published checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from impasto.backbones.chain import Chain, PaddingName, Pooling, PoolingName, Scaling

__all__ = ["IMAGENET", "VARIANTS", "make_vgg", "vgg_keys"]

IMAGENET = Scaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAFFE = Scaling((103.939, 116.779, 123.68), gain=255.0, bgr=True)

DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
FULL = (64, 128, 256, 512, 512)
QUARTER = (16, 32, 64, 128, 128)

VARIANTS: dict[str, tuple[str, tuple[int, ...], Scaling, str]] = {
    "vgg19": ("vgg19", FULL, IMAGENET, "replicate"),
    "vgg16": ("vgg16", FULL, IMAGENET, "replicate"),
    "vgg19-normalized": ("vgg19", FULL, CAFFE, "replicate"),
    "vgg19-caffe": ("vgg19", FULL, CAFFE, "replicate"),
    "vgg19-16x": ("vgg19", QUARTER, CAFFE, "reflect"),
}
"""Name -> depth, widths, input normalization, padding. ``vgg19-normalized`` is Gatys' network, whose filters are scaled
so that each channel's mean activation over images and positions is 1; ``vgg19-16x`` uses reflection padding in all
layers."""


def _plan(name: str) -> list[tuple[str, int, int]]:
    """Lists the convolutions: place, such as ``"4_2"``, input channels and output channels."""
    depth, widths, _scaling, _padding = VARIANTS[name]
    plan, channels = [], 3
    for block, (count, width) in enumerate(zip(DEPTHS[depth], widths, strict=True), 1):
        for number in range(1, count + 1):
            plan.append((f"{block}_{number}", channels, width))
            channels = width
    return plan


def make_vgg(
    name: str,
    *,
    pooling: PoolingName = "max",
    padding: PaddingName | None = None,
    deepest: str | None = None,
) -> Chain:
    """Builds a VGG without weights.

    Args:
        name: A key of `VARIANTS`.
        pooling: Pooling between blocks.
        padding: Padding of the first convolution.
        deepest: Last convolution, such as ``"3_1"``, for published weights that end early.

    Returns:
        A network with the layers ``relu1_1``, ``relu1_2``, ``pool1``, ...
    """
    _depth, _widths, scaling, own_padding = VARIANTS[name]
    everywhere: Literal["reflect", "zeros"]
    everywhere = "reflect" if own_padding == "reflect" else "zeros"
    steps: list[nn.Module] = []
    names: dict[int, str] = {}
    for place, channels_in, channels_out in _plan(name):
        if place.endswith("_1") and place != "1_1":
            steps.append(Pooling(pooling))
            names[len(steps) - 1] = f"pool{int(place[0]) - 1}"
        conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode=everywhere)
        steps += [conv, nn.ReLU(inplace=True)]
        names[len(steps) - 1] = f"relu{place}"
        if place == deepest:
            break
    if everywhere == "reflect":  # Chain pads the input of the first convolution
        first = nn.Conv2d(3, steps[0].out_channels, 3, padding=1)  # type: ignore[arg-type]
        steps[0] = first
    return Chain(
        name, steps, names, scaling, padding=padding or own_padding,  # type: ignore[arg-type]
        deepest_stride=2 ** (len({n[4] for n in names.values()}) - 1),
    )  # fmt: skip


def vgg_keys(state: Mapping[str, Tensor], name: str) -> tuple[dict[str, Tensor], str | None]:
    """Renames the keys of a published checkpoint to ``features.N``.

    Four formats are supported: ``features.N.weight`` (torchvision, and jcjohnson's Caffe weights), ``conv4_2.weight``
    (Gatys' normalized network), ``conv42.weight`` with a leading 1x1 ``conv0`` and ``_aux`` heads (the 16x
    distillation), and bare numbers with a leading 1x1 ``0`` (encoders of encoder-decoder networks, which may end
    early).

    Args:
        state: State dict as read from the file.
        name: Name of the variant.

    Returns:
        The renamed state, and the place of its last convolution if the network ends early, else None.
    """
    places = [place for place, _i, _o in _plan(name)]
    numbers = _step_numbers(name)
    if any(key.startswith("features.") for key in state):
        kept = {k: v for k, v in state.items() if k.startswith("features.")}
        return kept, None
    if "0.weight" in state:
        bare = sorted({int(k.split(".")[0]) for k in state if k[0].isdigit()} - {0})
        source = {place: str(number) for place, number in zip(places, bare, strict=False)}
    elif "conv11.weight" in state:
        source = {place: "conv" + place.replace("_", "") for place in places}
    else:
        source = {place: "conv" + place for place in places}
    present = [place for place in places if f"{source.get(place)}.weight" in state]
    renamed = {
        f"features.{numbers[place]}.{part}": state[f"{source[place]}.{part}"]
        for place in present
        for part in ("weight", "bias")
        if f"{source[place]}.{part}" in state
    }
    whole = len(present) == len(places) or not present
    return renamed, None if whole else present[-1]


def _step_numbers(name: str) -> dict[str, int]:
    """Maps the place of each convolution to its index in ``features``."""
    numbers, index = {}, 0
    for place, _channels_in, _channels_out in _plan(name):
        index += 1 if place.endswith("_1") and place != "1_1" else 0
        numbers[place] = index
        index += 2
    return numbers


def shape_of_first(state: Mapping[str, Tensor]) -> torch.Size | None:
    """Returns the shape of the first convolution's weights, which distinguishes full from quarter width."""
    weight = state.get("features.0.weight")
    return None if weight is None else weight.shape
