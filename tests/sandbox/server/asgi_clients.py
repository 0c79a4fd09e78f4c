"""What drives the app in tests without a network: an executor that runs nothing, and an ASGI server of one request."""

from __future__ import annotations

import json
import threading
from urllib.parse import unquote

import anyio

from pyresilience.sandbox import Execution

PATIENCE = 20.0


class PretendRunning:
    """A run that ends as its code says: `say X`, `fail`, `hang` (until it is killed), `late` (its time is up)."""

    def __init__(self, job, executor):
        self.job = job
        self.killed = threading.Event()
        self._executor = executor

    def wait(self):
        verb, _, rest = self.job.code.partition(" ")
        try:
            if verb == "hang":
                assert self.killed.wait(PATIENCE), "nobody killed it"
                return Execution(137, "so far", "", 0.5)
            if verb == "late":
                return Execution(124, "so far", "slow", self.job.timeout, timed_out=True)
            if verb == "fail":
                return Execution(3, "", "oh", 0.25)
            if verb == "env":
                return Execution(0, json.dumps(dict(self.job.env)), "", 0.25)
            return Execution(0, rest, "", 0.25)
        finally:
            self._executor.ended.append(self)

    def kill(self):
        self.killed.set()


class PretendExecutor:
    """Starts runs that do nothing."""

    name = "pretend"

    def __init__(self):
        self.started = []
        self.ended = []
        self.error = None
        self.closed = False

    def languages(self):
        return {"python": "pretend 1", "bash": "pretend 2"}

    def start(self, job):
        if self.error is not None:
            raise self.error
        running = PretendRunning(job, self)
        self.started.append(running)
        return running

    def close(self):
        self.closed = True
        for each in self.started:
            each.kill()


class Answered:
    """What a client received."""

    def __init__(self, heard):
        start, *rest = heard
        assert start["type"] == "http.response.start"
        self.status = start["status"]
        names = [name.decode() for name, _ in start["headers"]]
        assert len(set(names)) == len(names), "a header stands there twice"
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(each["body"] for each in rest)
        if self.status == 204:
            assert not self.body

    @property
    def json(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self):
        """The documented error, checked for its shape; its code."""
        content = self.json
        assert list(content) == ["error", "code", "request_id", "timestamp", "path", "details"]
        assert content["request_id"] == self.headers["x-request-id"]
        assert isinstance(content["error"], str)
        assert isinstance(content["details"], dict)
        return content["code"]


async def ask(app, method, path, content=None, *, headers=None, body=None, pieces=None, gone=None, **scope):
    """One request; *content* goes as JSON. *gone*: an event after which the client is away. None: no answer."""
    raw = body if body is not None else b"" if content is None else json.dumps(content).encode()
    left = [{"type": "http.request", "body": each, "more_body": True} for each in (pieces or [raw])]
    left[-1] = {**left[-1], "more_body": False}
    heard = []

    async def receive():
        await anyio.lowlevel.checkpoint()
        if left:
            return left.pop(0)
        await (gone.wait() if gone is not None else anyio.sleep_forever())
        return {"type": "http.disconnect"}

    async def send(message):
        await anyio.lowlevel.checkpoint()
        heard.append(message)

    fields = {"host": "localhost:7777", **(headers or {})}
    whole = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.partition("?")[0]),
        "raw_path": path.partition("?")[0].encode(),
        "root_path": "",
        "query_string": path.partition("?")[2].encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7777),
        **scope,
    }
    with anyio.fail_after(PATIENCE):
        await app(whole, receive, send)
    return Answered(heard) if heard else None


async def until(condition):
    """Wait until *condition* holds."""
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.001)
