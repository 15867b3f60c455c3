"""Starts and stops a page: sockets on the loopback interfaces, and uvicorn in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from uvicorn.config import Config
from uvicorn.server import Server

from impasto.errors import OutputError
from impasto.server._access import Access
from impasto.server._app import secured
from impasto.server._connections import Connections
from impasto.server._limits import Limits

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

__all__ = ["Service"]

HOST = "127.0.0.1"
HOST_IPV6 = "::1"
MOST_PORT = 65_535
BACKLOG = 128
TRIES = 20  # attempts to find a port that is free for IPv4 and IPv6
GRACE_SECONDS = 1


class Service:
    """Serves routes to this machine, from a separate thread, until `stop` is called.

    Args:
        routes: Routes of the page.
        port: Port to open; 0 picks a free port.
        limits: Limits on clients.

    Raises:
        OutputError: The port is in use or not allowed.

    Attributes:
        port: The opened port.
        access: Token and checks of this launch.
    """

    def __init__(
        self, routes: Sequence[BaseRoute], port: int, limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        self._sockets = _loopback_sockets(port)
        self.port: int = self._sockets[0].getsockname()[1]
        self.access = Access(self.port)
        self._connections = Connections(limits)
        self._config = Config(
            secured(routes, self.access, limits),
            http=self._connections.protocol,  # type: ignore[arg-type]  # called like the class it replaces
            ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,
            proxy_headers=False, server_header=False, date_header=False, backlog=BACKLOG,
            h11_max_incomplete_event_size=limits.header_bytes, timeout_graceful_shutdown=GRACE_SECONDS,
        )  # fmt: skip
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._begun.wait()

    @property
    def address(self) -> str:
        """URL of the page, with the token."""
        return f"http://{HOST}:{self.port}/?token={self.access.token}"

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Schedules a call on the event loop's thread; does nothing after the service has stopped."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # raised when the loop is closed
            self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Closes all connections and frees the port; can be called repeatedly, from any thread but its own."""
        self.call(self._end)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._begun.set()

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = Server(self._config)
        serving = asyncio.create_task(server.serve(self._sockets))
        self._begun.set()
        await self._ended.wait()
        server.should_exit = True
        self._connections.close()
        await serving

    def _end(self) -> None:
        self._ended.set()


def _loopback_sockets(port: int) -> list[socket.socket]:
    """Opens listening sockets on one port, for IPv4 and, if available, IPv6.

    Both are opened so that no other program can serve ``localhost`` on that port.

    Raises:
        OutputError: The port is in use or not allowed.
    """
    if not 0 <= port <= MOST_PORT:
        raise OutputError(f"--port must be between 0 and {MOST_PORT}; got {port}.")
    for _ in range(TRIES if port == 0 else 1):
        try:
            return _pair(port)
        except OSError as error:
            failed = error
    raise OutputError(
        f"port {port} cannot be opened ({failed.strerror}); choose another with --port, or 0 for any free port."
    ) from failed


def _pair(port: int) -> list[socket.socket]:
    first = socket.create_server((HOST, port), backlog=BACKLOG)
    try:
        second = socket.create_server(
            (HOST_IPV6, first.getsockname()[1]), family=socket.AF_INET6, backlog=BACKLOG
        )
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            first.close()
            raise
        return [first]  # no IPv6 on this machine
    return [first, second]
