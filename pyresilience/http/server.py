"""A small HTTP server for a WSGI application: threads, and no client that can hold it up.

Each connection brings one request and gets one answer. How long a client may take, how much it may say, and how
many there may be at once is bounded; when all places are taken, the client that has been waited for longest makes
room. So a scrape gets through however many others have connected and say nothing.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from .._blocking import in_background
from .._forks import renew_in_child
from .._log import log
from .conversation import Conversation, Host, Limits, Visit, WSGIApp

if TYPE_CHECKING:
    from threading import Thread

TICK = 0.2
"""Seconds between two looks at who is late, while anybody is connected."""
BACKLOG = 1024
"""Clients that the system lets wait to be let in; whoever finds no place there tries again only after a second."""
GRACE = 2.0
"""Seconds that answers under way are given when the server stops."""
BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Server:
    """Serves a WSGI application over HTTP from threads of this process.

    It can be started and stopped again and again; as a context manager it runs inside the block. Its threads are
    daemons: they do not keep the interpreter from exiting. A forked child has a stopped server.

    Args:
        app: The WSGI application. It may be called from several threads at once.
        host: The address to listen on. The default is reachable from this machine alone.
        port: The port; 0: the system picks one, which `port` then tells.
        limits: What clients may take.

    Raises:
        ValueError: *port* is no port.
    """

    def __init__(self, app: WSGIApp, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None) -> None:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
            raise ValueError(f"port must be a whole number from 0 (the system picks) to 65535, got {port!r}")
        self.app = app
        self.host = host
        self.limits = limits or Limits()
        self._port = port
        self._open: _Reception | None = None
        self._lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child nobody serves; it lets go of the parent's sockets."""
        self._lock = threading.RLock()
        reception, self._open = self._open, None
        if reception is not None:
            reception.let_go()

    @property
    def running(self) -> bool:
        """Whether it is listening."""
        return self._open is not None

    @property
    def port(self) -> int:
        """The port it listens on; while stopped, the one it was made with."""
        reception = self._open
        return self._port if reception is None else reception.port

    @property
    def url(self) -> str:
        """Its address, without a slash at the end; of a server on all addresses, the one on this machine."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Listen, and serve from now on; started already: do nothing.

        Raises:
            OSError: The address cannot be listened on: another program has the port, or it is not one of this machine.
        """
        with self._lock:
            if self._open is None:
                self._open = _Reception(self.app, _listen(self.host, self._port), self.limits)

    def stop(self) -> None:
        """Close the port, give answers under way a moment, and end every thread; stopped already: do nothing."""
        with self._lock:
            reception, self._open = self._open, None
        if reception is not None:
            reception.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens on *host* and *port*, of whichever family *host* is."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host!r}: {error.strerror or error}") from error
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {_advice(error)}") from error
    return listening


def _advice(error: OSError) -> str:
    """What *error* says, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "another program, or another process of this one, has the port; choose another, or 0 for any free one"
    if error.errno == errno.EACCES:
        return "this user may not have the port; choose one from 1024 on, or 0 for any free one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have the address; 127.0.0.1 is for this machine alone, 0.0.0.0 for all networks"
    return str(error.strerror or error)


class _Reception(Host):
    """A server from its start to its stop: lets clients in, and sees those out who take too long."""

    def __init__(self, app: WSGIApp, listening: socket.socket, limits: Limits) -> None:
        super().__init__(app, limits, *listening.getsockname()[:2])
        self._listening = listening
        self._visits: set[Visit] = set()
        self._guests: list[Visit] = []
        """Those too whose visit is over, as long as their thread may not be."""
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._waker, self._awoken = socket.socketpair()
        try:
            self._thread = in_background(self._receive, f"pyresilience-http-{self.port}")
        except BaseException:
            self.let_go()
            raise

    def _receive(self) -> None:
        """Let clients in until it is closed."""
        selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
        with selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._awoken, selectors.EVENT_READ)
            while not self._closed.is_set():
                ready = selector.select(TICK if self._visits else None)
                if any(key.fileobj is self._listening for key, _ in ready):
                    self._admit()
                self._see_out(lambda visit: time.monotonic() >= visit.deadline)

    def _admit(self) -> None:
        """Let the next client in, if need be in the place of one that is waited for."""
        try:
            client, address = self._listening.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:  # too many files are open: make room, and have patience
                self._make_room()
                self._closed.wait(TICK)
            return
        if len(self._visits) >= self.limits.connections and not self._make_room():
            _refuse(client)
            return
        visit = Visit(client, address, self.limits.request_seconds)
        self._guests = [visit, *(each for each in self._guests if each.thread is not None and each.thread.is_alive())]
        with self._lock:
            self._visits.add(visit)
        try:
            visit.thread = in_background(lambda: self._attend(visit), f"pyresilience-http-{self.port}")
        except RuntimeError:  # the system gives no more threads
            _refuse(client)
            self._forget(visit)

    def _attend(self, visit: Visit) -> None:
        """Hear what a client wants, and answer, in a thread of its own."""
        try:
            Conversation(visit, self)
        except OSError:  # the client is gone, or was seen out
            pass
        except Exception:  # noqa: BLE001 - it is logged
            log().exception("the HTTP server failed to answer a request")
        finally:
            self._forget(visit)
            visit.close()

    def _forget(self, visit: Visit) -> None:
        with self._lock:
            self._visits.discard(visit)

    def _present(self) -> list[Visit]:
        with self._lock:
            return list(self._visits)

    def _make_room(self) -> bool:
        """See out the client that has been waited for longest: rather one that asks than one that listens."""
        slowest_first = sorted(self._present(), key=lambda visit: (visit.phase != "asking", visit.since))
        return any(self._ended(visit, lambda visit: visit.phase != "working") for visit in slowest_first)

    def _see_out(self, due: Callable[[Visit], bool]) -> None:
        """End all connections for which that is *due*."""
        for visit in self._present():
            self._ended(visit, due)

    def _ended(self, visit: Visit, due: Callable[[Visit], bool]) -> bool:
        """Whether *visit* was *due* to be ended, and now is; its thread notices."""
        ended = visit.end_if(due)
        if ended:
            self._forget(visit)
        return ended

    def close(self) -> None:
        """Let nobody in any more, and end."""
        self._closed.set()
        self._waker.send(b"!")
        me = threading.current_thread()
        if self._thread is not me:
            self._thread.join()
        for each in (self._listening, self._waker, self._awoken):
            each.close()
        threads = [visit.thread for visit in self._guests if visit.thread not in (None, me)]
        self._see_out(lambda visit: visit.phase == "asking")
        _join(threads, GRACE)
        self._see_out(lambda visit: visit.thread is not me)
        if not _join(threads, GRACE / 4):
            log().warning("the HTTP server on port %d has stopped, but its application still works", self.port)

    def let_go(self) -> None:
        """Close this process's copies of all sockets, and nothing of the process that serves."""
        for each in (self._listening, self._waker, self._awoken, *(visit.client for visit in self._guests)):
            if (number := each.detach()) >= 0:
                os.close(number)


def _join(threads: Sequence[Thread | None], seconds: float) -> bool:
    """Wait until *threads* have ended, no longer than *seconds* in all; False: one has not."""
    deadline = time.monotonic() + seconds
    for thread in filter(None, threads):
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in filter(None, threads))


def _refuse(client: socket.socket) -> None:
    """Say that there is no room."""
    with client:
        client.setblocking(False)
        try:
            client.send(BUSY)
            client.shutdown(socket.SHUT_WR)
        except OSError:  # it is gone already
            pass
