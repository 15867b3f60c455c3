"""The default backbone, which ships with impasto: a small VGG-19, distilled from vgg19-16x.

``recipes/distil_backbone.py`` produces the weights; ``docs/cards/vgg19-lite.md`` reports how well the features match.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from impasto.backbones.chain import Pooling
from impasto.backbones.geometry import Window
from impasto.backbones.shipped import collect, with_weights

__all__ = ["STEPS", "Step", "Vgg19Lite", "load_vgg19_lite"]


class Step(NamedTuple):
    """One convolution with its ReLU; `pooled` ones apply pooling to their input first."""

    name: str
    channels_in: int
    channels_out: int
    pooled: bool = False


STEPS = (
    Step("relu1_1", 3, 16),
    Step("relu1_2", 16, 16),
    Step("relu2_1", 16, 32, pooled=True),
    Step("relu2_2", 32, 32),
    Step("relu3_1", 32, 64, pooled=True),
    Step("relu3_2", 64, 48),
    Step("relu3_3", 48, 40),
    Step("relu3_4", 40, 40),
    Step("relu4_1", 40, 80, pooled=True),
    Step("relu4_2", 80, 80),
    Step("relu4_3", 80, 64),
    Step("relu4_4", 64, 120),
    Step("relu5_1", 120, 104, pooled=True),
)
"""VGG-19 at a quarter of its width up to relu3_1, and narrower after that: in blocks 3 and 4 of the teacher, a third
to a half of the channels are inactive for every image."""


class Vgg19Lite(nn.Module):
    """A frozen network of thirteen 3x3 convolutions with the layers and strides of VGG-19.

    Every convolution uses reflection padding, so that there is no dark border around the image that would affect the
    result.

    Attributes:
        checkpointing: Whether to use gradient checkpointing, which trades time for memory.
        pooling: ``max``, as in training, or ``average`` or ``l2``.
    """

    name = "vgg19-lite"
    layer_names = tuple(step.name for step in STEPS)

    def __init__(self) -> None:
        super().__init__()
        for step in STEPS:
            conv = nn.Conv2d(step.channels_in, step.channels_out, 3)
            setattr(self, step.name.replace("relu", "conv"), conv)
        self.checkpointing = False
        self.pooling = "max"

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
        return collect(image, layers, STEPS, self._step, name=self.name)

    def windows(self) -> dict[str, tuple[Window, ...]]:
        """Returns the windows of each layer; see `impasto.backbones.Windowed`."""
        conv, pool = Window(3, padding=1), Window(2, stride=2)
        return {step.name: (pool, conv) if step.pooled else (conv,) for step in STEPS}

    def _step(self, step: Step, x: Tensor) -> Tensor:
        conv = getattr(self, step.name.replace("relu", "conv"))

        def run(x: Tensor) -> Tensor:
            x = self._pool(x) if step.pooled else x
            return F.relu(conv(F.pad(x, (1, 1, 1, 1), mode="reflect")), inplace=True)

        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(run, x, use_reentrant=False)
        return run(x)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "max":
            return F.max_pool2d(x, 2)
        return Pooling(self.pooling)(x)  # type: ignore[arg-type]


def load_vgg19_lite(path: Path | None = None, dtype: torch.dtype = torch.float32) -> Vgg19Lite:
    """Loads the network, frozen, with the weights that ship with impasto.

    Args:
        path: File with other weights of the same shapes.
        dtype: Data type of the parameters.
    """
    return with_weights(Vgg19Lite(), "vgg19_lite.safetensors", path, dtype)
