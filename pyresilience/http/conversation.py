"""One connection to the server: one request, one answer, each with an end by when it must be over."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler

from .._log import log

if TYPE_CHECKING:
    from threading import Thread

LINE = 8 * 1024
"""Bytes that a request line may have."""
LINGER = 1.0
"""Seconds that a client which is refused may go on talking: closing at once could cost it the answer."""

WSGIApp = Callable[..., Any]
"""What `wsgiref.types.WSGIApplication` is."""
Phase = Literal["asking", "working", "listening"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients of a `Server` may take.

    Args:
        connections: Clients at once.
        request_seconds: How long a client may take to say what it wants, in all.
        answer_seconds: How long an answer may take, from the application's beginning to the client's last byte.
        head_bytes: Bytes of the request line and the headers; more is answered 431.
        body_bytes: Bytes of a request's body; more is answered 413.
    """

    connections: int = 64
    request_seconds: float = 5.0
    answer_seconds: float = 30.0
    head_bytes: int = 32 * 1024
    body_bytes: int = 1024 * 1024


class Visit:
    """A client that is connected.

    Args:
        client: Its socket.
        address: Where it is.
        seconds: How long it may take to ask.
    """

    def __init__(self, client: socket.socket, address: Any, seconds: float) -> None:
        self.client = client
        self.address = address
        self.thread: Thread | None = None
        self.phase: Phase = "asking"
        """What goes on: the client asks, the application works, or the client listens to the answer."""
        self.since = time.monotonic()
        """When the client was let in."""
        self.deadline = self.since + seconds
        """When it is seen out."""
        self._over = False
        self._lock = threading.RLock()

    def turn(self, phase: Phase, seconds: float | None = None) -> None:
        """*phase* begins now and may take so many seconds; None: no longer than was said before.

        Raises:
            ConnectionAbortedError: The visit has been ended: an answer that nobody hears to its end is not begun.
        """
        with self._lock:
            if self._over:
                raise ConnectionAbortedError("the client was seen out")
            self.phase = phase
            if seconds is not None:
                self.deadline = time.monotonic() + seconds

    def end_if(self, due: Callable[[Visit], bool]) -> bool:
        """Cut the connection if that is *due*, with no phase begun in between; what waits for the client finds it gone."""
        with self._lock:
            self._over = self._over or due(self)
            if self._over:
                try:
                    self.client.shutdown(socket.SHUT_RDWR)
                except OSError:  # the client was faster
                    pass
            return self._over

    def close(self) -> None:
        """Give the socket back; nobody cuts the connection that gets its number next."""
        with self._lock:
            self._over = True
            self.client.close()


class Host:
    """What a conversation must know of the server it is held in.

    Args:
        app: What answers.
        limits: What clients may take.
        name: The address it listens on.
        port: The port.
    """

    def __init__(self, app: WSGIApp, limits: Limits, name: str, port: int) -> None:
        self.app = app
        self.limits = limits
        self.name = name
        self.port = port

    @property
    def base_environ(self) -> dict[str, str]:
        """What stands in the environment of every request (PEP 3333)."""
        return {
            "SERVER_NAME": self.name,
            "SERVER_PORT": str(self.port),
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SCRIPT_NAME": "",
            "REMOTE_HOST": "",
            "CONTENT_LENGTH": "",
        }


class Conversation(WSGIRequestHandler):
    """Reads the request with the standard library's parser, within the limits, and lets the application answer."""

    server_version = "pyresilience"
    sys_version = ""
    server: Any

    def __init__(self, visit: Visit, host: Host) -> None:
        self.visit = visit
        self.limits = host.limits
        visit.client.settimeout(host.limits.answer_seconds)
        super().__init__(visit.client, visit.address, host)  # type: ignore[arg-type]  # a Host has all that is used

    def handle(self) -> None:
        """Hear one request, and answer it."""
        whole, self.rfile = self.rfile, _Head(self.rfile, self.limits.head_bytes)  # type: ignore[assignment]  # is read by lines only
        self.requestline = self.request_version = self.command = ""
        self.raw_requestline = self.rfile.readline(LINE + 1)
        if not self.raw_requestline:
            return
        if len(self.raw_requestline) > LINE:
            self.send_error(414)
        elif self.parse_request() and (body := self._body(whole)) is not None:
            self._answer(body)

    def _body(self, file: io.BufferedIOBase) -> bytes | None:
        """The body of the request; None: it was refused."""
        length = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" in self.headers:
            self.send_error(411, explain="the length of the body must be said in Content-Length")
        elif not (length.isascii() and length.isdecimal()):
            self.send_error(400, explain="Content-Length must be a whole number")
        elif len(length) > 15 or int(length) > self.limits.body_bytes:
            self.send_error(413, explain=f"a body has at most {self.limits.body_bytes} bytes")
        else:
            body = file.read(int(length))
            return body if len(body) == int(length) else None
        return None

    def _answer(self, body: bytes) -> None:
        self.visit.turn("working", self.limits.answer_seconds)
        answer = _Answer(io.BytesIO(body), self.wfile, self.get_stderr(), self.get_environ(), multiprocess=False)  # type: ignore[arg-type]  # it only writes
        answer.visit = self.visit
        answer.run(self.server.app)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse the request, and let the client hear it although it may not have been heard out."""
        self.visit.turn("listening", self.limits.answer_seconds)
        super().send_error(code, message, explain)
        self.request.shutdown(socket.SHUT_WR)
        self.visit.turn("listening", LINGER)
        while self.request.recv(65536):
            pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name for it
        """Requests are not worth a line each."""


class _Head:
    """The lines of a request's head, which is bounded as a whole."""

    def __init__(self, file: io.BufferedIOBase, limit: int) -> None:
        self._file = file
        self._left = limit

    def readline(self, limit: int = -1) -> bytes:
        """The next line.

        Raises:
            LineTooLong: The head is larger than it may be; the parser answers 431.
        """
        line = self._file.readline(min(limit, self._left + 1) if limit >= 0 else self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("head")
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Answer(SimpleHandler):
    """Runs the application and sends what it says."""

    os_environ: MutableMapping[str, str] = {}  # noqa: RUF012 - the process's own environment is nothing of the request's
    server_software = "pyresilience"
    visit: Visit

    def _write(self, data: bytes) -> None:
        self.visit.turn("listening")
        super()._write(data)
        self.visit.turn("working")

    def log_exception(self, exc_info: Any) -> None:
        """Log what the application raised; not that the client did not wait for the answer."""
        if self.visit.phase == "working":
            log().error("the application failed to answer a request", exc_info=exc_info)
