"""The ASGI and WSGI sides of the app: what servers do with it beside asking."""

from __future__ import annotations

import threading

import anyio
import pytest
from gateways import PATIENCE, http_scope, through_asgi, through_wsgi

from pyresilience import CacheConfig, resilient
from pyresilience.http import asgi, wsgi


@pytest.fixture(params=["asyncio", "trio"])
def run(request):
    """Run on one of the event loops."""
    return lambda function, *arguments: anyio.run(function, *arguments, backend=request.param)


async def converse(app, scope, messages):
    """Give *messages* to the app, and return what it sent."""
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    with anyio.fail_after(PATIENCE):
        await app(scope, receive, send)
    return sent


def test_a_server_may_start_and_stop_the_app(run, price):
    """The lifespan is answered, so that servers that want one are content."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = run(converse, asgi.resilience_app([price]), {"type": "lifespan"}, messages)
    assert [each["type"] for each in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_websocket_is_closed(run, price):
    """There are none here."""
    sent = run(
        converse,
        asgi.resilience_app([price]),
        {**http_scope("GET", "/"), "type": "websocket"},
        [{"type": "websocket.connect"}],
    )
    assert [each["type"] for each in sent] == ["websocket.close"]


def test_an_unknown_scope_is_an_error(run, price):
    """A scope of the future must not be taken for a request."""
    with pytest.raises(ValueError, match="got 'webtransport'"):
        run(converse, asgi.resilience_app([price]), {"type": "webtransport"}, [])


def test_a_client_that_leaves_is_no_error(run, price):
    """A server that says on sending that the client is gone is believed."""

    async def send(message):
        raise OSError("client disconnected")

    async def go():
        await asgi.resilience_app([price])(http_scope("GET", "/metrics"), None, send)

    run(go)


def test_a_cancelled_request_is_cancelled(run, price):
    """A server that gives a request up is obeyed."""

    async def go():
        with anyio.move_on_after(0.01) as scope:

            async def send(message):
                await anyio.sleep(PATIENCE)

            await asgi.resilience_app([price])(http_scope("GET", "/metrics"), None, send)
        assert scope.cancelled_caught

    run(go)


@pytest.mark.parametrize("path", ["/", "/metrics", "/stats.json", "/page/page.css", "/nowhere"])
def test_header_names_are_lower_case_bytes(run, price, path):
    """As ASGI demands of an application."""
    start, body = run(converse, asgi.resilience_app([price]), http_scope("GET", path), [])
    assert all(type(name) is bytes and name == name.lower() for name, _ in start["headers"])
    assert all(type(value) is bytes for _, value in start["headers"])
    assert type(body["body"]) is bytes


def test_headers_that_stand_twice_are_joined(run, price):
    """Two lines of one header are one list."""
    app = asgi.resilience_app([price])
    tag = run(through_asgi, app, http_scope("GET", "/page/page.css"), [b""]).headers["etag"]
    scope = http_scope("GET", "/page/page.css")
    scope["headers"] = [(b"if-none-match", b'"a"'), (b"If-None-Match", tag.encode()), (b"x-odd", b"\xff")]
    assert run(through_asgi, app, scope, [b""]).status == 304


def test_a_scope_may_leave_out_what_is_optional(run, price):
    """`root_path`, `raw_path` and `query_string` need not be there."""
    scope = http_scope("GET", "/healthz")
    for name in ("root_path", "raw_path", "query_string", "client", "server"):
        del scope[name]
    assert run(through_asgi, asgi.resilience_app([price]), scope, [b""]).status == 200


def test_many_requests_at_once_are_answered(run, price):
    """Requests do not wait for each other."""
    answers = []

    async def one(path):
        answers.append(await through_asgi(app, http_scope("GET", path), [b""]))

    async def go():
        async with anyio.create_task_group() as group:
            for path in ["/metrics", "/stats.json", "/cache/stats", "/healthz", "/"] * 10:
                group.start_soon(one, path)

    app = asgi.resilience_app([price])
    run(go)
    assert [each.status for each in answers] == [200] * 50


def test_threads_may_ask_while_functions_run_and_caches_are_cleared(until_done):
    """Under load each answer is whole, and hits and misses never go back."""

    @resilient(cache=CacheConfig(max_size=50, enable_metrics=True))
    def busy(x):
        return x

    app = wsgi.resilience_app([busy], token="t")
    stop = threading.Event()

    def call():
        number = 0
        while not stop.is_set():
            busy(number % 70)
            number += 1

    def clear():
        for _ in range(20):
            bearer = {"Authorization": "Bearer t"}
            assert through_wsgi(app, "POST", "/cache/clear", "", bearer, b"", "").status == 200

    def ask():
        last = 0
        for _ in range(20):
            (function,) = through_wsgi(app, "GET", "/stats.json", "", {}, b"", "").json["functions"]
            assert function["cache"]["calls"] >= last
            assert 0 <= function["cache"]["entries"] <= 50
            last = function["cache"]["calls"]
            assert through_wsgi(app, "GET", "/metrics", "", {}, b"", "").status == 200

    until_done([ask, ask, clear], [call, call], stop)


@pytest.fixture
def until_done():
    """Run some functions in threads to their end, and others as long as that takes; an error in any is one here."""

    def go(finite, endless, stop):
        errors = []

        def guarded(function):
            try:
                function()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=[each], daemon=True) for each in [*finite, *endless]]
        for thread in threads:
            thread.start()
        for thread in threads[: len(finite)]:
            thread.join(PATIENCE)
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        if errors:
            raise errors[0]

    return go


def test_the_twins_have_the_same_parameters():
    """ASGI and WSGI app are made alike, and described alike."""
    import inspect

    one, other = inspect.signature(asgi.resilience_app), inspect.signature(wsgi.resilience_app)
    assert [(each.name, each.default, each.kind) for each in one.parameters.values()] == [
        (each.name, each.default, each.kind) for each in other.parameters.values()
    ]
    about = inspect.getdoc(asgi.resilience_app), inspect.getdoc(wsgi.resilience_app)
    assert about[0][about[0].index("Args:") :] == about[1][about[1].index("Args:") :]


def test_the_apps_need_no_event_loop_and_no_framework():
    """Importing the apps loads no event loop, no web framework and no exporter."""
    import subprocess
    import sys

    code = (
        "import sys, pyresilience.http.asgi, pyresilience.http.wsgi\n"
        "pyresilience.http.asgi.resilience_app(); pyresilience.http.wsgi.resilience_app()\n"
        "assert not {'asyncio', 'anyio', 'trio', 'socket', 'starlette', 'prometheus_client'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
