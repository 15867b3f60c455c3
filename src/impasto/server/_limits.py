"""How much one client may send, hold and take."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on clients.

    Attributes:
        connections: Open at once. Beyond it, a new connection replaces the one that has been idle longest; when every
            connection is being answered, it gets a 503.
        target_bytes: Path and query of a request.
        header_bytes: All headers of a request.
        headers: Number of headers of a request.
        body_bytes: Body of a request.
        idle_seconds: From connecting, or from the last response, until the next request's headers are complete.
        body_seconds: For the body of a request to arrive.
        stalled_seconds: For a client that does not read what was sent to it.
    """

    connections: int = 64
    target_bytes: int = 4096
    header_bytes: int = 16 * 1024
    headers: int = 100
    body_bytes: int = 64 * 1024
    idle_seconds: float = 5.0
    body_seconds: float = 10.0
    stalled_seconds: float = 10.0
