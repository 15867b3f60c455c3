"""Generators and discriminators as published, with the published parameter names.

Zhu, Park, Isola and Efros 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
section 4 and appendix 7.2; Isola, Zhu, Zhou and Efros 2017, "Image-to-Image Translation with Conditional Adversarial
Networks", appendix 6.1. Inside, images are ``(B, 3, H, W)`` from -1 to 1.
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
"""Minimum number of downsampling steps of a unet: four that change its width, and the innermost one."""

SLOPE = 0.2
STRIP_REACH = 8
SKIP_GAIN = 5.0
"""Gain of the nine color weights: they have to change far more than the other weights, but Adam's steps are alike."""


@dataclass(frozen=True)
class GeneratorShape:
    """Architecture and size of a generator.

    Attributes:
        kind: ``resnet`` or ``unet``.
        channels: Channels after the first convolution; 64 as published.
        blocks: Residual blocks of a resnet, 9 or 6 as published; downsampling steps of a unet, 8 or 7 as published.
        norm: ``instance``, or ``batch`` as in pix2pix.
        dropout: Whether blocks have a dropout layer, which is inactive at inference.
        resized: Deviates: upsample by resizing and convolution, which avoids checkerboard artifacts.
        skip: Deviates: add a linear map of the input's colors that bypasses normalization. Instance normalization
            removes the brightness and contrast of each image, which a small network cannot recover.
    """

    kind: Literal["resnet", "unet"] = "resnet"
    channels: int = 64
    blocks: int = 9
    norm: Literal["instance", "batch"] = "instance"
    dropout: bool = False
    resized: bool = False
    skip: bool = False

    def to_header(self) -> dict[str, Any]:
        """Returns plain values for a file header."""
        return asdict(self)

    @property
    def multiple(self) -> int:
        """Number that both sides of an image must be multiples of."""
        return 4 if self.kind == "resnet" else int(2**self.blocks)


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels) if kind == "instance" else nn.BatchNorm2d(channels)


class ResnetGenerator(nn.Module):
    """Johnson's network as used in CycleGAN: c7s1-k, d2k, d4k, R4k x blocks, u2k, uk, c7s1-3.

    Args:
        shape: Size of the network.
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
        """Translates images.

        Args:
            image: ``(B, 3, H, W)`` from -1 to 1; H and W multiples of 4.
            rows: Number of rows per strip; strips reduce memory without changing the result. 0 uses no strips.

        Returns:
            ``(B, 3, H, W)``, from -1 to 1 unless the shape has ``skip``.
        """
        found = _walk(self.model, image, rows) if rows else self.model(image)
        return found if self.skip is None else found + SKIP_GAIN * self.skip(image)

    @torch.no_grad()
    def begin_with(self, matrix: Tensor, offset: Tensor) -> None:
        """Initializes the linear map of colors if there is one: ``(3, 3)`` and ``(3, 1)``, for colors from -1 to 1."""
        if self.skip is not None:
            self.skip.weight.copy_(matrix[..., None, None] / SKIP_GAIN)
            self.skip.bias.copy_(offset[:, 0] / SKIP_GAIN)  # type: ignore[union-attr]


def _walk(layers: nn.Sequential, x: Tensor, rows: int) -> Tensor:
    """Runs convolutions in strips and normalization over the whole feature map, so that there are no seams."""
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
    """Nearest-neighbor upsampling, followed by a convolution."""

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
    """The U-Net of pix2pix, with skip connections between the levels of the encoder and the decoder.

    Args:
        shape: Size of the network.
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
        """Translates ``(B, 3, H, W)`` from -1 to 1; H and W must be multiples of ``2 ** blocks``; ignores ``rows``."""
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
    """The 70x70 PatchGAN discriminator: C64-C128-C256-C512; each output value classifies a patch of 70x70 pixels.

    Args:
        channels: Channels after the first convolution.
        inside: Input channels; 6 for a pair of images.
        norm: See `GeneratorShape`.
        layers: Number of convolutions with stride 2; the receptive field is 70 pixels for 3, 34 for 2, 16 for 1.
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
        """Maps ``(B, inside, H, W)`` to one score per patch, ``(B, 1, h, w)``."""
        return self.model(image)


def plain_generator(shape: GeneratorShape) -> ResnetGenerator | UnetGenerator:
    """Builds a generator without initializing its weights."""
    return ResnetGenerator(shape) if shape.kind == "resnet" else UnetGenerator(shape)


def make_generator(shape: GeneratorShape) -> ResnetGenerator | UnetGenerator:
    """Builds a generator with random initial weights."""
    made = plain_generator(shape)
    initialize(made)
    if isinstance(made, ResnetGenerator) and made.skip is not None:
        made.begin_with(torch.eye(3), torch.zeros(3, 1))
        torch.nn.init.zeros_(made.model[-2].weight)  # type: ignore[arg-type]
    return made


def initialize(network: nn.Module) -> None:
    """Initializes weights from a normal distribution with standard deviation 0.02, and biases with 0, as published."""
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
    """Counts the multiply-adds of all convolutions, for an image of this height and width."""
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
    """Removes the running statistics that old versions of torch stored for instance normalization."""
    learned = {name.rsplit(".", 1)[0] for name in state if name.endswith(".weight")}
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in state.items()
        if ("running_" not in name and "num_batches" not in name)
        or name.rsplit(".", 1)[0] in learned
    }
