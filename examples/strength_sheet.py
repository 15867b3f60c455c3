"""Makes the strength and stroke-size sheet of the docs: a scikit-image photograph in a drawn style.

    python examples/strength_sheet.py docs/images/strength.jpg

This takes about two minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import skimage.data
from contact_sheet import CELL, GAP_PX, cell
from drawn_styles import STYLES
from PIL import Image, ImageDraw

import impasto

STRENGTHS = (0.3, 0.6, 1.0, 1.5, 2.0)
STYLE_SCALES = (0.5, 0.75, 1.0, 1.5, 2.0)
LABEL_PX = 16


def main() -> None:
    """Renders a row of strengths above a row of stroke sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--photo", default="chelsea", help="name in skimage.data")
    parser.add_argument("--style", default="swirls", choices=list(STYLES))
    args = parser.parse_args()
    photo = Image.fromarray(getattr(skimage.data, args.photo)())
    style = STYLES[args.style]()
    rows = [[("strength", value) for value in STRENGTHS]]
    rows.append([("style_scale", value) for value in STYLE_SCALES])
    step = (CELL[0] + GAP_PX, CELL[1] + GAP_PX + LABEL_PX)
    sheet = Image.new("RGB", (step[0] * len(STRENGTHS) - GAP_PX, step[1] * 2), "white")
    draw = ImageDraw.Draw(sheet)
    for row, settings in enumerate(rows):
        for column, (name, value) in enumerate(settings):
            left, top = column * step[0], row * step[1]
            draw.text((left + 2, top + 2), f"--{name.replace('_', '-')} {value:g}", fill="black")
            painted = impasto.stylize(photo, style, **{name: value})
            sheet.paste(cell(painted), (left, top + LABEL_PX))
            print(name, value, flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out, quality=88)


if __name__ == "__main__":
    main()
