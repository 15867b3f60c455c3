"""Live painting: the newest frame, looks that change meanwhile, and the page."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from films import film, write_film
from PIL import Image

from impasto.cli._live_page import Page
from impasto.config import options
from impasto.errors import InputError, OutputError, UsageError
from impasto.pipeline.live import Camera, ClipSource, Live, painters_for


class Tint:
    """A painter that leaves one channel."""

    def __init__(self, channel, seconds=0.0):
        self.channel, self.seconds = channel, seconds

    def picture(self, image):
        time.sleep(self.seconds)
        out = image * 0
        out[:, self.channel] = 0.8
        return out


class Counted:
    """A source of numbered frames at a steady pace."""

    def __init__(self, count, seconds):
        self.count, self.seconds = count, seconds

    def frames(self):
        for number in range(self.count):
            time.sleep(self.seconds)
            yield np.full((32, 40, 3), number, np.uint8)


def test_frames_are_dropped_and_never_queued():
    live = Live(Counted(40, 0.01), {"slow": lambda: Tint(0, 0.2)}, 40)
    frames = list(live)
    assert len(frames) < 20
    assert frames[-1].dropped >= 20
    assert len(frames) + frames[-1].dropped in (39, 40)
    assert all(frame.latency_seconds > 0.19 for frame in frames)
    assert 0 < frames[-1].rate < 5.5


def test_the_look_changes_while_it_runs():
    live = Live(Counted(100_000, 0.01), {"red": lambda: Tint(0), "blue": lambda: Tint(2)}, 40)
    seen = []
    for frame in live:
        seen.append((frame.look, int(frame.pixels[0, 0].argmax())))
        if frame.number == 10:
            live.switch("blue")
        if frame.number == 20:
            live.stop()
    assert seen[0] == ("red", 0)
    assert seen[-1] == ("blue", 2)
    assert len(seen) <= 21
    with pytest.raises(UsageError, match="allowed are red, blue"):
        live.switch("green")
    with pytest.raises(UsageError, match="no look was given"):
        Live(Counted(1, 0), {})


def test_a_clip_plays_at_its_own_pace(tmp_path):
    clip = write_film(tmp_path / "c.mp4", film(12))
    began = time.monotonic()
    frames = list(ClipSource(clip, 32, loops=False).frames())
    assert len(frames) == 12
    assert time.monotonic() - began > 0.3  # eleven gaps of a twenty-fifth of a second
    assert max(frames[0].shape[:2]) == 32
    source = ClipSource(clip, 32).frames()
    assert len([next(source) for _ in range(20)]) == 20


def test_a_source_that_fails_is_told():
    class Broken:
        def frames(self):
            yield np.zeros((32, 32, 3), np.uint8)
            raise InputError("the cable is out; put it in.")

    with pytest.raises(InputError, match="the cable is out"):
        list(Live(Broken(), {"red": lambda: Tint(0)}, 32))
    with pytest.raises(InputError, match=r"camera 97 cannot be opened; .* --input"):
        Camera(97)


def test_paintings_are_painted_by_instant(tmp_path):
    Image.fromarray(np.full((48, 48, 3), (200, 40, 30), np.uint8)).save(tmp_path / "red.png")
    painters = painters_for([tmp_path / "red.png"], options(look="instant"))
    live = Live(Counted(3, 0.01), painters, 40)
    last = list(live)[-1]
    assert last.look == "red"
    assert last.pixels[..., 0].mean() > last.pixels[..., 2].mean() + 60


def get(address):
    return urllib.request.urlopen(address, timeout=10)


def test_the_page_streams_switches_and_stays_at_home():
    live = Live(Counted(100_000, 0.01), {"red": lambda: Tint(0), "a <b>": lambda: Tint(2)}, 40)
    page = Page(live, 0)
    assert page.address.startswith("http://127.0.0.1:")
    assert json.load(get(page.address + "figures"))["number"] == 0

    def run():
        for frame in live:
            page.show(frame)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        text = get(page.address).read().decode()
        assert 'data-name="a &lt;b&gt;"' in text
        assert "http" not in text.replace("http-equiv", "")  # nothing from elsewhere
        with get(page.address + "stream") as stream:
            start = stream.read(2000)
        assert b"image/jpeg" in start
        assert b"\xff\xd8" in start
        asked = urllib.request.Request(page.address + "look?name=a%20%3Cb%3E", method="POST")
        urllib.request.urlopen(asked, timeout=10).close()
        ends = time.monotonic() + 60
        while json.load(get(page.address + "figures"))["look"] != "a <b>":
            assert time.monotonic() < ends
        foreign = urllib.request.Request(
            page.address + "look?name=red", method="POST", headers={"Origin": "http://elsewhere"}
        )
        for request in (foreign, page.address + "nothing"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(request, timeout=10)
        port = int(page.address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(OutputError, match="choose another with --port"):
            Page(live, port)
    finally:
        live.stop()
        page.close()
        thread.join(timeout=60)
