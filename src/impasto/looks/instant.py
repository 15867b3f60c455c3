"""instant: one feed-forward network for any style.

At five levels, from colors to relu4_1, the decoder gives the photograph's features the mean and covariance of the
style's (whitening and coloring as in Li et al. 2017, at every level of one decoder as in Avatar-Net, Sheng et al.
2018). Styles are measured, not learned, so the network works with any style. The decoder learns to turn the
transformed features into strokes that match the style in the loss network.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones.vgg19_lite import load_vgg19_lite
from impasto.looks.transport import Gaussian, blended, gaussian_of, moments, transport
from impasto.media import pad_to
from impasto.media.strips import in_strips

__all__ = ["CHANNELS", "LEVELS", "Instant", "Manner", "Stage", "blend_manners", "pad_to_eight"]

LEVELS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
CHANNELS = (3, 16, 32, 64, 80)
"""Number of channels of the colors, and of the encoder's features at each level."""

SLOPE = 0.1
"""Negative slope of the decoder's leaky ReLUs; with plain ReLUs, whole channels of relu1_1 died."""

STRIDE = 8
ENCODER_REACH_PX = 48
"""Half of the receptive field of relu4_1, rounded up to its stride."""

DECODER_REACH = 4
"""Half of the receptive field of a decoder stage, in positions of its input."""

SIDE_FLOOR = 1e-2


@dataclass(frozen=True)
class Manner:
    """Statistics of a style.

    Attributes:
        levels: Statistics of the colors and of the features at `LEVELS`, shallow to deep.
        weight: ``(1, 1, H, W)`` in ``[0, 1]``, mask of the content region that takes the style; None for all of it.
    """

    levels: tuple[Gaussian, ...]
    weight: Tensor | None = None


def blend_manners(manners: Sequence[Manner], weights: Sequence[float]) -> Manner:
    """Blends several styles into one."""
    by_level = zip(*(manner.levels for manner in manners), strict=True)
    return Manner(tuple(blended(level, weights) for level in by_level))


class Stage(nn.Module):
    """A decoder stage: convolutions, upsampling and more convolutions, to the next shallower level of features.

    Upsampling is bilinear. With nearest-neighbor upsampling, shifts of the photograph by less than eight pixels changed
    the result, and videos flickered.

    Args:
        before: Input channels, followed by the output channels of each convolution before the upsampling.
        after: Output channels of each convolution after the upsampling.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        chain = list(before)
        self.before = nn.ModuleList(nn.Conv2d(i, o, 3) for i, o in itertools.pairwise(chain))
        chain = [chain[-1], *after]
        self.after = nn.ModuleList(nn.Conv2d(i, o, 3) for i, o in itertools.pairwise(chain))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to twice the side length; to the same size if ``after`` is empty."""
        for convolution in self.before:
            x = F.leaky_relu(convolution(_mirrored(x)), SLOPE, inplace=True)
        if len(self.after):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        for convolution in self.after:
            x = F.leaky_relu(convolution(_mirrored(x)), SLOPE, inplace=True)
        return x


def _mirrored(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


class Instant(nn.Module):
    """Encoder, feature transform and decoder.

    Attributes:
        encoder: The included backbone; it is frozen and not saved with a look.
        scales: Divisor of each level's features, ``(4,)``.
    """

    scales: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = load_vgg19_lite()
        self.register_buffer("scales", torch.ones(len(LEVELS)))
        self.stage4 = Stage((80, 80, 64), (64, 64))
        self.stage3 = Stage((64, 64, 48), (32,))
        self.stage2 = Stage((32, 24), (16,))
        self.stage1 = Stage((16, 24), ())
        self.head = nn.Conv2d(24, 3, 3)
        self.side = nn.Conv2d(64, 64, 1)

    @torch.no_grad()
    def manner(self, style: Tensor, weight: Tensor | None = None) -> Manner:
        """Measures a style, ``(1, 3, h, w)`` in ``[0, 1]``, weighted by the mask ``weight`` if it is given."""
        maps = [style, *self._encoded(style, LEVELS)]
        sized = [None if weight is None else _sized(weight, m) for m in maps]
        return Manner(tuple(gaussian_of(m, w) for m, w in zip(maps, sized, strict=True)))

    def forward(self, image: Tensor, manners: Sequence[Manner], *, rows: int = 0) -> Tensor:
        """Stylizes images.

        Args:
            image: ``(B, 3, H, W)`` in ``[0, 1]``; H and W multiples of 8, at least 32.
            manners: One style, or one for each region of the content.
            rows: Number of rows per strip, a multiple of 8; strips reduce memory without changing the result.
                0 processes the whole image at once.

        Returns:
            ``(B, 3, H, W)``, not clamped.
        """
        image = self._styled(image, 0, manners).clamp(0, 1)
        middle, deep = in_strips(self._middle_and_deep, image, ENCODER_REACH_PX, rows)
        strips = rows // STRIDE
        (h,) = in_strips(
            lambda x: (self.stage4(x),), self._styled(deep, 4, manners), DECODER_REACH, strips
        )
        del deep
        h = self._styled(h, 3, manners) + self.side(_normalized(middle))
        del middle
        (h,) = in_strips(lambda x: (self.stage3(x),), h, DECODER_REACH, 2 * strips)
        (h,) = in_strips(
            lambda x: (self.stage2(x),), self._styled(h, 2, manners), DECODER_REACH, 4 * strips
        )
        (h,) = in_strips(
            lambda x: (self._pixels(x),), self._styled(h, 1, manners), DECODER_REACH, rows
        )
        return self._styled(h, 0, manners)

    def reconstruct(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Runs the decoder as an autoencoder, for pretraining; returns the image and relu1_1, relu2_1 and relu3_1."""
        (deep,) = self._encoded(image, LEVELS[3:])
        h3 = self.stage4(deep)
        h2 = self.stage3(h3)
        h1 = self.stage2(h2)
        return self._pixels(h1), (h1, h2, h3)

    def _encoded(self, image: Tensor, layers: Sequence[str]) -> list[Tensor]:
        maps = self.encoder(image, layers)
        return [maps[layer] / self.scales[LEVELS.index(layer)] for layer in layers]

    def _middle_and_deep(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._encoded(image, LEVELS[2:]))

    def _pixels(self, x: Tensor) -> Tensor:
        return self.head(_mirrored(self.stage1(x))) + 0.5

    def _styled(self, x: Tensor, level: int, manners: Sequence[Manner]) -> Tensor:
        if len(manners) == 1 and manners[0].weight is None:
            return transport(x, manners[0].levels[level])
        out, left = torch.zeros_like(x), torch.ones_like(x[:1, :1])
        for manner in manners:
            weight = left if manner.weight is None else _sized(manner.weight, x)
            if float(weight.max()) > 0:
                out = out + weight * transport(x, manner.levels[level], weight)
                left = left - weight
        return out + left.clamp_min(0) * x


def _sized(weight: Tensor, maps: Tensor) -> Tensor:
    size = (maps.shape[-2], maps.shape[-1])
    return weight if weight.shape[-2:] == size else F.interpolate(weight, size, mode="area")


def _normalized(maps: Tensor) -> Tensor:
    mean, covariance = moments(maps)
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(1e-8).sqrt()
    return (maps - mean[..., None]) / (deviation[..., None, None] + SIDE_FLOOR)


def pad_to_eight(image: Tensor) -> Tensor:
    """Pads an image by replication to multiples of 8, at least 32."""
    return pad_to(image, STRIDE, least=4 * STRIDE)
