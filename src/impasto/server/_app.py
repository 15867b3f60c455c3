"""App factory: routes protected by the checks of `Access`, size limits and security headers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from impasto.server._access import Access
from impasto.server._limits import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SECURITY_HEADERS", "secured", "static_file", "static_routes"]

STATIC = "/static/"
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def secured(routes: Sequence[BaseRoute], access: Access, limits: Limits) -> ASGIApp:
    """Creates an app that answers only requests that pass `access` and `limits`.

    Paths below ``/static/`` require no token because they contain no user data.

    Args:
        routes: Routes of the page.
        access: Token and checks of this launch.
        limits: Size and time limits.
    """
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # a redirect would copy the request's address into a header
    return _Guard(app, access, limits)


def static_file(name: str) -> str:
    """Reads a text file in ``server/static``."""
    return files("impasto.server").joinpath("static", name).read_text(encoding="utf-8")


def static_routes(names: Sequence[str]) -> list[Route]:
    """Creates routes that serve files in ``server/static`` below ``/static/``.

    Args:
        names: File names.
    """

    def route(name: str) -> Route:
        text, kind = static_file(name), MEDIA_TYPES[name[name.rindex(".") :]]

        async def answer(_request: Request) -> Response:
            return Response(text, media_type=kind)

        return Route(STATIC + name, answer)

    return [route(name) for name in names]


class _Guard:
    """ASGI middleware that checks every request."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits) -> None:
        self._app, self._access, self._limits = app, access, limits
        self._sign_in = static_file("sign-in.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check_sizes(request)
            self._access.check_source(request)
            answer = self._answer(request)
        except HTTPException as refused:
            answer = self._refusal(request, refused)
        app = self._app if answer is None else answer
        await app(scope, self._bounded(receive), send_secured)

    def _answer(self, request: Request) -> Response | None:
        """Returns a redirect if the token is in the address, or None if the app may answer the request."""
        path = request.scope["path"]
        if path == "/" and (redirect := self._access.admit(request)) is not None:
            return redirect
        if not path.startswith(STATIC):
            self._access.check_token(request)
        return None

    def _refusal(self, request: Request, refused: HTTPException) -> Response:
        headers = {"Connection": "close"}
        if refused.status_code == HTTPStatus.UNAUTHORIZED and request.scope["path"] == "/":
            return HTMLResponse(self._sign_in, refused.status_code, headers)
        return PlainTextResponse(refused.detail + "\n", refused.status_code, headers)

    def _check_sizes(self, request: Request) -> None:
        """Checks the sizes that are known from the headers.

        Raises:
            HTTPException: 414, 431 or 413.
        """
        scope, limits = request.scope, self._limits
        if len(scope["raw_path"]) + len(scope["query_string"]) > limits.target_bytes:
            raise HTTPException(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long.")
        sizes = [len(name) + len(value) for name, value in scope["headers"]]
        if len(sizes) > limits.headers or sum(sizes) > limits.header_bytes:
            raise HTTPException(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large."
            )
        length = request.headers.get("content-length", "0")
        if int(length) > limits.body_bytes:  # uvicorn has already rejected non-numbers
            raise _too_large()

    def _bounded(self, receive: Receive) -> Receive:
        """Limits the size and time of the body; waiting for the client to disconnect is not limited."""
        ends, taken, complete = time.monotonic() + self._limits.body_seconds, 0, False

        async def receive_bounded() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0, ends - time.monotonic()))
            except asyncio.TimeoutError as error:
                raise HTTPException(
                    HTTPStatus.REQUEST_TIMEOUT, "The body took too long."
                ) from error
            taken += len(message.get("body", b""))
            if taken > self._limits.body_bytes:
                raise _too_large()
            complete = not message.get("more_body", False)
            return message

        return receive_bounded


def _too_large() -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
