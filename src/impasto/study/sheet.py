"""Contact sheets: images with captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from impasto.media import Picture

__all__ = ["draw_sheet"]

CELL_PX = (240, 200)
LINE_PX = 16
GAP_PX = 6


def draw_sheet(rows: Sequence[Sequence[tuple[Picture | None, str]]]) -> Picture:
    """Draws rows of images, each scaled to fit its cell, with a caption below.

    Args:
        rows: Images and captions; None leaves a cell empty.
    """
    width, height = CELL_PX
    columns = max(len(row) for row in rows)
    size = (columns * (width + GAP_PX) + GAP_PX, len(rows) * (height + LINE_PX + GAP_PX) + GAP_PX)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for down, row in enumerate(rows):
        for right, (picture, text) in enumerate(row):
            left = GAP_PX + right * (width + GAP_PX)
            top = GAP_PX + down * (height + LINE_PX + GAP_PX)
            if picture is not None:
                image = Image.fromarray(np.round(255 * picture.rgb).astype(np.uint8))
                image.thumbnail((width, height), Image.Resampling.LANCZOS)
                place = (left + (width - image.width) // 2, top + (height - image.height) // 2)
                sheet.paste(image, place)
            shown = text
            while shown and pen.textlength(shown) > width:
                shown = shown[:-1]
            pen.text((left + 2, top + height + 1), shown, fill="black")
    return Picture(rgb=np.asarray(sheet, np.float32) / 255)
