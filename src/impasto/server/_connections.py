"""Connection limits for uvicorn's HTTP protocol: their number, and how long one may idle or stall."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from impasto.server._app import SECURITY_HEADERS
from impasto.server._limits import Limits

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["Connections"]

FULL = "Too many connections; try again soon.\n"
FULL_RESPONSE = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    f"Content-Length: {len(FULL)}\r\nRetry-After: 5\r\nConnection: close\r\n"
    + "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items())
    + f"\r\n{FULL}"
).encode()


class Connections:
    """The open connections; used only on the event loop's thread.

    Args:
        limits: Limits on their number and times.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.closed = limits, False
        self._open: set[_Connection] = set()
        self._idle: dict[_Connection, None] = {}  # longest idle first

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        """Creates the protocol of one connection, for uvicorn's ``http`` setting."""
        inner = H11Protocol(config, server_state, app_state, _loop)
        return _Connection(inner, self)

    def enter(self, connection: _Connection) -> bool:
        """Admits a connection, closing the longest idle one if necessary; returns whether there was room."""
        if self.closed:
            return False
        if len(self._open) >= self.limits.connections:
            if not self._idle:
                return False
            next(iter(self._idle)).abort()
        self._open.add(connection)
        return True

    def set_idle(self, connection: _Connection, *, idle: bool) -> None:
        """Records whether a connection is waiting for a request."""
        self._idle.pop(connection, None)
        if idle and connection in self._open:
            self._idle[connection] = None

    def leave(self, connection: _Connection) -> None:
        """Removes a connection."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def close(self) -> None:
        """Closes all connections immediately and refuses new ones."""
        self.closed = True
        for connection in list(self._open):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One connection: wraps uvicorn's protocol and adds deadlines."""

    def __init__(self, inner: H11Protocol, everyone: Connections) -> None:
        self._inner, self._everyone = inner, everyone
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._admitted, self._requests, self._stalled = False, 0, False
        self._app, inner.app = inner.app, self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._admitted = self._everyone.enter(self)
        if not self._admitted:
            transport.write(FULL_RESPONSE)
            transport.close()
            return
        self._inner.connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            self._inner.data_received(data)

    def eof_received(self) -> None:
        if self._admitted:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._admitted:
            self._inner.pause_writing()
            self._stalled = True
            self._watch()

    def resume_writing(self) -> None:
        if self._admitted:
            self._inner.resume_writing()
            self._stalled = False
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._everyone.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._admitted:
            self._inner.connection_lost(exc)

    def abort(self) -> None:
        """Closes immediately, discarding unsent data."""
        self._everyone.leave(self)
        if self._transport is not None:
            self._transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the app and updates the deadlines before and after."""
        self._requests += 1
        self._watch()
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._watch()

    def _watch(self) -> None:
        """Sets the deadline for the current state: stalled, idle, or none while a request is being answered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        limits, idle = self._everyone.limits, self._requests == 0
        self._everyone.set_idle(self, idle=idle)
        if self._transport is None or self._transport.is_closing():
            return
        if self._stalled or idle:
            seconds = limits.stalled_seconds if self._stalled else limits.idle_seconds
            self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)
