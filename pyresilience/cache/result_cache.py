"""The cache itself: a shelf, and the flights to it."""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import TYPE_CHECKING, Any

from .._settings import seconds
from .._typing import Duration
from ..clock import Clock, SystemClock
from .config import CacheConfig
from .flights import Flights
from .keys import Scope, scope_of, stand_in
from .shelf import Shelf

if TYPE_CHECKING:
    from ..metrics.cache_metrics import CacheMetrics


class ResultCache:
    """An LRU cache with a time limit: on its own, or given to `@resilient(cache=...)`, even to several functions.

    Thread-safe; the same object serves synchronous and asynchronous code.

    Args:
        config: How much is kept, and for how long.
        clock: Where the time is read.
        metrics: Where all calls are recorded that go through this cache; None: with `enable_metrics`, each function
            records in metrics of its own, and `get` in those of the cache.
    """

    def __init__(
        self, config: CacheConfig | None = None, *, clock: Clock | None = None, metrics: CacheMetrics | None = None
    ) -> None:
        self.config = config or CacheConfig()
        self.clock: Clock = clock or SystemClock()
        measured = metrics is not None or self.config.enable_metrics
        self.shelf = _weighed_shelf(self.config.max_size) if measured else Shelf(self.config.max_size)
        self._given = metrics
        self._observers: list[CacheMetrics] = []
        self.metrics = self._measured(metrics) if measured else None
        """What it records in; None: nothing."""
        self.now = self.clock.monotonic
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
        began = self.now()
        row = self.shelf.read(key, began)
        if self.metrics is not None:
            stale = row is None and key in self.shelf.rows
            self.metrics.record_call(self.now() - began, hit=row is not None, coalesced=False, stale=stale, ran=False)
        return default if row is None else row[0]

    def put(self, key: Hashable, value: Any, ttl: Duration | None = None) -> None:
        """Keep *value* for *ttl* seconds (0: for ever; None: as configured); it wins over what is being computed.

        Raises:
            ValueError: *ttl* is negative or not a number.
        """
        life = self._ttl if ttl is None else seconds(ttl)
        if not life >= 0:
            raise ValueError(f"ttl must be >= 0, got {ttl!r}")
        weigh = self.shelf.weigh
        weight = 0 if weigh is None else weigh(value)
        with self.flights.lock:
            self.flights.fence(key)
            self.shelf.drop(key, "replaced")
            self.shelf.put(key, value, self.now() + life if life else inf, weight)
        self._notice()

    def values(self) -> list[Any]:
        """The values of all entries that are still good, in no order that matters."""
        now = self.now()
        return [row[0] for row in [*self.shelf.rows.values()] if now < row[1]]

    def invalidate(self, key: Hashable) -> bool:
        """Forget *key*, and do not keep what is being computed for it now; False: nothing was kept."""
        with self.flights.lock:
            flying = self.flights.fence(key)
            found = self.shelf.drop(key, "invalidated")
            if found or flying:
                self.flights.remember_invalidated(key)
        self._notice()
        return found

    def clear(self, scope: Scope | None = None) -> None:
        """Forget everything, the counts too, and keep nothing of what is being computed now.

        With *scope*: the entries of the one function of that scope, in a cache that several share.
        """
        with self.flights.lock:
            self.flights.fence_all(lambda key: scope in (None, scope_of(key)))
            if scope is None:
                self.shelf.clear()
            else:
                for key in [*self.shelf.rows]:  # copied in one step, as hits move rows without the lock
                    if scope_of(key) is scope:
                        self.shelf.drop(key, "invalidated")
        self._notice()

    def metrics_of(self, scope: Scope | None) -> CacheMetrics | None:
        """Where the calls of one function are recorded; *scope*: hers in a cache that several share."""
        if scope is None or self._given is not None or not self.config.enable_metrics:
            return self.metrics
        return self._measured(None, scope)

    def _measured(self, metrics: CacheMetrics | None, scope: Scope | None = None) -> CacheMetrics:
        """The given metrics, or new ones, told what we hold."""
        from ..metrics.cache_metrics import CacheMetrics

        if metrics is None:
            metrics = CacheMetrics(self.config.metrics_sampling_rate, clock=self.clock)
        elif not isinstance(metrics, CacheMetrics):
            raise TypeError(f"metrics must be a CacheMetrics, got {metrics!r}")
        metrics.watch(self.shelf.holdings(scope))
        self._observers.append(metrics)
        return metrics

    def _notice(self) -> None:
        """Let the metrics know at once that entries have left."""
        for metrics in self._observers:
            metrics.notice()

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
        return row is not None and self.now() < row[1]

    def __bool__(self) -> bool:
        """A cache is a cache even when it is empty."""
        return True

    def __repr__(self) -> str:
        return f"ResultCache({self.config}, size={self.size})"


def _weighed_shelf(size: int) -> Shelf:
    from .weighed_shelf import WeighedShelf

    return WeighedShelf(size)
