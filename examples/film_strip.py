"""Renders a few frames of a clip with and without temporal consistency, and shows how they change.

python examples/film_strip.py CLIP [--from 0] [--out docs/images/film-strip.jpg]

The upper row shows five frames rendered independently, the lower row five frames rendered with the method ``steady``.
Below each row is the difference from the previous frame along the motion, where the motion is reliable, amplified three
times: black means no change.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from drawn_styles import STYLES
from PIL import Image

from impasto.config import film_options, options
from impasto.media import Picture, pixels_to_tensor
from impasto.motion import DIS, reliability, warp
from impasto.pipeline import prepare_film
from impasto.types import Frame

FRAMES = 5
EDGE_PX = 320
ENLARGED = 3


def painted(
    clip: Path, style: Picture, method: str, start: float
) -> tuple[list[Frame], list[np.ndarray]]:
    """Returns frames of the clip and their pastiches."""
    with tempfile.TemporaryDirectory() as folder:
        job = prepare_film(
            clip,
            [style],
            Path(folder) / "o.mp4",
            options(size=EDGE_PX),
            film_options(method, begin=start, end=start + 10.0),
        )
        pastiches = []
        for event in job:
            pastiches.append(event.pixels)
            if len(pastiches) == FRAMES:
                break
        frames = [frame for frame, _pastiche in zip(job.selected(), pastiches, strict=False)]
    return frames, pastiches


def changes(frames: list[Frame], pastiches: list[np.ndarray]) -> list[np.ndarray]:
    """Returns the change since the previous frame, along the motion."""
    flow_of, found = DIS(), [np.zeros_like(pastiches[0])]
    for now, before, one, other in zip(frames[1:], frames, pastiches[1:], pastiches, strict=False):
        flow, back = flow_of(now, before), flow_of(before, now)
        images = [pixels_to_tensor(pixels) for pixels in (now.pixels, before.pixels, one, other)]
        trust = reliability(flow, back, images[0], images[1])
        apart = trust * (images[2] - warp(images[3], flow, mode="bicubic")).abs() * ENLARGED
        found.append((apart[0].clamp(0, 1).permute(1, 2, 0) * 255).to(torch.uint8).numpy())
    return found


def main() -> None:
    """Renders both rows and writes the strip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clip", type=Path, help="input clip")
    parser.add_argument("--from", dest="start", type=float, default=0.0)
    parser.add_argument("--style", default="swirls", choices=sorted(STYLES))
    parser.add_argument("--out", type=Path, default=Path("docs/images/film-strip.jpg"))
    args = parser.parse_args()
    style = Picture.from_pil(STYLES[args.style]())
    rows = []
    for method in ("frame-by-frame", "steady"):
        frames, pastiches = painted(args.clip, style, method, args.start)
        rows += [np.concatenate(pastiches, 1), np.concatenate(changes(frames, pastiches), 1)]
    Image.fromarray(np.concatenate(rows, 0)).save(args.out, quality=88)
    print(args.out)


if __name__ == "__main__":
    main()
