"""The cache itself: a shelf, and the flights to it."""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import Any

from .._settings import seconds
from .._typing import Duration
from ..clock import Clock, SystemClock
from .config import CacheConfig
from .flights import Flights
from .keys import stand_in
from .shelf import Shelf


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
        self._now = self.clock.monotonic
        self._ttl = seconds(self.config.ttl)
        self.flights = Flights(self.shelf, self._ttl, self.clock)

    @staticmethod
    def make_key(*args: Any, **kwargs: Any) -> Hashable:
        """A key for these arguments: equal for equal arguments of equal types, and for no others.

        Raises:
            CacheKeyError: One of them cannot be part of a key.
        """
        return stand_in((args, kwargs))

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value kept under *key*, or *default*."""
        row = self.shelf.read(key, self._now())
        return default if row is None else row[0]

    def put(self, key: Hashable, value: Any, ttl: Duration | None = None) -> None:
        """Keep *value* for *ttl* seconds (0: for ever; None: as configured); it wins over what is being computed.

        Raises:
            ValueError: *ttl* is negative or not a number.
        """
        life = self._ttl if ttl is None else seconds(ttl)
        if not life >= 0:
            raise ValueError(f"ttl must be >= 0, got {ttl!r}")
        with self.flights.lock:
            self.flights.fence(key)
            self.shelf.drop(key)
            self.shelf.put(key, value, self._now() + life if life else inf)

    def invalidate(self, key: Hashable) -> bool:
        """Forget *key*, and do not keep what is being computed for it now; False: nothing was kept."""
        with self.flights.lock:
            flying = self.flights.fence(key)
            found = self.shelf.drop(key)
            if found or flying:
                self.flights.remember_invalidated(key)
            return found

    def clear(self, scope: Hashable = None) -> None:
        """Forget everything, the counts too, and keep nothing of what is being computed now.

        With *scope*: the entries of the one function of that scope, in a cache that several share.
        """
        with self.flights.lock:
            self.flights.fence_all(lambda key: scope in (None, _scope(key)))
            if scope is None:
                self.shelf.clear()
                return
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
        return row is not None and self._now() < row[1]

    def __bool__(self) -> bool:
        """A cache is a cache even when it is empty."""
        return True

    def __repr__(self) -> str:
        return f"ResultCache({self.config}, size={self.size})"


def _scope(key: Hashable) -> Hashable:
    """The function that an entry of a shared cache belongs to."""
    return key[0] if isinstance(key, tuple) and key else None
