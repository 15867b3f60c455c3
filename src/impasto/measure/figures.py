"""Every figure of a picture in one call, each with its source, its range and its blind spots; means of many."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones.load import read_state
from impasto.errors import InputError, WeightsError
from impasto.losses import content_loss, gram_loss, gram_matrix
from impasto.losses.wasserstein import moments, wasserstein_loss
from impasto.measure.picture import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    luminance,
    sharpness,
    structure_kept,
)
from impasto.media import resize, resize_to_fit
from impasto.types import Backbone

__all__ = [
    "METRICS",
    "Interval",
    "Lpips",
    "Metric",
    "PictureFigures",
    "bootstrap",
    "measure_against",
    "measure_picture",
]

LAYERS_OF: Mapping[str, tuple[tuple[str, ...], str]] = {
    "alexnet": (("relu1", "relu2", "relu3", "relu4", "relu5"), "relu4"),
    "resnet50": (("stem", "layer1", "layer2", "layer3"), "layer3"),
}
"""Style layers and content layer of judges that are no VGG."""

DIRECTIONS, QUANTILES = 32, 256
LEAST_SEEN_PX = 32
RESAMPLES = 2000


@dataclass(frozen=True)
class Metric:
    """What a figure means.

    Attributes:
        better: ``lower``, ``higher``, or ``near`` for near to the style's own.
        span: Its range.
        source: Paper and equation.
        blind: What it does not see.
    """

    better: str
    span: str
    source: str
    blind: str


METRICS: Mapping[str, Metric] = {
    "style": Metric(
        "lower",
        "0 up, 1 is a Gram of zeros",
        "Gatys 2016, eqs. 3-5, over the style's energy; mean of five layers",
        "Where things are: a shuffled painting has 0",
    ),
    "style_w2": Metric(
        "lower",
        "0 up",
        "Gaussians of features (Olkin and Pukelsheim 1982, eq. 4), over the style's energy",
        "All but mean and covariance",
    ),
    "content": Metric(
        "lower",
        "0 up, 1 is no feature left",
        "Gatys 2016, eq. 1, at relu4_2, over the photograph's energy",
        "Colour, and detail under eight pixels",
    ),
    "ssim": Metric(
        "higher",
        "-1 to 1",
        "Wang 2004, eq. 13, of lightness",
        "A wished-for change of tone counts as loss",
    ),
    "structure": Metric(
        "higher", "-1 to 1", "Wang 2004, eq. 10", "Noise in plain areas looks like lost structure"
    ),
    "gradient": Metric(
        "higher",
        "-1 to 1",
        "Correlation of the gradients' magnitudes",
        "Directions, and texture painted over edges",
    ),
    "palette": Metric(
        "lower",
        "0 to 1",
        "Sliced Wasserstein distance of colours (Rabin 2011, eq. 3)",
        "Where the colours are",
    ),
    "sharpness": Metric(
        "near", "0 up", "Root mean square of the Laplacian of lightness", "Noise passes for detail"
    ),
    "noise": Metric(
        "near",
        "0 to 1",
        "Immerkaer 1996, eq. 3: deviation of noise",
        "Fine texture passes for noise",
    ),
    "joint": Metric(
        "lower",
        "1 up",
        "After ArtFID (Wright and Ommer 2022, eq. 4): (1 + content) (1 + style), by the judge",
        "One number: a photograph in the right colours may beat a painting",
    ),
    "lpips": Metric(
        "lower",
        "0 up",
        "Zhang 2018, eq. 1, with the published weights",
        "Made for distortions and not for paintings",
    ),
}
"""By the names in `PictureFigures`."""


@dataclass(frozen=True, kw_only=True)
class PictureFigures:
    """Figures of one pastiche; `METRICS` tells what they mean.

    Those of the style are None without one; ``*_of_style`` are the style's own, for comparing. ``layers`` is the Gram
    error by layer.
    """

    content: float
    ssim: float
    structure: float
    gradient: float
    sharpness: float
    noise: float
    style: float | None = None
    style_w2: float | None = None
    palette: float | None = None
    joint: float | None = None
    lpips: float | None = None
    sharpness_of_style: float | None = None
    noise_of_style: float | None = None
    layers: Mapping[str, float] = dataclasses.field(default_factory=dict)


def measure_against(
    pastiche: Tensor,
    content: Tensor,
    style: Tensor | None,
    judge: Backbone,
    lpips: Lpips | None = None,
    *,
    style_scale: float = 1.0,
) -> PictureFigures:
    """Measures a pastiche against its sources of any size: `measure_picture` with both brought to it.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: ``(1, 3, h, w)``, brought to the pastiche's size.
        style: ``(1, 3, h, w)``, its long edge brought to the pastiche's; None for none.
        judge: The network that sees.
        lpips: Where its weights are at hand.
        style_scale: By how much larger the style is seen than the pastiche.
    """
    size = (pastiche.shape[-2], pastiche.shape[-1])
    if style is not None:
        style = resize_to_fit(style, max(LEAST_SEEN_PX, round(style_scale * max(size))))
    return measure_picture(pastiche, resize(content, size), style, judge, lpips)


@torch.no_grad()
def measure_picture(
    pastiche: Tensor,
    content: Tensor,
    style: Tensor | None,
    judge: Backbone,
    lpips: Lpips | None = None,
) -> PictureFigures:
    """Measures a pastiche.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: The same shape.
        style: ``(1, 3, h, w)``, at the size it is meant to be seen; None for none.
        judge: The network that sees. It should not be the one that painted.
        lpips: Where its weights are at hand.
    """
    style_layers, content_layer = LAYERS_OF.get(judge.name, (STYLE_LAYERS, CONTENT_LAYER))
    seen = judge(pastiche, (*style_layers, content_layer))
    wanted = judge(content, (content_layer,))[content_layer]
    lost = float(content_loss(seen[content_layer].float(), wanted.float()))
    kept = structure_kept(pastiche, content)
    figures = PictureFigures(
        content=lost, ssim=kept.ssim, structure=kept.structure, gradient=kept.gradient,
        sharpness=sharpness(pastiche), noise=noise_of(pastiche),
        lpips=None if lpips is None else lpips(pastiche, content),
    )  # fmt: skip
    if style is None:
        return figures
    target = judge(style, style_layers)
    grams = {
        layer: float(
            gram_loss(gram_matrix(seen[layer].float()), gram_matrix(target[layer].float()))
        )
        for layer in style_layers
    }
    clouds = [
        float(wasserstein_loss(moments(seen[layer].float()), moments(target[layer].float())))
        for layer in style_layers
    ]
    gram = sum(grams.values()) / len(grams)
    return dataclasses.replace(
        figures, style=gram, style_w2=max(0.0, sum(clouds) / len(clouds)),
        palette=palette_distance(pastiche, style), joint=(1 + lost) * (1 + gram), layers=grams,
        sharpness_of_style=sharpness(style), noise_of_style=noise_of(style),
    )  # fmt: skip


def palette_distance(image: Tensor, other: Tensor) -> float:
    """Mean over directions of the distance of sorted colours, ``(1, 3, ., .)`` each; 0 for the same palette."""
    generator = torch.Generator().manual_seed(0)
    ways = F.normalize(torch.randn(DIRECTIONS, 3, generator=generator), dim=1)
    levels = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    sorted_ = []
    for picture in (image, other):
        along = (ways @ picture[0].flatten(1)).sort(dim=1).values
        place = (levels * (along.shape[1] - 1)).round().long()
        sorted_.append(along[:, place])
    return float((sorted_[0] - sorted_[1]).abs().mean())


def noise_of(image: Tensor) -> float:
    """Deviation of the noise in ``(1, 3, H, W)``, by a mask that plain areas and edges leave at nothing."""
    mask = image.new_tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, None]
    return float(math.sqrt(math.pi / 2) * F.conv2d(luminance(image), mask).abs().mean() / 6)


class Lpips:
    """The published perceptual distance, on a judge with ImageNet scaling.

    Args:
        judge: `alexnet` or `vgg16`.
        path: The linear weights of its version 0.1: keys ``lin0.model.1.weight`` and so on.

    Raises:
        WeightsError: The file does not fit the judge.
    """

    LAYERS: Mapping[str, tuple[str, ...]] = {
        "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
        "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    }

    def __init__(self, judge: Backbone, path: Path) -> None:
        if judge.name not in self.LAYERS:
            raise WeightsError(
                f"LPIPS has no weights for {judge.name}; allowed with --judge are {', '.join(self.LAYERS)}."
            )
        self._judge, self._layers = judge, self.LAYERS[judge.name]
        state = read_state(path)
        try:
            self._weights = [
                state[f"lin{n}.model.1.weight"].float() for n in range(len(self._layers))
            ]
        except KeyError as error:
            raise WeightsError(
                f"{path} holds no weights of LPIPS (it lacks {error.args[0]}); give its alex.pth or vgg.pth."
            ) from error

    @torch.no_grad()
    def __call__(self, image: Tensor, other: Tensor) -> float:
        """Distance of two pictures, ``(1, 3, H, W)`` in ``[0, 1]`` each."""
        total = 0.0
        maps = [self._judge(picture, self._layers) for picture in (image, other)]
        for layer, weight in zip(self._layers, self._weights, strict=True):
            ours, theirs = (
                m[layer].float() / (m[layer].float().square().sum(1, keepdim=True).sqrt() + 1e-10)
                for m in maps
            )
            if weight.shape[1] != ours.shape[1]:
                raise WeightsError("the weights of LPIPS are of another network than --judge.")
            total += float(F.conv2d((ours - theirs).square(), weight).mean())
        return total


@dataclass(frozen=True)
class Interval:
    """A mean, and where 95 of 100 resampled means lie (Efron 1979)."""

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], seed: int = 0) -> Interval:
    """Resamples with a seed; nothing is random from call to call.

    Raises:
        InputError: There are no values.
    """
    if not values:
        raise InputError("there is nothing to take a mean of; give at least one picture.")
    numbers = torch.tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(0, len(values), (RESAMPLES, len(values)), generator=generator)
    means = numbers[picks].mean(1).sort().values
    low, high = (float(means[int(share * (RESAMPLES - 1))]) for share in (0.025, 0.975))
    return Interval(float(numbers.mean()), low, high)
