"""ResNet-50 (He et al. 2016) with torchvision's parameter names, and smoothed activations for style transfer.

Wang, Li and Vasconcelos, "Rethinking and Improving the Robustness of Image Style Transfer" (CVPR 2021): residual
connections make activations peaked, so that a few channels and positions hold nearly all the energy. Their Gram
matrices then have low entropy, and matching them produces a few spots and nothing else. A softmax over the whole
feature map flattens the peaks before the losses are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones.layers import resolve_layers
from impasto.backbones.vgg import IMAGENET
from impasto.errors import InputError

__all__ = ["ResNet50", "activation_entropy", "smooth_activations"]

TEMPERATURE = 10.0
"""Deviates: the paper applies the softmax to the feature map directly. Trained activations reach tens, where the
softmax is nearly one-hot; dividing by this multiple of the map's root mean square gives the intended smoothing at any
scale."""


def smooth_activations(features: Tensor) -> Tensor:
    """Softmax over channels and positions (section 4 of the paper), multiplied by the sum of the input.

    Deviates: the multiplication keeps the energy on the order of the input's, so that losses of different layers are
    comparable, and the exponent is scaled (see `TEMPERATURE`).

    Args:
        features: ``(B, C, H, W)``, nonnegative.

    Returns:
        Same shape and same sum as the input, positive, and less peaked.
    """
    flat = features.flatten(1)  # (B, C * H * W)
    scale = flat.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)
    smooth = F.softmax(flat / (TEMPERATURE * scale.detach()), dim=1)
    return (smooth * flat.sum(1, keepdim=True).detach()).view_as(features)


def activation_entropy(features: Tensor) -> Tensor:
    """Normalized entropy of a feature map, read as a distribution: 1 for a flat map, 0 for a single peak.

    Args:
        features: ``(B, C, H, W)``, nonnegative.

    Returns:
        ``(B,)`` in ``[0, 1]``.
    """
    flat = features.flatten(1).clamp_min(0)
    share = flat / flat.sum(1, keepdim=True).clamp_min(1e-12)
    entropy = -(share * share.clamp_min(1e-30).log()).sum(1)
    return entropy / torch.log(torch.tensor(float(flat.shape[1])))


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels_in != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to ``(B, 4 * width, H / stride, W / stride)``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """ResNet-50 with the layers ``stem``, ``layer1`` ... ``layer4``, and every block in them, such as ``layer2_3``.

    Args:
        smooth: Whether to smooth the feature maps (see the module docstring).
    """

    name = "resnet50"
    DEPTHS = (3, 4, 6, 3)

    def __init__(self, *, smooth: bool = True) -> None:
        super().__init__()
        self.smooth = smooth
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        names, channels = ["stem"], 64
        for number, depth in enumerate(self.DEPTHS, 1):
            blocks = []
            for block in range(depth):
                stride = 2 if number > 1 and block == 0 else 1
                blocks.append(Bottleneck(channels, 64 * 2 ** (number - 1), stride))
                channels = 4 * 64 * 2 ** (number - 1)
                names.append(f"layer{number}_{block + 1}")
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            names.append(f"layer{number}")
        self.layer_names = tuple(names)
        self.register_buffer("_mean", torch.tensor(IMAGENET.mean)[:, None, None], persistent=False)
        self.register_buffer(
            "_deviation", torch.tensor(IMAGENET.deviation)[:, None, None], persistent=False
        )

    _mean: Tensor
    _deviation: Tensor

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """See `impasto.types.Backbone`."""
        resolved = set(resolve_layers(layers, self.layer_names))
        if min(image.shape[-2:]) < 64:
            raise InputError(
                f"the image is {image.shape[-1]}x{image.shape[-2]} px, but resnet50 needs at least 64 px on each "
                "side; use a larger image."
            )
        found: dict[str, Tensor] = {}
        x = F.relu(self.bn1(self.conv1((image - self._mean) / self._deviation)))
        self._keep("stem", x, resolved, found)
        x = F.max_pool2d(x, 3, 2, padding=1)
        for number in range(1, 5):
            if len(found) == len(resolved):
                break
            for block, step in enumerate(getattr(self, f"layer{number}"), 1):
                x = step(x)
                self._keep(f"layer{number}_{block}", x, resolved, found)
            self._keep(f"layer{number}", x, resolved, found)
        return {name: found[name] for name in layers}

    def _keep(self, name: str, x: Tensor, wanted: set[str], found: dict[str, Tensor]) -> None:
        if name in wanted:
            found[name] = smooth_activations(x) if self.smooth else x
