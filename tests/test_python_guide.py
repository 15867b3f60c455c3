"""Every example of the Python guide runs as it stands, on small files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from films import film, write_film
from helpers import painting, photograph
from PIL import Image

GUIDE = (Path(__file__).resolve().parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
SECTIONS = dict(part.split("\n", 1) for part in re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:])
EXAMPLES = [
    (f"{title}-{number}", code)
    for title, text in SECTIONS.items()
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    )
]
QUICKER = {
    r"\bsize=\d+": "size=48",
    r"\bsize = \d+": "size = 48\nsteps = [3]\ncoarsest = 0",
    r"\bcrop=\d+": "crop=32",
    r"\bbatch=\d+": "batch=1",
    r"\b(decay_)?steps=\d+": r"\1steps=2",
}
"""Sizes and steps that are replaced, so that the examples take seconds."""


def save(image, path: Path) -> None:
    Image.fromarray((255 * image[0].permute(1, 2, 0).numpy()).astype(np.uint8)).save(path)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the examples name, in the current folder."""
    save(photograph(48, 64), tmp_path / "photo.jpg")
    save(painting(48, 48), tmp_path / "painting.jpg")
    save(painting(48, 64, seed=2), tmp_path / "other.jpg")
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 20:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for folder, make in (("photos", photograph), ("paintings", painting)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            save(make(48, 50 + number), tmp_path / folder / f"{number}.png")
    write_film(tmp_path / "clip.mp4", film(4))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in EXAMPLES])
def test_an_example_runs(code, files):
    before = set(files.rglob("*"))
    for pattern, quicker in QUICKER.items():
        code = re.sub(pattern, quicker, code)
    exec(compile(code, "docs/python.md", "exec"), {"__name__": "guide"})
    for name in re.findall(r'(?:save|save_look|save_translator)\(\s*"([\w.]+)"', code):
        assert files / name in set(files.rglob("*")) - before, f"{name} was not written"


def test_the_guide_covers_every_part_of_the_library():
    assert list(SECTIONS) == [
        "An image", "Many images", "A video", "Looks", "Regions", "Training", "Studies",
        "The optimizer as a generator", "Your own loss", "Your own stylizer",
    ]  # fmt: skip
    assert {name.rpartition("-")[0] for name, _code in EXAMPLES} == set(SECTIONS)
