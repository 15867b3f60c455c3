"""Image metrics: known values, confidence intervals, LPIPS computed by hand, and the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import painting, photograph
from PIL import Image

from impasto.backbones import load_backbone
from impasto.errors import InputError, WeightsError
from impasto.measure import METRICS, Lpips, PictureFigures, bootstrap, measure_picture
from impasto.measure.figures import noise_of

CODE = [sys.executable, "-c", "from impasto.cli import main; main()"]


def test_the_photograph_keeps_all_and_the_painting_is_the_style():
    evaluator, image, style = load_backbone(), photograph(96, 96), painting(96, 96)
    own = measure_picture(image, image, style, evaluator)
    assert own.content == pytest.approx(0, abs=1e-9)
    assert (own.ssim, own.structure, own.gradient) == pytest.approx((1, 1, 1), abs=1e-4)
    copied = measure_picture(style, image, style, evaluator)
    assert copied.style == pytest.approx(0, abs=1e-6)
    assert copied.style_w2 == pytest.approx(0, abs=1e-3)
    assert copied.palette == pytest.approx(0, abs=1e-6)
    assert copied.joint == pytest.approx(1 + copied.content, rel=1e-4)
    assert own.style > 0.05
    assert set(own.layers) == {"relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"}
    assert copied.noise == copied.noise_of_style
    assert copied.over_style == pytest.approx(dict.fromkeys(copied.over_style, 1))
    assert set(copied.over_style) == {"sharpness", "noise", "speckle", "border", "seam"}
    assert copied.style_independent == pytest.approx(0, abs=1e-6)
    assert own.perceptual == pytest.approx(0, abs=1e-6)
    assert own.objects == own.objects_independent == 0
    assert own.large_edges == 1
    assert own.style_independent > 0.05
    alone = measure_picture(image, image, None, evaluator)
    assert alone.style is None
    assert alone.joint is None
    assert alone.over_style == {}


def test_every_figure_says_what_it_means():
    fields = PictureFigures.__dataclass_fields__
    known = {name for name in fields if not name.endswith(("_of_style", "_of_content"))}
    assert set(METRICS) == known - {"layers"}
    for metric in METRICS.values():
        assert metric.better in ("lower", "higher", "near")
        assert metric.span
        assert metric.source
        assert metric.blind


def test_noise_is_told_and_plain_ramps_have_none():
    ramp = torch.linspace(0.2, 0.8, 96).expand(1, 3, 96, 96)
    assert noise_of(ramp) < 1e-5
    gray = 0.5 + 0.04 * torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    assert noise_of(gray.expand(1, 3, -1, -1)) == pytest.approx(0.04, rel=0.1)


def test_intervals_hold_the_mean_and_are_repeatable():
    values = [float(n) for n in range(20)]
    found = bootstrap(values)
    assert found.low < found.mean == 9.5 < found.high
    assert found == bootstrap(values)
    assert bootstrap([3.0]).low == bootstrap([3.0]).high == 3.0
    with pytest.raises(InputError, match="no values to average"):
        bootstrap([])


class Judge:
    name, layer_names = "alexnet", ("relu1", "relu2", "relu3", "relu4", "relu5")

    def __call__(self, image, layers):
        return {layer: image * (n + 1) for n, layer in enumerate(layers)}


def test_lpips_is_its_formula(tmp_path):
    weights = {f"lin{n}.model.1.weight": torch.rand(1, 3, 1, 1) for n in range(5)}
    torch.save(weights, tmp_path / "alex.pth")
    image, other = photograph(32, 32) + 0.1, painting(32, 32) + 0.1
    a, b = (x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (image, other))
    apart = (a - b).square()
    wanted = sum(float((apart * w).sum(1).mean()) for w in weights.values())
    found = Lpips(Judge(), tmp_path / "alex.pth")(image, other)
    assert found == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(WeightsError, match="--evaluator must be one of: alexnet, vgg16"):
        Lpips(load_backbone(), tmp_path / "alex.pth")
    torch.save({"lin0.model.1.weight": torch.rand(1, 3, 1, 1)}, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=r"it lacks lin1\.model"):
        Lpips(Judge(), tmp_path / "part.pth")


def save(image, path):
    Image.fromarray((image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(path)


def test_the_command_measures_one_picture_and_folders(tmp_path):
    for name in ("contents", "styles", "made"):
        (tmp_path / name).mkdir()
    save(photograph(64, 80), tmp_path / "contents" / "one.png")
    save(photograph(70, 64), tmp_path / "contents" / "two.png")
    save(painting(64, 64), tmp_path / "styles" / "dots.png")
    for name in ("one", "two"):
        save(painting(60, 64), tmp_path / "made" / f"{name}-dots.png")

    def run(*words):
        return subprocess.run(
            [*CODE, "measure", "image", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    one = run("made/one-dots.png", "--content", "contents/one.png", "--style", "styles/dots.png")
    assert one.returncode == 0, one.stderr
    assert "lower is better" in one.stdout
    assert re.search(
        r"^speckle +[0-9.]+  \([0-9.]+ times the style's\)  best near", one.stdout, re.MULTILINE
    )
    assert re.search(r"^style_independent +[0-9.]+  lower is better$", one.stdout, re.MULTILINE)
    many = run("made", "--content", "contents", "--style", "styles", "--json")
    assert many.returncode == 0, many.stderr
    told = json.loads(many.stdout)
    names = [row["content"].rsplit("/", 1)[-1] for row in told["pictures"]]
    assert names == ["one.png", "two.png"]
    assert told["means"]["style"]["low"] <= told["means"]["style"]["mean"]
    assert len(told["pictures"]) == 2
    first = told["pictures"][0]
    ratio = first["figures"]["speckle"] / first["figures"]["speckle_of_style"]
    assert first["over_style"]["speckle"] == pytest.approx(ratio)
    assert set(told["over_style"]["border"]) == {"mean", "low", "high"}
    save(photograph(), tmp_path / "made" / "stranger.png")
    lost = run("made", "--content", "contents", "--style", "styles")
    assert lost.returncode != 0
    assert "matches no image in contents" in lost.stderr
