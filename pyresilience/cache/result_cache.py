"""The cache itself: a shelf, the flights to it, and the lock that guards both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from math import inf
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeAlias

from .. import _async, _blocking
from .._forks import renew_in_child
from .._outcome import Error, Outcome, Value
from .._settings import seconds
from .._typing import Duration
from ..clock import Clock, SystemClock
from .config import CacheConfig
from .flights import Flight, leading
from .keys import freeze
from .shelf import Row, Shelf

Signal: TypeAlias = Callable[[], _blocking.Signal | _async.Signal]
Home: TypeAlias = Callable[[], Any]

UNKEYED: Hashable = object()
"""The key of a call that has none: never kept, never shared."""

LOOK = 1.0
"""Seconds between two looks of a follower at a leader in another event loop, which may be closed under it."""


class ResultCache:
    """An LRU cache with a time limit: on its own, or given to `@resilient(cache=...)`, even to several functions.

    Thread-safe; the same object serves synchronous and asynchronous code.

    Args:
        config: How much is kept, and for how long.
        clock: Where the time is read.
    """

    def __init__(self, config: CacheConfig | None = None, *, clock: Clock | None = None) -> None:
        self.config = config or CacheConfig()
        self.clock: Clock = clock or SystemClock()
        self.shelf = Shelf(self.config.max_size)
        self._ttl = seconds(self.config.ttl)
        self._flying: dict[Hashable, Flight] = {}
        self._invalidated: dict[Hashable, None] = {}
        self._lock = threading.Lock()
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child nobody computes."""
        self._lock = threading.Lock()
        self._flying.clear()

    # By hand.

    @staticmethod
    def make_key(*args: Any, **kwargs: Any) -> Hashable:
        """A key for these arguments: equal for equal arguments of equal types, and for no others.

        Raises:
            CacheKeyError: One of them cannot be part of a key.
        """
        return freeze((args, kwargs))

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value kept under *key*, or *default*."""
        row = self.shelf.read(key, self.clock.monotonic())
        return default if row is None else row[0]

    def put(self, key: Hashable, value: Any, ttl: Duration | None = None) -> None:
        """Keep *value* for *ttl* seconds (0: for ever; None: as configured); it wins over what is being computed.

        Raises:
            ValueError: *ttl* is negative or not a number.
        """
        life = self._ttl if ttl is None else seconds(ttl)
        if not life >= 0:
            raise ValueError(f"ttl must be >= 0, got {ttl!r}")
        with self._lock:
            self._flying.pop(key, None)
            self._store(key, value, life)

    def invalidate(self, key: Hashable) -> bool:
        """Forget *key*, and do not keep what is being computed for it now; False: nothing was kept."""
        with self._lock:
            flying = self._flying.pop(key, None) is not None
            found = self.shelf.drop(key)
            if found or flying:
                self._invalidated[key] = None
                if len(self._invalidated) > self.shelf.size:
                    del self._invalidated[next(iter(self._invalidated))]
            return found

    def clear(self, scope: Hashable = None) -> None:
        """Forget everything, the counts too, and keep nothing of what is being computed now.

        With *scope*: the entries of the one function of that scope, in a cache that several share.
        """
        with self._lock:
            if scope is None:
                self._flying.clear()
                self._invalidated.clear()
                self.shelf.clear()
                return
            for key in [key for key in self._flying if _scope(key) is scope]:
                del self._flying[key]
            for key in [key for key in self.shelf.rows if _scope(key) is scope]:
                self.shelf.drop(key)

    @property
    def size(self) -> int:
        """Entries kept."""
        return len(self.shelf.rows)

    @property
    def stats(self) -> dict[str, Any]:
        """`hits`, `misses`, `hit_rate` (0..1), `size` and `max_size`."""
        hits, misses = self.shelf.hits, self.shelf.misses
        rate = hits / (hits + misses) if hits + misses else 0.0
        return {"hits": hits, "misses": misses, "hit_rate": rate, "size": self.size, "max_size": self.shelf.size}

    def __len__(self) -> int:
        return self.size

    def __contains__(self, key: Hashable) -> bool:
        row = self.shelf.rows.get(key)
        return row is not None and self.clock.monotonic() < row[1]

    def __bool__(self) -> bool:
        """A cache is a cache even when it is empty."""
        return True

    def __repr__(self) -> str:
        return f"ResultCache({self.config}, size={self.size})"

    # For the door.

    def board(
        self, key: Hashable, flight: Flight, home: Home | None, signal: Signal, limit: float | None
    ) -> Row | None:
        """Let *flight* lead *key*, or follow who does for *limit* seconds; a row: it has landed meanwhile."""
        flight.above = leading.get()
        if home is not None:
            flight.home = home()
        if key is UNKEYED:
            return None
        with self._lock:
            row = self.shelf.rows.get(key)
            if row is not None:
                if self.clock.monotonic() < row[1]:
                    return row
                self.shelf.drop(key)
                flight.reason = "expired"
            elif self._invalidated and key in self._invalidated:
                del self._invalidated[key]
                flight.reason = "invalidated"
            leader = self._flying.setdefault(key, flight)
            if leader is flight:
                return None
            if _async.vanished(leader.home):
                self._succeed(key, leader, flight)
            elif flight.follow(leader, signal()) and limit is not None:
                flight.deadline = self.clock.monotonic() + limit
        return None

    def look(self, key: Hashable, flight: Flight) -> float | None:
        """Seconds a follower may wait until it must look again; None: until it is woken."""
        leader, left = flight.leader, None
        if flight.deadline is not None:
            left = max(0.0, flight.deadline - self.clock.monotonic())
        if leader is None or leader.home is flight.home:
            gone = False
        else:
            gone = _async.vanished(leader.home)
            left = LOOK if left is None else min(LOOK, left)
        if gone or left == 0.0:
            with self._lock:
                if not flight.waits or leader is None:
                    return 0.0
                flight.withdraw()
                if gone:
                    self._succeed(key, leader, flight)
                else:
                    flight.leader, flight.late = None, True
            return 0.0
        return left

    def land(self, key: Hashable, flight: Flight, value: Any) -> None:
        """The leader has *value*: keep it, unless it was invalidated meanwhile, and give it to all who wait."""
        once = isinstance(value, _ONCE) or hasattr(type(value), "__next__")
        with self._lock:
            if self._flying.get(key) is flight:
                if flight.storable and not once:
                    self._store(key, value, self._ttl)
                del self._flying[key]
        leading.set(flight.above)
        if flight.followers:
            self._deliver(flight, None if once else Value(value))

    def fail(self, key: Hashable, flight: Flight, error: BaseException) -> None:
        """The call ended with *error*: if it led, and was not cancelled, so did the calls that wait for it."""
        if leading.get() is flight:
            leading.set(flight.above)
        if flight.leader is None and isinstance(error, Exception):
            with self._lock:
                if self._flying.get(key) is flight:
                    del self._flying[key]
            if flight.followers:
                self._deliver(flight, Error(error))

    def end(self, key: Hashable, flight: Flight) -> None:
        """The call is over, whatever became of it: leave nothing behind, and nobody waiting in vain."""
        with self._lock:
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

    def _store(self, key: Hashable, value: Any, life: float) -> None:
        self.shelf.put(key, value, self.clock.monotonic() + life if life else inf)


_ONCE = (CoroutineType, GeneratorType, AsyncGeneratorType)
"""Results that can be used only once: never kept, never shared."""


def _scope(key: Hashable) -> Hashable:
    """The function that an entry of a shared cache belongs to."""
    return key[0] if isinstance(key, tuple) and key else None
