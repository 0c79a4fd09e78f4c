"""The WSGI app: for Flask, Django, or any WSGI server on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .access import Protect
from .answers import OpenCircuits, Site, too_large
from .messages import Refused, Request
from .mounts import check_prefix, is_under
from .sources import States, source_of

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def resilience_app(
    functions: Iterable[Callable[..., Any]] | None = None,
    *,
    states: States | None = None,
    token: str | None = None,
    protect: Protect = "clear",
    open_circuits: OpenCircuits = "ok",
) -> ResilienceWSGI:
    """A WSGI app with the page and its figures, to be mounted or served: the twin of the ASGI one.

    `GET /` the page, `GET /stats.json` what it draws (`?window=60`, `3600`, `86400` seconds), `GET /metrics` for
    Prometheus, `GET /cache/stats`, `GET /healthz`, and `POST /cache/clear` (`?function=…` for one). In Flask:
    `app.wsgi_app = mounted(app.wsgi_app, "/ops", resilience_app())`. Keys, values and the texts of errors are never
    shown.

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
    return ResilienceWSGI(site)


class ResilienceWSGI:
    """A WSGI application (PEP 3333); any number of threads may be in it.

    Args:
        site: What knows the answers.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        request = _request(environ)
        plan = self._site.plan(request)
        answer = plan.answer(_body(environ, plan.limit) if plan.limit else b"")
        start_response(f"{answer.status} {answer.reason}", answer.head())
        return [] if request.method == "HEAD" else [answer.body]


def mounted(app: WSGIApplication, prefix: str, inner: WSGIApplication) -> WSGIApplication:
    """*app*, with *inner* answering under *prefix*.

    With Flask: `app.wsgi_app = mounted(app.wsgi_app, "/ops", resilience_app())`; with Django, in `wsgi.py`:
    `application = mounted(get_wsgi_application(), "/ops", resilience_app())`.

    Args:
        app: What answers everything else.
        prefix: Such as `/ops`; a path is under it if it equals it or goes on with a slash.
        inner: What answers there.

    Raises:
        ValueError: *prefix* does not begin with a slash, or ends with one.
    """
    check_prefix(prefix)

    def either(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not is_under(_decoded(path), prefix):
            return app(environ, start_response)
        wire = prefix.encode().decode("latin-1")  # PEP 3333: text that stands for bytes
        script, rest = environ.get("SCRIPT_NAME", "") + wire, path[len(wire) :]
        return inner({**environ, "SCRIPT_NAME": script, "PATH_INFO": rest}, start_response)

    return either


def _request(environ: WSGIEnvironment) -> Request:
    headers = {
        name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name.startswith("HTTP_")
    }
    return Request(
        environ["REQUEST_METHOD"],
        _decoded(environ.get("PATH_INFO", "")),
        environ.get("QUERY_STRING", ""),
        headers,
        _decoded(environ.get("SCRIPT_NAME", "")).rstrip("/"),
    )


def _decoded(path: str) -> str:
    """A path as text; PEP 3333 hands its bytes over one character each."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _body(environ: WSGIEnvironment, limit: int) -> bytes | Refused:
    """The whole body, or why it is refused.

    A body of unknown length is read only where the server marks its end, as reading on would hang elsewhere.
    """
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH", "").strip()
    if environ.get("wsgi.input_terminated"):
        body = _read(stream, limit + 1)
        return body if len(body) <= limit else too_large(limit)
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return Refused(411, "LENGTH_REQUIRED", "this server needs the length of the body in Content-Length")
    if not length:
        return b""
    if not (length.isascii() and length.isdecimal()):
        return Refused(400, "INVALID_REQUEST", "Content-Length must be a whole number")
    if len(length.lstrip("0")) > len(str(limit)) or int(length.lstrip("0") or "0") > limit:
        return too_large(limit)
    wanted = int(length.lstrip("0") or "0")
    body = _read(stream, wanted)
    return body if len(body) == wanted else Refused(400, "INVALID_REQUEST", "the body ended too early")


def _read(stream: Any, length: int) -> bytes:
    """*length* bytes, or what there is; a stream may give less than asked for."""
    body = b""
    while len(body) < length:
        piece = stream.read(length - len(body))
        if not piece:
            break
        body += piece
    return body
