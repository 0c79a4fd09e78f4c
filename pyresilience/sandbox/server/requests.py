"""One request as the routes see it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from uuid import uuid4

from ...http.asgi import Receive, Scope, _split
from ...http.messages import Answer

Handler: TypeAlias = Callable[["Request"], Awaitable[Answer]]
Methods: TypeAlias = Mapping[str, Handler]
"""What answers at one path, by method."""

_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Args:
        id: What it is called in the answer and the log: the client's own `X-Request-ID`, or a new one.
        method: In capitals.
        path: Decoded, and relative to where the app is mounted.
        prefix: Where the app is mounted; empty: at the root.
        headers: By lower-case name.
        scheme: `http` or `https`.
        client: The address that it came from; empty: not known.
        server: The address and port that it came to; None: not known.
        gone: Returns when the client went away; to be asked once the body was read.
        body: What it brought.
    """

    id: str
    method: str
    path: str
    prefix: str
    headers: Mapping[str, str]
    scheme: str
    client: str
    server: tuple[str, int | None] | None
    gone: Callable[[], Awaitable[object]]
    body: bytes = b""

    @property
    def origin(self) -> str:
        """The address of this server as the client knows it, without a slash at the end.

        A `Host` that is none is not repeated: the address that the request came to stands in.
        """
        host = self.headers.get("host", "")
        if not _HOST.fullmatch(host):
            name, port = self.server or ("localhost", None)
            name = f"[{name}]" if ":" in name else name
            host = name if port is None else f"{name}:{port}"
        return f"{self.scheme}://{host}{self.prefix}"

    @property
    def bearer(self) -> str:
        """The token that it brought; empty: none."""
        scheme, _, given = self.headers.get("authorization", "").partition(" ")
        return given.strip() if scheme.lower() == "bearer" else ""


def request_of(scope: Scope, receive: Receive) -> Request:
    """The request that an ASGI server tells of, without its body."""
    prefix, path = _split(scope)
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    given = headers.get("x-request-id", "")
    client = scope.get("client")
    return Request(
        id=given if _ID.fullmatch(given) else str(uuid4()),
        method=scope["method"],
        path=path or "/",
        prefix=prefix,
        headers=headers,
        scheme=scope.get("scheme", "http"),
        client=client[0] if client else "",
        server=scope.get("server"),
        gone=lambda: disconnected(receive),
    )


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
