"""What the tests of exporters share."""

from __future__ import annotations

import http.client
import threading
from urllib.parse import urlsplit

import pytest

pytest.register_assert_rewrite("exporter_contract")

from exporter_contract import PATIENCE, until  # noqa: E402 - pytest must know of it first


@pytest.fixture(name="until")
def _until():
    """Wait for a condition."""
    return until


class Reply:
    """What a server answered."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode()
        self.content_type = response.headers.get("Content-Type", "")


@pytest.fixture
def fetch():
    """Ask a server for a page: `fetch(url, method=…, headers=…)`."""

    def fetch(url, method="GET", headers=None, body=None, timeout=PATIENCE):
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        try:
            path = parts.path or "/"
            connection.request(method, path + (f"?{parts.query}" if parts.query else ""), body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    return fetch


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Whatever a test starts, it stops."""
    before = set(threading.enumerate())
    yield
    mine = lambda: [each for each in threading.enumerate() if each not in before and "pyresilience-" in each.name]
    until(lambda: not mine(), "the end of every thread")
