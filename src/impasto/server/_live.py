"""The page of `impasto live`: the video stream, buttons for looks, and statistics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from impasto.server._app import static_file, static_routes
from impasto.server._limits import Limits
from impasto.server._service import Service

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from impasto.pipeline.live import Live, LiveFrame

__all__ = ["Page"]

JPEG_QUALITY = 85
BOUNDARY = "frame"
STREAMS = 8
STATIC_FILES = ("page.css", "live.js", "icon.svg")


class Page:
    """Serves the page to this machine only.

    Args:
        live: The running live painting.
        port: Port of the page; 0 picks a free port.
        limits: Limits on clients.
        streams: Maximum number of simultaneous viewers; further ones receive a 503.

    Raises:
        OutputError: The port is in use.

    Attributes:
        address: URL of the page, with the token of this launch.
    """

    def __init__(
        self, live: Live, port: int, limits: Limits | None = None, streams: int = STREAMS
    ) -> None:
        self._live = live
        self._looks = {_printable(name): name for name in live.looks}
        self._newest: tuple[bytes, LiveFrame] | None = None
        self._arrived = asyncio.Event()  # set when the next frame arrives, then replaced
        text = static_file("live.html")

        async def index(_request: Request) -> Response:
            return HTMLResponse(text)

        routes = [
            Route("/", index),
            Route("/figures", self._figures),
            Route("/look", self._look, methods=["POST"]),
            Route("/stream", _Streams(self, streams), methods=["GET"]),
            *static_routes(STATIC_FILES),
        ]
        self._service = Service(routes, port, limits)
        self.address = self._service.address

    def show(self, frame: LiveFrame) -> None:
        """Sends a frame to all viewers; can be called from any thread."""
        import cv2

        _done, jpeg = cv2.imencode(
            ".jpg", frame.pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        self._newest = (jpeg.tobytes(), frame)
        self._service.call(self._wake)

    def close(self) -> None:
        """Stops the service; can be called repeatedly."""
        self._service.stop()

    async def frames(self) -> AsyncIterator[bytes]:
        """Yields frames as JPEG, starting with the newest; slow viewers skip frames."""
        seen = 0
        while True:
            newest = self._newest
            if newest is not None and newest[1].number > seen:
                seen = newest[1].number
                yield newest[0]
            else:
                await self._arrived.wait()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = asyncio.Event()

    async def _figures(self, _request: Request) -> Response:
        said: dict[str, object] = {"number": 0, "looks": list(self._looks)}
        if self._newest is not None:
            frame = self._newest[1]
            said |= {
                "number": frame.number, "look": _printable(frame.look), "rate": frame.rate,
                "latency_seconds": frame.latency_seconds, "dropped": frame.dropped,
            }  # fmt: skip
        return Response(json.dumps(said), media_type="application/json")

    async def _look(self, request: Request) -> Response:
        name = self._looks.get(request.query_params.get("name", ""))
        if name is None:
            return PlainTextResponse("There is no look with that name.\n", HTTPStatus.NOT_FOUND)
        self._live.switch(name)
        return Response(status_code=HTTPStatus.NO_CONTENT)


class _Streams:
    """Serves the frames as an endless response, to a limited number of viewers."""

    def __init__(self, page: Page, most: int) -> None:
        self._page, self._most, self._open = page, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._open >= self._most:
            full = PlainTextResponse(
                "Too many viewers; close another page.\n", HTTPStatus.SERVICE_UNAVAILABLE
            )
            await full(scope, receive, send)
            return
        self._open += 1
        try:
            kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
            await StreamingResponse(self._parts(), media_type=kind)(scope, receive, send)
        finally:
            self._open -= 1

    async def _parts(self) -> AsyncIterator[bytes]:
        border = f"--{BOUNDARY}\r\n"
        yield border.encode()
        async for jpeg in self._page.frames():
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            # The boundary follows immediately: browsers show a frame only when they receive the next boundary.
            yield head.encode() + jpeg + f"\r\n{border}".encode()


def _printable(name: str) -> str:
    """Makes a name valid for JSON and queries; file names can contain bytes that are not UTF-8."""
    return name.encode("utf-8", "replace").decode()
