"""For Prometheus: a server that it scrapes, or the text for a server of your own."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..._every import Every
from ..._log import log
from ...http.server import Server
from ..state import State, add_up
from .base import MetricsExporter
from .multiprocess import Publisher, directory_of, read_states
from .processes import Process
from .prometheus_collector import Everything, StatesCollector, is_installed, written
from .prometheus_text import OPENMETRICS, TEXT, render, wants_openmetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["PrometheusExporter", "render"]

PATH = "/metrics"
_PLAIN = ("Content-Type", "text/plain; charset=utf-8")

RETRY = 1.0
"""Seconds between two tries to take over a port that another process has."""


class PrometheusExporter(MetricsExporter):
    """Serves the metrics at `/metrics`, as text 0.0.4 or as OpenMetrics 1.0, whichever the scraper prefers.

    Where several processes serve together, set `PROMETHEUS_MULTIPROC_DIR` to a directory that they share, before they
    start. Each publishes its counts there, and whichever is scraped answers with the sums. One of them has the port;
    when it ends, another takes over.

    Args:
        port: The port to listen on; 0: the system picks one, which `port` then tells; None: no server, see `text()`.
        use_prometheus_client: Let the package `prometheus_client` write the text if it is installed. It says the same
            either way.
        host: The address to listen on. The default is reachable from this machine alone.
        registry: The application's `CollectorRegistry`: the metrics join it from `start()` to `stop()`, and whatever
            else is in it is served too.

    Raises:
        ValueError: *port* is no port, or *registry* is given although the client library is not to be used.
    """

    def __init__(
        self,
        port: int | None = 9090,
        use_prometheus_client: bool = True,
        host: str = "127.0.0.1",
        registry: CollectorRegistry | None = None,
    ) -> None:
        if registry is not None and not use_prometheus_client:
            raise ValueError("registry= is of prometheus_client: leave it out, or use_prometheus_client=False")
        self._server = None if port is None else Server(self._answer, host, port)
        self._heir = Every(RETRY, self._take_over, "pyresilience-heir")
        self._registry = registry
        self._joined = False
        self._collector = StatesCollector(self.all_states) if use_prometheus_client and is_installed() else None
        self._publisher: Publisher | None = None
        self._complained = False
        super().__init__()

    def renew(self) -> None:
        """A forked child has locks of its own, and no server; it goes on publishing."""
        super().renew()
        self._life = threading.RLock()

    @property
    def port(self) -> int | None:
        """The port it listens on; while it does not, the one it was made with."""
        return None if self._server is None else self._server.port

    @property
    def url(self) -> str:
        """Where the metrics are; empty: there is no server."""
        return f"{self._server.url}{PATH}" if self._server else ""

    def start(self) -> None:
        """Join the registry, publish to the other processes if there are any, and serve.

        Raises:
            OSError: The port cannot be listened on. Among several processes, that another one has it is no error.
            ValueError: The registry has metrics of these names already.
        """
        with self._life:
            directory = directory_of()
            self._join()
            if directory is not None and not self._publishes:
                if self._publisher is None or self._publisher.directory != directory:
                    self._publisher = Publisher(directory, self.states)
                self._publisher.start()
            try:
                if self._server is not None:
                    self._server.start()
            except OSError as error:
                if directory is None or error.errno != errno.EADDRINUSE:
                    self.stop()
                    raise
                log().warning(
                    "%s; if that is a process with the same PROMETHEUS_MULTIPROC_DIR (%s), it answers for this one too",
                    error.strerror,
                    directory,
                )
                self._heir.start()

    def stop(self) -> None:
        """End the server, publish for the last time, and leave the registry."""
        with self._life:
            self._heir.stop()
            if self._server is not None:
                self._server.stop()
            if self._publisher is not None:
                self._publisher.stop()
            if self._registry is not None and self._collector is not None and self._joined:
                self._registry.unregister(self._collector)
                self._joined = False

    def all_states(self, *, detailed: bool = False) -> list[State]:
        """What is exported: the states of this process, and of those it shares a directory with, added up."""
        own = self.states(detailed=detailed)
        if self._publisher is None or not self._publishes:
            return own
        return add_up([*own, *read_states(self._publisher.directory, besides=Process.here())])

    @property
    def _publishes(self) -> bool:
        return self._publisher is not None and self._publisher.running

    def text(self, accept: str = "") -> str:
        """The metrics as text. *accept* is the header of that name: which format is wanted; empty: 0.0.4."""
        return self.exposition(accept)[1].decode()

    def exposition(self, accept: str = "") -> tuple[str, bytes]:
        """The value of `Content-Type`, and the body that belongs to it; *accept* as in `text()`."""
        if self._collector is not None:
            openmetrics = wants_openmetrics(accept)
            try:
                source = Everything(self._registry, None if self._joined else self._collector)
                return OPENMETRICS if openmetrics else TEXT, written(source, openmetrics=openmetrics)
            except Exception:  # noqa: BLE001 - somebody else's collector must not cost us our metrics
                self._complain()
        return render(self.all_states(), accept)

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            log().exception(
                "the registry cannot be read, so that our own metrics alone are served; this is logged once"
            )

    def _join(self) -> None:
        """Enter the application's registry."""
        if self._registry is None or self._collector is None or self._joined:
            return
        try:
            self._registry.register(self._collector)
        except ValueError as error:
            raise ValueError(
                "the registry has metrics of these names: another PrometheusExporter or a PrometheusListener is in it; "
                "stop that one, or use a registry of its own"
            ) from error
        self._joined = True

    def _take_over(self) -> None:
        """Get the port, if the process that had it has ended, and nobody stops this one meanwhile."""
        if not self._life.acquire(blocking=False):  # it is being stopped, and that waits for this thread
            return
        try:
            if self._server is not None and self._heir.running:
                self._server.start()
                self._heir.stop()
        except OSError:  # that process has it still
            return
        finally:
            self._life.release()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The WSGI application behind the port."""
        method = environ["REQUEST_METHOD"]
        if environ["PATH_INFO"] != PATH:
            status, headers, body = "404 Not Found", [_PLAIN], b"There is nothing here: the metrics are at /metrics.\n"
        elif method not in ("GET", "HEAD"):
            status, headers, body = "405 Method Not Allowed", [_PLAIN, ("Allow", "GET, HEAD")], b"Use GET.\n"
        else:
            kind, body = self.exposition(environ.get("HTTP_ACCEPT", ""))
            status, headers = "200 OK", [("Content-Type", kind), ("Vary", "Accept")]
        length = ("Content-Length", str(len(body)))
        start_response(status, [*headers, length, ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")])
        return [] if method == "HEAD" else [body]
