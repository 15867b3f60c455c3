"""The single-tower AlexNet (Krizhevsky 2014, "One weird trick"), with torchvision's parameter names."""

from __future__ import annotations

from torch import nn

from impasto.backbones.chain import Chain, PaddingName, Pooling, PoolingName
from impasto.backbones.vgg import IMAGENET

__all__ = ["make_alexnet"]


def make_alexnet(*, pooling: PoolingName = "max", padding: PaddingName = "replicate") -> Chain:
    """Builds AlexNet without weights; its layers are ``relu1`` ... ``relu5``, ``pool1`` and ``pool2``.

    Args:
        pooling: Pooling between blocks, 3x3 with stride 2.
        padding: Padding of the first convolution.
    """
    steps = [
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), Pooling(pooling, 3),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), Pooling(pooling, 3),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True),
    ]  # fmt: skip
    names = {1: "relu1", 2: "pool1", 4: "relu2", 5: "pool2", 7: "relu3", 9: "relu4", 11: "relu5"}
    return Chain("alexnet", steps, names, IMAGENET, padding=padding, deepest_stride=16)
