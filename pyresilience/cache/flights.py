"""Single flight: per key one caller computes, in its own task or thread, and the others wait for it.

A flight ends by landing (its outcome goes to all who wait) or, if its leader is cancelled, by being handed over to
one of them. Whatever happens, it ends in the leader's own frame, so nothing is left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from math import inf
from types import AsyncGeneratorType, CoroutineType
from typing import Any, TypeAlias

from .. import _async, _blocking
from .._call import Call
from .._forks import renew_in_child
from .._outcome import Error, Outcome, Value
from ..clock import Clock
from .flight import NO_KEYWORDS, Flight, leading
from .keys import UNKEYED
from .shelf import Row, Shelf

Signal: TypeAlias = Callable[[], _blocking.Signal | _async.Signal]
Home: TypeAlias = Callable[[], Any]
Limit: TypeAlias = float | Callable[[Call], float] | None

IN_FLIGHT: Row = (None, 0.0)
"""Stands for a row that another caller is computing."""

LOOK = 0.2
"""Seconds between two looks of a follower at a leader in another event loop, which may be closed under it."""


class Flights:
    """Who computes what, on the way to a shelf.

    Args:
        shelf: Where results are kept.
        life: Seconds they are good for; 0: for ever.
        clock: Where the time is read.
    """

    def __init__(self, shelf: Shelf, life: float, clock: Clock) -> None:
        self.shelf = shelf
        self.lock = threading.RLock()
        """Guards the shelf and the flights to it. Whatever garbage collection or a signal runs may take it again."""
        self._life = life
        self._now = clock.monotonic
        self._flying: dict[Hashable, Flight] = {}
        self._invalidated: dict[Hashable, None] = {}
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
            flight.thread = threading.get_ident()
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
            if self._invalidated:
                self._recall(key, flight)
        self.shelf.misses += 1
        return None

    def fence(self, key: Hashable) -> bool:
        """Keep nothing of what is being computed for *key* now; the holder locks. False: nothing is."""
        return self._flying.pop(key, None) is not None

    def fence_all(self, among: Callable[[Hashable], bool]) -> None:
        """Keep nothing of what is being computed for the keys *among* which; the holder locks."""
        for key in [*self._flying]:
            if among(key):
                self._flying.pop(key, None)

    def remember_invalidated(self, key: Hashable) -> None:
        """Let the next miss of *key* know why; the holder locks."""
        self._invalidated[key] = None
        if len(self._invalidated) > self.shelf.size:
            del self._invalidated[next(iter(self._invalidated))]

    def _line_up(self, key: Hashable, flight: Flight, leader: Flight, signal: Signal, limit: Limit) -> bool:
        """Wait for the flight of *key*; False: there is none any more, or it would wait for us."""
        waker = signal()
        with self.lock:
            leader = self._flying.setdefault(key, flight)
            if leader is flight:
                return False
            if leader.over or _async.vanished(leader.home):
                self._succeed(key, leader, flight)
                return False
            if not flight.follow(leader, waker):
                self._flying.setdefault(key, flight)
                return False
            if limit is not None:
                flight.deadline = self._now() + (limit(flight) if callable(limit) else limit)
            return True

    def _is_fresh(self, key: Hashable, flight: Flight, row: Row) -> bool:
        """Whether *row* landed just before we boarded; if not, its time is over and it goes."""
        with self.lock:
            if self._now() < row[1]:
                self._take_off(key, flight)
                fresh = True
            else:
                if self.shelf.rows.get(key) is row:
                    self.shelf.drop(key, "expired")
                flight.reason = "expired"
                fresh = False
        if fresh and flight.followers:
            self._deliver(flight, Value(row[0]))
        return fresh

    def _recall(self, key: Hashable, flight: Flight) -> None:
        """Say so if *key* was invalidated since it was last computed."""
        with self.lock:
            if key in self._invalidated:
                del self._invalidated[key]
                flight.reason = "invalidated"

    def look(self, key: Hashable, flight: Flight) -> float | None:
        """Seconds a follower may wait until it must look again; None: until it is woken."""
        leader, left = flight.leader, None
        if flight.deadline is not None:
            left = max(0.0, flight.deadline - self._now())
        if leader is None or leader.home is flight.home:
            gone = False
        else:
            gone = _async.vanished(leader.home)
            left = LOOK if left is None else min(LOOK, left)
        if gone or left == 0.0:
            with self.lock:
                if not flight.waits or leader is None:
                    return 0.0
                flight.withdraw()
                if gone:
                    self._succeed(key, leader, flight)
                else:
                    flight.leader, flight.late = None, True
            return 0.0
        return left

    def take_over(self, flight: Flight, landed: Row) -> bool:
        """Whether, after all the waiting, *flight* must compute itself; then it does so from now on."""
        if landed is not IN_FLIGHT or flight.outcome is not None:
            return False
        if flight.late:
            self.shelf.hits += 1
        else:
            self.shelf.misses += 1
        return True

    def land(self, key: Hashable, flight: Flight, value: Any) -> None:
        """The leader has *value*: keep it, unless it was invalidated meanwhile, and give it to all who wait.

        The row comes before the flight goes: whoever looks without the lock finds one or the other.
        """
        once = type(value) not in _PLAIN and _only_once(value)
        weigh = self.shelf.weigh
        weight = 0 if weigh is None else weigh(value)
        flying = self._flying
        with self.lock:
            if flying.get(key) is flight:  # else it was fenced, and another may have begun
                if flight.storable and not once:
                    self.shelf.put(key, value, self._now() + self._life if self._life else inf, weight)
                try:  # `_take_off`, without the call
                    if flying[key] is flight:
                        del flying[key]
                except KeyError:
                    pass
        flight.over, flight.args, flight.kwargs = True, (), NO_KEYWORDS
        if flight.followers:
            self._deliver(flight, None if once else Value(value))

    def fail(self, key: Hashable, flight: Flight, error: BaseException) -> None:
        """The call ended with *error*: if it led, and was not cancelled, so did the calls that wait for it."""
        if flight.leader is None and isinstance(error, Exception):
            with self.lock:
                self._take_off(key, flight)
            if flight.followers:
                self._deliver(flight, Error(error))

    def end(self, key: Hashable, flight: Flight) -> None:
        """The call is over, whatever became of it: leave nothing behind, and nobody waiting in vain."""
        flight.over, flight.args, flight.kwargs = True, (), NO_KEYWORDS
        with self.lock:
            if flight.leader is not None:
                flight.withdraw()
                return
            told = [each for each in flight.followers if each.outcome is not None]
            waiting = [each for each in flight.followers if each.outcome is None and not _async.vanished(each.home)]
            if self._flying.get(key) is flight:
                if waiting:
                    self._flying[key] = waiting[0]
                else:
                    del self._flying[key]
            if waiting:
                waiting[0].promote(waiting[1:])
            flight.followers = ()
        for each in told:
            each.wake()

    def _take_off(self, key: Hashable, flight: Flight) -> None:
        """Forget *flight*, unless another has taken its place; nothing comes between looking and forgetting."""
        flying = self._flying
        try:
            if flying[key] is flight:
                del flying[key]
        except KeyError:
            return

    def _deliver(self, flight: Flight, outcome: Outcome | None) -> None:
        """Give all who wait the outcome; None: it cannot be shared, so each computes its own."""
        for each in list(flight.followers):
            if outcome is None:
                each.promote([])
            else:
                each.tell(outcome)
        flight.followers = ()

    def _succeed(self, key: Hashable, leader: Flight, heir: Flight) -> None:
        """*leader* is gone with its event loop: *heir* computes, and those who waited wait for it."""
        self._flying[key] = heir
        heirs, leader.followers = list(leader.followers), ()
        heir.promote(heirs)


_PLAIN = frozenset({dict, list, tuple, str, bytes, int, float, bool, type(None)})
"""The usual results, which can be used any number of times."""


def _only_once(value: Any) -> bool:
    """Whether *value* is used up by using it (a coroutine, a generator, an iterator): never kept, never shared."""
    kind = type(value)
    return issubclass(kind, (CoroutineType, AsyncGeneratorType)) or hasattr(kind, "__next__")
