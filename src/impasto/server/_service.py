"""Starts and stops a page: its sockets on the loopback interfaces, and a thread with uvicorn."""

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
TRIES = 20  # of finding a port that is free for both
GRACE_SECONDS = 1


class Service:
    """Serves routes to this machine, from a thread of its own, until `stop`.

    Args:
        routes: Of the page.
        port: 0 takes any that is free.
        limits: Bounds on clients.

    Raises:
        OutputError: The port is taken, or not allowed.

    Attributes:
        port: That was opened.
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
            http=self._connections.protocol,  # type: ignore[arg-type]  # called like the class that it stands for
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
        """Where a browser finds the page, with the token."""
        return f"http://{HOST}:{self.port}/?token={self.access.token}"

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Calls on the thread of the event loop, soon; does nothing once the service has stopped."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Cuts every connection and frees the port; from any thread but the service's own, any number of times."""
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
    """Listening sockets of one port, IPv4 and, where the machine has it, IPv6.

    Both, so that no other program can answer for ``localhost`` on that port.

    Raises:
        OutputError: The port is taken, or not allowed.
    """
    if not 0 <= port <= MOST_PORT:
        raise OutputError(f"--port must be between 0 and {MOST_PORT}; got {port}.")
    for _ in range(TRIES if port == 0 else 1):
        try:
            return _pair(port)
        except OSError as error:
            failed = error
    raise OutputError(
        f"port {port} cannot be opened ({failed.strerror}); choose another with --port, or 0 for any that is free."
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
        return [first]  # no IPv6 here
    return [first, second]
