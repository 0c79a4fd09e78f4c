"""Every route, free of any protocol between servers and apps: a request in, an answer out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias, get_args
from urllib.parse import quote

from .._log import log
from .access import Access, Protect
from .cache_answers import cache_stats, cleared, wanted
from .files import asset, page
from .messages import NO_STORE, NOSNIFF, Answer, Refused, Request, error_answer, json_answer, timestamp
from .sources import Source

MAX_BODY = 16_384
"""Bytes that the body of a request may have."""

OpenCircuits: TypeAlias = Literal["ok", "fail"]
"""What `/healthz` makes of an open circuit."""

Handler: TypeAlias = Callable[[Request, bytes], Answer]

ASSETS = "/page/"
OPEN = ("", "/healthz")
"""What may be asked for without the token, always: orchestrators have none."""


class Site:
    """Knows the routes, and who may take which.

    Args:
        source: Where the figures come from.
        token: The secret that clearing demands; None: nobody may clear.
        protect: What else demands it: see `Access`.
        open_circuits: What `/healthz` makes of an open circuit, unless the request says `?open_circuits=…` itself:
            `"ok"`: nothing, `"fail"`: status 503.

    Raises:
        TypeError: The token is no text.
        ValueError: A setting is not one of those above.
    """

    def __init__(
        self,
        source: Source,
        *,
        token: str | None = None,
        protect: Protect = "clear",
        open_circuits: OpenCircuits = "ok",
    ) -> None:
        if open_circuits not in get_args(OpenCircuits):
            raise ValueError(f"open_circuits must be 'ok' or 'fail', got {open_circuits!r}")
        self._source = source
        self._access = Access(token, protect)
        self._open_circuits = open_circuits
        self._routes: dict[str, dict[str, Handler]] = {
            "": {"GET": self._to_the_slash},
            "/": {"GET": self._page},
            "/metrics": {"GET": self._metrics},
            "/stats.json": {"GET": self._stats},
            "/cache/stats": {"GET": self._cache_stats},
            "/cache/clear": {"POST": self._clear},
            "/healthz": {"GET": self._health},
        }
        self._assets: dict[str, Handler] = {"GET": self._asset}

    def plan(self, request: Request) -> Plan:
        """What is to be done about *request*; of what is refused outright nothing further is read."""
        if not request.path and not request.prefix:  # a server's own way of asking for the root
            request = replace(request, path="/")
        try:
            return self._plan(request)
        except Refused as refused:
            return Plan(request, refused)

    def _plan(self, request: Request) -> Plan:
        methods = self._assets if request.path.startswith(ASSETS) else self._routes.get(request.path)
        if methods is None:
            raise Refused(404, "NOT_FOUND", "there is nothing at this path: see / for the page")
        allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])
        if request.method == "OPTIONS":
            return Plan(request, lambda request, body: Answer(204, (("Allow", allowed), NO_STORE, NOSNIFF)))
        looks = request.method in ("GET", "HEAD")
        handler = methods.get("GET" if looks else request.method)
        if handler is None:
            message = f"this path does not take this method: use {' or '.join(methods)}"
            raise Refused(405, "METHOD_NOT_ALLOWED", message, [("Allow", allowed)])
        if not looks:
            self._access.demand_change(request)
            return Plan(request, handler, MAX_BODY)
        if request.path not in OPEN:
            self._access.demand_look(request)
        return Plan(request, handler)

    def _to_the_slash(self, request: Request, body: bytes) -> Answer:
        """From the mount point to the page in it, relative to where the browser thinks it is.

        So it holds behind a proxy whose prefix nobody told us, and no path can make it lead to another host.
        """
        last = request.prefix.rpartition("/")[2]
        query = f"?{quote(request.query, safe=_QUERY)}" if request.query else ""
        place = f"./{quote(last, safe='')}/{query}"
        headers = (("Location", place), ("Content-Type", "text/plain; charset=utf-8"), NO_STORE, NOSNIFF)
        return Answer(307, headers, f"The page is at {place}\n".encode())

    def _page(self, request: Request, body: bytes) -> Answer:
        return page()

    def _asset(self, request: Request, body: bytes) -> Answer:
        return asset(request, request.path.removeprefix(ASSETS))

    def _metrics(self, request: Request, body: bytes) -> Answer:
        from ..metrics.exporters.prometheus_text import render

        kind, text = render(self._source.states(), request.headers.get("accept", ""))
        return Answer(200, (("Content-Type", kind), ("Vary", "Accept"), NO_STORE, NOSNIFF), text)

    def _stats(self, request: Request, body: bytes) -> Answer:
        from ..metrics.report import report
        from ..metrics.tally import WINDOWS

        states = self._source.states(detailed=True)
        known = {f"{each.total_seconds():g}": each.total_seconds() for each in WINDOWS}
        known |= {f"{each:g}": each for state in states for each in state.recent}
        asked = request.parameter("window") or None
        if asked is not None and asked not in known:
            message = f"window must be one of {', '.join(known)} (seconds), or left out, got {asked[:40]!r}"
            raise Refused(400, "INVALID_REQUEST", message)
        return json_answer(report(states, None if asked is None else known[asked]))

    def _cache_stats(self, request: Request, body: bytes) -> Answer:
        return json_answer(cache_stats(self._source.states(), _now()))

    def _clear(self, request: Request, body: bytes) -> Answer:
        removed, freed, caches = self._source.clear(wanted(request, body))
        return json_answer(cleared(removed, freed, caches, _now()))

    def _health(self, request: Request, body: bytes) -> Answer:
        asked = request.parameter("open_circuits")
        if asked is not None and asked not in get_args(OpenCircuits):
            raise Refused(400, "INVALID_REQUEST", f"open_circuits must be 'ok' or 'fail', got {asked[:40]!r}")
        circuits = {state.function: state.circuit.state for state in self._source.states() if state.circuit is not None}
        open_ones = [label for label, circuit in circuits.items() if circuit == "open"]
        ill = bool(open_ones) and (asked or self._open_circuits) == "fail"
        content: dict[str, object] = {"status": "unhealthy" if ill else "healthy", "timestamp": _now()}
        content |= {"circuits": len(circuits), "open_circuits": len(open_ones)}
        if self._access.may_look(request):
            content["open"] = open_ones
        return json_answer(content, 503 if ill else 200)


def too_large(limit: int) -> Refused:
    """What a body over *limit* bytes is refused with."""
    return Refused(413, "BODY_TOO_LARGE", f"the body may have at most {limit} bytes")


_QUERY = "=&%+,;:@!$'()*-._~/?"
"""What may stand in a query string as it is."""


class Plan:
    """What is to be done about one request: perhaps read a body, then answer.

    Args:
        request: The request.
        handler: What answers it, or what it is refused with.
        limit: Bytes that the body may have; 0: it is of no interest, and need not be read.
    """

    __slots__ = ("_handler", "_request", "limit")

    def __init__(self, request: Request, handler: Handler | Refused, limit: int = 0) -> None:
        self._request = request
        self._handler = handler
        self.limit = limit

    def answer(self, body: bytes | Refused = b"") -> Answer:
        """The answer; a body that could not be read is given as what it is refused with."""
        request = self._request
        try:
            if isinstance(self._handler, Refused):
                raise self._handler
            if isinstance(body, Refused):
                raise body
            return self._handler(request, body)
        except Refused as refused:
            return error_answer(refused, request.prefix + request.path, _now())
        except Exception:  # noqa: BLE001 - whatever fails, the client gets an answer, and the log the whole story
            log().exception("%s %s could not be answered", request.method, request.path)
            failed = Refused(500, "INTERNAL_ERROR", "the answer could not be made: the log of the process says why")
            return error_answer(failed, request.prefix + request.path, _now())


def _now() -> str:
    return timestamp(time.time())
