"""All metrics of an image in one call, and means over many images with confidence intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones.load import read_state
from impasto.errors import InputError, WeightsError
from impasto.losses import content_loss, gram_loss, gram_matrix
from impasto.losses.wasserstein import moments, wasserstein_loss
from impasto.measure.forms import large_edges, objects_distance
from impasto.measure.independent import Independent, independent_figures
from impasto.measure.picture import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    luminance,
    sharpness,
    structure_kept,
)
from impasto.measure.texture import border, palette_distance, seam, speckle
from impasto.media import resize, resize_to_fit
from impasto.types import Backbone

__all__ = [
    "Interval",
    "Lpips",
    "PictureFigures",
    "bootstrap",
    "measure_against",
    "measure_picture",
]

LAYERS_OF: Mapping[str, tuple[tuple[str, ...], str]] = {
    "alexnet": (("relu1", "relu2", "relu3", "relu4", "relu5"), "relu4"),
    "resnet50": (("stem", "layer1", "layer2", "layer3"), "layer3"),
}
"""Style layers and content layer of networks other than VGG; ``objects`` uses the content and deepest style layers."""

LEAST_SEEN_PX = 32
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class PictureFigures:
    """Metrics of one pastiche; `METRICS` documents each of them.

    Metrics that need a style are None without one. ``*_of_style`` and ``*_of_content`` are measured on the style and
    the photograph alone, as references. ``layers`` is the Gram error by layer of the evaluation network.
    ``style_independent``, ``perceptual`` and ``objects_independent`` always use metric-net.
    """

    content: float
    ssim: float
    structure: float
    gradient: float
    sharpness: float
    noise: float
    speckle: float
    border: float
    seam: float
    perceptual: float
    objects: float
    objects_independent: float
    large_edges: float
    border_of_content: float
    seam_of_content: float
    style: float | None = None
    style_independent: float | None = None
    style_w2: float | None = None
    palette: float | None = None
    joint: float | None = None
    lpips: float | None = None
    sharpness_of_style: float | None = None
    noise_of_style: float | None = None
    speckle_of_style: float | None = None
    border_of_style: float | None = None
    seam_of_style: float | None = None
    layers: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def over_style(self) -> dict[str, float]:
        """Ratios of pastiche to style for speckle, border, seam, sharpness and noise; empty without a style."""
        found = {}
        for name in TEXTURE:
            own = getattr(self, f"{name}_of_style")
            if own is not None:
                found[name] = getattr(self, name) / max(own, 1e-9)
        return found


def measure_against(
    pastiche: Tensor,
    content: Tensor,
    style: Tensor | None,
    evaluator: Backbone,
    lpips: Lpips | None = None,
    *,
    style_scale: float = 1.0,
) -> PictureFigures:
    """Measures a pastiche against sources of any size: resizes both and calls `measure_picture`.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: ``(1, 3, h, w)`` in ``[0, 1]``, resized to the pastiche's size.
        style: ``(1, 3, h, w)`` in ``[0, 1]``, resized so that its long edge is ``style_scale`` times the pastiche's;
            None without a style.
        evaluator: Evaluation network.
        lpips: LPIPS metric; None to omit it.
        style_scale: Size of the style relative to the pastiche.
    """
    size = (pastiche.shape[-2], pastiche.shape[-1])
    if style is not None:
        style = resize_to_fit(style, max(LEAST_SEEN_PX, round(style_scale * max(size))))
    return measure_picture(pastiche, resize(content, size), style, evaluator, lpips)


@torch.no_grad()
def measure_picture(
    pastiche: Tensor,
    content: Tensor,
    style: Tensor | None,
    evaluator: Backbone,
    lpips: Lpips | None = None,
) -> PictureFigures:
    """Measures a pastiche.

    Args:
        pastiche: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: Same shape as ``pastiche``.
        style: ``(1, 3, h, w)`` in ``[0, 1]``, at the size at which it is compared; None without a style.
        evaluator: Evaluation network, which should differ from the one used for the stylization.
        lpips: LPIPS metric; None to omit it.
    """
    style_layers, content_layer = LAYERS_OF.get(evaluator.name, (STYLE_LAYERS, CONTENT_LAYER))
    object_layers = (content_layer, style_layers[-1])
    seen = evaluator(pastiche, (*style_layers, content_layer))
    wanted = evaluator(content, object_layers)
    independent = independent_figures(pastiche, content, style)
    kept = structure_kept(pastiche, content)
    own = {name: measure(pastiche) for name, measure in TEXTURE.items()}
    figures = PictureFigures(
        content=float(content_loss(seen[content_layer].float(), wanted[content_layer].float())),
        ssim=kept.ssim, structure=kept.structure, gradient=kept.gradient,
        objects=objects_distance(seen, wanted, object_layers),
        objects_independent=independent.objects, perceptual=independent.perceptual,
        large_edges=large_edges(pastiche, content), border_of_content=border(content),
        seam_of_content=seam(content),
        lpips=None if lpips is None else lpips(pastiche, content),
        sharpness=own["sharpness"], noise=own["noise"], speckle=own["speckle"], border=own["border"], seam=own["seam"],
    )  # fmt: skip
    if style is None:
        return figures
    return _against_style(
        figures, pastiche, style, seen, evaluator(style, style_layers), independent
    )


def _against_style(
    figures: PictureFigures,
    pastiche: Tensor,
    style: Tensor,
    seen: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    independent: Independent,
) -> PictureFigures:
    """Adds the metrics that need a style."""
    pairs = {layer: (seen[layer].float(), maps.float()) for layer, maps in target.items()}
    grams = {n: float(gram_loss(gram_matrix(a), gram_matrix(b))) for n, (a, b) in pairs.items()}
    clouds = [float(wasserstein_loss(moments(a), moments(b))) for a, b in pairs.values()]
    gram = sum(grams.values()) / len(grams)
    return dataclasses.replace(
        figures, style=gram, style_w2=max(0.0, sum(clouds) / len(clouds)), layers=grams,
        style_independent=independent.style, palette=palette_distance(pastiche, style),
        joint=(1 + figures.content) * (1 + gram),
        **{f"{name}_of_style": measure(style) for name, measure in TEXTURE.items()},
    )  # fmt: skip


def noise_of(image: Tensor) -> float:
    """Estimates the standard deviation of noise in ``(1, 3, H, W)`` (Immerkaer 1996, eq. 3).

    The filter mask is insensitive to flat areas and straight edges.
    """
    mask = image.new_tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, None]
    return float(math.sqrt(math.pi / 2) * F.conv2d(luminance(image), mask).abs().mean() / 6)


TEXTURE: Mapping[str, Callable[[Tensor], float]] = {
    "sharpness": sharpness,
    "noise": noise_of,
    "speckle": speckle,
    "border": border,
    "seam": seam,
}
"""Metrics of a single image, to compare the pastiche with the style."""


class Lpips:
    """LPIPS (Zhang et al. 2018, eq. 1) with the published weights, on a network with ImageNet normalization.

    Args:
        evaluator: Evaluation network, ``alexnet`` or ``vgg16``.
        path: Linear weights of LPIPS version 0.1, with keys ``lin0.model.1.weight`` and so on.

    Raises:
        WeightsError: The file does not match the network.
    """

    LAYERS: Mapping[str, tuple[str, ...]] = {
        "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
        "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    }

    def __init__(self, evaluator: Backbone, path: Path) -> None:
        if evaluator.name not in self.LAYERS:
            raise WeightsError(
                f"LPIPS does not support {evaluator.name}; with --lpips, --evaluator must be one of: "
                f"{', '.join(self.LAYERS)}."
            )
        self._evaluator, self._layers = evaluator, self.LAYERS[evaluator.name]
        state = read_state(path)
        try:
            self._weights = [
                state[f"lin{n}.model.1.weight"].float() for n in range(len(self._layers))
            ]
        except KeyError as error:
            raise WeightsError(
                f"{path} does not contain LPIPS weights (it lacks {error.args[0]}); pass alex.pth or vgg.pth of LPIPS."
            ) from error

    @torch.no_grad()
    def __call__(self, image: Tensor, other: Tensor) -> float:
        """Returns the distance between two images, ``(1, 3, H, W)`` in ``[0, 1]`` each."""
        total = 0.0
        maps = [self._evaluator(picture, self._layers) for picture in (image, other)]
        for layer, weight in zip(self._layers, self._weights, strict=True):
            ours, theirs = (
                m[layer].float() / (m[layer].float().square().sum(1, keepdim=True).sqrt() + 1e-10)
                for m in maps
            )
            if weight.shape[1] != ours.shape[1]:
                raise WeightsError(
                    "the LPIPS weights do not match the network given with --evaluator; pass alex.pth with alexnet, or "
                    "vgg.pth with vgg16."
                )
            total += float(F.conv2d((ours - theirs).square(), weight).mean())
        return total


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% bootstrap confidence interval (Efron 1979)."""

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], seed: int = 0) -> Interval:
    """Computes a 95% bootstrap confidence interval of the mean; the result is deterministic for a seed.

    Raises:
        InputError: There are no values.
    """
    if not values:
        raise InputError("there are no values to average; pass at least one image.")
    numbers = torch.tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(0, len(values), (RESAMPLES, len(values)), generator=generator)
    means = numbers[picks].mean(1).sort().values
    low, high = (float(means[int(share * (RESAMPLES - 1))]) for share in (0.025, 0.975))
    return Interval(float(numbers.mean()), low, high)
