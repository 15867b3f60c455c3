"""Limits on the requests and connections of clients."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on clients.

    Attributes:
        connections: Maximum number of open connections. Beyond it, a new connection replaces the one that has been
            idle longest; if no connection is idle, the new one receives a 503.
        target_bytes: Maximum size of a request's path and query.
        header_bytes: Maximum total size of a request's headers.
        headers: Maximum number of headers of a request.
        body_bytes: Maximum size of a request's body.
        idle_seconds: Maximum time from connecting, or from the last response, until the next request's headers are
            complete.
        body_seconds: Maximum time to receive a request's body.
        stalled_seconds: Maximum time that a client may leave sent data unread.
    """

    connections: int = 64
    target_bytes: int = 4096
    header_bytes: int = 16 * 1024
    headers: int = 100
    body_bytes: int = 64 * 1024
    idle_seconds: float = 5.0
    body_seconds: float = 10.0
    stalled_seconds: float = 10.0
