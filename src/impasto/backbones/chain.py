"""A network that is a chain of steps, of which some have names: VGG and AlexNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from impasto.backbones.layers import resolve_layers
from impasto.errors import InputError

__all__ = ["POOLINGS", "Chain", "Pooling", "PoolingName", "Scaling", "pad_once"]

PoolingName = Literal["max", "average", "l2"]
PaddingName = Literal["zeros", "reflect", "replicate"]

POOLINGS: dict[str, float] = {"max": 1.0, "average": 2.0, "l2": 0.78}
"""What each pooling's result is multiplied by so that activations keep the size they have with max pooling,
for which the weights were trained. The numbers are Crowson's (style-transfer-pytorch); the tests check on features
that they bring the root mean square to within a half of max pooling's, where leaving them out does not."""


class Scaling(NamedTuple):
    """What a network was trained to be shown: ``(pixel * gain - mean) / deviation`` in its channel order."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gain: float = 1.0
    bgr: bool = False


class Pooling(nn.Module):
    """Max, average or L2 pooling, rescaled (see `POOLINGS`)."""

    def __init__(self, name: PoolingName, size: int = 2, stride: int = 2) -> None:
        super().__init__()
        self.kind = name
        self.size, self.stride = size, stride

    def forward(self, x: Tensor) -> Tensor:
        """Pools ``(B, C, H, W)``."""
        if self.kind == "max":
            return F.max_pool2d(x, self.size, self.stride)
        if self.kind == "average":
            return POOLINGS["average"] * F.avg_pool2d(x, self.size, self.stride)
        # The sum of squares' root; a small number under it keeps the gradient at 0 finite.
        squares = F.avg_pool2d(x.square(), self.size, self.stride) * self.size**2
        return POOLINGS["l2"] * (squares + 1e-8).sqrt()


def pad_once(image: Tensor, kernel_px: int, padding: PaddingName) -> Tensor:
    """Pads ``(B, 3, H, W)`` for the first convolution by ``kernel_px // 2`` on each side."""
    margin = (kernel_px // 2,) * 4
    mode = "constant" if padding == "zeros" else padding
    return F.pad(image, margin, mode=mode)


class Chain(nn.Module):
    """Runs its steps in order, keeps the maps asked for, and stops at the deepest.

    Args:
        name: Of the backbone.
        steps: The modules, whose indices are the keys of the checkpoint.
        names: Index of a step -> the layer whose map it gives.
        scaling: What the network was trained to be shown.
        padding: Of the first convolution; its own padding is taken off. Zeros make a dark frame at the border that
            the optimizer answers with a bright one.
        deepest_stride: Pixels of the image for one of the deepest map.
    """

    def __init__(
        self,
        name: str,
        steps: Sequence[nn.Module],
        names: dict[int, str],
        scaling: Scaling,
        *,
        padding: PaddingName = "replicate",
        deepest_stride: int = 16,
    ) -> None:
        super().__init__()
        self.name = name
        self.features = nn.Sequential(*steps)
        self.layer_names = tuple(names.values())
        self.checkpointing = False
        self._names, self._scaling, self._padding = names, scaling, padding
        self._deepest_stride = deepest_stride
        first = self.features[0]
        assert isinstance(first, nn.Conv2d)
        self._first_pad = int(first.padding[0])
        first.padding = (0, 0)
        self.register_buffer("_mean", torch.tensor(scaling.mean)[:, None, None], persistent=False)
        self.register_buffer(
            "_deviation", torch.tensor(scaling.deviation)[:, None, None], persistent=False
        )

    _mean: Tensor
    _deviation: Tensor

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Maps an image to the feature maps asked for, under the names they were asked by.

        Args:
            image: float ``(B, 3, H, W)`` RGB, sRGB-encoded, in ``[0, 1]``.
            layers: Canonical names or aliases.

        Raises:
            UnknownNameError: A layer does not exist.
            InputError: The image is too small for the deepest layer.
        """
        resolved = resolve_layers(layers, self.layer_names)
        if min(image.shape[-2:]) < 2 * self._deepest_stride:
            raise InputError(
                f"the picture is {image.shape[-1]}x{image.shape[-2]} px; {self.name} needs "
                f"{2 * self._deepest_stride} px on each side."
            )
        x = (image.flip(1) if self._scaling.bgr else image) * self._scaling.gain
        x = (x - self._mean) / self._deviation
        x = pad_once(x, 2 * self._first_pad + 1, self._padding)
        x = x.contiguous(memory_format=torch.channels_last)
        found: dict[str, Tensor] = {}
        for index, step in enumerate(self.features):
            x = self._run(step, x)
            layer = self._names.get(index)
            if layer in resolved:
                found[layer] = x
                if len(found) == len(set(resolved)):
                    break
        return {asked: found[layer] for asked, layer in zip(layers, resolved, strict=True)}

    def _run(self, step: nn.Module, x: Tensor) -> Tensor:
        # Only the large maps are worth computing twice; an in-place ReLU saves its own output alone.
        if (
            self.checkpointing
            and torch.is_grad_enabled()
            and isinstance(step, (nn.Conv2d, Pooling))
        ):
            return checkpoint(step, x, use_reentrant=False)
        return step(x)
