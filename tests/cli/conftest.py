"""What the tests of the command line share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from pyresilience import CacheConfig, CircuitBreakerConfig, resilient
from pyresilience.cli.commands import main
from pyresilience.http.server import Server
from pyresilience.http.wsgi import resilience_app

PATIENCE = 20.0
"""Seconds after which something that must happen is taken to hang."""


@pytest.fixture
def cli(capsys):
    """Run a command in this process: its exit code, what it wrote, and its complaints."""

    def run(*arguments):
        try:
            code = main(list(arguments))
        except SystemExit as left:
            code = left.code
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def serve():
    """Serve a WSGI app on the loopback interface; its address without a slash at the end."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(Server(app)).url


@pytest.fixture
def shop():
    """Two functions with metrics, one of them with an open circuit."""

    @resilient(cache=CacheConfig(max_size=10, enable_metrics=True))
    def price(item):
        return item

    @resilient(cache=CacheConfig(enable_metrics=True), circuit_breaker=CircuitBreakerConfig(failure_threshold=1))
    def stock(item):
        raise OSError

    for item in "aab":
        price(item)
    with pytest.raises(OSError):
        stock("a")
    return [price, stock]


@pytest.fixture
def url(serve, shop):
    """The address of a server that shows the shop."""
    return serve(resilience_app(shop, token="t"))


def answering(content, status="200 OK", kind="application/json", headers=()):
    """A WSGI app that always gives the same answer."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    def app(environ, start_response):
        start_response(status, [("Content-Type", kind), *headers])
        return [body]

    return app


@pytest.fixture(name="answering")
def _answering():
    """A WSGI app that always gives the same answer."""
    return answering


class Program:
    """A command in a process of its own."""

    def __init__(self, arguments, **how):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pyresilience", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            **how,
        )

    def line(self):
        """The next line that it writes."""
        found = []
        reader = threading.Thread(target=lambda: found.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(PATIENCE)
        assert found, "it wrote nothing"
        if not found[0]:
            raise AssertionError(f"it ended: {self.process.communicate(timeout=PATIENCE)[1]}")
        return found[0].rstrip("\n")

    def end(self, signal=None):
        """Its exit code, its remaining output, its complaints, and how long it took after *signal*."""
        began = time.monotonic()
        if signal is not None:
            self.process.send_signal(signal)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err, time.monotonic() - began


@pytest.fixture
def program(tmp_path):
    """Start a command in a process of its own, in an empty directory."""
    started = []

    def start(*arguments, environment=None, cwd=tmp_path):
        started.append(Program(arguments, cwd=cwd, env={**os.environ, **(environment or {})}))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate(timeout=PATIENCE)
