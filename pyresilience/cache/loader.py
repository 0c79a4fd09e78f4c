"""Behind the door: what a miss does. It leads and computes, or follows and waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import _async, _blocking
from .._call import Call
from .._lifecycle import lifecycle
from .._outcome import Error
from .._settings import seconds
from .._wiring import Wiring
from ..events import CacheHit, CacheMissed, TimedOut
from ..stages.base import AsyncHandler, Handler
from .flight import NO_KEYWORDS, Flight
from .flights import IN_FLIGHT
from .keeping import TOO_HEAVY
from .result_cache import ResultCache
from .shelf import Row

if TYPE_CHECKING:
    from ..metrics.cache_metrics import CacheMetrics

Load: TypeAlias = Callable[..., Any]
"""Answers a call that was no plain hit: of a key, the arguments, when the metrics were asked, and the kind of flight."""


class Loader:
    """The loads of one function.

    Args:
        name: The function, as events call it.
        cache: Where results are kept.
        metrics: Where calls are recorded; None: nowhere.
        limit: Seconds a call may take as a whole, waiting for another caller included, or what tells so of a call;
            None: no limit.
    """

    def __init__(
        self,
        name: str,
        cache: ResultCache,
        wiring: Wiring,
        metrics: CacheMetrics | None,
        limit: float | Callable[[Call], float] | None,
    ) -> None:
        self.cache = cache
        self.metrics = metrics
        self._name = name
        self._wiring = wiring
        self._limit = limit
        self._patience = seconds(cache.config.wait_timeout or 0.0)
        self._hits_are_heard = bool(wiring.audience(CacheHit))

    def wrap(self, handler: Handler) -> Load:
        """Load through the synchronous *handler*."""
        flights, name, limit = self.cache.flights, self._name, self._limit
        metrics, now = self.metrics, self.cache.now
        heard = self._wiring.audience(CacheMissed) or self._wiring.audience(CacheHit)
        clock, home, signal = self.cache.clock, _blocking.home(), _blocking.Signal

        def load(
            key: Hashable,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            asked: float = 0.0,
            kind: Callable[[], Flight] = Flight,
        ) -> Any:
            flight = kind()
            flight.name, flight.args, flight.kwargs = name, args, kwargs
            if kind is Flight:
                # read by every landing: dearer from the class
                flight.storable, flight.old, flight.followers = True, None, ()
            began = 0.0 if metrics is None else asked or now()
            if lifecycle.closed:
                raise lifecycle.refusal(flight)
            tally = lifecycle.tally
            tally.running += 1
            try:
                landed = flights.board(key, flight, home, signal, limit)
                if landed is not None:
                    while flight.waits:
                        flight.signal.wait(clock, *flights.look(key, flight))
                    if not flights.take_over(key, flight, landed):
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

    def wrap_async(self, handler: AsyncHandler) -> Callable[..., Awaitable[Any]]:
        """Load through the asynchronous *handler*."""
        flights, name, limit = self.cache.flights, self._name, self._limit
        metrics, now = self.metrics, self.cache.now
        heard = self._wiring.audience(CacheMissed) or self._wiring.audience(CacheHit)
        clock, home, signal = self.cache.clock, _async.home(), _async.Signal

        async def load(
            key: Hashable,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            asked: float = 0.0,
            kind: Callable[[], Flight] = Flight,
        ) -> Any:
            flight = kind()
            flight.name, flight.args, flight.kwargs = name, args, kwargs
            if kind is Flight:
                # read by every landing: dearer from the class
                flight.storable, flight.old, flight.followers = True, None, ()
            began = 0.0 if metrics is None else asked or now()
            if lifecycle.closed:
                raise lifecycle.refusal(flight)
            tally = lifecycle.tally
            tally.running += 1
            try:
                landed = flights.board(key, flight, home, signal, limit)
                if landed is not None:
                    while flight.waits:
                        await flight.signal.wait(clock, *flights.look(key, flight))
                    if not flights.take_over(key, flight, landed):
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

    def _begin(self, flight: Flight) -> None:
        """Say that the function runs; unless the time was up while waiting, for the timeout stage to say."""
        if flight.late:
            self.tell_hit("coalesced")
        elif flight.counted:
            self._wiring.tell(CacheMissed, flight, attempt=0, reason=flight.reason)

    def _arrive(self, flight: Flight, landed: Row) -> Any:
        """The value or error that another caller has computed, or that was kept."""
        flight.found = flight.over = True
        flight.args, flight.kwargs = (), NO_KEYWORDS
        if flight.scheduled and flight.source != "stale":  # it had that computed, though not by itself
            flight.found, flight.line = False, None
            self.cache.shelf.misses += 1
        else:
            self.cache.shelf.hits += flight.counted
        if self._wiring.heard and flight.counted:
            self._tell(flight, landed)
        return self.cache.hand_out(flight.collect() if landed is IN_FLIGHT else landed[0])

    def _tell(self, flight: Flight, landed: Row) -> None:
        """Say what answers a call that was not to run the function itself."""
        if not flight.found:
            self._wiring.tell(CacheMissed, flight, attempt=0, reason=flight.reason)
        elif landed is IN_FLIGHT or flight.source == "stale":
            self.tell_hit(flight.source)
        else:
            self.tell_hit("fresh")
        if flight.gave_up and type(flight.outcome) is Error:
            self._wiring.tell(TimedOut, flight, seconds=self._patience, per_attempt=False)

    def serve(self, began: float, *, fresh: bool, begun: bool) -> None:
        """A row is handed out after a closer look; *begun*: and is being reloaded for that."""
        if self._hits_are_heard:
            self.tell_hit("fresh" if fresh else "stale")
        if self.metrics is None:
            return
        if fresh and not begun:
            self.metrics.count_hit(began, self.cache.now)
            return
        took = self.cache.now() - began
        self.metrics.record_call(took, hit=fresh, coalesced=False, stale=not fresh, served=not fresh, runs=begun)

    def tell_hit(self, source: str) -> None:
        """Say that a cached result is returned."""
        hit = Flight()
        hit.name = self._name
        self._wiring.tell(CacheHit, hit, attempt=0, source=source)

    def _record(self, flight: Flight, began: float) -> None:
        """A call that was no plain hit is over: say what it met, unless it was interrupted while it waited."""
        if self.metrics is None:
            return
        heavy, served = flight.unkept is TOO_HEAVY, flight.source == "stale"
        if not flight.counted:
            if heavy:
                self.metrics.record_size_limit_rejection()
        elif flight.found or flight.late or flight.line is None:
            hit = (flight.found or flight.late) and not (served or flight.gave_up or flight.scheduled)
            self.metrics.record_call(
                self.cache.now() - began,
                hit=hit,
                coalesced=hit and (flight.late or flight.line is not None),
                stale=served or flight.scheduled or (not hit and flight.reason == "expired"),
                served=served,
                runs=flight.scheduled + (not hit and (flight.reached or flight.ran)),
                timed_out=flight.gave_up,
                heavy=heavy,
            )
        elif flight.scheduled:
            self.metrics.record_recalculation()
