"""Generators and discriminators as published, with the published names of their weights.

Zhu, Park, Isola and Efros 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
section 4 and appendix 7.2; Isola, Zhu, Zhou and Efros 2017, "Image-to-Image Translation with Conditional Adversarial
Networks", appendix 6.1. Pictures are ``(B, 3, H, W)`` from -1 to 1 inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.media.strips import in_strips

__all__ = [
    "LEAST_HALVINGS",
    "Discriminator",
    "GeneratorShape",
    "ResnetGenerator",
    "UnetGenerator",
    "initialize",
    "make_generator",
    "multiply_adds",
    "plain_generator",
    "strip_statistics",
]

LEAST_HALVINGS = 5
"""Of a unet: four between its widths, and the innermost."""

SLOPE = 0.2
STRIP_REACH = 8
SKIP_GAIN = 5.0
"""Nine numbers have to go far where thousands go a little; Adam moves each of them alike."""


@dataclass(frozen=True)
class GeneratorShape:
    """Which generator, and how large.

    Attributes:
        kind: ``resnet`` or ``unet``.
        channels: After the first convolution; 64 as published.
        blocks: Residual blocks of a resnet, 9 or 6 as published; halvings of a unet, 8 or 7.
        norm: ``instance``, or ``batch`` as pix2pix has it.
        dropout: Whether its blocks have a dropout layer, which is still when painting.
        resized: Enlarge by resizing and convolution, which leaves no checkerboard, and not as published.
        skip: Add a linear map of the picture's own colors, past the norms. Instance norm takes from every picture its
            brightness and contrast, which a small network cannot guess again.
    """

    kind: Literal["resnet", "unet"] = "resnet"
    channels: int = 64
    blocks: int = 9
    norm: Literal["instance", "batch"] = "instance"
    dropout: bool = False
    resized: bool = False
    skip: bool = False

    def to_header(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def multiple(self) -> int:
        """Both sides of its pictures are multiples of this."""
        return 4 if self.kind == "resnet" else int(2**self.blocks)


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels) if kind == "instance" else nn.BatchNorm2d(channels)


class ResnetGenerator(nn.Module):
    """Johnson's network as CycleGAN has it: c7s1-k, d2k, d4k, R4k x blocks, u2k, uk, c7s1-3.

    Args:
        shape: Its size.
    """

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        k, bias = shape.channels, shape.norm == "instance"
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, k, 7, bias=bias),
            _norm(shape.norm, k),
            nn.ReLU(),
        ]
        for wide in (k, 2 * k):
            layers += [
                nn.Conv2d(wide, 2 * wide, 3, 2, 1, bias=bias),
                _norm(shape.norm, 2 * wide),
                nn.ReLU(),
            ]
        layers += [_ResnetBlock(4 * k, shape) for _ in range(shape.blocks)]
        for wide in (4 * k, 2 * k):
            layers += [
                _raised(wide, shape.resized, bias=bias),
                _norm(shape.norm, wide // 2),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(k, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        self.skip = nn.Conv2d(3, 3, 1) if shape.skip else None

    def forward(self, image: Tensor, *, rows: int = 0) -> Tensor:
        """``(B, 3, H, W)`` from -1 to 1 to the same; H and W multiples of 4.

        Args:
            image: The picture.
            rows: Convolve in strips of so many rows of the picture, to hold less memory; the result is the same.
        """
        found = _walk(self.model, image, rows) if rows else self.model(image)
        return found if self.skip is None else found + SKIP_GAIN * self.skip(image)

    @torch.no_grad()
    def begin_with(self, matrix: Tensor, offset: Tensor) -> None:
        """Sets the linear map of colors, where there is one: ``(3, 3)`` and ``(3, 1)``, of colors from -1 to 1."""
        if self.skip is not None:
            self.skip.weight.copy_(matrix[..., None, None] / SKIP_GAIN)
            self.skip.bias.copy_(offset[:, 0] / SKIP_GAIN)  # type: ignore[union-attr]


def _walk(layers: nn.Sequential, x: Tensor, rows: int) -> Tensor:
    """Convolutions strip by strip, and norms over the whole map, so that there is no seam."""
    whole = x.shape[-2]
    pad: nn.Module | None = None
    for layer in layers:
        strip = max(8, rows * x.shape[-2] // whole // 4 * 4)
        if isinstance(layer, nn.ReflectionPad2d):
            pad = layer
        elif isinstance(layer, _ResnetBlock):
            x = x + _walk(layer.conv_block, x, strip)
        elif isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, _Raise)):
            step = layer if pad is None else nn.Sequential(pad, layer)
            (x,) = in_strips(lambda part, run=step: (run(part),), x, STRIP_REACH, strip)  # type: ignore[misc]
            pad = None
        else:
            x = layer(x)
    return x


class _Raise(nn.Module):
    """Nearest neighbors, then a convolution."""

    def __init__(self, inside: int, outside: int, *, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        large = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(F.pad(large, (1, 1, 1, 1), mode="reflect"))


def _raised(wide: int, resized: bool, *, bias: bool) -> nn.Module:
    if resized:
        return _Raise(wide, wide // 2, bias=bias)
    return nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1, bias=bias)


class _ResnetBlock(nn.Module):
    def __init__(self, wide: int, shape: GeneratorShape) -> None:
        super().__init__()
        bias = shape.norm == "instance"

        def half() -> list[nn.Module]:
            return [
                nn.ReflectionPad2d(1),
                nn.Conv2d(wide, wide, 3, bias=bias),
                _norm(shape.norm, wide),
            ]

        still: list[nn.Module] = [nn.Dropout(0.5)] if shape.dropout else []
        self.conv_block = nn.Sequential(*half(), nn.ReLU(), *still, *half())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class UnetGenerator(nn.Module):
    """The U-Net of pix2pix: each level is joined with its mirror.

    Args:
        shape: Its size.
    """

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        k = shape.channels
        level = _UnetLevel(8 * k, 8 * k, shape, innermost=True)
        for _ in range(shape.blocks - 5):
            level = _UnetLevel(8 * k, 8 * k, shape, inner=level, still=shape.dropout)
        for outer, inner in ((4 * k, 8 * k), (2 * k, 4 * k), (k, 2 * k)):
            level = _UnetLevel(outer, inner, shape, inner=level)
        self.model = _UnetLevel(3, k, shape, inner=level, outermost=True)

    def forward(self, image: Tensor, *, rows: int = 0) -> Tensor:
        """``(B, 3, H, W)`` from -1 to 1 to the same; H and W multiples of ``2 ** blocks``; never in strips."""
        return self.model(image)


class _UnetLevel(nn.Module):
    def __init__(
        self,
        outer: int,
        wide: int,
        shape: GeneratorShape,
        *,
        inner: nn.Module | None = None,
        outermost: bool = False,
        innermost: bool = False,
        still: bool = False,
    ) -> None:
        super().__init__()
        self._outermost = outermost
        bias = shape.norm == "instance"
        down = nn.Conv2d(outer, wide, 4, 2, 1, bias=bias)
        inside = wide if innermost else 2 * wide
        up = nn.ConvTranspose2d(inside, outer, 4, 2, 1, bias=bias or outermost)
        middle = [] if inner is None else [inner]
        if outermost:
            layers = [down, *middle, nn.ReLU(), up, nn.Tanh()]
        elif innermost:
            layers = [nn.LeakyReLU(SLOPE), down, nn.ReLU(), up, _norm(shape.norm, outer)]
        else:
            layers = [
                nn.LeakyReLU(SLOPE), down, _norm(shape.norm, wide), *middle, nn.ReLU(), up, _norm(shape.norm, outer),
            ]  # fmt: skip
            layers += [nn.Dropout(0.5)] if still else []
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        found = self.model(x)
        return found if self._outermost else torch.cat([x, found], dim=1)


class Discriminator(nn.Module):
    """The 70x70 PatchGAN: C64-C128-C256-C512, each value judges 70 by 70 pixels.

    Args:
        channels: After the first convolution.
        inside: Channels of what it sees; 6 where it sees a pair.
        norm: See `GeneratorShape`.
        layers: Convolutions of stride 2; 3 sees 70 pixels, 2 sees 34, 1 sees 16.
    """

    def __init__(
        self, channels: int = 64, inside: int = 3, norm: str = "instance", layers: int = 3
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        chain: list[nn.Module] = [nn.Conv2d(inside, channels, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        wide = channels
        for number in range(1, layers + 1):
            before, wide = wide, channels * min(2**number, 8)
            stride = 2 if number < layers else 1
            chain += [
                nn.Conv2d(before, wide, 4, stride, 1, bias=bias),
                _norm(norm, wide),
                nn.LeakyReLU(SLOPE),
            ]
        self.model = nn.Sequential(*chain, nn.Conv2d(wide, 1, 4, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """``(B, inside, H, W)`` to a map of judgments, ``(B, 1, h, w)``."""
        return self.model(image)


def plain_generator(shape: GeneratorShape) -> ResnetGenerator | UnetGenerator:
    """A generator whose weights are to be filled in."""
    return ResnetGenerator(shape) if shape.kind == "resnet" else UnetGenerator(shape)


def make_generator(shape: GeneratorShape) -> ResnetGenerator | UnetGenerator:
    """A generator of random weights."""
    made = plain_generator(shape)
    initialize(made)
    if isinstance(made, ResnetGenerator) and made.skip is not None:
        made.begin_with(torch.eye(3), torch.zeros(3, 1))
        torch.nn.init.zeros_(made.model[-2].weight)  # type: ignore[arg-type]
    return made


def initialize(network: nn.Module) -> None:
    """Normal weights of deviation 0.02, and no biases, as published."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


@torch.no_grad()
def multiply_adds(network: nn.Module, size: tuple[int, int]) -> int:
    """Of all convolutions, for a picture of this height and width."""
    total = 0

    def count(module: nn.Module, inside: tuple[Tensor, ...], outside: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        places = inside[0] if isinstance(module, nn.ConvTranspose2d) else outside
        total += weight.numel() * places.shape[-2] * places.shape[-1]

    convolutions = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    handles = [module.register_forward_hook(count) for module in convolutions]
    try:
        network(torch.zeros(1, 3, *size))
    finally:
        for handle in handles:
            handle.remove()
    return total


def strip_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state without the statistics that instance norms had in old versions of torch."""
    learned = {name.rsplit(".", 1)[0] for name in state if name.endswith(".weight")}
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in state.items()
        if ("running_" not in name and "num_batches" not in name)
        or name.rsplit(".", 1)[0] in learned
    }
