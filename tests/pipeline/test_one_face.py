"""Images, videos and live streams work with every stylizer, and a new kind needs one entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from films import film, write_film
from helpers import LAYERS, TinyNetwork, painting, photograph
from PIL import Image

from impasto import stylize, stylize_video
from impasto.config import METHODS, options
from impasto.optimize import FilmOptimizer, Optimization
from impasto.pipeline import at_once
from impasto.pipeline.at_once import NETWORK_KINDS, NetworkKind, look_painter
from impasto.pipeline.live import painters_for
from impasto.types import FeedForward, FrameContext, Painted

PLAIN = options(size=0, steps=(3,), coarsest=0, device="cpu", coherence_weight=(0,), **LAYERS)


class Negative:
    """A stylizer of a kind that impasto does not know."""

    forecast = None

    def picture(self, image, _regions=(), /):
        return 1 - image

    def paint(self, frame, _context):
        return Painted(image=1 - frame)


@pytest.fixture
def negative(monkeypatch, tmp_path) -> Path:
    """Registers a kind of network, and returns a file of it."""
    kind = NetworkKind(
        suffixes=(".negative",),
        recognizes=lambda path: path.suffix == ".negative",
        load=lambda _path, _options: FeedForward(
            takes_styles=False, stylizer=lambda _styles, _options: Negative()
        ),
    )
    monkeypatch.setattr(at_once, "NETWORK_KINDS", {"negative": kind, **NETWORK_KINDS})
    path = tmp_path / "my.negative"
    path.write_bytes(b"x")
    return path


def test_a_new_kind_paints_images(negative):
    image = (255 * photograph()[0].permute(1, 2, 0)).byte().numpy()
    assert np.array_equal(np.asarray(stylize(image, [], look=negative, size=0)), 255 - image)


def test_a_new_kind_paints_videos(negative, tmp_path):
    clip = write_film(tmp_path / "clip.mkv", film(2), codec="ffv1", pixel_format="bgr0")
    out = tmp_path / "out_%05d.png"
    stylize_video(clip, [], out, look=negative, method="frame-by-frame")
    painted = np.asarray(Image.open(tmp_path / "out_00000.png"))
    assert np.array_equal(painted, 255 - film(1)[0].pixels)


def test_a_new_kind_paints_live_streams(negative):
    (painter,) = painters_for([negative], options(look="instant")).values()
    assert torch.equal(painter().picture(photograph()), 1 - photograph())


def test_the_optimizer_paints_an_image_like_any_stylizer():
    network, image, style = TinyNetwork(), photograph(48, 64), painting()
    stylizer = FilmOptimizer([style], network, PLAIN, METHODS["steady"], (48, 64))
    run = Optimization(image, [style], network, PLAIN, size=(48, 64))
    for _iterate in run:
        pass
    assert torch.equal(stylizer.picture(image), run.result)


def test_only_the_optimizer_forecasts_time_and_memory():
    stylizer = FilmOptimizer([painting()], TinyNetwork(), PLAIN, METHODS["steady"], (48, 64))
    found = stylizer.forecast
    assert (found.backbone, found.device) == ("tiny", "cpu")
    assert found.seconds_per_frame > 0
    assert found.memory_bytes == stylizer.trial.plan.forecast.memory_bytes
    assert look_painter(options(look="instant"), [painting()]).forecast is None


def test_a_network_paints_frames_as_it_paints_images():
    painter = look_painter(options(look="instant", device="cpu"), [painting()])
    context = FrameContext(index=0, opens_shot=True, blend=())
    image = photograph()
    assert torch.equal(painter.paint(image, context).image, painter.picture(image, ()))
