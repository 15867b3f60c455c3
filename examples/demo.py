"""Renders a photograph that ships with scikit-image in a style drawn by code, and prints the path and time.

    python examples/demo.py [--photo chelsea] [--style ember] [--preset standard]

It needs only ``make demo`` or ``pip install '.[examples]'``; nothing is downloaded at run time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import skimage.data
from drawn_styles import STYLES
from PIL import Image

import impasto

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def main() -> None:
    """Renders one picture into ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", choices=PHOTOS, default="chelsea")
    parser.add_argument("--style", choices=tuple(STYLES), default="ember")
    parser.add_argument("--preset", default="standard")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder for the three pictures"
    )
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    content, style = args.out / f"{args.photo}.png", args.out / f"{args.style}.png"
    Image.fromarray(getattr(skimage.data, args.photo)()).save(content)
    STYLES[args.style]().save(style)

    start = time.perf_counter()
    pastiche = impasto.stylize(content, style, preset=args.preset)
    seconds = time.perf_counter() - start

    painted = args.out / f"{args.photo}-{args.style}.png"
    pastiche.save(painted)
    width, height = pastiche.size
    print(f"photograph  {content}")
    print(f"style       {style}")
    print(f"result      {painted.resolve()}")
    print(f"{width}x{height} px in {seconds:.1f} s")


if __name__ == "__main__":
    main()
