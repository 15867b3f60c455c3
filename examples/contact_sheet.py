"""Makes the contact sheet of the docs: photographs that ship with scikit-image, in styles drawn by code.

    python examples/contact_sheet.py docs/images/contact-sheet.jpg

This takes several minutes. Every picture on the sheet may be published: the photographs are in the public domain or
freely licensed according to scikit-image, and the styles are drawn by `drawn_styles.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import skimage.data
from drawn_styles import STYLES
from PIL import Image

import impasto

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
CELL = (320, 240)
GAP_PX = 6


def cell(image: Image.Image) -> Image.Image:
    """Resizes a picture to fill a cell and crops it around the center."""
    scale = max(CELL[0] / image.width, CELL[1] / image.height)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - CELL[0]) // 2, (size[1] - CELL[1]) // 2
    return image.crop((left, top, left + CELL[0], top + CELL[1]))


def main() -> None:
    """Renders each photograph in each style; the first row and column show the inputs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--keep", type=Path, help="folder to save the individual pictures in")
    args = parser.parse_args()
    step = (CELL[0] + GAP_PX, CELL[1] + GAP_PX)
    size = (step[0] * (len(STYLES) + 1) - GAP_PX, step[1] * (len(PHOTOS) + 1) - GAP_PX)
    sheet = Image.new("RGB", size, "white")
    styles = {name: draw() for name, draw in STYLES.items()}
    for column, style in enumerate(styles.values(), 1):
        sheet.paste(cell(style), (column * step[0], 0))
    for row, name in enumerate(PHOTOS, 1):
        photo = Image.fromarray(getattr(skimage.data, name)())
        sheet.paste(cell(photo), (0, row * step[1]))
        for column, (title, style) in enumerate(styles.items(), 1):
            painted = impasto.stylize(photo, style, preset=args.preset)
            sheet.paste(cell(painted), (column * step[0], row * step[1]))
            if args.keep is not None:
                args.keep.mkdir(parents=True, exist_ok=True)
                painted.save(args.keep / f"{name}-{title}.png")
            print(f"{name} in {title}", flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out, quality=88)


if __name__ == "__main__":
    main()
