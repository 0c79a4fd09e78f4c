"""Clients that do not end the head of their request in time."""

from __future__ import annotations

import select
import socket
import threading
import time

import pytest
import uvicorn
from server_processes import until

from pyresilience.sandbox.server.punctual import punctual

PATIENCE = 0.1
"""Seconds within which the server wants the head of a request."""


@pytest.fixture
def port(app):
    """The port of a server whose patience is short."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=punctual(PATIENCE), log_config=None, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        end = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < end
            time.sleep(0.005)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


@pytest.mark.parametrize("said", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: loc"])
def test_who_does_not_go_on_is_hung_up_on(port, said):
    """After the connection, in the first line, in a header."""
    with connect(port) as client:
        client.sendall(said)
        assert client.recv(100) == b""


def test_a_word_now_and_then_gains_no_time(port):
    """The limit is for the whole head."""
    began = time.monotonic()
    with connect(port) as client:
        try:
            while time.monotonic() < began + 20:
                client.sendall(b"x")
                time.sleep(0.01)
        except OSError:
            pass
    assert time.monotonic() < began + 10


def say_in_time(port, request):
    """A connection on which *request* was sent before the server's patience was over."""
    for _ in range(100):
        began = time.monotonic()
        client = connect(port)
        client.sendall(request)
        if time.monotonic() < began + PATIENCE:
            return client
        client.close()  # this machine was too slow
    pytest.fail("this machine is never in time")


def test_one_connection_brings_many_requests(port):
    """Each head gets the time anew."""
    request = b"GET /env HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with say_in_time(port, request) as client:
        for _ in range(5):
            answer = b""
            while b'{"env_vars": {}}' not in answer:
                piece = client.recv(4096)
                assert piece, "it was hung up on"
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.03)
            client.sendall(request)


def test_code_that_runs_longer_is_not_late(port, pretend):
    """Once the head is there the limit is over."""
    body = b'{"code": "hang"}'
    head = b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with say_in_time(port, head + body) as client:
        until(lambda: pretend.started)
        late = time.monotonic() + 2 * PATIENCE
        until(lambda: time.monotonic() > late)
        until(lambda: [each.kill() for each in pretend.started] and select.select([client], [], [], 0)[0])
        assert client.recv(100).startswith(b"HTTP/1.1 200")
