"""Pairs of photographs and paintings to measure on: 24 chosen to be hard, and the twelve of the reference pictures.

Names are relative to ``photos/`` and ``paintings/`` of the data folder. Only pictures of the ``open`` folders may be
shown in the docs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["HARD", "REFERENCE", "Pair"]


class Pair(NamedTuple):
    """A photograph, a painting, and why the pair is hard.

    Attributes:
        photo: Below ``photos/``, without the suffix.
        painting: Below ``paintings/``, without the suffix.
        kind: Kind of difficulty.
        why: What usually goes wrong.
    """

    photo: str
    painting: str
    kind: str = ""
    why: str = ""

    @property
    def name(self) -> str:
        """File name of a pastiche, without its suffix: photograph + painting."""
        return f"{Path(self.photo).name}+{Path(self.painting).name}"


HARD = (
    Pair("research/bsds500__134049", "demo/adain__mondrian", "foliage",
         "twigs and leaves under a grid of short black strokes: detail and style share a frequency"),
    Pair("demo/titu__sagano_bamboo_forest", "demo/doodle__Renoir", "foliage",
         "hundreds of thin stems under soft strokes that have no straight lines"),
    Pair("open/cocoval__000000011760", "open/artwall__95654", "foliage",
         "striped animals before branches, and a style of small broken dabs"),
    Pair("research/bsds500__117054", "demo/adaattn__wave", "water",
         "fine foam under flat areas with outlines"),
    Pair("research/bsds500__104055", "demo/titu__water-lilies-1919-2", "water",
         "a smooth lake that invites lilies where there are none"),
    Pair("open/cocoval__000000002261", "open/artwall__81557", "water",
         "a small figure inside a wave, and a style that is all waves"),
    Pair("research/bsds500__128035", "demo/msgnet__la_muse", "crowd",
         "small people under large flat forms with outlines"),
    Pair("open/cocoval__000000012670", "open/artwall__81551", "crowd",
         "dozens of faces of ten pixels, and a street of tiny dabs"),
    Pair("demo/elleryq__karya", "demo/magenta__Camille_Mauclair", "face",
         "soft shades of a face in pure black and white"),
    Pair("research/bsds500__14085", "demo/nsdocker__broca", "face",
         "two faces in fur, and a mosaic that holds a face of its own"),
    Pair("open/cocoval__000000001296", "open/artwall__61616", "face, tiny strokes",
         "a face and hands in dots of two pixels"),
    Pair("demo/adain__newyork", "demo/msgnet__starry_night", "night",
         "lights of a few pixels on water, and a style whose swirls cover plain skies"),
    Pair("open/cocoval__000000008762", "open/artwall__20545", "night",
         "almost all black: noise shows, and the style has no black"),
    Pair("demo/gordic__golden_gate2", "demo/magenta__piano-keyboard-sketch_sq", "line art",
         "a few hairlines on white; gray and grain are wrong everywhere"),
    Pair("research/bsds500__223060", "demo/nnst__S3", "line art",
         "glass and lattice drawn by hand with a pen"),
    Pair("demo/titu__blue-moon-lake", "demo/magenta__zigzag_colorful", "flat pattern, night",
         "a dark gradient under bright flat stripes with hard edges"),
    Pair("research/bsds500__118035", "demo/control__suppfig8_style3", "flat pattern",
         "plain walls and sky under an interlaced pattern of tubes"),
    Pair("open/cocoval__000000007784", "open/artwall__59940", "flat",
         "one small object in a plain sky, and a pale style with thin outlines"),
    Pair("demo/ccpl__in2", "demo/nsdocker__popart2", "face, flat",
         "skin in flat color with halftone dots and black outlines"),
    Pair("demo/gordic__tubingen", "demo/titu__bamboo_forest", "gray",
         "ink wash: gray only, with smooth paper that must stay clean"),
    Pair("open/kodak__17", "open/artwall__93784", "gray",
         "a statue in a gray reproduction of a crowded scene"),
    Pair("demo/nsdocker__avila-walls", "demo/adain__brushstrokes", "huge strokes",
         "one stroke is as long as a tower"),
    Pair("open/cocoval__000000009400", "open/artwall__84076", "dark, huge strokes",
         "a dim room full of people, and a broad dark portrait of a monkey"),
    Pair("open/kodak__05", "open/artwall__11723", "dense detail, pale strokes",
         "wheels, numbers and helmets under wide pale strokes"),
)  # fmt: skip
"""Fifteen of them from pictures that no weights of the project were trained on."""

REFERENCE = tuple(
    Pair(f"open/{photo}", f"open/{painting}")
    for photo, painting in (
        ("cocoval__000000000285", "artwall__16617"),
        ("kodak__04", "artwall__14594"),
        ("kodak__15", "artwall__35145"),
        ("kodak__23", "artwall__16496"),
        ("kodak__13", "artwall__20535"),
        ("kodak__08", "artwall__19339"),
        ("kodak__06", "artwall__14620"),
        ("kodak__16", "artwall__16571"),
        ("kodak__19", "artwall__212300"),
        ("kodak__14", "artwall__210893"),
        ("kodak__24", "artwall__14572"),
        ("kodak__22", "artwall__16564"),
    )
)
"""Those of the reference pictures, which other methods painted."""
