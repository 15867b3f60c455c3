"""What each figure of a picture means: which way is better, its range, its source and its blind spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["METRICS", "Metric"]


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
        "The painter's own objective: mean Gram error of five equally weighted layers (Gatys 2016, eqs. 3-5)",
        "Rewards copying the painting's objects into the photograph; flatters a painter that has the judge's network",
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
        "Color, and detail under eight pixels",
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
    "style_independent": Metric(
        "lower",
        "0 up",
        "Gram distance over both energies, metric-net, mean of five layers",
        "Palette more than VGG does: it was trained to see past changes of color",
    ),
    "perceptual": Metric(
        "lower",
        "0 to 2",
        "After LPIPS (Zhang 2018, eq. 1), unweighted, by metric-net; to the photograph",
        "Any painting is far from its photograph: compare pastiches of one style only",
    ),
    "things": Metric(
        "lower",
        "0 to 0.5, chance",
        "Share of places that resemble another place of the photograph more than their own; judge, relu4_2 and relu5_1",
        "Small things, since most places are background; the default judge is of the family that paints",
    ),
    "things_independent": Metric(
        "lower",
        "0 to 0.5, chance",
        "The same by metric-net at relu4_2 and relu5_1",
        "Faces and other things that 285 pictures cannot teach; it sees forms and materials",
    ),
    "large_edges": Metric(
        "higher",
        "0 to 1, about 0.5 by chance",
        "F-measure of edges in Lab at 64 px (Martin 2004, section 3), within one pixel",
        "Detail; which things the edges belong to; where both sides of an edge took the same color",
    ),
    "palette": Metric(
        "lower",
        "0 up, in units of CIE Lab",
        "Sliced Wasserstein distance of colors in Lab (Rabin 2011, eq. 3)",
        "Where the colors are",
    ),
    "speckle": Metric(
        "near",
        "0 to 1",
        "Share of luminance energy above half the Nyquist frequency, by cosine transform",
        "Fine brushwork and noise alike; noise in color alone",
    ),
    "border": Metric(
        "near",
        "0 up, 1 is like the interior",
        "Mean squared gradient of luminance in the outermost 3 %, over that of the interior",
        "Smooth strips of another color; a photograph that is busy at its border counts too",
    ),
    "seam": Metric(
        "lower",
        "0 up, most natural pictures 0.5 to 2.5",
        "Mean step of Lab color along each side within 6 % of the border, over such steps in the interior",
        "Stains that change color along a side; a horizon close to the border passes for a seam",
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
        "One number: a photograph in the right colors may beat a painting",
    ),
    "lpips": Metric(
        "lower",
        "0 up",
        "Zhang 2018, eq. 1, with the published weights",
        "Made for distortions and not for paintings",
    ),
}
"""By the names in `PictureFigures`."""
