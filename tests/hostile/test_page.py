"""Attacks on the live page: other sites, other hosts, guessed tokens, slow clients."""

from __future__ import annotations

import json
import re
import select
import socket
import threading
import time

import pytest
from pages import Stage, ask, bearer, begin, eventually, frame, place
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from impasto.server import Limits, Page, Service

PATHS = ("/", "/figures", "/stream", "/look", "/static/page.css", "/nothing")
FOREIGN = ("evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:{port}",
           "evil.example@127.0.0.1:{port}", "localhost.:{port}", "0.0.0.0:{port}", "")  # fmt: skip


@pytest.fixture(scope="module")
def stage():
    return Stage("red", "a <b>")


@pytest.fixture(scope="module")
def page(stage):
    page = Page(stage, 0)
    page.show(frame(1))
    yield page
    page.close()


@pytest.fixture(scope="module")
def port(page):
    return place(page.address)[0]


@pytest.fixture(scope="module")
def key(page):
    """The header with the token."""
    return bearer(place(page.address)[1])


@pytest.fixture
def small():
    """Creates pages with custom limits and closes them after the test."""
    made = []

    def make(streams=8, **limits):
        made.append(Page(Stage("red"), 0, Limits(**limits), streams))
        made[-1].show(frame(1))
        return made[-1], *place(made[-1].address)

    yield make
    for page in made:
        page.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_gets_nothing(port, key, path, host):
    for method in ("GET", "POST"):
        answer = ask(port, path, {**key, "Host": host.format(port=port)}, method=method)
        assert answer.status == 421
        assert len(answer.body) < 100


def test_headers_that_are_missing_or_given_twice_get_nothing(port, key):
    token = key["Authorization"].encode()
    good = f"Host: 127.0.0.1:{port}\r\n".encode()
    own = f"Origin: http://127.0.0.1:{port}\r\n".encode()
    for lines, statuses in (
        (b"GET /figures HTTP/1.1\r\n" + good + b"Host: evil.example\r\n", (400, 421)),
        (b"GET /figures HTTP/1.1\r\n", (400,)),
        (b"GET /figures HTTP/1.0\r\n", (421,)),
        (b"GET /figures HTTP/1.1\r\n" + good + own + b"Origin: http://evil.example\r\n", (403,)),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(lines + b"Authorization: " + token + b"\r\n\r\n")
            said = client.recv(1000)
        assert int(said.split()[1]) in statuses
        assert b"number" not in said


@pytest.mark.parametrize("path", PATHS)
def test_another_origin_or_site_gets_nothing(port, key, path):
    own = f"http://127.0.0.1:{port}"
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": f"http://localhost:{port}"},  # the Host is 127.0.0.1
        {"Origin": own.replace("http:", "https:")},
        {"Origin": "null"},
        {"Origin": own, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    ):
        for method in ("GET", "POST"):
            assert ask(port, path, {**key, **headers}, method=method).status == 403


def test_a_change_needs_an_origin_or_a_token_in_a_header(port, key, page, stage):
    token = place(page.address)[1]
    cookie = {"Cookie": f"impasto-{port}={token}"}
    own = {"Origin": f"http://127.0.0.1:{port}"}
    stage.chosen.clear()

    def post(headers):
        return ask(port, "/look?name=red", headers, method="POST").status

    assert post({**cookie, "Host": "evil.example"}) == 421  # no Origin
    assert post(cookie) == 403
    assert post(own) == 401
    assert ask(port, "/look?name=red", {**cookie, **own}).status == 405  # a GET changes nothing
    assert stage.chosen == []
    assert post({**cookie, **own}) == 204
    assert post(key) == 204
    assert stage.chosen == ["red", "red"]


def test_without_the_token_nothing_is_shown_or_changed(port, page, stage):
    token = place(page.address)[1]
    stage.chosen.clear()
    own = {"Origin": f"http://127.0.0.1:{port}"}
    for wrong in ("", "x", token[:-1], token + "x", token.swapcase(), 43 * "\u00e9"):
        headers = {"Cookie": f"impasto-{port}={wrong}", "Authorization": f"Bearer {wrong}", **own}
        for path in ("/", "/figures", "/stream", "/nothing"):
            answer = ask(port, path, headers)
            assert answer.status == 401
            assert b"a <b>" not in answer.body
            assert "Set-Cookie" not in answer.headers
        assert ask(port, "/look?name=red", headers, method="POST").status == 401
    assert ask(port, "/?token=wrong").status == 401
    assert (
        ask(port, f"/figures?token={token}").status == 401
    )  # the token is accepted in the address of / only
    assert stage.chosen == []


def test_the_token_in_the_address_becomes_a_cookie(port, page):
    token = place(page.address)[1]
    assert len(token) >= 40
    first = ask(port, f"/?token={token}")
    assert (first.status, first.headers["Location"]) == (303, "/")
    cookie, *attributes = first.headers["Set-Cookie"].split("; ")
    assert {name.lower() for name in attributes} >= {"httponly", "samesite=strict", "path=/"}
    for path in ("/", "/figures"):
        assert ask(port, path, {"Cookie": cookie}).status == 200
    other = Page(Stage("red"), 0)
    try:
        assert place(other.address)[1] != token
    finally:
        other.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_every_loopback_name_works_fully(port, key, host):
    at = {**key, "Host": f"{host}:{port}"}
    assert ask(port, "/", at).status == 200
    assert json.loads(ask(port, "/figures", at).body)["number"] == 1
    own = {"Origin": f"http://{host}:{port}".lower()}
    assert ask(port, "/look?name=red", {**at, **own}, method="POST").status == 204


def test_the_page_listens_on_ipv6_where_there_is_some(port, key):
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    probe.close()
    assert ask(port, "/figures", key, host="::1").status == 200


def test_nothing_of_a_request_gets_into_headers(port, key):
    for target in (
        "/look?name=x%0d%0aSet-Cookie:%20evil=1",
        "/look?name=%0d%0a%0d%0a<script>",
        "/look%0d%0aX-Evil:1",
        "/static/%0d%0aX-Evil:1",
        "/figures/?x=evil",
        "/?token=x%0d%0aX-Evil:1",
    ):
        for method in ("GET", "POST"):
            answer = ask(port, target, key, method=method)
            assert answer.status in (200, 404, 405)
            said = str(answer.headers).lower() + answer.body.decode()
            assert "evil" not in said
            assert "Location" not in answer.headers
            assert "<script>" not in said


def test_only_looks_that_were_offered_are_looked_up(port, key, stage):
    stage.chosen.clear()
    for name in ("", "blue", "../red", "red%00", "RED", "red&name=blue&name=red"):
        status = ask(port, f"/look?name={name}", key, method="POST").status
        assert status == (204 if name.endswith("=red") else 404)
    assert ask(port, "/look?name=a%20%3Cb%3E", key, method="POST").status == 204
    assert set(stage.chosen) == {"red", "a <b>"}


def test_paths_do_not_leave_the_folder(port, key):
    for path in ("/static/../../_live.py", "/static/..%2f..%2f_live.py", "/static/%2e%2e/_app.py", "/static/",
                 "//evil.example/", "/static//etc/passwd"):  # fmt: skip
        assert ask(port, path, key).status == 404


def test_every_answer_has_the_security_headers(port, key):
    answers = [ask(port, path, key) for path in ("/", "/figures", "/static/live.js", "/nothing")]
    answers += [ask(port, "/"), ask(port, "/", {"Host": "evil.example"})]
    connection, stream = begin(port, "/stream", key)
    connection.close()
    for headers in [answer.headers for answer in answers] + [stream.headers]:
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Referrer-Policy" in headers
        assert "Server" not in headers


def test_the_page_has_no_inline_script_or_style(port, key):
    for text in (ask(port, "/", key).body.decode(), ask(port, "/").body.decode()):
        assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", text)
        assert "://" not in text  # nothing is loaded from other sites


def test_large_requests_are_refused(port, key):
    assert ask(port, "/figures?" + 5000 * "x", key).status in (400, 414)
    assert ask(port, "/figures", {**key, "X-Large": 20_000 * "x"}).status in (400, 431)
    many = {f"X-{number}": "x" for number in range(150)}
    assert ask(port, "/figures", {**key, **many}).status == 431
    large = {**key, "Content-Length": str(10**9)}
    assert ask(port, "/look?name=red", large, method="POST").status == 413
    assert ask(port, "/figures", key).status == 200


@pytest.fixture
def upload():
    """Creates services that return the size of a request body, and closes them; returns the port and headers."""
    made = []

    async def answer(request):
        return PlainTextResponse(str(len(await request.body())))

    def make(**limits):
        made.append(Service([Route("/upload", answer, methods=["POST"])], 0, Limits(**limits)))
        return made[-1].port, bearer(made[-1].access.token)

    yield make
    for service in made:
        service.stop()


def test_bodies_are_bounded_in_size(upload):
    port, key = upload(body_bytes=1000)

    def post(body, **headers):
        return ask(port, "/upload", {**key, **headers}, method="POST", body=body)

    chunk = b"320\r\n" + 800 * b"x" + b"\r\n"
    chunked = {"Transfer-Encoding": "chunked"}
    assert post(500 * b"x", **{"Content-Length": "500"}).body == b"500"
    assert post(chunk + b"0\r\n\r\n", **chunked).body == b"800"
    assert post(chunk + chunk + b"0\r\n\r\n", **chunked).status == 413


def test_bodies_are_bounded_in_time(upload):
    port, key = upload(body_seconds=0.3, idle_seconds=600)
    length = {"Content-Length": "900"}
    assert ask(port, "/upload", {**key, **length}, method="POST", body=b"x").status == 408
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        lines = {"Host": f"127.0.0.1:{port}", **key, **length}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        slow.sendall(f"POST /upload HTTP/1.1\r\n{head}\r\n".encode())
        eventually(lambda: not _drips_unanswered(slow))
        assert b" 408 " in slow.recv(1000)


def _drips_unanswered(client):
    """Sends a byte and briefly waits for a response; returns whether none came."""
    client.sendall(b"x")
    return not select.select([client], [], [], 0.1)[0]


def test_idle_connections_hold_no_threads_and_keep_nobody_out(small):
    resource = pytest.importorskip("resource")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most != resource.RLIM_INFINITY and most < 800:
        pytest.skip(f"this machine allows {most} open files; the test needs 800")
    _page, port, token = small(idle_seconds=600.0)
    threads = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(500)]
    try:
        assert threading.active_count() == threads
        for _ in range(3):
            assert ask(port, "/figures", bearer(token)).status == 200
    finally:
        for client in idle:
            client.close()


def test_beyond_the_cap_of_busy_connections_there_is_a_503(small):
    page, port, token = small(connections=3)
    held = [begin(port, "/stream", bearer(token)) for _ in range(3)]
    for number, (_connection, response) in enumerate(held):
        page.show(frame(2 + number))
        assert response.read(7) == b"--frame"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        said = client.recv(2000)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"Content-Security-Policy" in said
    held.pop()[0].close()
    eventually(lambda: _status(port, token) == 200)
    for connection, _response in held:
        connection.close()


def _status(port, token):
    try:
        return ask(port, "/figures", bearer(token)).status
    except OSError:
        return 0  # the connection was refused


def test_streams_are_capped_and_end_with_their_client(small):
    _page, port, token = small(streams=1)
    connection, response = begin(port, "/stream", bearer(token))
    assert response.status == 200
    assert ask(port, "/stream", bearer(token)).status == 503
    connection.close()
    response.close()
    eventually(lambda: _stream_opens(port, token))


def _stream_opens(port, token):
    connection, response = begin(port, "/stream", bearer(token))
    connection.close()
    response.close()
    return response.status == 200


def test_a_client_that_does_not_read_is_cut(small):
    page, port, token = small(streams=1, stalled_seconds=0.2)
    connection, response = begin(port, "/stream", bearer(token))
    number = 1

    def another_can_watch():
        nonlocal number
        number += 1
        page.show(frame(number, size=1000))
        return _stream_opens(port, token)

    eventually(another_can_watch)
    connection.close()
    response.close()


def test_silent_and_slow_clients_are_cut(small):
    _page, port, _token = small(idle_seconds=0.5)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
        assert silent.recv(1) == b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Slow: ".encode())
        eventually(lambda: _drips_are_refused(slow))


def test_clients_that_dawdle_after_an_answer_are_cut(small):
    _page, port, token = small(idle_seconds=2)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as kept:
        lines = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        kept.sendall(f"GET /figures HTTP/1.1\r\n{lines}\r\n".encode())
        assert b" 200 " in kept.recv(4000)
        eventually(lambda: _drips_are_refused(kept))


def test_what_is_no_request_gets_a_400(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as rubbish:
        rubbish.sendall(b"\x16\x03\x01 rubbish\r\n\r\n")
        assert b" 400 " in rubbish.recv(4000)


def _drips_are_refused(client):
    try:
        client.sendall(b"x")
    except OSError:
        return True
    time.sleep(0.05)
    return False


def test_closing_ends_streams_and_frees_the_port(small):
    page, port, token = small()
    silent = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection, response = begin(port, "/stream", bearer(token))
    assert response.status == 200
    began = time.monotonic()
    page.close()
    page.close()
    assert time.monotonic() - began < 2
    page.show(frame(9))  # without viewers this does nothing
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=30)
    for one in (silent, connection, response):
        one.close()
    again = Page(Stage("red"), port)
    assert place(again.address)[0] == port
    again.close()
