"""Clearing caches over HTTP: who may, what, and what a body may be."""

from __future__ import annotations

import base64
import io
import json

import anyio
import pytest
from gateways import environ_of, http_scope, through_asgi

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.http import asgi, wsgi
from pyresilience.http.answers import MAX_BODY

TOKEN = "correct-horse"


def basic(password):
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


def test_without_a_token_nobody_clears(client, price):
    """Where no token was configured clearing is off, and the answer says how to switch it on."""
    answer = client.post(client.app([price]), token=TOKEN)
    assert (answer.status, answer.json["code"]) == (403, "FORBIDDEN")
    assert "token=" in answer.json["error"]
    assert "--token-env" in answer.json["error"]
    assert price.cache_info().currsize == 2


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Token {TOKEN}",
        TOKEN,
        "Bearer \xff\xfe",
        basic(TOKEN),
        "Basic !!!",
    ],
)
def test_without_the_right_token_nobody_clears(client, price, header):
    """401 says what is wanted; a password that browsers send by themselves will not do for a change."""
    headers = {} if header is None else {"Authorization": header}
    answer = client.post(client.app([price], token=TOKEN), headers=headers)
    assert (answer.status, answer.json["code"]) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == 'Bearer realm="pyresilience"'
    assert TOKEN not in answer.text
    assert price.cache_info().currsize == 2


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_token_clears(client, price, scheme):
    """With the token every cache is emptied, and the answer counts what went."""
    freed = price.metrics.get_stats().total_size_bytes
    answer = client.post(client.app([price], token=TOKEN), headers={"Authorization": f"{scheme} {TOKEN}"})
    assert answer.status == 200
    assert list(answer.json) == ["message", "timestamp", "entries_removed", "cleared_entries", "freed_bytes"]
    assert (answer.json["entries_removed"], answer.json["cleared_entries"]) == (2, 2)
    assert answer.json["freed_bytes"] == freed > 0
    assert answer.json["message"] == "2 entries removed from 1 cache"
    assert price.cache_info().currsize == 0


def test_what_was_cleared_is_computed_anew(client, price):
    """After clearing, size is 0, a second clearing removes nothing, and the next call is a miss."""
    app = client.app([price], token=TOKEN)
    client.post(app, token=TOKEN)
    assert client.get(app, "/cache/stats").json["cache"]["size"] == 0
    assert client.post(app, token=TOKEN).json["entries_removed"] == 0
    misses = client.get(app, "/cache/stats").json["cache"]["misses"]
    price("tea")
    assert client.get(app, "/cache/stats").json["cache"]["misses"] == misses + 1


@pytest.fixture
def two(price):
    """Two cached functions and one without a cache, by their labels."""

    @resilient(cache=CacheConfig(enable_metrics=True))
    def stock(item):
        return 1

    stock("tea")
    return [price, stock]


def label_of(client, app, name):
    return next(each for each in client.get(app, "/cache/stats").json["functions"] if each.endswith(f".{name}"))


@pytest.mark.parametrize("how", ["query", "body", "both"])
def test_one_function_can_be_cleared(client, two, how):
    """A name in the query string or in the body clears that function alone."""
    app = client.app(two, token=TOKEN)
    label = label_of(client, app, "stock")
    body = json.dumps({"function": label}).encode() if how != "query" else b""
    target = "/cache/clear" + (f"?function={label.replace('<', '%3C')}" if how != "body" else "")
    assert client.post(app, target, token=TOKEN, body=body).json["entries_removed"] == 1
    assert [each.cache_info().currsize for each in two] == [2, 0]


def test_one_function_of_a_shared_cache_can_be_cleared(client):
    """The entries of the others stay where several functions share a cache."""
    cache = ResultCache(CacheConfig(enable_metrics=True))

    @resilient(cache=cache)
    def one(x):
        return x

    @resilient(cache=cache)
    def another(x):
        return x

    for x in range(3):
        one(x)
    another(0)
    app = client.app([one, another], token=TOKEN)
    label = label_of(client, app, "one")
    assert client.post(app, f"/cache/clear?function={label}", token=TOKEN).json["entries_removed"] == 3
    assert cache.size == 1
    assert client.post(app, token=TOKEN).json["entries_removed"] == 1
    assert cache.size == 0


@pytest.mark.parametrize("name", ["nobody", "", "../etc", "%00", "\u2028"])
def test_an_unknown_function_is_not_found(client, two, name):
    """A name that nobody has clears nothing, and least of all everything."""
    answer = client.post(client.app(two, token=TOKEN), token=TOKEN, body=json.dumps({"function": name}).encode())
    assert (answer.status, answer.json["code"]) == (404, "UNKNOWN_FUNCTION")
    assert [each.cache_info().currsize for each in two] == [2, 1]


@pytest.mark.parametrize("body", [b"", b"{}", b"  \n", b'{"function": null}'])
def test_a_body_that_names_nothing_clears_everything(client, two, body):
    """The body may be left out, or be an empty object."""
    assert client.post(client.app(two, token=TOKEN), token=TOKEN, body=body).json["entries_removed"] == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "INVALID_JSON"),
        (b"function=stock", "INVALID_JSON"),
        (b"\xff\xfe\x00", "INVALID_JSON"),
        (b"[" * 8000, "INVALID_JSON"),
        (b'{"function": "a"} {}', "INVALID_JSON"),
        (b"[]", "INVALID_REQUEST"),
        (b"null", "INVALID_REQUEST"),
        (b'"stock"', "INVALID_REQUEST"),
        (b'{"function": 5}', "INVALID_REQUEST"),
        (b'{"function": ["a"]}', "INVALID_REQUEST"),
        (b'{"functions": "a"}', "INVALID_REQUEST"),
        (b'{"function": "a", "more": 1}', "INVALID_REQUEST"),
    ],
)
def test_a_body_that_is_not_understood_clears_nothing(client, two, body, code):
    """A misspelt request must not clear everything."""
    answer = client.post(client.app(two, token=TOKEN), token=TOKEN, body=body)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert [each.cache_info().currsize for each in two] == [2, 1]


def test_query_and_body_must_agree(client, two):
    """Two different names in one request are refused."""
    app = client.app(two, token=TOKEN)
    answer = client.post(app, "/cache/clear?function=a", token=TOKEN, body=b'{"function": "b"}')
    assert answer.status == 400
    assert client.post(app, "/cache/clear?function=a&function=b", token=TOKEN).status == 400


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10 * MAX_BODY])
def test_a_long_body_is_refused(client, two, length):
    """413, and nothing is cleared."""
    answer = client.post(client.app(two, token=TOKEN), token=TOKEN, body=b" " * length)
    assert (answer.status, answer.json["code"]) == (413, "BODY_TOO_LARGE")
    assert [each.cache_info().currsize for each in two] == [2, 1]


def test_the_longest_body_is_read(client, two):
    """A body of exactly the limit will do."""
    answer = client.post(client.app(two, token=TOKEN), token=TOKEN, body=b"{}".ljust(MAX_BODY))
    assert answer.status == 200


def test_caches_of_other_processes_cannot_be_cleared(client):
    """An app that shows states from elsewhere says that it cannot reach the caches."""
    answer = client.post(client.app(states=list, token=TOKEN), token=TOKEN)
    assert (answer.status, answer.json["code"]) == (501, "NOT_HERE")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "pieces", [[b'{"func', b'tion": ', b"", b"null}"], [b"", b""], [bytes([each]) for each in b'{"function": null}']]
)
def test_an_asgi_body_may_come_in_pieces(backend, two, pieces):
    """However a body is cut, it is one body."""
    app = asgi.resilience_app(two, token=TOKEN)
    scope = http_scope("POST", "/cache/clear", headers={"Authorization": f"Bearer {TOKEN}"})
    answer = anyio.run(through_asgi, app, scope, pieces, backend=backend)
    assert (answer.status, answer.json["entries_removed"]) == (200, 3)


def test_no_more_of_an_asgi_body_is_taken_than_the_limit(two):
    """A client that never ends its body is answered as soon as it is over the limit."""
    taken = []

    async def receive():
        taken.append(1)
        return {"type": "http.request", "body": b"x" * 4096, "more_body": True}

    heard = []

    async def send(message):
        heard.append(message)

    scope = http_scope("POST", "/cache/clear", headers={"Authorization": f"Bearer {TOKEN}"})
    anyio.run(asgi.resilience_app(two, token=TOKEN), scope, receive, send)
    assert heard[0]["status"] == 413
    assert len(taken) <= MAX_BODY // 4096 + 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_the_body_of_a_stranger_is_not_read(two, headers):
    """Who may not clear is refused before anything of the body is taken."""

    async def receive():
        raise AssertionError("the body was read")

    heard = []

    async def send(message):
        heard.append(message)

    scope = http_scope("POST", "/cache/clear", headers=headers)
    anyio.run(asgi.resilience_app(two, token=TOKEN), scope, receive, send)
    assert heard[0]["status"] == 401


def test_a_client_that_leaves_clears_nothing(two):
    """Half a request is no request."""
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    async def send(message):
        raise AssertionError("nobody is there to hear it")

    scope = http_scope("POST", "/cache/clear", headers={"Authorization": f"Bearer {TOKEN}"})
    anyio.run(asgi.resilience_app(two, token=TOKEN), scope, receive, send)
    assert [each.cache_info().currsize for each in two] == [2, 1]


def post_wsgi(app, stream, **environ):
    """A POST with the token, and with an input and an environment of the test's own."""
    told = []
    whole = environ_of("POST", "/cache/clear", "", {"Authorization": f"Bearer {TOKEN}"}, b"", "")
    body = b"".join(app({**whole, "wsgi.input": stream, **environ}, lambda status, headers: told.append(status)))
    return int(told[0][:3]), json.loads(body)


class Dripping(io.RawIOBase):
    """A stream that gives one byte at a time."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def read(self, size=-1):
        return self._content.read(min(size, 1))


class Untouched(io.RawIOBase):
    """A stream that must not be read."""

    def read(self, size=-1):
        raise AssertionError("the body was read")


def test_a_wsgi_body_may_drip(two):
    """A stream that gives less than asked for is read to its end."""
    body = b'{"function": null}'
    status, content = post_wsgi(wsgi.resilience_app(two, token=TOKEN), Dripping(body), CONTENT_LENGTH=str(len(body)))
    assert (status, content["entries_removed"]) == (200, 3)


@pytest.mark.parametrize("length", [str(MAX_BODY + 1), "9" * 6000, f"000{MAX_BODY + 1}"])
def test_a_length_over_the_limit_is_refused_unread(two, length):
    """What a client announces is believed if it is too much."""
    status, _ = post_wsgi(wsgi.resilience_app(two, token=TOKEN), Untouched(), CONTENT_LENGTH=length)
    assert status == 413


@pytest.mark.parametrize("length", ["-1", "two", "1.5", "٣", "1e3", "+5"])
def test_a_length_that_is_no_number_is_refused(two, length):
    """A length that makes no sense must not clear everything."""
    status, _ = post_wsgi(wsgi.resilience_app(two, token=TOKEN), Untouched(), CONTENT_LENGTH=length)
    assert status == 400


def test_a_body_that_ends_early_is_refused(two):
    """Half a body must not be taken for an empty one."""
    status, content = post_wsgi(wsgi.resilience_app(two, token=TOKEN), io.BytesIO(b""), CONTENT_LENGTH="18")
    assert (status, content["error"]) == (400, "the body ended too early")
    assert [each.cache_info().currsize for each in two] == [2, 1]


def test_a_body_of_unknown_length_is_read_where_the_server_marks_its_end(two):
    """A server that ends the stream may leave out the length."""
    app = wsgi.resilience_app(two, token=TOKEN)
    marked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    assert post_wsgi(app, io.BytesIO(b"x" * (MAX_BODY + 1)), **marked)[0] == 413
    assert post_wsgi(app, io.BytesIO(b'{"function": "no"}'), **marked)[0] == 404
    assert post_wsgi(app, io.BytesIO(b"{}"), **marked)[1]["entries_removed"] == 3


def test_a_body_of_unknown_length_is_refused_elsewhere(two):
    """On a server that does not end the stream, reading it would hang, and not reading it would clear everything."""
    app = wsgi.resilience_app(two, token=TOKEN)
    status, _ = post_wsgi(app, Untouched(), HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")
    assert status == 411
    assert post_wsgi(app, Untouched(), CONTENT_LENGTH="")[1]["entries_removed"] == 3
