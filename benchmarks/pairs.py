"""Pairs of photographs and paintings: 24 difficult ones, and the twelve of the reference pictures.

Names are relative to ``photos/`` and ``paintings/`` of the data folder. Only pictures from the ``open`` folders may be
shown in the docs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["HARD", "REFERENCE", "Pair"]


class Pair(NamedTuple):
    """A photograph, a painting, and why the pair is difficult.

    Attributes:
        photo: Path relative to ``photos/``, without the suffix.
        painting: Path relative to ``paintings/``, without the suffix.
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
         "twigs and leaves under a grid of short black strokes; detail and style have the same frequency"),
    Pair("demo/titu__sagano_bamboo_forest", "demo/doodle__Renoir", "foliage",
         "hundreds of thin stems in a style of soft strokes without straight lines"),
    Pair("open/cocoval__000000011760", "open/artwall__95654", "foliage",
         "striped animals in front of branches, in a style of small broken dabs"),
    Pair("research/bsds500__117054", "demo/adaattn__wave", "water",
         "fine foam in a style of flat, outlined areas"),
    Pair("research/bsds500__104055", "demo/titu__water-lilies-1919-2", "water",
         "a smooth lake, on which lilies may be hallucinated"),
    Pair("open/cocoval__000000002261", "open/artwall__81557", "water",
         "a small figure inside a wave, in a style that consists of waves"),
    Pair("research/bsds500__128035", "demo/msgnet__la_muse", "crowd",
         "small people in a style of large flat shapes with outlines"),
    Pair("open/cocoval__000000012670", "open/artwall__81551", "crowd",
         "dozens of faces ten pixels wide, and a street scene of tiny dabs"),
    Pair("demo/elleryq__karya", "demo/magenta__Camille_Mauclair", "face",
         "soft shading of a face in a pure black-and-white style"),
    Pair("research/bsds500__14085", "demo/nsdocker__broca", "face",
         "two faces framed by fur, and a mosaic that contains a face"),
    Pair("open/cocoval__000000001296", "open/artwall__61616", "face, tiny strokes",
         "a face and hands in a style of two-pixel dots"),
    Pair("demo/adain__newyork", "demo/msgnet__starry_night", "night",
         "small lights on water, and a style whose swirls fill plain skies"),
    Pair("open/cocoval__000000008762", "open/artwall__20545", "night",
         "almost entirely black: noise is visible, and the style has no black"),
    Pair("demo/gordic__golden_gate2", "demo/magenta__piano-keyboard-sketch_sq", "line art",
         "a few hairlines on white; any gray or grain is wrong"),
    Pair("research/bsds500__223060", "demo/nnst__S3", "line art",
         "glass and lattice in the style of a pen drawing"),
    Pair("demo/titu__blue-moon-lake", "demo/magenta__zigzag_colorful", "flat pattern, night",
         "a dark gradient in a style of bright flat stripes with hard edges"),
    Pair("research/bsds500__118035", "demo/control__suppfig8_style3", "flat pattern",
         "plain walls and sky in a style of interlaced tubes"),
    Pair("open/cocoval__000000007784", "open/artwall__59940", "flat",
         "one small object in a plain sky, in a pale style with thin outlines"),
    Pair("demo/ccpl__in2", "demo/nsdocker__popart2", "face, flat",
         "skin in a style of flat color, halftone dots and black outlines"),
    Pair("demo/gordic__tubingen", "demo/titu__bamboo_forest", "gray",
         "ink wash: only gray, and smooth paper that must stay clean"),
    Pair("open/kodak__17", "open/artwall__93784", "gray",
         "a statue in the style of a gray reproduction of a crowded scene"),
    Pair("demo/nsdocker__avila-walls", "demo/adain__brushstrokes", "huge strokes",
         "single strokes are as long as a tower"),
    Pair("open/cocoval__000000009400", "open/artwall__84076", "dark, huge strokes",
         "a dim room full of people, and a dark portrait of a monkey in broad strokes"),
    Pair("open/kodak__05", "open/artwall__11723", "dense detail, pale strokes",
         "wheels, numbers and helmets in a style of wide pale strokes"),
)  # fmt: skip
"""Difficult pairs; fifteen use only pictures that no weights of the project were trained on."""

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
"""Pairs of the reference pictures, which were made by other methods."""
