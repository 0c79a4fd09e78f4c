"""The app in each of its forms, and what drives it: a WSGI gateway that checks, and an ASGI one on both event loops."""

from __future__ import annotations

import io
import json
from urllib.parse import unquote, unquote_to_bytes
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import anyio

from pyresilience.http import asgi, wsgi

PATIENCE = 20.0
METHODS = {"GET", "HEAD", "POST", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE"}
"""What the checking WSGI gateway knows."""


class Answered:
    """What a client received."""

    def __init__(self, status, headers, body):
        self.status = status
        self.list = [(name.lower(), value) for name, value in headers]
        self.headers = dict(self.list)
        assert len(self.headers) == len(self.list), "a header stands there twice"
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


class Client:
    """Sends requests to an app of one kind: `wsgi`, `asyncio` or `trio`."""

    def __init__(self, kind):
        self.kind = kind
        self.module = wsgi if kind == "wsgi" else asgi

    def app(self, *arguments, **settings):
        return self.module.resilience_app(*arguments, **settings)

    def mounted(self, prefix, inner):
        return self.module.mounted(nothing_wsgi if self.kind == "wsgi" else nothing_asgi, prefix, inner)

    def __call__(self, app, method, target, *, headers=None, body=b"", prefix="", pieces=None):
        """*target* as on the wire, percent-encoded; *prefix*: where an outer framework has mounted the app."""
        path, _, query = target.partition("?")
        if self.kind == "wsgi":
            return through_wsgi(app, method, path, query, headers or {}, body, prefix)
        scope = http_scope(method, path, query, headers or {}, prefix)
        return anyio.run(through_asgi, app, scope, pieces or [body], backend=self.kind)

    def get(self, app, target, **how):
        return self(app, "GET", target, **how)

    def post(self, app, target="/cache/clear", *, token=None, **how):
        if token is not None:
            how["headers"] = {**how.get("headers", {}), "Authorization": f"Bearer {token}"}
        return self(app, "POST", target, **how)


def nothing_wsgi(environ, start_response):
    """What stands around a mounted app."""
    start_response("418 I'm a Teapot", [("Content-Type", "text/plain")])
    return [b"outside"]


async def nothing_asgi(scope, receive, send):
    """What stands around a mounted app."""
    await send({"type": "http.response.start", "status": 418, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"outside"})


def environ_of(method, path, query, headers, body, prefix):
    """What a WSGI server makes of a request."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": prefix,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, value in headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    setup_testing_defaults(environ)
    return environ


def through_wsgi(app, method, path, query, headers, body, prefix):
    """One request through a gateway that holds app and server to PEP 3333."""
    told = []

    def start_response(status, headers, exc_info=None):
        told.append((int(status[:3]), headers))
        return lambda data: None

    checked = validator(app) if method in METHODS else app  # it knows no others
    parts = checked(environ_of(method, path, query, headers, body, prefix), start_response)
    try:
        sent = b"".join(parts)
    finally:
        if checked is not app:
            parts.close()
    (status, fields) = told[0]
    return Answered(status, fields, sent)


def http_scope(method, path, query="", headers=None, prefix=""):
    """What an ASGI server makes of a request: the path holds the prefix."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": prefix + unquote(path),
        "raw_path": (prefix + path).encode(),
        "root_path": prefix,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def through_asgi(app, scope, pieces):
    """One request through a gateway that holds the app to the order of ASGI's messages."""
    left = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
    left[-1] = {**left[-1], "more_body": False}
    heard = []

    async def receive():
        await anyio.lowlevel.checkpoint()
        if not left:
            await anyio.sleep_forever()  # the client stays
        return left.pop(0)

    async def send(message):
        await anyio.lowlevel.checkpoint()
        heard.append(message)

    with anyio.fail_after(PATIENCE):
        await app(scope, receive, send)
    start, *rest = heard
    assert start["type"] == "http.response.start"
    assert [each["type"] for each in rest] == ["http.response.body"] * len(rest)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Answered(start["status"], headers, b"".join(each["body"] for each in rest))
