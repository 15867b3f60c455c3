"""The local page of `impasto live`: a stream of pictures, buttons for looks, and figures."""

from __future__ import annotations

import html
import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from impasto.errors import OutputError, UsageError

if TYPE_CHECKING:
    from impasto.pipeline.live import Live, LiveFrame

__all__ = ["Page"]

HOST = "127.0.0.1"
JPEG_QUALITY = 85
BOUNDARY = "frame"
WAIT_SECONDS = 1.0

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>impasto live</title><link rel="icon" href="data:,">
<style>
body { margin: 0; background: #16130f; color: #eee4d4; font: 15px/1.5 system-ui, sans-serif; text-align: center }
img { display: block; margin: 1rem auto; max-width: 96vw; max-height: 78vh; border-radius: 6px }
button { margin: .2rem; padding: .45rem .9rem; border: 1px solid #6b5d49; border-radius: 5px; background: #2a241c;
  color: inherit; font: inherit; cursor: pointer }
button[aria-pressed=true] { background: #c8702a; border-color: #c8702a; color: #16130f }
</style>
<img id="stream" src="/stream" alt="the painted stream">
<nav id="looks">BUTTONS</nav>
<p id="figures" aria-live="off">waiting for the first frame</p>
<script>
const buttons = [...document.querySelectorAll("button")];
for (const button of buttons)
  button.onclick = () => fetch("/look?name=" + encodeURIComponent(button.dataset.name), { method: "POST" });
async function tell() {
  try {
    const said = await (await fetch("/figures")).json();
    if (said.number) {
      document.getElementById("figures").textContent = said.look + ": " + said.rate.toFixed(1) +
        " frames a second, " + Math.round(1000 * said.latency_seconds) + " ms late, " + said.dropped + " dropped";
      for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.name === said.look);
    }
  } catch (error) { document.getElementById("figures").textContent = "the painter has stopped"; }
}
setInterval(tell, 500);
</script></html>"""


class Page:
    """Serves the page on this machine only.

    Args:
        live: What paints.
        port: 0 takes any that is free.

    Raises:
        OutputError: The port is taken.

    Attributes:
        address: Where a browser finds it.
        closed: Whether it has ended.
    """

    def __init__(self, live: Live, port: int) -> None:
        self._live, self.closed = live, False
        self._newest: tuple[bytes, LiveFrame] | None = None
        self._arrived = threading.Condition()
        try:
            self._server = _Server((HOST, port), self)
        except (OSError, OverflowError) as error:
            raise OutputError(
                f"port {port} cannot be opened ({error}); choose another with --port, or 0 for any that is free."
            ) from error
        self.address = f"http://{HOST}:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, frame: LiveFrame) -> None:
        """Hands a frame to everyone who watches."""
        import cv2

        _done, jpeg = cv2.imencode(
            ".jpg", frame.pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        with self._arrived:
            self._newest = (jpeg.tobytes(), frame)
            self._arrived.notify_all()

    def switch(self, name: str) -> None:
        """See `Live.switch`."""
        self._live.switch(name)

    def close(self) -> None:
        """Ends the service."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()

    def next_after(self, seen: int) -> tuple[bytes, int] | None:
        """The newest picture after one that was seen; None when there is none for a while."""
        with self._arrived:
            self._arrived.wait_for(
                lambda: self._newest is not None and self._newest[1].number > seen, WAIT_SECONDS
            )
            if self._newest is None or self._newest[1].number <= seen:
                return None
            return self._newest[0], self._newest[1].number

    def figures(self) -> dict[str, object]:
        """Of the newest frame."""
        if self._newest is None:
            return {"number": 0, "looks": self._live.looks}
        frame = self._newest[1]
        return {
            "number": frame.number, "look": frame.look, "looks": self._live.looks, "rate": frame.rate,
            "latency_seconds": frame.latency_seconds, "dropped": frame.dropped,
        }  # fmt: skip

    def text(self) -> str:
        """The page itself."""
        buttons = "".join(
            f'<button data-name="{html.escape(name)}">{html.escape(name)}</button>'
            for name in self._live.looks
        )
        return PAGE.replace("BUTTONS", buttons)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, place: tuple[str, int], page: Page) -> None:
        self.page = page
        super().__init__(place, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        page, place = self.server.page, urlsplit(self.path).path
        if place == "/":
            self._send(page.text().encode(), "text/html; charset=utf-8")
        elif place == "/figures":
            self._send(json.dumps(page.figures()).encode(), "application/json")
        elif place == "/stream":
            self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        page, asked = self.server.page, urlsplit(self.path)
        own = page.address.rstrip("/")
        if asked.path != "/look" or self.headers.get("Origin", own) != own:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            page.switch(parse_qs(asked.query).get("name", [""])[0])
        except UsageError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._send(b"{}", "application/json")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.end_headers()
        seen = 0
        try:
            while not self.server.page.closed:
                found = self.server.page.next_after(seen)
                if found is None:
                    continue
                jpeg, seen = found
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:
            return  # the browser has gone
