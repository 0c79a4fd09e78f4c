"""Single flight where results have more than a TTL: an old one may be at hand, and followers wait only so long."""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from threading import get_ident
from typing import Any

from .._outcome import Error, Outcome, Value
from .._settings import seconds
from ..clock import Clock
from ..errors import ResilienceTimeoutError
from .config import CacheConfig
from .flight import Flight, Home, Limit, Signal
from .flights import IN_FLIGHT, Flights
from .keeper import Keeper
from .keeping import Failure
from .shelf import Row, Shelf
from .terms import AHEAD, FRESH, GONE, Terms


class ZonedFlights(Flights):
    """Who computes what, on the way to a shelf whose entries have zones.

    Args:
        shelf: Where results are kept.
        keeper: Makes rows of them.
        terms: What the zones are.
        config: How long followers wait.
        clock: Where the time is read.
    """

    def __init__(self, shelf: Shelf, keeper: Keeper, terms: Terms, config: CacheConfig, clock: Clock) -> None:
        super().__init__(shelf, keeper.row_of, clock)
        self._keeper = keeper
        self._terms = terms
        self._wait = inf if config.wait_timeout is None else seconds(config.wait_timeout)
        self._soft = inf if config.soft_timeout is None else seconds(config.soft_timeout)
        self._then = config.on_wait_timeout
        self._cooldown = seconds(config.reload_cooldown)
        self._stale_on: Any = config.stale_on

    def board(self, key: Hashable, flight: Flight, home: Home | None, signal: Signal, limit: Limit) -> Row | None:
        """Let *flight* lead *key* (None), or follow who does for *limit* seconds (IN_FLIGHT); a row: it has landed."""
        if flight.boarded:
            if home is None:
                flight.thread = get_ident()
            return None
        flight.began, flight.mark = self._now(), self._terms.barriers.number
        landed = super().board(key, flight, home, signal, limit)
        if flight.outcome is not None and (landed is None or landed is IN_FLIGHT):  # its reload was faster than we
            self.shelf.misses -= landed is None
            self.end(key, flight)
            return IN_FLIGHT
        return landed

    def reserve(self, key: Hashable, flight: Flight, home: Home, signal: Signal) -> bool:
        """Let *flight* lead *key* before it runs; False: another does, or there is no need any more.

        Until it is said to have `begun`, it belongs to this thread.
        """
        flight.thread = get_ident()  # a handler that runs in it must not wait for what has not begun
        leads = self.board(key, flight, home, signal, None) is None
        if leads:
            self.shelf.misses -= 1  # it is no call
        flight.boarded = leads and not (flight.old is not None and self._is_cooling(flight.old))
        return flight.boarded

    def take_over(self, key: Hashable, flight: Flight, landed: Row) -> bool:
        """Whether, after all the waiting, *flight* must compute itself; then it does so from now on."""
        leads = super().take_over(key, flight, landed)
        if leads:
            flight.began, flight.mark = self._now(), self._terms.barriers.number
        return leads

    def spare(self, row: Row | None, now: float) -> bool:
        """Whether *row* is a result that can stand in for a better one."""
        return row is not None and type(row[0]) is not Failure and self._terms.zone(row[3], now) is not GONE

    def _is_cooling(self, row: Row) -> bool:
        """Whether *row* is to be left as it is, since another has just tried in vain to reload it."""
        now = self._now()
        cooling: bool = row[3].is_cooling(self._terms.zone(row[3], now), now)
        return cooling

    def _shared(self, row: Row | None, value: Any) -> Outcome | None:
        """What the followers of a flight get: nothing that its own caller may change meanwhile."""
        return Value(row[0]) if row is not None else self._keeper.apart(value)

    def _is_good(self, key: Hashable, flight: Flight, row: Row) -> bool:
        """Whether *row* is what *flight* wants; the holder locks."""
        zone = self._terms.zone(row[3], self._now())
        if flight.replaces(row):
            flight.old, flight.reason = row, "refreshed"
            return False
        if zone in (FRESH, AHEAD):
            return True
        if zone is GONE:
            self._drop(key, flight, row, row[3].reason)
        elif flight.counted and self._is_cooling(row):
            flight.source = "stale"
            return True
        else:
            flight.old, flight.reason = row, row[3].reason
            self.shelf.ledger.note(key, flight.reason)
        return False

    def _bound(self, key: Hashable, flight: Flight) -> None:
        """Say how long *flight* waits for its leader: less if there is something it can have instead."""
        now, limit = self._now(), self._limit(flight)
        if self._soft < limit and flight.excusable and self.spare(self.shelf.rows.get(key), now):
            limit, flight.soft = self._soft, True
        flight.patience = now + limit

    def _limit(self, flight: Flight) -> float:
        """Seconds that *flight* waits for another; a reload of its own is none."""
        leader = flight.leader
        return inf if leader is not None and flight.scheduled and not leader.counted else self._wait

    def _line_up(self, key: Hashable, flight: Flight, leader: Flight, signal: Signal, limit: Limit) -> bool:
        """Wait for the flight of *key*; False: there is none any more, or it is of no use to us."""
        if self._terms.barriers.outdate(leader.tags, leader.mark):
            with self.lock:
                if self._flying.get(key, leader) is leader:
                    self._flying[key] = flight
                    return False
        return super()._line_up(key, flight, leader, signal, limit)

    def _give_up(self, key: Hashable, flight: Flight, leader: Flight) -> None:
        """*flight* has waited long enough for its *leader*; the holder locks."""
        row, now = self.shelf.rows.get(key), self._now()
        if row is not None and not flight.replaces(row) and self._terms.zone(row[3], now) in (FRESH, AHEAD):
            flight.line, flight.source, flight.outcome = None, "fresh", Value(row[0])
            return
        flight.gave_up = not flight.soft
        if row is not None and (flight.soft or self._then == "stale") and self.spare(row, now):
            flight.source, flight.outcome = "stale", Value(row[0])
        elif flight.soft:
            self._wait_on(key, flight)
        elif self._then == "raise":
            message = f"{flight.name}: another call that computes the same took longer than {self._wait:g} s"
            flight.outcome = Error(ResilienceTimeoutError(message, name=flight.name, seconds=self._wait))
        else:
            flight.line, flight.reason, flight.began = None, "wait_timeout", now
            if leader.began + self._wait <= now:
                self._hand_on(key, leader, flight)
            else:  # that has come to lead only lately: it keeps its place
                self._flying.setdefault(key, flight)

    def _wait_on(self, key: Hashable, flight: Flight) -> None:
        """What *flight* could have had instead is gone: it waits as all others do, for whoever computes now."""
        flight.soft, flight.line, flight.patience = False, None, inf
        leader = self._flying.setdefault(key, flight)
        if leader is not flight and flight.follow(leader, flight.signal):
            flight.patience = flight.began + self._limit(flight)

    def _console(self, key: Hashable, flight: Flight, error: Exception) -> None:
        """Give all who wait an old result, if there is one that stands in; only a refresh fails in spite of that."""
        self._deliver(flight, *self._consolation(flight, error))

    def _consolation(self, flight: Flight, error: Exception) -> tuple[Outcome, str]:
        """What there is for those who wait for *flight*, as it has failed, and the source of that."""
        row = flight.old
        if row is not None and flight.failed and self.excuses(type(error)) and self.spare(row, self._now()):
            return Value(row[0]), "stale"
        return Error(error), flight.source

    def cool(self, flight: Flight, *, excused: bool = False) -> None:
        """*flight* has nothing better than what is kept, so nobody tries again at once; *excused*: that stands in for it."""
        assert flight.old is not None
        entry = flight.old[3]
        entry.retry_at, entry.excused, flight.in_vain = self._now() + self._cooldown, excused, True

    def excuses(self, kind: type[BaseException]) -> bool:
        """Whether an old result stands in for an error of that kind."""
        return issubclass(kind, self._stale_on) and not self._keeper.keeps(kind)

    def _turn_away(self, key: Hashable, flight: Flight, once: bool) -> None:
        """Remember why the result is not kept; one that can be used only once is none for a reload; the holder locks."""
        super()._turn_away(key, flight, once)
        if once and flight.old is not None:
            self.cool(flight)

    def _keep_error(self, key: Hashable, flight: Flight, error: Exception) -> None:
        """Keep an error that is a result; remember why there is none otherwise; the holder locks."""
        now = self._now()
        row = self._keeper.row_of_error(flight, error, now) if flight.failed else None
        if row is not None:
            self.shelf.replace(key, row, now)
        elif flight.unkept:
            self._turn_away(key, flight, once=False)
        else:
            super()._keep_error(key, flight, error)
        if row is not None or flight.unkept:
            flight.old, flight.in_vain = None, False  # it did bring something
        if row is None:
            flight.forestall(*self._consolation(flight, error))
