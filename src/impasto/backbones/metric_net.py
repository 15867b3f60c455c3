"""The metric network: a small convolutional network that evaluates results and is never used to optimize them.

It is independent of VGG. ``recipes/train_metric_network.py`` trains it without labels to recognize which crops come
from the same image; ``docs/cards/metric-net.md`` documents its data, its validation results and its blind spots.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones.geometry import Window
from impasto.backbones.shipped import collect, with_weights

__all__ = ["STAGES", "MetricNet", "Stage", "load_metric_net"]


class Stage(NamedTuple):
    """One 3x3 convolution with its ReLU; `halved` ones average-pool their input first."""

    name: str
    channels_in: int
    channels_out: int
    halved: bool = False

    @property
    def module(self) -> str:
        """Name of the convolution in the state dict."""
        return self.name.replace("relu", "conv")


STAGES = (
    Stage("relu1_1", 3, 16),
    Stage("relu1_2", 16, 24),
    Stage("relu2_1", 24, 48, halved=True),
    Stage("relu2_2", 48, 48),
    Stage("relu3_1", 48, 80, halved=True),
    Stage("relu3_2", 80, 80),
    Stage("relu4_1", 80, 112, halved=True),
    Stage("relu4_2", 112, 112),
    Stage("relu5_1", 112, 144, halved=True),
    Stage("relu5_2", 144, 144),
)
"""Five scales with strides 1, 2, 4, 8 and 16, two convolutions each."""


class MetricNet(nn.Module):
    """A frozen network of ten 3x3 convolutions, without normalization layers.

    Batch normalization is used in training only and folded into the weights. Every convolution pads by replication.
    Average pooling, not max pooling, halves the resolution.
    """

    name = "metric-net"
    layer_names = tuple(stage.name for stage in STAGES)

    def __init__(self) -> None:
        super().__init__()
        for stage in STAGES:
            setattr(self, stage.module, nn.Conv2d(stage.channels_in, stage.channels_out, 3))

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Computes feature maps of an image in one pass, which stops at the deepest layer requested.

        Args:
            image: float ``(B, 3, H, W)`` RGB in ``[0, 1]``, both sides at least 32 px.
            layers: Names among `layer_names`.

        Returns:
            ``(B, C, H // stride, W // stride)`` by layer.

        Raises:
            UnknownNameError: A layer does not exist.
            InputError: The image is too small.
        """
        return collect(image, layers, STAGES, self._stage, name=self.name)

    def windows(self) -> dict[str, tuple[Window, ...]]:
        """Returns the windows of each layer; see `impasto.backbones.Windowed`."""
        conv, pool = Window(3, padding=1), Window(2, stride=2)
        return {stage.name: (pool, conv) if stage.halved else (conv,) for stage in STAGES}

    def _stage(self, stage: Stage, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 2) if stage.halved else x
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.relu(getattr(self, stage.module)(padded))


def load_metric_net(path: Path | None = None, dtype: torch.dtype = torch.float32) -> MetricNet:
    """Loads the network, frozen, with the weights that ship with impasto.

    Args:
        path: File with other weights of the same shapes.
        dtype: Data type of the parameters.
    """
    return with_weights(MetricNet(), "metric_net.safetensors", path, dtype)
