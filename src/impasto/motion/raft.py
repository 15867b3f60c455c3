"""RAFT (Teed and Deng 2020) in plain PyTorch, small and large, with the key names of the published checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import MissingFileError
from impasto.media.picture import pixels_to_tensor
from impasto.types import Frame
from impasto.weights import Kind, fill_network, read_state

__all__ = ["RAFT", "load_raft"]

CHECKPOINT = Kind("a RAFT checkpoint, small or large", "use raft-small.pth or raft-things.pth")

LEVELS = 4
STRIDE = 8
SHORTEST_PX = 128
"""Minimum input size: the correlation pyramid halves the 1/8-scale features three times."""


def _norm(kind: str, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels) if kind == "instance" else nn.Sequential()


class Bottleneck(nn.Module):
    """Residual block with three convolutions, used in the small network's encoders."""

    def __init__(self, channels_in: int, channels: int, norm: str, stride: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.conv1 = nn.Conv2d(channels_in, narrow, 1)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride=stride, padding=1)
        self.conv3 = nn.Conv2d(narrow, channels, 1)
        self.norm1, self.norm2 = _norm(norm, narrow), _norm(norm, narrow)
        self.norm3 = _norm(norm, channels)
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.norm4 = _norm(norm, channels)
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride=stride), self.norm4
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to the block's output channels, at its stride."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        y = F.relu(self.norm3(self.conv3(y)))
        return F.relu((x if self.downsample is None else self.downsample(x)) + y)


class Residual(nn.Module):
    """Residual block with two convolutions, used in the large network's encoders."""

    def __init__(self, channels_in: int, channels: int, norm: str, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1, self.norm2 = _norm(norm, channels), _norm(norm, channels)
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.norm3 = _norm(norm, channels)
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride=stride), self.norm3
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to the block's output channels, at its stride."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu((x if self.downsample is None else self.downsample(x)) + y)


class Encoder(nn.Module):
    """Feature encoder with an output stride of 8."""

    def __init__(
        self, widths: Sequence[int], channels_out: int, norm: str, block: type[nn.Module]
    ) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3)
        self.norm1 = _norm(norm, first)
        self.layer1 = nn.Sequential(block(first, first, norm, 1), block(first, first, norm, 1))
        self.layer2 = nn.Sequential(block(first, second, norm, 2), block(second, second, norm, 1))
        self.layer3 = nn.Sequential(block(second, third, norm, 2), block(third, third, norm, 1))
        self.conv2 = nn.Conv2d(third, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, 3, H, W)`` in ``[-1, 1]`` to ``(B, C, H/8, W/8)``."""
        x = F.relu(self.norm1(self.conv1(x)))
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class FlowHead(nn.Module):
    """Predicts a flow update from the hidden state."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, h, w)`` to ``(B, 2, h, w)``."""
        return self.conv2(F.relu(self.conv1(x)))


class SmallGRU(nn.Module):
    """Convolutional GRU with 3x3 kernels."""

    def __init__(self, hidden: int, channels_in: int) -> None:
        super().__init__()
        self.convz = nn.Conv2d(hidden + channels_in, hidden, 3, padding=1)
        self.convr = nn.Conv2d(hidden + channels_in, hidden, 3, padding=1)
        self.convq = nn.Conv2d(hidden + channels_in, hidden, 3, padding=1)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """Returns the next hidden state."""
        return _gate(h, x, self.convz, self.convr, self.convq)


class LargeGRU(nn.Module):
    """Separable convolutional GRU: along rows, then along columns."""

    def __init__(self, hidden: int, channels_in: int) -> None:
        super().__init__()
        for number, shape, padding in ((1, (1, 5), (0, 2)), (2, (5, 1), (2, 0))):
            for gate in "zrq":
                convolution = nn.Conv2d(hidden + channels_in, hidden, shape, padding=padding)
                setattr(self, f"conv{gate}{number}", convolution)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """Returns the next hidden state."""
        h = _gate(h, x, self.convz1, self.convr1, self.convq1)  # type: ignore[arg-type]
        return _gate(h, x, self.convz2, self.convr2, self.convq2)  # type: ignore[arg-type]


def _gate(h: Tensor, x: Tensor, update: nn.Module, reset: nn.Module, new: nn.Module) -> Tensor:
    both = torch.cat([h, x], 1)
    z, r = torch.sigmoid(update(both)), torch.sigmoid(reset(both))
    q = torch.tanh(new(torch.cat([r * h, x], 1)))
    return (1 - z) * h + z * q


class MotionEncoder(nn.Module):
    """Encodes correlation and flow into motion features."""

    def __init__(self, correlations: int, *, small: bool) -> None:
        super().__init__()
        self.small = small
        if small:
            self.convc1 = nn.Conv2d(correlations, 96, 1)
            self.convf1, self.convf2 = (
                nn.Conv2d(2, 64, 7, padding=3),
                nn.Conv2d(64, 32, 3, padding=1),
            )
            self.conv = nn.Conv2d(128, 80, 3, padding=1)
        else:
            self.convc1, self.convc2 = (
                nn.Conv2d(correlations, 256, 1),
                nn.Conv2d(256, 192, 3, padding=1),
            )
            self.convf1, self.convf2 = (
                nn.Conv2d(2, 128, 7, padding=3),
                nn.Conv2d(128, 64, 3, padding=1),
            )
            self.conv = nn.Conv2d(256, 126, 3, padding=1)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        """Maps ``(B, 2, h, w)`` and ``(B, C, h, w)`` to features that include the flow."""
        c = F.relu(self.convc1(correlation))
        if not self.small:
            c = F.relu(self.convc2(c))
        f = F.relu(self.convf2(F.relu(self.convf1(flow))))
        return torch.cat([F.relu(self.conv(torch.cat([c, f], 1))), flow], 1)


class UpdateBlock(nn.Module):
    """One iteration of the recurrent update."""

    def __init__(self, hidden: int, context: int, correlations: int, *, small: bool) -> None:
        super().__init__()
        self.encoder = MotionEncoder(correlations, small=small)
        motion = 82 if small else 128
        self.gru: nn.Module = (SmallGRU if small else LargeGRU)(hidden, motion + context)
        self.flow_head = FlowHead(hidden, 128 if small else 256)
        self.mask: nn.Module | None = None
        if not small:
            self.mask = nn.Sequential(
                nn.Conv2d(128, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 64 * 9, 1)
            )

    def forward(
        self, h: Tensor, context: Tensor, correlation: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns the next hidden state, the flow update, and the upsampling weights (None for the small network)."""
        h = self.gru(h, torch.cat([context, self.encoder(flow, correlation)], 1))
        return h, self.flow_head(h), None if self.mask is None else 0.25 * self.mask(h)


class Correlation:
    """All-pairs correlation pyramid with four levels (section 3.2).

    Args:
        first: ``(1, C, h, w)``.
        second: The same shape.
        radius: Radius of the lookup window.
    """

    def __init__(self, first: Tensor, second: Tensor, radius: int) -> None:
        self.radius = radius
        _one, channels, height, width = first.shape
        pairs = first.flatten(2)[0].T @ second.flatten(2)[0] / channels**0.5  # (h*w, h*w)
        volume = pairs.view(height * width, 1, height, width)
        self.levels = [volume]
        for _ in range(LEVELS - 1):
            volume = F.avg_pool2d(volume, 2)
            self.levels.append(volume)

    def at(self, places: Tensor) -> Tensor:
        """Looks up windows around positions ``(1, 2, h, w)``; returns ``(1, levels * (2r + 1)^2, h, w)``."""
        _one, _two, height, width = places.shape
        r = self.radius
        line = torch.arange(-r, r + 1, dtype=places.dtype, device=places.device)
        # The published weights were trained with the window's axes in this order.
        window = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)  # (2r+1, 2r+1, 2)
        centers = places[0].permute(1, 2, 0).reshape(height * width, 1, 1, 2)
        found = []
        for level, volume in enumerate(self.levels):
            grid = centers / 2**level + window
            size = grid.new_tensor([volume.shape[-1] - 1, volume.shape[-2] - 1])
            sampled = F.grid_sample(volume, 2 * grid / size - 1, align_corners=True)
            found.append(sampled.view(height, width, -1))
        return torch.cat(found, -1).permute(2, 0, 1)[None]


class RAFT(nn.Module):
    """Recurrent all-pairs field transforms.

    Args:
        small: Whether to use the small network (1 M parameters) or the large one (5.3 M).
        iterations: Number of recurrent updates.
    """

    name = "raft"

    def __init__(self, *, small: bool = True, iterations: int = 12) -> None:
        super().__init__()
        self.iterations = iterations
        self.hidden, context, self.radius = (96, 64, 3) if small else (128, 128, 4)
        windows = LEVELS * (2 * self.radius + 1) ** 2
        if small:
            self.fnet = Encoder((32, 64, 96), 128, "instance", Bottleneck)
            self.cnet = Encoder((32, 64, 96), self.hidden + context, "none", Bottleneck)
        else:
            self.fnet = Encoder((64, 96, 128), 256, "instance", Residual)
            self.cnet = Encoder((64, 96, 128), self.hidden + context, "batch", Residual)
        self.update_block = UpdateBlock(self.hidden, context, windows, small=small)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Estimates the flow from the first image to the second.

        Args:
            first: ``(1, 3, H, W)`` in ``[0, 1]``.
            second: The same shape.

        Returns:
            ``(1, 2, H, W)`` in pixels.
        """
        height, width = first.shape[-2:]
        # Pad to a multiple of the stride and to the minimum size of the pyramid.
        tall = max(SHORTEST_PX, -(-height // STRIDE) * STRIDE) - height
        wide = max(SHORTEST_PX, -(-width // STRIDE) * STRIDE) - width
        edges = (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)
        a, b = (F.pad(2 * image - 1, edges, mode="replicate") for image in (first, second))
        correlation = Correlation(self.fnet(a), self.fnet(b), self.radius)
        h, context = self.cnet(a).split(
            [self.hidden, self.cnet.conv2.out_channels - self.hidden], 1
        )
        h, context = torch.tanh(h), F.relu(context)
        rows = torch.arange(h.shape[-2], dtype=a.dtype, device=a.device)
        columns = torch.arange(h.shape[-1], dtype=a.dtype, device=a.device)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        places = torch.stack([x, y])[None]  # (1, 2, h, w)
        flow, mask = torch.zeros_like(places), None
        for _ in range(self.iterations):
            h, change, mask = self.update_block(h, context, correlation.at(places + flow), flow)
            flow = flow + change
        large = _enlarge(flow) if mask is None else _enlarge_convexly(flow, mask)
        return large[..., edges[2] : edges[2] + height, edges[0] : edges[0] + width]

    @torch.no_grad()
    def __call__(self, frame: Any, other: Any) -> Tensor:
        """Accepts two frames (see `FlowEstimator`) or two tensors (see `forward`)."""
        if isinstance(frame, Frame):
            frame, other = pixels_to_tensor(frame.pixels), pixels_to_tensor(other.pixels)
        result: Tensor = super().__call__(frame, other)
        return result


def _enlarge(flow: Tensor) -> Tensor:
    size = (flow.shape[-2] * STRIDE, flow.shape[-1] * STRIDE)
    return STRIDE * F.interpolate(flow, size, mode="bilinear", align_corners=True)


def _enlarge_convexly(flow: Tensor, mask: Tensor) -> Tensor:
    """Upsamples the flow: each fine vector is a convex combination of nine coarse ones (section 3.3)."""
    _one, _two, height, width = flow.shape
    weights = mask.view(1, 1, 9, STRIDE, STRIDE, height, width).softmax(2)
    coarse = F.unfold(STRIDE * flow, 3, padding=1).view(1, 2, 9, 1, 1, height, width)
    fine = (weights * coarse).sum(2)  # (1, 2, 8, 8, h, w)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(1, 2, STRIDE * height, STRIDE * width)


def load_raft(path: str | Path, *, iterations: int = 12) -> RAFT:
    """Loads a published checkpoint; the tensor shapes determine whether it is small or large.

    Raises:
        MissingFileError: The file does not exist.
        WeightsError: The file is not a RAFT checkpoint.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"the checkpoint {path} does not exist; check the name.")
    state = read_state(path, CHECKPOINT)
    small = "fnet.layer1.0.conv3.weight" in state
    network = fill_network(
        lambda: RAFT(small=small, iterations=iterations), state, path, CHECKPOINT
    )
    return network.requires_grad_(False)
