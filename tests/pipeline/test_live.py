"""Live stylization: the latest frame, and switching looks at run time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from films import film, write_film
from PIL import Image

from impasto.config import options
from impasto.errors import InputError, UsageError
from impasto.pipeline.live import Camera, ClipSource, Live, painters_for


class Tint:
    """A stylizer that keeps only one channel."""

    def __init__(self, channel, seconds=0.0):
        self.channel, self.seconds = channel, seconds

    def picture(self, image):
        time.sleep(self.seconds)
        out = image * 0
        out[:, self.channel] = 0.8
        return out


class Counted:
    """A source of numbered frames at a constant rate."""

    def __init__(self, count, seconds):
        self.count, self.seconds, self.closed = count, seconds, False

    def frames(self):
        for number in range(self.count):
            time.sleep(self.seconds)
            yield np.full((32, 40, 3), number, np.uint8)

    def close(self):
        self.closed = True


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
    assert time.monotonic() - began > 0.3  # eleven intervals of 1/25 second
    assert max(frames[0].shape[:2]) == 32
    source = ClipSource(clip, 32).frames()
    assert len([next(source) for _ in range(20)]) == 20


def test_a_source_that_fails_is_told():
    class Broken:
        def frames(self):
            yield np.zeros((32, 32, 3), np.uint8)
            raise InputError("the cable is unplugged; plug it in.")

        def close(self):
            pass

    with pytest.raises(InputError, match="the cable is unplugged"):
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


def test_stopping_ends_a_clip_between_frames_that_are_far_apart(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        Image.new("RGB", (40, 32)).save(pictures / f"{number}.png")
    source = ClipSource(pictures, 32)
    frames = source.frames()
    next(frames)
    source.close()
    assert list(frames) == []  # without close it would loop forever


def test_stopping_closes_the_source():
    source = Counted(100_000, 0.01)
    live = Live(source, {"red": lambda: Tint(0)}, 40)
    assert not source.closed
    live.stop()
    assert source.closed


def test_a_camera_is_released_once_it_is_closed(monkeypatch):
    import cv2

    class Capture:
        opened, taken = True, 0

        def __init__(self, _number):
            captures.append(self)

        def isOpened(self):
            return self.opened

        def set(self, *_what):
            return True

        def read(self):
            assert self.opened
            self.taken += 1
            return True, np.zeros((32, 40, 3), np.uint8)

        def release(self):
            self.opened = False

    captures = []
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    camera = Camera(0)
    camera.close()  # before anything was read from it
    assert list(camera.frames()) == []
    camera = Camera(0)
    live = Live(camera, {"red": lambda: Tint(0)}, 32)
    for frame in live:
        if frame.number == 3:
            break
    live.stop()
    assert [capture.opened for capture in captures] == [False, False]
    assert captures[0].taken == 0
