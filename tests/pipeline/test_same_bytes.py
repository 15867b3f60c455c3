"""Every way to give the same options paints the same bytes on one machine, and a run is deterministic."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tomli_w
from helpers import painting, photograph
from PIL import Image

import impasto
from impasto.config import PRESETS, from_mapping, options, read_settings, to_mapping
from impasto.pipeline import stylize_image
from impasto.pipeline.image import picture_of

FLAGS = {
    "size": 48, "steps": (3, 2), "coarsest": 32, "seed": 5, "style_weight": 60.0, "style_loss": "gram",
    "keep_colors": "luminance", "solver": "adam", "learning_rate": 0.02, "start": "noise",
}  # fmt: skip
CODE = [sys.executable, "-c", "from impasto.cli import main; main()"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a photograph, a painting, and the options of this test in a settings file."""
    folder = tmp_path_factory.mktemp("same")
    for name, image in (("photo", photograph(48, 64)), ("style", painting(40, 40))):
        pixels = (255 * image[0].permute(1, 2, 0).numpy()).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in FLAGS.items()}
    (folder / "flat.toml").write_text(tomli_w.dumps(listed))
    return folder


@pytest.fixture(scope="module")
def wanted(folder):
    """The pixels that the Python function paints with flat keyword arguments."""
    made = impasto.stylize(folder / "photo.png", folder / "style.png", **FLAGS)
    return np.asarray(made)


def words():
    for name, value in FLAGS.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        yield f"--{name.replace('_', '-')}={text}"


def painted(folder, out, *more):
    run = subprocess.run(
        [*CODE, "image", "photo.png", "style.png", "-o", out, "--quiet", *more],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return np.asarray(Image.open(folder / out))


def test_a_repeated_run_gives_the_same_bytes(folder, wanted):
    again = impasto.stylize(folder / "photo.png", folder / "style.png", **FLAGS)
    np.testing.assert_array_equal(np.asarray(again), wanted)


def test_the_seed_matters_so_that_equal_bytes_are_no_accident(folder, wanted):
    other = impasto.stylize(folder / "photo.png", folder / "style.png", **{**FLAGS, "seed": 6})
    assert not np.array_equal(np.asarray(other), wanted)


def test_flags_settings_files_and_pictures_paint_the_bytes_of_keyword_arguments(folder, wanted):
    np.testing.assert_array_equal(painted(folder, "flags.png", *words()), wanted)
    np.testing.assert_array_equal(painted(folder, "file.png", "--config", "flat.toml"), wanted)
    saved = painted(folder, "saving.png", *words(), "--save-config", "saved.toml")
    np.testing.assert_array_equal(saved, wanted)
    np.testing.assert_array_equal(painted(folder, "saved.png", "--config", "saved.toml"), wanted)
    np.testing.assert_array_equal(painted(folder, "again.png", "--config", "flags.png"), wanted)


def test_the_same_command_writes_the_same_file(folder):
    for name in ("one", "two"):
        (folder / name).mkdir(exist_ok=True)
        painted(folder, f"{name}/out.png", *words())
    assert (folder / "one/out.png").read_bytes() == (folder / "two/out.png").read_bytes()


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_that_are_written_and_read_are_equal(preset):
    made = options(preset)
    assert options(**read_settings(to_mapping(made)).paint) == made


def test_a_result_carries_the_settings_that_made_it(folder, wanted):
    made = impasto.stylize(folder / "photo.png", folder / "style.png", **FLAGS)
    settings = json.loads(made.info["impasto"])
    assert (settings["content"], settings["styles"]) == ("photo.png", ["style.png"])
    carried = from_mapping(settings["options"])
    assert carried == options(**FLAGS)
    pictures = [picture_of(folder / name) for name in ("photo.png", "style.png")]
    again = stylize_image(pictures[0], pictures[1:], carried).to_pil()
    np.testing.assert_array_equal(np.asarray(again), wanted)
