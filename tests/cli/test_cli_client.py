"""How the command line asks a server, and what it says when there is no good answer."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from pyresilience.cli.client import address_of, fetch
from pyresilience.cli.failure import Failure


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:8321", "http://localhost:8321/stats.json"),
        ("localhost", "http://localhost/stats.json"),
        ("127.0.0.1:8321/", "http://127.0.0.1:8321/stats.json"),
        ("[::1]:8321", "http://[::1]:8321/stats.json"),
        ("http://shop.example", "http://shop.example/stats.json"),
        ("HTTPS://shop.example/ops", "https://shop.example/ops/stats.json"),
        ("https://shop.example/ops/", "https://shop.example/ops/stats.json"),
        ("http://shop.example/ops/stats.json", "http://shop.example/ops/stats.json"),
        ("http://shop.example/ops/metrics", "http://shop.example/ops/stats.json"),
        ("http://shop.example/ops/cache/stats", "http://shop.example/ops/stats.json"),
        ("http://shop.example/healthz?x=1#part", "http://shop.example/stats.json"),
        ("shop.example:80/a%20b", "http://shop.example:80/a%20b/stats.json"),
    ],
)
def test_a_server_may_be_called_in_many_ways(text, address):
    """With or without scheme, path, slash and route, the figures are found."""
    assert address_of(text) == address


def test_the_window_is_part_of_the_address():
    """`--window` becomes the parameter of the route."""
    assert address_of("localhost:1/?a=b", 3600) == "http://localhost:1/stats.json?window=3600"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://shop.example", "only http and https"),
        ("http://", "is not an address"),
        ("", "is not an address"),
        ("localhost:port", "is not an address"),
        ("localhost:99999", "is not an address"),
        ("http://[::1", "is not an address"),
        ("shop example", "is not an address"),
        ("shop\r\nX: y", "is not an address"),
        ("http://me:secret@shop.example", "--token-env"),
    ],
)
def test_what_is_no_address_is_refused(text, words):
    """The complaint says what is wrong, on one line, and repeats no password."""
    with pytest.raises(Failure) as caught:
        address_of(text)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_figures_are_fetched(url):
    """What the server answers is what comes out."""
    figures = fetch(address_of(url, 60))
    assert (figures["window"], len(figures["functions"])) == (60, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>hello</html>",
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        [],
        {},
        {"functions": []},
        {"functions": {}, "history": {}},
        {"functions": [1], "history": {}},
        {"functions": [{"name": "f"}], "history": {}},
        {"functions": [{"function": 5}], "history": {}},
    ],
)
def test_an_answer_of_another_program_is_told(serve, answering, content):
    """What is not ours is not shown."""
    address = serve(answering(content)) + "/stats.json"
    with pytest.raises(Failure, match="not with the figures of pyresilience"):
        fetch(address)


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "503 Service Unavailable"])
def test_an_error_of_the_server_is_told(serve, answering, status):
    """The status is part of the complaint."""
    with pytest.raises(Failure, match=status):
        fetch(serve(answering(b"no", status)) + "/stats.json")


def test_the_explanation_of_our_server_is_told(url):
    """What our server says of an error comes through."""
    with pytest.raises(Failure, match=r"400 Bad Request: window must be one of 60, 3600, 86400"):
        fetch(address_of(url, 61))


def test_an_explanation_sends_nothing_to_the_terminal(serve, answering):
    """Control characters in a stranger's message are shown, not obeyed."""
    address = serve(answering({"error": "\x1b[2J gone"}, "400 Bad Request"))
    with pytest.raises(Failure) as caught:
        fetch(address)
    assert "\\x1b[2J gone" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_the_token_is_sent(serve, shop):
    """A protected server is asked with the token, and says how to give it."""
    from pyresilience.http.wsgi import resilience_app

    address = address_of(serve(resilience_app(shop, token="t0ken", protect="all")))
    with pytest.raises(Failure, match="401 Unauthorized: .*--token-env VARIABLE"):
        fetch(address)
    assert fetch(address, token="t0ken")["functions"]


def test_a_redirect_on_the_same_server_is_followed(serve):
    """A server may move its figures."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/new":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [b'{"functions": [], "history": {}, "auth": "%s"}' % environ.get("HTTP_AUTHORIZATION", "").encode()]
        start_response("302 Found", [("Location", "/new")])
        return [b""]

    assert fetch(serve(app) + "/stats.json", token="t")["auth"] == "Bearer t"


@pytest.mark.parametrize(
    "location", ["http://localhost:1/", "http://127.0.0.1:1/", "http://shop.example/", "file:///etc/passwd"]
)
def test_a_redirect_to_another_server_is_not_followed(serve, answering, location):
    """A server cannot send us, and the token, elsewhere."""
    address = serve(answering(b"", "302 Found", headers=[("Location", location)]))
    with pytest.raises(Failure):
        fetch(address, token="t")


def test_a_redirect_in_a_circle_ends(serve, answering):
    """Redirects are followed a few times, not for ever."""
    with pytest.raises(Failure, match="302"):
        fetch(serve(answering(b"", "302 Found", headers=[("Location", "/again")])))


@contextmanager
def stranger(behave):
    """A socket on which *behave* talks to whoever comes first."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk():
            client, _ = listening.accept()
            with client:
                behave(client)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join(20)
        assert not thread.is_alive()


def silent(client):
    client.settimeout(20)
    while client.recv(1000):
        pass


def dripping(client):
    client.recv(1000)
    try:
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _ in range(400):
            client.sendall(b" ")
            time.sleep(0.02)
    except OSError:
        pass


@pytest.mark.parametrize("behave", [silent, dripping])
def test_a_slow_server_is_not_waited_for_for_ever(behave):
    """The timeout is for the whole answer: a server that drips does not stretch it."""
    began = time.monotonic()
    with stranger(behave) as address, pytest.raises(Failure, match=r"did not answer within 0\.2 s"):
        fetch(address, timeout=0.2)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{}"])
def test_what_is_no_http_is_told(said):
    """A server of another kind, and one that dies in the middle of its answer, are told and not shown."""

    def behave(client):
        client.recv(1000)
        client.sendall(said)

    with stranger(behave) as address, pytest.raises(Failure, match=address):
        fetch(address)


def test_a_server_that_is_not_there_is_told():
    """Nobody listens: the complaint names the address and asks the obvious question."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Failure, match=f"127.0.0.1:{port}/ cannot be reached: .*; is the server running"):
        fetch(f"http://127.0.0.1:{port}/")


def test_proxies_are_not_asked_for_this_machine(url, monkeypatch):
    """A proxy of the environment is for other machines."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetch(address_of(url))["functions"]
