"""Single flight: per key one caller computes, in its own task or thread, and the others wait for it.

A flight ends by landing (its outcome goes to all who wait) or, if its leader is cancelled, by being handed over to
one of them. Whatever happens, it ends in the leader's own frame, so nothing is left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from math import inf
from threading import get_ident
from typing import Any, Literal

from .. import _async
from .._forks import renew_in_child
from .._outcome import Error, Outcome, Value
from ..clock import Clock
from .flight import NO_KEYWORDS, Flight, Home, Limit, Signal, leading
from .invalidations import Invalidations
from .keeping import NO_RESULT, PLAIN, USED_UP, RowMaker, only_once
from .keys import UNKEYED
from .shelf import Row, Shelf

IN_FLIGHT: Row = (None, 0.0)
"""Stands for a row that another caller is computing."""

LOOK = 0.2
"""Seconds between two looks of a follower at a leader in another event loop, which may be closed under it."""


class Flights:
    """Who computes what, on the way to a shelf.

    Args:
        shelf: Where results are kept.
        row_of: Makes rows of them.
        clock: Where the time is read.
    """

    def __init__(self, shelf: Shelf, row_of: RowMaker, clock: Clock) -> None:
        self.shelf = shelf
        self.lock = threading.RLock()
        """Guards the shelf and the flights to it. Whatever garbage collection or a signal runs may take it again."""
        self._row_of = row_of
        self._now = clock.monotonic
        self._flying: dict[Hashable, Flight] = {}
        self.invalidations = Invalidations(shelf.size)
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child nobody computes."""
        self.lock = threading.RLock()
        self._flying.clear()

    def board(self, key: Hashable, flight: Flight, home: Home | None, signal: Signal, limit: Limit) -> Row | None:
        """Let *flight* lead *key* (None), or follow who does for *limit* seconds (IN_FLIGHT); a row: it has landed."""
        above = leading.get()
        while above is not None and above.over:
            above = above.above
        flight.above = above
        if home is None:
            flight.thread = get_ident()
        else:
            flight.home = home()
        leading.set(flight)  # before others can see it: a signal handler that runs now must not wait for it
        if key is not UNKEYED:
            leader = self._flying.setdefault(key, flight)
            if leader is not flight and self._line_up(key, flight, leader, signal, limit):
                return IN_FLIGHT
            row = self.shelf.rows.get(key)
            if row is not None and self._is_fresh(key, flight, row):
                return row
            if self.invalidations:
                self._recall(key, flight)
        else:
            flight.reason, flight.storable = "bypassed", False
        self.shelf.misses += 1
        return None

    def is_flying(self, key: Hashable) -> bool:
        """Whether *key* is being computed."""
        return (leader := self._flying.get(key)) is not None and not _async.vanished(leader.home)

    def oldest_mark(self, latest: int) -> int:
        """The last invalidation of a tag before any of the flights under way began; the *latest* of all, if none is."""
        return min([latest, *(flight.mark for flight in [*self._flying.values()])])

    def fence(self, key: Hashable) -> bool:
        """Keep nothing of what is being computed for *key* now; False: nothing is."""
        with self.lock:
            return self._flying.pop(key, None) is not None

    def fence_all(self, among: Callable[[Hashable], bool]) -> None:
        """Keep nothing of what is being computed for the keys *among* which; the holder locks."""
        for key in [*self._flying]:
            if among(key):
                self._flying.pop(key, None)

    def _line_up(self, key: Hashable, flight: Flight, leader: Flight, signal: Signal, limit: Limit) -> bool:
        """Wait for the flight of *key*; False: there is none any more, or it would wait for us."""
        if self.lock._is_owned():  # type: ignore[attr-defined]  # we are a handler: who leads may wait for us
            return False
        waker = signal()
        with self.lock:
            leader = self._flying.setdefault(key, flight)
            if leader is flight:
                return False
            if leader.over or _async.vanished(leader.home):
                self._hand_on(key, leader, flight)
                return False
            if not flight.follow(leader, waker):
                self._flying.setdefault(key, flight)
                return False
            if limit is not None:
                flight.deadline = self._now() + (limit(flight) if callable(limit) else limit)
            self._bound(key, flight)
            return True

    def _bound(self, key: Hashable, flight: Flight) -> None:
        """Say how long *flight* waits for its leader: here, for as long as that takes."""

    def _give_up(self, key: Hashable, flight: Flight, leader: Flight) -> None:
        """*flight* has waited long enough for its *leader*; the holder locks."""

    def _is_fresh(self, key: Hashable, flight: Flight, row: Row) -> bool:
        """Whether *row* landed just before we boarded, or while we waited; if not, and its time is over, it goes."""
        with self.lock:
            fresh = self._is_good(key, flight, row)
            if fresh:
                self.take_off(key, flight)
        if fresh and flight.followers:
            self._deliver(flight, Value(row[0]))
        return fresh

    def _is_good(self, key: Hashable, flight: Flight, row: Row) -> bool:
        """Whether *row* is what *flight* wants; the holder locks."""
        if flight.replaces(row):
            flight.old, flight.reason = row, "refreshed"
            return False
        if self._now() < row[1]:
            return True
        self._drop(key, flight, row, "expired")
        return False

    def _drop(self, key: Hashable, flight: Flight, row: Row, reason: Literal["expired", "invalidated"]) -> None:
        """*row* is of no use any more; the holder locks."""
        if self.shelf.rows.get(key) is row:
            self.shelf.drop(key, reason)
            self.shelf.ledger.note(key, reason)
        flight.reason = reason

    def _recall(self, key: Hashable, flight: Flight) -> None:
        """Say so if *key* was invalidated since it was last computed."""
        with self.lock:
            if self.invalidations.recall(key):
                flight.reason = "invalidated"

    def look(self, key: Hashable, flight: Flight) -> tuple[float, float]:
        """Until when a follower may wait, and the seconds after which it must look again even if it is not woken."""
        leader, now, deadline = flight.leader, self._now(), inf if flight.deadline is None else flight.deadline
        until = min(deadline, flight.patience)
        home = flight.home if leader is None else leader.home
        gone = home is not flight.home and _async.vanished(home)
        if not gone and now < until:
            return until, inf if home is flight.home else LOOK
        with self.lock:
            if leader is not None and flight.leader is leader and flight.waits:
                flight.withdraw()
                if gone:
                    self._hand_on(key, leader, flight)
                elif deadline <= now:
                    flight.line, flight.late = None, True
                else:
                    self._give_up(key, flight, leader)
        return inf, 0.0

    def take_over(self, key: Hashable, flight: Flight, landed: Row) -> bool:
        """Whether, after all the waiting, *flight* must compute itself; then it does so from now on."""
        if landed is not IN_FLIGHT or flight.outcome is not None:
            return False
        row, reason = self.shelf.rows.get(key), flight.reason
        if flight.late:
            flight.old = row
            self.shelf.hits += 1
            return True
        if row is not None and self._is_fresh(key, flight, row):
            flight.outcome, flight.source = Value(row[0]), flight.source.replace("coalesced", "fresh")
            return False
        flight.reason = flight.reason if reason == "cold" else reason
        self.shelf.misses += flight.counted
        return True

    def land(self, key: Hashable, flight: Flight, value: Any) -> None:
        """The leader has *value*: keep it, unless it was invalidated meanwhile, and give it to all who wait.

        The row comes before the flight goes: whoever looks without the lock finds one or the other.
        """
        once = type(value) not in PLAIN and only_once(value)
        now = self._now()
        row = self._row_of(flight, value, now) if flight.storable and not once else None
        flying = self._flying
        with self.lock:
            if flying.get(key) is flight:  # else it was fenced, and another may have begun
                if row is None:
                    self._turn_away(key, flight, once)
                    flight.forestall(Value(value), flight.source)
                elif flight.old is None:
                    self.shelf.put(key, row, now)
                else:
                    self.shelf.replace(key, row, now)
                    flight.old = None
                try:  # `take_off`, without the call
                    if flying[key] is flight:
                        del flying[key]
                except KeyError:
                    pass
        flight.over, flight.args, flight.kwargs = True, (), NO_KEYWORDS
        if flight.followers:
            self._deliver(flight, None if once else self._shared(row, value))

    def _shared(self, row: Row | None, value: Any) -> Outcome | None:
        """What the followers of a flight get; None: they cannot share it."""
        return Value(value)

    def fail(self, key: Hashable, flight: Flight, error: BaseException) -> None:
        """The call ended with *error*: if it led, and was not cancelled, so did the calls that wait for it."""
        if flight.line is not None or not isinstance(error, Exception):
            self.end(key, flight)  # which is called again, but may be interrupted then
            return
        with self.lock:
            if self._flying.get(key) is flight:
                self._keep_error(key, flight, error)
            self.take_off(key, flight)
        if flight.followers:
            self._console(key, flight, error)

    def _turn_away(self, key: Hashable, flight: Flight, once: bool) -> None:
        """Remember why the result is not kept; one that must not be is no reason to keep an older one; the holder locks."""
        if flight.unkept:
            self.shelf.drop(key, "replaced")
        why = flight.unkept or flight.trouble or (USED_UP if once else NO_RESULT)
        self.shelf.ledger.note(key, "not stored", why)

    def _keep_error(self, key: Hashable, flight: Flight, error: Exception) -> None:
        """Remember why there is no result; the holder locks."""
        self.shelf.ledger.note(key, "not stored", f"the call raised {type(error).__name__}")

    def end(self, key: Hashable, flight: Flight) -> None:
        """The call is over, whatever became of it: leave nothing behind, and nobody waiting in vain."""
        flight.over, flight.args, flight.kwargs = True, (), NO_KEYWORDS
        with self.lock:
            if flight.line is not None:
                flight.withdraw()
                return
            heir = flight.followers.first() if flight.followers else None
            if heir is None:
                self.take_off(key, flight)
            else:
                self._hand_on(key, flight, heir)

    def _hand_on(self, key: Hashable, leader: Flight, heir: Flight) -> None:
        """Let *heir* compute, with all behind who wait for *leader*; it leads the *key* unless that was fenced since."""
        if self._flying.setdefault(key, heir) is leader:
            self._flying[key] = heir
        heir.lead(leader.followers)
        leader.followers = ()

    def take_off(self, key: Hashable, flight: Flight) -> None:
        """Forget *flight*, unless another has taken its place; nothing comes between looking and forgetting."""
        flying = self._flying
        try:
            if flying[key] is flight:
                del flying[key]
        except KeyError:
            return

    def _console(self, key: Hashable, flight: Flight, error: Exception) -> None:
        """Give all who wait what there is for them, as *flight* has failed."""
        self._deliver(flight, Error(error))

    def _deliver(self, flight: Flight, outcome: Outcome | None, source: str = "") -> None:
        """Give all who wait the outcome; None: it cannot be shared, so each computes its own."""
        line = flight.followers
        for each in list(line):
            each.source = source or flight.source
            if outcome is None:
                each.lead()
            else:
                each.tell(outcome)
        flight.followers = ()
        if line:
            line.clear()
