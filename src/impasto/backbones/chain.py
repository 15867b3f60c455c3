"""Sequential backbones with named layers: VGG and AlexNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from impasto.backbones.geometry import Window
from impasto.backbones.layers import resolve_layers
from impasto.errors import InputError

__all__ = ["POOLINGS", "Chain", "Pooling", "PoolingName", "Scaling", "pad_once"]

PoolingName = Literal["max", "average", "l2"]
PaddingName = Literal["zeros", "reflect", "replicate"]

POOLINGS: dict[str, float] = {"max": 1.0, "average": 2.0, "l2": 0.78}
"""Factor for each kind of pooling, which keeps activations at the scale of max pooling, with which the weights were
trained. The values are from Crowson's style-transfer-pytorch. The tests check that the root mean square of features
stays within 50% of that with max pooling, which it does not without the factors."""


class Scaling(NamedTuple):
    """Input normalization of a network: ``(pixel * gain - mean) / deviation`` in its channel order."""

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
        # Root of the sum of squares; the small constant keeps the gradient at 0 finite.
        squares = F.avg_pool2d(x.square(), self.size, self.stride) * self.size**2
        return POOLINGS["l2"] * (squares + 1e-8).sqrt()


def pad_once(image: Tensor, kernel_px: int, padding: PaddingName) -> Tensor:
    """Pads ``(B, 3, H, W)`` for the first convolution by ``kernel_px // 2`` on each side."""
    margin = (kernel_px // 2,) * 4
    mode = "constant" if padding == "zeros" else padding
    return F.pad(image, margin, mode=mode)


class Chain(nn.Module):
    """A sequential backbone that stops at the deepest layer requested.

    Args:
        name: Name of the backbone.
        steps: Modules in order; their indices are the keys in the checkpoint.
        names: Index of a step -> name of the layer that it outputs.
        scaling: Input normalization.
        padding: Padding of the first convolution, which replaces its own. Zero padding acts like a dark frame around
            the image, for which the optimizer compensates with a bright border.
        deepest_stride: Stride of the deepest layer in pixels.
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
        """Returns the requested feature maps of an image, by the names they were requested by.

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
                f"the image is {image.shape[-1]}x{image.shape[-2]} px, but {self.name} needs at least "
                f"{2 * self._deepest_stride} px on each side; use a larger image."
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

    def windows(self) -> dict[str, tuple[Window, ...]]:
        """Returns the windows of each layer; see `impasto.backbones.Windowed`."""
        found: dict[str, tuple[Window, ...]] = {}
        passed: list[Window] = []
        for index, step in enumerate(self.features):
            if isinstance(step, nn.Conv2d):
                padding = int(step.padding[0]) if index else self._first_pad
                kernel, stride = step.kernel_size[0], step.stride[0]
                passed.append(Window(kernel, stride, padding, step.dilation[0]))
            elif isinstance(step, Pooling):
                passed.append(Window(step.size, step.stride))
            if index in self._names:
                found[self._names[index]] = tuple(passed)
                passed.clear()
        return found

    def _run(self, step: nn.Module, x: Tensor) -> Tensor:
        # Checkpointing pays off only for convolutions and pooling; an in-place ReLU saves just its output.
        if (
            self.checkpointing
            and torch.is_grad_enabled()
            and isinstance(step, (nn.Conv2d, Pooling))
        ):
            return checkpoint(step, x, use_reentrant=False)
        return step(x)
