"""The live page: its contents and buttons, over HTTP and in a real browser."""

from __future__ import annotations

import json
import socket
import threading

import cv2
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from films import film, write_film
from pages import Stage, ask, bearer, begin, frame, place

from impasto.errors import OutputError
from impasto.pipeline.live import ClipSource, Live
from impasto.server import Page


class Tint:
    """A painter that sets one color channel and clears the others."""

    def __init__(self, channel):
        self.channel = channel

    def picture(self, image):
        out = image * 0
        out[:, self.channel] = 0.8
        return out


@pytest.fixture
def served():
    """Creates pages and closes them after the test."""
    made = []

    def make(live, port=0):
        made.append(Page(live, port))
        return made[-1], *place(made[-1].address)

    yield make
    for page in made:
        page.close()


def test_figures_before_and_after_the_first_frame(served):
    page, port, token = served(Stage("red", "blue"))
    assert json.loads(ask(port, "/figures", bearer(token)).body) == {
        "number": 0,
        "looks": ["red", "blue"],
    }
    page.show(frame(7, look="blue"))
    said = json.loads(ask(port, "/figures", bearer(token)).body)
    assert (said["number"], said["look"], said["rate"], said["dropped"]) == (7, "blue", 10.0, 0)


def test_the_stream_shows_the_newest_frame_at_once(served):
    page, port, token = served(Stage("red"))
    page.show(frame(1))
    connection, response = begin(port, "/stream", bearer(token))
    assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    try:
        for number in (1, 2, 5):
            page.show(frame(number))
            assert response.readline() == b"--frame\r\n"
            assert response.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(response.readline().split(b":")[1])
            response.readline()
            jpeg = np.frombuffer(response.read(length), np.uint8)
            pixels = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
            expected = frame(number).pixels
            assert np.abs(pixels.mean((0, 1)) - expected.mean((0, 1))).max() < 8
            assert response.readline() == b"\r\n"
        assert (
            response.readline() == b"--frame\r\n"
        )  # browsers show a frame only after the next boundary
    finally:
        connection.close()
        response.close()


def test_names_that_are_no_text_have_buttons_too(served):
    stage = Stage("caf\udce9", "red")
    page, port, token = served(stage)
    page.show(frame(1, look="caf\udce9"))
    said = json.loads(ask(port, "/figures", bearer(token)).body)
    assert said["looks"] == ["caf?", "red"]
    assert said["look"] == "caf?"
    assert ask(port, "/look?name=caf%3F", bearer(token), method="POST").status == 204
    assert stage.chosen == ["caf\udce9"]


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_does_not_exist(port):
    with pytest.raises(OutputError, match="between 0 and 65535; got"):
        Page(Stage("red"), port)


def test_a_port_that_is_taken(served):
    _page, port, _token = served(Stage("red"))
    with pytest.raises(OutputError, match=f"port {port} cannot be opened .*another with --port"):
        Page(Stage("red"), port)


def test_a_port_that_another_program_has_for_localhost():
    try:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with taken, pytest.raises(OutputError, match="another with --port"):
        Page(Stage("red"), taken.getsockname()[1])


PIXEL = """(() => { const canvas = document.createElement("canvas"), stream = document.getElementById("stream");
canvas.width = canvas.height = 1; const context = canvas.getContext("2d"); context.drawImage(stream, 0, 0, 1, 1);
return context.getImageData(0, 0, 1, 1).data; })()"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_stream_and_its_buttons_work(served, tmp_path):
    clip = write_film(tmp_path / "c.mp4", film(12))
    live = Live(ClipSource(clip, 64), {"red": lambda: Tint(0), "blue": lambda: Tint(2)}, 64)
    page, port, token = served(live)
    painter = threading.Thread(target=lambda: [page.show(frame) for frame in live], daemon=True)
    painter.start()
    browser = Browser(tmp_path / "profile")
    try:
        for host in ("127.0.0.1", "localhost"):
            browser.open(f"http://{host}:{port}/?token={token}")
            browser.until(f"location.href === 'http://{host}:{port}/'")
            browser.until("document.querySelectorAll('#looks button').length === 2")
            browser.until("document.getElementById('stream').naturalWidth > 0")
            for name, channel in (("blue", 2), ("red", 0)):
                browser.run(
                    f"[...document.querySelectorAll('#looks button')].find(b => b.textContent === '{name}').click()"
                )
                browser.until(f"document.querySelector('[aria-pressed=true]').textContent === '{name}'")  # fmt: skip
                browser.until(f"{PIXEL}[{channel}] > 150 && {PIXEL}[{2 - channel}] < 60")
            assert browser.run("document.cookie") == ""  # scripts cannot read the token
        assert browser.complaints == []
    finally:
        browser.close()
        live.stop()
        painter.join(timeout=60)
