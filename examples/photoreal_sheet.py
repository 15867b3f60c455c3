"""Makes the photorealism sheet: content, style, transfer over the whole picture, and transfer by region.

    python examples/photoreal_sheet.py [--out docs/images/photoreal.jpg]

All photographs ship with scikit-image; regions are detected automatically.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import impasto

PAIRS = (("coffee", "rocket"), ("rocket", "coffee"))
WIDTH_PX, HEIGHT_PX = 320, 214


def tile(pixels: np.ndarray) -> Image.Image:
    """Crops a picture to the aspect ratio of a tile and resizes it."""
    image = Image.fromarray(pixels[..., :3])
    wanted = WIDTH_PX / HEIGHT_PX
    if image.width / image.height > wanted:
        cut = round((image.width - image.height * wanted) / 2)
        image = image.crop((cut, 0, image.width - cut, image.height))
    else:
        cut = round((image.height - image.width / wanted) / 2)
        image = image.crop((0, cut, image.width, image.height - cut))
    return image.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.LANCZOS)


def main() -> None:
    """Renders every pair twice and writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/photoreal.jpg"))
    args = parser.parse_args()
    sheet = Image.new("RGB", (4 * WIDTH_PX, len(PAIRS) * HEIGHT_PX))
    for row, (name, other) in enumerate(PAIRS):
        content, style = (np.asarray(tile(getattr(skimage.data, n)())) for n in (name, other))
        whole = impasto.stylize(content, style, preset="photoreal", size=0)
        parts = impasto.stylize(content, style, preset="photoreal", size=0, regions="auto")
        for column, picture in enumerate((content, style, np.asarray(whole), np.asarray(parts))):
            place = (column * WIDTH_PX, row * HEIGHT_PX)
            sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), place)
    sheet.save(args.out, quality=88)
    print(args.out)


if __name__ == "__main__":
    main()
