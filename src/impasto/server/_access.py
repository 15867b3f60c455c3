"""Which requests are answered: those to this machine, from our own page, by someone who has the token."""

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
OWN_SITE = ("same-origin", "none")  # "none": typed, bookmarked, or opened by another program


class Access:
    """The token of one launch, and the checks of every request.

    Args:
        port: That the page is served on.

    Attributes:
        token: Random; everyone who has it may use the page.
        cookie: Name of the cookie that holds the token. It contains the port, because browsers share cookies between
            the ports of a host.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.cookie = f"impasto-{port}"
        self._hosts = {f"{name}:{port}" for name in LOOPBACK_NAMES}
        if port == HTTP_PORT:
            self._hosts.update(LOOPBACK_NAMES)

    def check_source(self, request: Request) -> None:
        """Checks where a request goes to and comes from; the token is checked by `check_token`.

        Raises:
            HTTPException: 421 for a Host that is not ours, 403 for another site's request.
        """
        host = _only(request, "host")
        if host is None or host.lower() not in self._hosts:
            raise HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST, "This page answers to loopback addresses only."
            )
        site = _only(request, "sec-fetch-site")
        if site not in OWN_SITE and "sec-fetch-site" in request.headers:
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "Requests from other sites are refused; paste the address into the address bar.",
            )
        if "origin" in request.headers:
            origin = _only(request, "origin")
            if origin is None or origin.lower() != f"http://{host.lower()}":
                raise HTTPException(
                    HTTPStatus.FORBIDDEN, "Requests from other origins are refused."
                )
        elif request.method not in READING and not self._has_header(request):
            raise HTTPException(
                HTTPStatus.FORBIDDEN, "Changes need an Origin header or a bearer token."
            )

    def check_token(self, request: Request) -> None:
        """Requires the token, in the cookie or as ``Authorization: Bearer TOKEN``.

        Raises:
            HTTPException: 401 without it.
        """
        if not self._has_header(request) and not self._is_token(
            request.cookies.get(self.cookie, "")
        ):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED, "This needs the token of the address that impasto printed."
            )

    def admit(self, request: Request) -> Response | None:
        """Turns ``?token=`` into the cookie: a redirect to the same path, or None where there is no valid token."""
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
    """A header that was sent exactly once."""
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 else None
