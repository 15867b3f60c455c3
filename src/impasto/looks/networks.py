"""Feed-forward stylization networks: a small painter, and the network of Johnson et al."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Johnson", "Painter", "PainterShape", "doubled", "same_size", "weights_of"]

FOLD = 4
"""Side of the pixel blocks that are folded into channels, so that the network runs at 1/16 of the area."""

EPSILON = 1e-5

ENLARGING = (
    ((0.75, 0.25, 0.0), (0.25, 0.75, 0.0), (0.0, 0.75, 0.25)),
    ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25), (0.0, 0.25, 0.75)),
)
"""Bilinear weights of three small pixels in three neighboring large pixels, centered at even and at odd positions."""


@dataclass(frozen=True)
class PainterShape:
    """Size of a `Painter`.

    Attributes:
        width: Number of channels.
        dilations: Dilation of each residual block.
    """

    width: int = 32
    dilations: tuple[int, ...] = (1, 2, 4, 2, 1)

    @property
    def codes(self) -> int:
        """Length of a style code."""
        return 2 * self.width * (len(self.dilations) + 1)

    def to_header(self) -> dict[str, Any]:
        """Returns plain values for a file header."""
        return {**asdict(self), "dilations": list(self.dilations)}


class Painter(nn.Module):
    """A small, fast network for one style, trained jointly with its style code.

    Blocks of 4x4 pixels are folded into channels, a few residual blocks process them, and the result is upsampled in
    two steps and added to the image. Unfolding it in a single step left a grid of four pixels. The style code scales
    and shifts the normalized channels of each block (conditional instance normalization, Dumoulin et al. 2017, eq. 5).

    Args:
        shape: Size of the network.
    """

    def __init__(self, shape: PainterShape) -> None:
        super().__init__()
        self.shape = shape
        width, folded = shape.width, 3 * FOLD**2
        self.stem = nn.Conv2d(folded, width, 3)
        self.blocks = nn.ModuleList(
            nn.Conv2d(width, width, 3, dilation=dilation) for dilation in shape.dilations
        )
        self.rise = nn.Conv2d(width, width // 2, 3)
        self.head = nn.Conv2d(width // 2, 3, 3)

    def forward(self, image: Tensor, code: Tensor) -> Tensor:
        """Stylizes images.

        Args:
            image: ``(B, 3, H, W)`` in ``[0, 1]``, already in the style's colors; H and W multiples of 4.
            code: ``(B, shape.codes)``, or ``(1, shape.codes)`` for the whole batch.

        Returns:
            ``(B, 3, H, W)``, not clamped.
        """
        width = self.shape.width
        x = F.pixel_unshuffle(image, FOLD) - 0.5
        h = same_size(self.stem, x)
        at = 0
        for block in self.blocks:
            scale, shift = code[:, at : at + width], code[:, at + width : at + 2 * width]
            at += 2 * width
            n = F.relu(_modulated(h, scale, shift))
            h = h + same_size(block, n)
        scale, shift = code[:, at : at + width], code[:, at + width : at + 2 * width]
        h = F.relu(_modulated(h, scale, shift))
        h = F.relu(doubled(self.rise, h))
        return image + doubled(self.head, h)


def same_size(convolution: nn.Module, x: Tensor) -> Tensor:
    """Applies a 3x3 convolution with replicated borders, so that the size stays the same."""
    reach = int(convolution.dilation[0])  # type: ignore[index]
    return convolution(F.pad(x, (reach, reach, reach, reach), mode="replicate"))


def doubled(convolution: nn.Conv2d, h: Tensor) -> Tensor:
    """Upsamples bilinearly to twice the side length and applies a 3x3 convolution with replicated borders.

    Both steps are fused: each of the four output pixels per input pixel depends on 3x3 input pixels, with weights that
    are linear combinations of the convolution's weights, so that no large intermediate feature map is needed.
    """
    taps = torch.tensor(ENLARGING).to(convolution.weight)  # (2 places, 3 taps, 3 small pixels)
    kernel = torch.einsum("oitv,pts,qvr->opqisr", convolution.weight, taps, taps).flatten(0, 2)
    bias = convolution.bias
    each = None if bias is None else bias.repeat_interleave(4)
    return F.pixel_shuffle(F.conv2d(F.pad(h, (1, 1, 1, 1), mode="replicate"), kernel, each), 2)


def _modulated(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    mean = h.mean((2, 3), keepdim=True)
    centered = h - mean
    spread = (centered.square().mean((2, 3), keepdim=True) + EPSILON).rsqrt()
    return centered * spread * (1 + scale)[..., None, None] + shift[..., None, None]


class Johnson(nn.Module):
    """The network of Johnson, Alahi and Fei-Fei 2016, with the layers and parameter names of the PyTorch examples.

    Input and output are RGB from 0 to 255. Upsampling uses nearest-neighbor interpolation and a convolution, which
    avoids checkerboard artifacts (Odena et al. 2016).

    Args:
        widths: Channels after each of the three initial convolutions.
        blocks: Number of residual blocks.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128), blocks: int = 5) -> None:
        super().__init__()
        a, b, c = widths
        self.widths = widths
        self.conv1, self.in1 = _Padded(3, a, 9), nn.InstanceNorm2d(a, affine=True)
        self.conv2, self.in2 = _Padded(a, b, 3, 2), nn.InstanceNorm2d(b, affine=True)
        self.conv3, self.in3 = _Padded(b, c, 3, 2), nn.InstanceNorm2d(c, affine=True)
        for number in range(1, blocks + 1):
            setattr(self, f"res{number}", _Residual(c))
        self.residuals = blocks
        self.deconv1, self.in4 = _Padded(c, b, 3, enlarge=2), nn.InstanceNorm2d(b, affine=True)
        self.deconv2, self.in5 = _Padded(b, a, 3, enlarge=2), nn.InstanceNorm2d(a, affine=True)
        self.deconv3 = _Padded(a, 3, 9)

    def forward(self, image: Tensor) -> Tensor:
        """Stylizes ``(B, 3, H, W)`` from 0 to 255; H and W must be multiples of 4."""
        x = F.relu(self.in1(self.conv1(image)))
        x = F.relu(self.in2(self.conv2(x)))
        x = F.relu(self.in3(self.conv3(x)))
        for number in range(1, self.residuals + 1):
            x = getattr(self, f"res{number}")(x)
        x = F.relu(self.in4(self.deconv1(x)))
        x = F.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)


class _Padded(nn.Module):
    def __init__(
        self, inside: int, outside: int, side: int, stride: int = 1, enlarge: int = 1
    ) -> None:
        super().__init__()
        self.enlarge, self.reach = enlarge, side // 2
        self.conv2d = nn.Conv2d(inside, outside, side, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.enlarge > 1:
            x = F.interpolate(x, scale_factor=self.enlarge, mode="nearest")
        return self.conv2d(F.pad(x, (self.reach,) * 4, mode="reflect"))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.in1 = (
            _Padded(channels, channels, 3),
            nn.InstanceNorm2d(channels, affine=True),
        )
        self.conv2, self.in2 = (
            _Padded(channels, channels, 3),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))


def weights_of(network: nn.Module) -> int:
    """Returns the number of parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
