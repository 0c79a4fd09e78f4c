"""The ASGI app: for FastAPI, Starlette, Django's ASGI side, or any ASGI server on its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import unquote

from .access import Protect
from .answers import OpenCircuits, Site, too_large
from .messages import Answer, Refused, Request
from .mounts import check_prefix, is_under
from .sources import States, source_of

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def resilience_app(
    functions: Iterable[Callable[..., Any]] | None = None,
    *,
    states: States | None = None,
    token: str | None = None,
    protect: Protect = "clear",
    open_circuits: OpenCircuits = "ok",
) -> ResilienceASGI:
    """An ASGI app with the page and its figures, to be mounted or served.

    `GET /` the page, `GET /stats.json` what it draws (`?window=60`, `3600`, `86400` seconds), `GET /metrics` for
    Prometheus, `GET /cache/stats`, `GET /healthz`, and `POST /cache/clear` (`?function=…` for one). In FastAPI:
    `app.mount("/ops", resilience_app())`. Keys, values and the texts of errors are never shown.

    Args:
        functions: Decorated functions with metrics; None: all of this process, those decorated later included.
        states: What gives the states to show instead, such as an exporter's `states`; then nothing can be cleared.
        token: The secret that `POST /cache/clear` demands as `Authorization: Bearer …`; None: clearing is off.
        protect: What demands the token: `"clear"`: only clearing; `"all"`: everything but `/healthz`, where browsers
            may send it as the password they ask for, whatever the user name.
        open_circuits: What `/healthz` makes of an open circuit: `"ok"`: nothing, `"fail"`: 503. A request may say
            otherwise: `/healthz?open_circuits=fail`.

    Raises:
        TypeError: *functions* is not an iterable of functions, or *token* is no text.
        ValueError: A function has no metrics, *functions* and *states* are both given, or a setting is not one of
            those above.
    """
    site = Site(source_of(functions, states), token=token, protect=protect, open_circuits=open_circuits)
    return ResilienceASGI(site)


class ResilienceASGI:
    """An ASGI 3 application; it needs no event loop of a certain make, and starts nothing.

    Args:
        site: What knows the answers.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one lifespan."""
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": "there is no WebSocket here"})
        else:
            raise ValueError(f"an ASGI scope must be of type http, lifespan or websocket, got {kind!r}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        plan = self._site.plan(_request(scope))
        body: bytes | Refused = b""
        if plan.limit:
            try:
                body = await _body(receive, plan.limit)
            except ConnectionError:  # the client is gone: nobody hears an answer
                return
        try:
            await _send(plan.answer(body), send, bodiless=scope["method"] == "HEAD")
        except OSError:  # gone as well, as ASGI 2.4 tells it
            return


def mounted(app: App, prefix: str, inner: App) -> App:
    """*app*, with *inner* answering under *prefix*: for frameworks without a mount of their own.

    With Django: `application = mounted(get_asgi_application(), "/ops", resilience_app())`.

    Args:
        app: What answers everything else, lifespans included.
        prefix: Such as `/ops`; a path is under it if it equals it or goes on with a slash.
        inner: What answers there.

    Raises:
        ValueError: *prefix* does not begin with a slash, or ends with one.
    """
    check_prefix(prefix)

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            prefix_so_far, path = _split(scope)
            if is_under(path, prefix):
                await inner({**scope, "root_path": prefix_so_far + prefix}, receive, send)
                return
        await app(scope, receive, send)

    return either


def _request(scope: Scope) -> Request:
    prefix, path = _split(scope)
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(scope["method"], path, scope.get("query_string", b"").decode("latin-1"), headers, prefix)


def _split(scope: Scope) -> tuple[str, str]:
    """The prefix of a mount and the path in it.

    By ASGI the path holds the prefix; older servers and frameworks took it away. Where both readings are possible
    the path as it came over the wire decides.
    """
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "").rstrip("/")
    whole = unquote(scope.get("raw_path", b"").decode("latin-1"))
    taken_away = path != whole == prefix + path
    return prefix, path[len(prefix) :] if prefix and is_under(path, prefix) and not taken_away else path


async def _body(receive: Receive, limit: int) -> bytes | Refused:
    """The whole body, however many pieces it comes in, or why it is refused.

    Raises:
        ConnectionError: The client went away.
    """
    body = b""
    while len(body) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body if len(body) <= limit else too_large(limit)
    return too_large(limit)


async def _send(answer: Answer, send: Send, *, bodiless: bool) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.head()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else answer.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """There is nothing to start and nothing to stop; some servers want to hear it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
