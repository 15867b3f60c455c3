"""Paints the gallery of the documentation: 24 pictures, 4 short films, and the page that shows them.

python examples/gallery.py [--only NAME ...] [--page]

Takes about ten minutes on two cores. The photographs ship with scikit-image, and may be published; the styles are
drawn by code, or are scientific images from scikit-image. The videos pan across the photographs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import skimage.data
from drawn_styles import STYLES
from more_styles import MORE_STYLES
from PIL import Image

import impasto

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images" / "gallery"
PAGE = FOLDER.parents[1] / "gallery.md"
SHOWN_PX = 400
FILM_PX = (320, 208)
FRAMES, RATE = 24, 12
DRAWN: Mapping[str, Callable[[], Image.Image]] = {**STYLES, **MORE_STYLES}


@dataclass(frozen=True)
class Entry:
    """One picture or film of the gallery."""

    photo: str
    style: str
    says: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    film: bool = False

    @property
    def name(self) -> str:
        """Of its file, without the ending."""
        chosen = "".join(f"-{key}-{value}" for key, value in self.options.items())
        return f"{self.photo}-{self.style}{chosen}".replace("_", "-").replace(".", "")

    @property
    def command(self) -> str:
        """What paints it."""
        flags = "".join(f" --{k.replace('_', '-')} {v}" for k, v in self.options.items())
        if self.film:
            return f"impasto video {self.photo}.mkv {self.style}.png -o out.mp4{flags}"
        return f"impasto image {self.photo}.png {self.style}.png -o out.png{flags}"


ENTRIES = (
    Entry("chelsea", "swirls"), Entry("coffee", "swirls"), Entry("astronaut", "swirls"), Entry("rocket", "swirls"),
    Entry("chelsea", "meadow"), Entry("coffee", "meadow"), Entry("astronaut", "meadow"), Entry("rocket", "meadow"),
    Entry("chelsea", "ember"), Entry("coffee", "ember"), Entry("rocket", "ember"),
    Entry("chelsea", "mosaic"), Entry("coffee", "mosaic"), Entry("astronaut", "mosaic"), Entry("rocket", "mosaic"),
    Entry("chelsea", "woodcut", "", {"strength": 0.6}), Entry("coffee", "woodcut", "", {"strength": 0.6}),
    Entry("coffee", "dots"), Entry("rocket", "dots"),
    Entry("coffee", "immunohistochemistry", "a microscope's view as the style"),
    Entry("astronaut", "swirls", "the photograph's own colors", {"keep_colors": "luminance"}),
    Entry("chelsea", "mosaic", "smaller tiles", {"style_scale": 0.6}),
    Entry("rocket", "ember", "half the strength", {"strength": 0.5}),
    Entry("coffee", "swirls", "painted at once by the feed-forward look that ships", {"look": "instant"}),
    Entry("chelsea", "swirls", film=True), Entry("coffee", "mosaic", film=True),
    Entry("rocket", "ember", film=True), Entry("astronaut", "meadow", film=True),
)  # fmt: skip


def photograph(name: str) -> Image.Image:
    """A picture of scikit-image."""
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


def style_of(name: str) -> Image.Image:
    """A style that is drawn, or a picture of scikit-image."""
    return DRAWN[name]() if name in DRAWN else photograph(name)


def paint(entry: Entry) -> None:
    """Paints a picture and keeps a small copy."""
    picture = impasto.stylize(photograph(entry.photo), style_of(entry.style), **entry.options)
    picture.thumbnail((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
    picture.convert("RGB").save(FOLDER / f"{entry.name}.jpg", quality=84)


def pan(name: str, path: Path) -> None:
    """A film that moves slowly across a photograph, without loss."""
    image, (width, height) = photograph(name), FILM_PX
    scale = 1.25 * max(width / image.width, height / image.height)
    image = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
    )
    room = (image.width - width, image.height - height)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for number in range(FRAMES):
            share = number / (FRAMES - 1)
            left, top = round(share * room[0]), round((1 - share) * room[1] / 2)
            pixels = np.asarray(image.crop((left, top, left + width, top + height)))
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())


def paint_film(entry: Entry) -> None:
    """Paints a film and keeps it as an animated WebP, there and back, so that it loops."""
    with tempfile.TemporaryDirectory() as folder:
        clip, out = Path(folder) / f"{entry.photo}.mkv", Path(folder) / "out.mkv"
        pan(entry.photo, clip)
        style = Path(folder) / "style.png"
        style_of(entry.style).save(style)
        impasto.stylize_video(clip, style, out, film={"codec": "ffv1"}, **entry.options)
        with av.open(str(out)) as film:
            frames = [frame.to_image() for frame in film.decode(video=0)]
    frames += frames[-2:0:-1]
    frames[0].save(
        FOLDER / f"{entry.name}.webp", save_all=True, append_images=frames[1:], duration=1000 // RATE, loop=0,
        quality=40, method=6,
    )  # fmt: skip


def write_page() -> None:
    """Writes the page that shows every entry with the command that makes it."""
    lines = [
        "# Gallery", "",
        "Every image and video on this page was made by `python examples/gallery.py`, with the command below it. The",
        "photographs ship with scikit-image; the styles are drawn by code in `examples/`, or are scientific images",
        "from scikit-image.", "", "## Videos", "",
    ]  # fmt: skip
    for film in (True, False):
        if not film:
            lines += ["## Images", ""]
        for entry in (one for one in ENTRIES if one.film is film):
            title = f"{entry.photo} in {entry.style}" + (f": {entry.says}" if entry.says else "")
            ending = "webp" if film else "jpg"
            lines += [
                f"![{title}](images/gallery/{entry.name}.{ending})",
                "",
                f"`{entry.command}`",
                "",
            ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    """Paints what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", help="paint these entries only, by the names of their files"
    )
    parser.add_argument("--page", action="store_true", help="write the page only")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for entry in () if given.page else ENTRIES:
        if not given.only or entry.name in given.only:
            (paint_film if entry.film else paint)(entry)
            print(entry.command, flush=True)
    write_page()


if __name__ == "__main__":
    main()
