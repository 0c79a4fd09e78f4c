"""Who may ask for what."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from .messages import Refused, Request

Protect: TypeAlias = Literal["clear", "all"]
"""What the token guards: clearing the caches only, or everything but `/healthz`."""

_TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII: what every client and proxy carries unchanged in a header."""
_READS = ("GET", "HEAD")


class Access:
    """Looks at the `Authorization` header, in a time that tells nothing of the token.

    Args:
        token: The secret; None: nobody may clear, and everybody may look.
        protect: `"clear"`: the token is asked for where something is changed; `"all"`: for looking as well.

    Raises:
        TypeError: The token is no text.
        ValueError: The token is empty or has characters that headers do not carry, or `protect` is neither.
    """

    def __init__(self, token: str | None = None, protect: Protect = "clear") -> None:
        if token is not None and not isinstance(token, str):
            raise TypeError(f"token must be text or None, got {type(token).__name__}")
        if token is not None and not _TOKEN.fullmatch(token):
            raise ValueError(
                "token must be at least one visible ASCII character and have no spaces, got "
                + ("one that is empty: is the variable set?" if not token else "one that is not (not shown here)")
            )
        if protect not in get_args(Protect):
            raise ValueError(f"protect must be 'clear' or 'all', got {protect!r}")
        if protect == "all" and token is None:
            raise ValueError("protect='all' needs a token: give token=...")
        self._token = token
        self._all = protect == "all"

    def may_look(self, request: Request) -> bool:
        """Whether this client may see what there is."""
        return not self._all or self._knows(request)

    def demand_look(self, request: Request) -> None:
        """Refuse who may not look.

        Raises:
            Refused: 401.
        """
        if not self.may_look(request):
            raise self._unknown("everything here but /healthz")

    def demand_change(self, request: Request) -> None:
        """Refuse who may not change anything.

        Raises:
            Refused: 403 if no token was configured, 401 if it was not sent.
        """
        if self._token is None:
            raise Refused(
                403,
                "FORBIDDEN",
                "clearing is off, as no token was configured: make the app with resilience_app(token=...), or start "
                "the server with --token-env VARIABLE, and send it as 'Authorization: Bearer <token>'",
            )
        if not self._knows(request):
            raise self._unknown("clearing")

    def _unknown(self, what: str) -> Refused:
        schemes = 'Bearer realm="pyresilience"' + (', Basic realm="pyresilience", charset="UTF-8"' if self._all else "")
        message = f"{what} needs the token that was configured: send it as 'Authorization: Bearer <token>'"
        return Refused(401, "UNAUTHORIZED", message, [("WWW-Authenticate", schemes)])

    def _knows(self, request: Request) -> bool:
        """Whether the client sent the token.

        As a browser asks for a password where a page needs one, and sends no Bearer of its own accord, the token will
        do as a Basic password; for looking only, since browsers add it to requests that other sites make them send.
        """
        from hmac import compare_digest

        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        given = given.strip()
        if scheme.lower() == "basic" and request.method in _READS:
            given = _password(given)
        elif scheme.lower() != "bearer":
            return False
        return compare_digest(given.encode("utf-8", "replace"), (self._token or "").encode()) and bool(given)


def _password(credentials: str) -> str:
    """The password of RFC 7617 credentials; empty: they are none."""
    from base64 import b64decode

    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:  # not base64, or not UTF-8
        return ""
