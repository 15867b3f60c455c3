"""Documentation of the image metrics: which direction is better, range, source and blind spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True)
class Metric:
    """Documentation of a metric.

    Attributes:
        better: ``lower``, ``higher``, or ``near`` for close to the style's value.
        span: Range of values.
        source: Definition, with paper and equation.
        blind: What the metric misses or misjudges.
    """

    better: str
    span: str
    source: str
    blind: str


METRICS: Mapping[str, Metric] = {
    "style": Metric(
        "lower",
        "at least 0; 1 for a Gram matrix of zeros",
        "Mean relative Gram error of five equally weighted layers (Gatys 2016, eqs. 3-5), which most methods minimize",
        "Rewards copying objects from the style image; favors methods that optimize in the evaluation network",
    ),
    "style_w2": Metric(
        "lower",
        "at least 0",
        "Wasserstein-2 distance of Gaussians (Olkin and Pukelsheim 1982, eq. 4), divided by the style's energy",
        "Statistics other than mean and covariance",
    ),
    "content": Metric(
        "lower",
        "at least 0; 1 for features of zeros",
        "Gatys 2016, eq. 1, at relu4_2, divided by the photograph's energy",
        "Color, and detail below eight pixels",
    ),
    "ssim": Metric(
        "higher",
        "-1 to 1",
        "Wang 2004, eq. 13, on luminance",
        "Intended changes of tone count as loss",
    ),
    "structure": Metric(
        "higher", "-1 to 1", "Wang 2004, eq. 10", "Noise in flat areas counts as lost structure"
    ),
    "gradient": Metric(
        "higher",
        "-1 to 1",
        "Correlation of gradient magnitudes",
        "Gradient directions, and texture painted over edges",
    ),
    "style_independent": Metric(
        "lower",
        "at least 0",
        "Gram distance in metric-net, divided by the geometric mean of both energies, mean of five layers",
        "Palette, more than in VGG: metric-net was trained to be invariant to color changes",
    ),
    "perceptual": Metric(
        "lower",
        "0 to 2",
        "Unweighted LPIPS (after Zhang 2018, eq. 1) in metric-net, to the photograph",
        "Every pastiche is far from its photograph, so compare only pastiches of the same style",
    ),
    "objects": Metric(
        "lower",
        "0 to about 0.5 (chance)",
        "Mean share of positions in the photograph that match better than the same position, at relu4_2 and relu5_1",
        "Small objects, since most positions are background; the default network is related to the default backbone",
    ),
    "objects_independent": Metric(
        "lower",
        "0 to about 0.5 (chance)",
        "Like objects, but in metric-net at relu4_2 and relu5_1",
        "Faces and other objects that cannot be learned from 285 images; it responds to shapes and materials",
    ),
    "large_edges": Metric(
        "higher",
        "0 to 1; about 0.5 by chance",
        "F-measure of edges in CIE Lab at 64 px (Martin 2004, section 3), with a tolerance of one pixel",
        "Detail, and which objects the edges belong to; penalizes edges whose sides have the same color",
    ),
    "palette": Metric(
        "lower",
        "at least 0, in units of CIE Lab",
        "Sliced Wasserstein distance of colors in CIE Lab (Rabin 2011, eq. 3)",
        "Positions of the colors",
    ),
    "speckle": Metric(
        "near",
        "0 to 1",
        "Share of luminance energy above half the Nyquist frequency, by discrete cosine transform",
        "The difference between fine brushwork and noise, and noise in chroma",
    ),
    "border": Metric(
        "near",
        "at least 0; 1 if the border is like the interior",
        "Mean squared luminance gradient in the outermost 3%, divided by that of the interior",
        "Smooth strips of another color; detail of the photograph at its border counts too",
    ),
    "seam": Metric(
        "lower",
        "at least 0; 0.5 to 2.5 for most natural images",
        "Largest color step in CIE Lab parallel to a side within 6% of it, divided by those in the interior",
        "Stains that change color along a side; a horizon close to the border counts as a seam",
    ),
    "sharpness": Metric(
        "near",
        "at least 0",
        "Root mean square of the Laplacian of luminance",
        "Noise counts as detail",
    ),
    "noise": Metric(
        "near",
        "0 to 1",
        "Standard deviation of noise (Immerkaer 1996, eq. 3)",
        "Fine texture counts as noise",
    ),
    "joint": Metric(
        "lower",
        "at least 1",
        "After ArtFID (Wright and Ommer 2022, eq. 4): (1 + content) (1 + style) in the evaluation network",
        "Being a single number, it may rate a photograph in the right colors above a painting",
    ),
    "lpips": Metric(
        "lower",
        "at least 0",
        "Zhang 2018, eq. 1, with the published weights",
        "Designed for distortions, not for stylization",
    ),
}
"""Documentation by name of the field in `PictureFigures`."""
