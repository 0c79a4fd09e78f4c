"""The statistics page of the demo: open while it runs, and read by the demo itself as anybody reads it, over HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from pyresilience.http.server import Server
from pyresilience.http.wsgi import resilience_app

PATIENCE = 10.0
"""Seconds that an answer may take."""


class PageError(Exception):
    """The page did not answer as it should."""


class StatisticsPage:
    """Serves the page of some functions on a port of this machine that the system picks: `with StatisticsPage() as …`."""

    def __init__(self) -> None:
        self._server: Server | None = None

    def show(self, functions: Sequence[Callable[..., Any]]) -> str:
        """Open the page of these *functions*; returns its address."""
        self._server = Server(resilience_app(functions))
        self._server.start()
        return self.address

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        assert self._server is not None
        return f"{self._server.url}/"

    def stats(self) -> dict[str, Any]:
        """What the page draws: `GET /stats.json`."""
        document: dict[str, Any] = json.loads(self._get("/stats.json"))
        return document

    def metrics(self) -> list[str]:
        """What Prometheus would get: the lines of `GET /metrics`."""
        return self._get("/metrics").decode().splitlines()

    def _get(self, path: str) -> bytes:
        assert self._server is not None
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise PageError(f"the statistics page did not answer GET {path}: {error!r}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise PageError(f"the statistics page answered GET {path} with status {response.status}")
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()
