"""Looks in other runtimes: equal results at any size."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import painting, photograph
from PIL import Image

from impasto.config import options
from impasto.errors import MissingFileError, UsageError, WeightsError
from impasto.looks import (
    Johnson,
    Look,
    LookPainter,
    Painter,
    PainterShape,
    WholeLook,
    graph_of,
    load_look,
    on_runtime,
    read_graph,
    save_look,
)
from impasto.media import color_map, color_moments
from impasto.pipeline import look_of, look_painter
from impasto.runtimes import largest_difference, write_graph

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def own() -> Look:
    torch.manual_seed(0)
    painter = Painter(PainterShape(width=8, dilations=(1, 2)))
    torch.nn.init.normal_(painter.head.weight, std=0.05)
    red = torch.tensor([0.7, 0.3, 0.3]).view(1, 3, 1)
    colors = torch.cat([red, 0.02 * torch.eye(3)[None]], dim=2)
    return Look(painter, 0.1 * torch.randn(1, painter.shape.codes), colors)


def johnson() -> Look:
    torch.manual_seed(0)
    return Look(Johnson((8, 8, 8)).eval())


def instant() -> Look:
    look = load_look("instant")
    return Look(look.painter, manner=look.painter.manner(painting()))


@pytest.mark.parametrize("make", [own, johnson, instant])
def test_a_graph_paints_like_torch_in_any_size(make):
    look = make()
    graph = graph_of(look)
    for size in ((64, 48), (128, 200)):
        assert largest_difference(WholeLook(look), graph, photograph(*size)) < 1e-3


RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino", "openvino-bfloat16": "openvino"}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("make", [own, johnson])
def test_a_runtime_paints_like_torch(make, runtime, tolerance):
    pytest.importorskip(RUNTIMES[runtime])
    look, image = make(), photograph(50, 71)
    wanted = LookPainter(look).picture(image)
    found = LookPainter(on_runtime(look, runtime)).picture(image)
    exact = not runtime.endswith("bfloat16")
    limit = 1e-3 if exact else tolerance(torch.bfloat16)["atol"]
    torch.testing.assert_close(found, wanted, atol=limit, rtol=0)
    assert on_runtime(look, "torch") is look


def test_instant_and_colors_need_float32(tmp_path):
    """Closed-form transport gives noise in bfloat16, with a mean error of a quarter of the range."""
    with pytest.raises(UsageError, match="float32; use --runtime openvino"):
        look_painter(options(look="instant", runtime="openvino-bfloat16"), [painting()])
    with pytest.raises(UsageError, match="which needs float32"):
        on_runtime(instant(), "openvino-bfloat16")
    write_graph(tmp_path / "my.onnx", graph_of(own()))
    with pytest.raises(UsageError, match="which needs float32"):
        read_graph(tmp_path / "my.onnx", "openvino-bfloat16")


def test_instant_paints_alike_in_openvino():
    pytest.importorskip("openvino")
    image = photograph(64, 80)
    wanted = look_painter(options(look="instant"), [painting()]).picture(image)
    found = look_painter(options(look="instant", runtime="openvino"), [painting()]).picture(image)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize("make", [own, johnson])
def test_an_exported_file_is_a_look(tmp_path, make):
    path = tmp_path / "my.onnx"
    write_graph(path, graph_of(make()))
    image = photograph(64, 80)
    exported = look_painter(options(look=path)).picture(image)
    wanted = LookPainter(make()).picture(image)
    torch.testing.assert_close(exported, wanted, atol=5e-3, rtol=0)
    assert not list(tmp_path.glob("*.part"))


def test_what_is_no_graph_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="as an ONNX model"):
        read_graph(tmp_path / "x.onnx")
    with pytest.raises(MissingFileError, match="make one with impasto export"):
        look_of(options(look=tmp_path / "y.onnx"))
    with pytest.raises(UsageError, match="pass the style to export with --style"):
        graph_of(load_look("instant"))


def test_the_command_exports_and_says_what_is_wrong(tmp_path):
    save_look(tmp_path / "my.look", own())
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "s.png")
    code = [sys.executable, "-c", "from impasto.cli import main; main()", "export", "my.look"]

    def run(*more):
        return subprocess.run(
            [*code, *more], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    done = run("-o", "my.onnx")
    assert done.returncode == 0, done.stderr
    assert "exported my.onnx" in done.stdout
    for more, message in (
        (["-o", "my.pt"], "must be a .onnx file"),
        (["-o", "b.onnx", "--style", "s.png"], "has a style of its own; remove --style"),
    ):
        failed = run(*more)
        assert failed.returncode != 0
        assert message in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my.look", "my.onnx", "s.png"]


def test_a_graph_gives_colors_as_the_look_does_to_photographs_of_hardly_any():
    look = own()
    gray = photograph().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    tint = 0.003 * torch.randn(gray.shape, generator=torch.Generator().manual_seed(5))
    image = (gray + tint).clamp(0, 1)
    colors = look.colors.double()
    matrix, offset = color_map(color_moments(image.double()), (colors[..., :1], colors[..., 1:]))
    wanted = (matrix.float() @ image.flatten(2) + offset.float()).view_as(image)
    torch.testing.assert_close(WholeLook(look).recolored(image), wanted, atol=4e-3, rtol=0)
