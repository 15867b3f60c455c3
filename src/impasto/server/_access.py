"""Access checks: only requests to this machine, from our own page, and with the token are answered."""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Access"]

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HTTP_PORT = 80
TOKEN_BYTES = 32
READING = ("GET", "HEAD")
OWN_SITE = ("same-origin", "none")  # "none": typed address, bookmark, or opened by another program


class Access:
    """The token of one launch, and the checks applied to every request.

    Args:
        port: Port of the page.

    Attributes:
        token: Random token that grants access to the page.
        cookie: Name of the cookie that holds the token. It contains the port because browsers share cookies between
            all ports of a host.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.cookie = f"impasto-{port}"
        self._hosts = {f"{name}:{port}" for name in LOOPBACK_NAMES}
        if port == HTTP_PORT:
            self._hosts.update(LOOPBACK_NAMES)

    def check_source(self, request: Request) -> None:
        """Checks the target and origin of a request; `check_token` checks the token.

        Raises:
            HTTPException: 421 for a foreign Host, 403 for a request from another site.
        """
        host = _only(request, "host")
        if host is None or host.lower() not in self._hosts:
            raise HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST, "This page is only available at loopback addresses."
            )
        site = _only(request, "sec-fetch-site")
        if site not in OWN_SITE and "sec-fetch-site" in request.headers:
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "Requests from other sites are not allowed; paste the address into the address bar.",
            )
        if "origin" in request.headers:
            origin = _only(request, "origin")
            if origin is None or origin.lower() != f"http://{host.lower()}":
                raise HTTPException(
                    HTTPStatus.FORBIDDEN, "Requests from other origins are not allowed."
                )
        elif request.method not in READING and not self._has_header(request):
            raise HTTPException(
                HTTPStatus.FORBIDDEN, "Changes require an Origin header or a bearer token."
            )

    def check_token(self, request: Request) -> None:
        """Requires the token, in the cookie or as ``Authorization: Bearer TOKEN``.

        Raises:
            HTTPException: 401 if the token is missing or wrong.
        """
        if not self._has_header(request) and not self._is_token(
            request.cookies.get(self.cookie, "")
        ):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "The token from the address that impasto printed is required.",
            )

    def admit(self, request: Request) -> Response | None:
        """Exchanges ``?token=`` for the cookie with a redirect to ``/``; returns None without a valid token."""
        if request.method not in READING or not self._is_token(
            request.query_params.get("token", "")
        ):
            return None
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
        return response

    def _has_header(self, request: Request) -> bool:
        scheme, _, value = (_only(request, "authorization") or "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(value.strip())

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode())


def _only(request: Request, name: str) -> str | None:
    """Returns a header that was sent exactly once, else None."""
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 else None
