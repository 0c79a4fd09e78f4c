"""The apps under a prefix: in real frameworks, and in the ways that servers say it."""

from __future__ import annotations

import re

import anyio
import pytest
from gateways import http_scope, nothing_asgi, through_asgi, through_wsgi

from pyresilience.http import asgi, wsgi
from pyresilience.http.files import INDEX, shipped

TOKEN = "correct-horse"


def fastapi(inner):
    """FastAPI, mounted as its documentation says."""
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/ops", inner)

    @app.get("/")
    async def root():
        return "outside"

    return app


def starlette(inner):
    """Starlette, mounted two levels deep, and seen as one."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def root(request):
        return PlainTextResponse("outside")

    return Starlette(routes=[Route("/", root), Mount("/ops", routes=[Mount("", app=inner)])])


@pytest.fixture
def django():
    """Django's settings, which there is one of per process."""
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test", LOGGING_CONFIG=None, MIDDLEWARE=[]
        )


def outside(request):
    """The view of the Django site around ours."""
    from django.http import HttpResponse

    return HttpResponse("outside")


class _Patterns(list):
    """Django's URLs, made when it asks for them."""

    def __iter__(self):
        from django.urls import path

        return iter([path("", outside)])


urlpatterns = _Patterns()


def django_asgi(inner):
    """Django's ASGI application, with ours beside it."""
    from django.core.asgi import get_asgi_application

    return asgi.mounted(get_asgi_application(), "/ops", inner)


def flask(inner):
    """Flask, with ours in front of it."""
    from flask import Flask

    app = Flask("shop")
    app.route("/")(lambda: "outside")
    app.wsgi_app = wsgi.mounted(app.wsgi_app, "/ops", inner)
    return app


def werkzeug(inner):
    """Flask, mounted with Werkzeug's own dispatcher."""
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = Flask("shop")
    app.route("/")(lambda: "outside")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/ops": inner})
    return app


def django_wsgi(inner):
    """Django's WSGI application, with ours beside it."""
    from django.core.wsgi import get_wsgi_application

    return wsgi.mounted(get_wsgi_application(), "/ops", inner)


class Site:
    """A framework with the app mounted at `/ops`."""

    def __init__(self, frame, functions):
        self.is_asgi = frame in (fastapi, starlette, django_asgi)
        module = asgi if self.is_asgi else wsgi
        self.app = frame(module.resilience_app(functions, token=TOKEN))

    def __call__(self, method, target, headers=None, body=b""):
        path, _, query = target.partition("?")
        headers = {"Host": "testserver", **(headers or {})}
        if self.is_asgi:
            return anyio.run(through_asgi, self.app, http_scope(method, path, query, headers), [body])
        return through_wsgi(self.app, method, path, query, headers, body, "")


@pytest.fixture(params=[fastapi, starlette, django_asgi, flask, werkzeug, django_wsgi], ids=lambda each: each.__name__)
def site(request, price, django):
    """The app mounted in one framework."""
    return Site(request.param, [price])


def test_every_route_works_in_a_framework(site):
    """Under the prefix each route answers, and the paths of the framework stay its own."""
    assert b"outside" in site("GET", "/").body
    assert site("GET", "/ops/").body == shipped()[INDEX].content
    for path in ("/metrics", "/stats.json?window=60", "/cache/stats", "/healthz", "/page/page.css"):
        assert site("GET", f"/ops{path}").status == 200, path
    assert site("HEAD", "/ops/metrics").body == b""
    assert site("GET", "/ops/nowhere").json["path"] == "/ops/nowhere"
    assert site("GET", "/opsmetrics").status == 404
    assert "pyresilience" not in site("GET", "/metrics").text


def test_clearing_works_in_a_framework(site, price):
    """A POST reaches the app with its body and its header."""
    refused = site("POST", "/ops/cache/clear", body=b"{}")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="pyresilience"')
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert site("POST", "/ops/cache/clear", bearer, b'{"function": "nobody"}').status == 404
    assert site("POST", "/ops/cache/clear", bearer, b"{}").json["entries_removed"] == 2


def test_the_mount_point_leads_to_the_page(site):
    """Without its slash the mount point leads on to itself with one, where the page's addresses hold."""
    answer = site("GET", "/ops")
    assert answer.status in (307, 308)
    assert re.search(r"(^\./|/)ops/$", answer.headers["location"])


@pytest.mark.parametrize(
    ("prefix", "location"),
    [
        ("/ops", "./ops/"),
        ("/a/b/ops", "./ops/"),
        ("/with space", "./with%20space/"),
        ("/a:b", "./a%3Ab/"),
        ("//evil.example", "./evil.example/"),
        ("/x\r\nSet-Cookie: a=b", "./x%0D%0ASet-Cookie%3A%20a%3Db/"),
        ("/..", "./../"),
    ],
)
def test_no_mount_point_leads_to_another_host(client, price, prefix, location):
    """The redirect is relative to the address that the browser asked for, and nothing can be smuggled into it."""
    answer = client(client.app([price]), "GET", "", prefix=prefix)
    assert (answer.status, answer.headers["location"]) == (307, location)


def test_the_redirect_keeps_the_query(client, price):
    """What was asked for at the mount point is asked for at the page."""
    answer = client(client.app([price]), "GET", "?window=60&a=%20%22", prefix="/ops")
    assert answer.headers["location"] == "./ops/?window=60&a=%20%22"


@pytest.mark.parametrize("prefix", ["/ops", "/ops/deep", "/ünï", "/metrics", "/page"])
@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/page/page.css", "/"])
def test_a_prefix_may_be_called_anything(client, price, prefix, path):
    """The prefix is no part of the route, even if it looks like one."""
    app = client.app([price])
    wire = prefix.encode().decode("latin-1") if client.kind == "wsgi" else prefix
    answer = client.get(app, path, prefix=wire)
    assert answer.status == 200
    assert client.get(app, "/no", prefix=wire).json["path"] == f"{prefix}/no"


@pytest.mark.parametrize("prefix", ["/ops", "/metrics"])
@pytest.mark.parametrize("raw", ["whole", "stripped", "missing"])
@pytest.mark.parametrize("path", ["/metrics", "/page/page.css", "/"])
def test_older_frameworks_take_the_prefix_away(price, prefix, raw, path):
    """Frameworks that take the prefix off the path are understood as well as those that leave it there."""
    scope = {**http_scope("GET", path), "root_path": prefix}
    scope["raw_path"] = {"whole": prefix + path, "stripped": path, "missing": ""}[raw].encode()
    if raw == "missing":
        del scope["raw_path"]
    answer = anyio.run(through_asgi, asgi.resilience_app([price]), scope, [b""])
    # Where prefix and route are the same and nothing tells more, it is as ASGI says today: the mount point.
    assert answer.status == (307 if raw != "whole" and path == prefix else 200)


def test_the_root_of_a_server_needs_no_slash(price):
    """An empty path without a prefix is the root, and no mount point."""
    app = wsgi.resilience_app([price])
    assert through_wsgi(app, "GET", "", "", {}, b"", "/ops").status == 307
    scope = {**http_scope("GET", ""), "path": ""}
    assert anyio.run(through_asgi, asgi.resilience_app([price]), scope, [b""]).status == 200


def test_mounted_parts_paths_at_slashes(client, price):
    """`mounted` gives away what is under the prefix, and nothing that only begins alike."""
    both = client.mounted("/a/ops", client.app([price]))
    assert client.get(both, "/a/ops/healthz").status == 200
    assert client.get(both, "/a/ops").headers["location"] == "./ops/"
    for path in ("/a/opsy/healthz", "/a", "/a/op", "/", "/A/ops/healthz"):
        assert client.get(both, path).status == 418, path


def test_mounts_can_be_nested(client, price):
    """An app can be mounted in something that is mounted."""
    both = client.mounted("/inner", client.app([price]))
    assert client.get(both, "/inner/no", prefix="/outer").json["path"] == "/outer/inner/no"


@pytest.mark.parametrize("prefix", ["ops", "/ops/", "/", ""])
def test_what_is_no_prefix_is_refused(client, price, prefix):
    """A wrong prefix is a clear error at once."""
    with pytest.raises(ValueError, match="must begin with a slash"):
        client.mounted(prefix, client.app([price]))


def test_mounted_leaves_lifespans_to_the_framework(price):
    """The application around hears of start and stop; websockets under the prefix come to the app."""
    heard = []

    async def outer(scope, receive, send):
        heard.append(scope["type"])

    both = asgi.mounted(outer, "/ops", asgi.resilience_app([price]))
    anyio.run(both, {"type": "lifespan"}, None, None)
    assert heard == ["lifespan"]


def test_mounted_shares_no_scope(price):
    """The application around does not find its request changed."""
    scope = http_scope("GET", "/ops/healthz")
    before = dict(scope)
    anyio.run(through_asgi, asgi.mounted(nothing_asgi, "/ops", asgi.resilience_app([price])), scope, [b""])
    assert scope == before
