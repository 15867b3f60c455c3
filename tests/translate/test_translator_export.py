"""Translators in other runtimes: equal results at any size."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from helpers import photograph
from PIL import Image

from impasto.config import options
from impasto.errors import WeightsError
from impasto.looks import feed_forward_look, graph_look
from impasto.media import read_image
from impasto.pipeline import look_painter
from impasto.runtimes import largest_difference
from impasto.translate import (
    GeneratorShape,
    Translator,
    TranslatorPainter,
    WholeTranslator,
    graph_of_translator,
    make_generator,
    save_translator,
)

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SHAPES = {
    "published": GeneratorShape(channels=8, blocks=2),
    "small": GeneratorShape(channels=8, blocks=1, resized=True, skip=True),
    "unet": GeneratorShape("unet", channels=4, blocks=5),
}


def translator(kind: str = "small") -> Translator:
    torch.manual_seed(0)
    shape = SHAPES[kind]
    return Translator({name: make_generator(shape).eval() for name in ("ab", "ba")})


@pytest.mark.parametrize("kind", SHAPES)
def test_a_graph_translates_like_torch_in_any_size(kind):
    made = translator(kind)
    graph = graph_of_translator(made, "ba")
    for size in ((64, 96), (160, 64)):
        assert largest_difference(WholeTranslator(made, "ba"), graph, photograph(*size)) < 1e-3


@pytest.mark.parametrize(
    ("kind", "size"), [("unet", (50, 71)), ("unet", (64, 32)), ("small", (50, 71))]
)
def test_a_graph_is_padded_as_torch_pads(kind, size):
    made, image = translator(kind), photograph(*size)
    graph = feed_forward_look(graph_look(graph_of_translator(made), "onnx", "x"))
    found = look_painter(options(look="x.onnx"), (), graph).picture(image)
    torch.testing.assert_close(found, TranslatorPainter(made).picture(image), atol=1e-3, rtol=0)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_runtime_translates_like_torch(tmp_path, runtime):
    pytest.importorskip({"onnx": "onnxruntime"}.get(runtime, runtime))
    path, image = tmp_path / "my.translator", photograph(50, 71)
    save_translator(path, translator())
    settled = options(look=path, direction="ba", runtime=runtime)
    wanted = TranslatorPainter(translator(), "ba").picture(image)
    torch.testing.assert_close(look_painter(settled).picture(image), wanted, atol=5e-3, rtol=0)


def test_a_direction_that_is_not_there_is_named():
    both = translator()
    with pytest.raises(WeightsError, match="no direction sideways; allowed: ab, ba"):
        graph_of_translator(both, "sideways")


def test_export_and_paint_by_the_command(tmp_path):
    save_translator(tmp_path / "my.translator", translator())
    photo = tmp_path / "photo.png"
    pixels = (255 * photograph(64, 80)[0].permute(1, 2, 0)).byte().numpy()
    Image.fromarray(pixels).save(photo)

    def impasto(*words: object) -> str:
        command = [sys.executable, "-m", "impasto", *map(str, words)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    model, graph = tmp_path / "my.translator", tmp_path / "my.onnx"
    assert "exported" in impasto("export", model, "--direction", "ba", "-o", graph)
    impasto("image", photo, "-o", tmp_path / "graph.png", "--look", graph, "--size", 80)
    impasto("translate", photo, "--model", model, "--direction", "ba", "-o", tmp_path / "torch.png")
    found, wanted = (read_image(tmp_path / f"{name}.png").rgb for name in ("graph", "torch"))
    assert abs(found - wanted).max() < 0.02
