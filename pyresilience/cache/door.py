"""The front door: a hit is answered here, before anything of the pipeline exists; a miss leads or follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

from .. import _async, _blocking
from .._call import Call
from .._lifecycle import lifecycle
from .._wiring import Wiring
from ..events import CacheHit, CacheMissed
from ..stages.base import AsyncHandler, Handler
from .flight import NO_KEYWORDS, Flight
from .flights import IN_FLIGHT
from .keys import SHORT, KeyMaker, Scope
from .result_cache import ResultCache
from .shelf import Row

if TYPE_CHECKING:
    from ..metrics.cache_metrics import CacheMetrics

NOTHING: Any = object()
"""Stands for the first argument of a call that has none."""


class Door:
    """The entrance of one function that has a cache.

    Args:
        cache: What it looks into.
        shared: Whether other functions do so as well.
        limit: Seconds a call may take as a whole, waiting for another caller included, or what tells so of a call;
            None: no limit.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        cache: ResultCache,
        wiring: Wiring,
        *,
        shared: bool,
        limit: float | Callable[[Call], float] | None,
    ) -> None:
        self.cache = cache
        self.scope = Scope(name) if shared else None
        self.metrics = cache.metrics_of(self.scope)
        self._name = name
        self._wiring = wiring
        self._limit = limit
        maker = KeyMaker(function, cache.config, self.scope)
        self.key_of = maker.key
        self._bare = (int, str) if maker.bare else (None, None)
        """The types of a lone argument that is its own key."""

    def wrap(self, handler: Handler) -> Callable[..., Any]:
        """The synchronous function in front of *handler*."""
        shelf, now, (number, text) = self.cache.shelf, self.cache.clock.monotonic, self._bare
        find, touch, key_of, load = shelf.rows.get, self._touch(), self.key_of, self._load(handler)
        metrics = self._recorder()

        def cached(first: Any = NOTHING, /, *rest: Any, **kwargs: Any) -> Any:
            key, asked = first, 0.0
            if rest or kwargs or ((kind := type(first)) is not number and (kind is not text or len(first) > SHORT)):
                if metrics is not None:
                    asked = now()
                key = key_of(_together(first, rest), kwargs)
            row = find(key)
            if row is None or (moment := now()) >= row[1]:
                return load(key, _together(first, rest), kwargs, asked)
            try:
                touch(key)
            except KeyError:
                pass
            shelf.hits += 1
            if metrics is not None:
                if metrics.skip > 0:
                    metrics.skip -= 1
                else:
                    metrics.hits += 1
                    if metrics.draw is not None:
                        metrics.skip = metrics.draw()
                    if moment >= metrics.turn:
                        metrics.time_hit(moment, now() - (asked or moment))
            return row[0]

        return cached

    def wrap_async(self, handler: AsyncHandler) -> Callable[..., Any]:
        """The asynchronous function in front of *handler*."""
        shelf, now, (number, text) = self.cache.shelf, self.cache.clock.monotonic, self._bare
        find, touch, key_of, load = shelf.rows.get, self._touch(), self.key_of, self._load_async(handler)
        metrics = self._recorder()

        async def cached(first: Any = NOTHING, /, *rest: Any, **kwargs: Any) -> Any:
            key, asked = first, 0.0
            if rest or kwargs or ((kind := type(first)) is not number and (kind is not text or len(first) > SHORT)):
                if metrics is not None:
                    asked = now()
                key = key_of(_together(first, rest), kwargs)
            row = find(key)
            if row is None or (moment := now()) >= row[1]:
                return await load(key, _together(first, rest), kwargs, asked)
            try:
                touch(key)
            except KeyError:
                pass
            shelf.hits += 1
            if metrics is not None:
                if metrics.skip > 0:
                    metrics.skip -= 1
                else:
                    metrics.hits += 1
                    if metrics.draw is not None:
                        metrics.skip = metrics.draw()
                    if moment >= metrics.turn:
                        metrics.time_hit(moment, now() - (asked or moment))
            return row[0]

        return cached

    def _load(self, handler: Handler) -> Callable[[Hashable, tuple[Any, ...], dict[str, Any], float], Any]:
        """What a miss does: lead and compute, or follow and wait."""
        flights, name, limit = self.cache.flights, self._name, self._limit
        metrics, now = self.metrics, self.cache.now
        heard = self._wiring.audience(CacheMissed) or self._wiring.audience(CacheHit)
        clock, home, signal = self.cache.clock, _blocking.home(), _blocking.Signal

        def load(key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], asked: float) -> Any:
            flight = Flight()
            flight.name, flight.args, flight.kwargs = name, args, kwargs
            flight.storable, flight.followers = True, ()  # read by every landing: dearer from the class
            began = 0.0 if metrics is None else asked or now()
            if lifecycle.closed:
                raise lifecycle.refusal(flight)
            tally = lifecycle.tally
            tally.running += 1
            try:
                landed = flights.board(key, flight, home, signal, limit)
                if landed is not None:
                    while flight.waits:
                        flight.signal.wait(clock, flights.look(key, flight))
                    if not flights.take_over(flight, landed):
                        return self._arrive(flight, landed)
                if heard:
                    self._begin(flight)
                value = handler(flight)
                flights.land(key, flight, value)
            except BaseException as error:
                try:
                    flights.fail(key, flight, error)
                finally:
                    flights.end(key, flight)
                raise
            finally:
                tally.running -= 1
                if metrics is not None:
                    self._record(flight, began)
            return value

        return load

    def _load_async(
        self, handler: AsyncHandler
    ) -> Callable[[Hashable, tuple[Any, ...], dict[str, Any], float], Awaitable[Any]]:
        """What a miss does: lead and compute, or follow and wait."""
        flights, name, limit = self.cache.flights, self._name, self._limit
        metrics, now = self.metrics, self.cache.now
        heard = self._wiring.audience(CacheMissed) or self._wiring.audience(CacheHit)
        clock, home, signal = self.cache.clock, _async.home(), _async.Signal

        async def load(key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], asked: float) -> Any:
            flight = Flight()
            flight.name, flight.args, flight.kwargs = name, args, kwargs
            flight.storable, flight.followers = True, ()  # read by every landing: dearer from the class
            began = 0.0 if metrics is None else asked or now()
            if lifecycle.closed:
                raise lifecycle.refusal(flight)
            tally = lifecycle.tally
            tally.running += 1
            try:
                landed = flights.board(key, flight, home, signal, limit)
                if landed is not None:
                    while flight.waits:
                        await flight.signal.wait(clock, flights.look(key, flight))
                    if not flights.take_over(flight, landed):
                        return self._arrive(flight, landed)
                if heard:
                    self._begin(flight)
                value = await handler(flight)
                flights.land(key, flight, value)
            except BaseException as error:
                try:
                    flights.fail(key, flight, error)
                finally:
                    flights.end(key, flight)
                raise
            finally:
                tally.running -= 1
                if metrics is not None:
                    self._record(flight, began)
            return value

        return load

    def _touch(self) -> Callable[[Hashable], None]:
        """What a hit does to its row; and to those who listen, if anybody does."""
        touch = self.cache.shelf.touch
        if not self._wiring.audience(CacheHit):
            return touch

        def touch_and_tell(key: Hashable) -> None:
            try:
                touch(key)
            finally:
                hit = Flight()
                hit.name = self._name
                self._hit(hit, "fresh")

        return touch_and_tell

    def _recorder(self) -> CacheMetrics | None:
        """Where hits are recorded; None: nowhere, or none of them."""
        return self.metrics if self.metrics is not None and self.metrics.sampling_rate else None

    def _record(self, flight: Flight, began: float) -> None:
        """A call that was no plain hit is over: say what it met, unless it was interrupted while it waited."""
        hit = flight.found or flight.late
        if self.metrics is not None and (hit or flight.leader is None):
            self.metrics.record_call(
                self.cache.now() - began,
                hit=hit,
                coalesced=flight.late or flight.leader is not None,
                stale=not hit and flight.reason == "expired",
                ran=not hit and (flight.reached or flight.ran),
            )

    def _begin(self, flight: Flight) -> None:
        """Say that the function runs; unless the time was up while waiting, for the timeout stage to say."""
        if flight.late:
            self._hit(flight, "coalesced")
        else:
            self._wiring.tell(CacheMissed, flight, attempt=0, reason=flight.reason)

    def _arrive(self, flight: Flight, landed: Row) -> Any:
        """The value or error that another caller has computed."""
        self.cache.shelf.hits += 1
        flight.found = flight.over = True
        flight.args, flight.kwargs = (), NO_KEYWORDS
        if self._wiring.heard:
            self._hit(flight, "coalesced" if landed is IN_FLIGHT else "fresh")
        return flight.collect() if landed is IN_FLIGHT else landed[0]

    def _hit(self, flight: Flight, source: str) -> None:
        self._wiring.tell(CacheHit, flight, attempt=0, source=source)


def _together(first: Any, rest: tuple[Any, ...]) -> tuple[Any, ...]:
    """The positional arguments of a call."""
    return () if first is NOTHING else (first, *rest)
