"""A live page without a stylizer, and HTTP requests with arbitrary headers."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import numpy as np

from impasto.errors import UsageError
from impasto.pipeline.live import LiveFrame

WAIT_SECONDS = 60


class Stage:
    """A substitute for `Live` that records switches."""

    def __init__(self, *looks: str) -> None:
        self.looks, self.chosen = looks, []

    def switch(self, name: str) -> None:
        if name not in self.looks:
            raise UsageError("unknown look")
        self.chosen.append(name)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def frame(number: int, size: int = 32, look: str = "red") -> LiveFrame:
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return LiveFrame(
        pixels=pixels, number=number, look=look, latency_seconds=0.1, rate=10.0, dropped=0
    )


def place(address: str) -> tuple[int, str]:
    """Returns the port and token of a printed address."""
    parts = urlsplit(address)
    assert parts.port is not None
    return parts.port, parse_qs(parts.query)["token"][0]


def begin(
    port: int,
    target: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    host: str = "127.0.0.1",
    body: bytes | None = None,
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Sends a request without reading the response body; `headers` may replace Host."""
    connection = http.client.HTTPConnection(host, port, timeout=WAIT_SECONDS)
    headers = dict(headers or {})
    connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    return connection, connection.getresponse()


def ask(port: int, target: str, headers: Mapping[str, str] | None = None, **more) -> Answer:
    """Sends a request and reads the entire response."""
    connection, response = begin(port, target, headers, **more)
    try:
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def eventually(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds."""
    ends = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < ends, "the condition never became true"
        time.sleep(0.02)
