"""The cache itself: a shelf, and the flights to it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import ref

from .._settings import seconds, span
from .._typing import Duration
from ..clock import Clock, SystemClock
from .config import CacheConfig
from .furnishing import furnish
from .info import CacheState
from .keeping import TOO_HEAVY, Failure
from .keys import Scope, scope_of, stand_in
from .shelf import Row

if TYPE_CHECKING:
    from ..metrics.cache_metrics import CacheMetrics
    from .options import Options


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
        parts = furnish(self.config, self.clock, measured=measured)
        self.shelf = parts.shelf
        self.flights = parts.flights
        self.options = parts.options
        """What is needed for more than a size and a TTL; None: no more was asked for."""
        self._given = metrics
        self._observers: dict[Scope | None, ref[CacheMetrics]] = {}
        """Its metrics, and those of the functions that share it, which may be forgotten before it is."""
        self.metrics = self._measured(metrics) if measured else None
        """What it records in; None: nothing."""
        self.now = self.clock.monotonic
        self._keeper = parts.keeper

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
        row = self.shelf.rows.get(key)
        hit = row is not None and type(row[0]) is not Failure and self.is_fresh(row, began)
        if row is not None and hit:
            with suppress(KeyError):
                self.shelf.touch(key)
            if self.options is not None:
                self.options.terms.use(row[3], began)
            self.shelf.hits += 1
        else:
            self.shelf.misses += 1
        if (metrics := self._measures(key)) is not None:
            stale = row is not None and not hit and (self.options is None or row[3].reason == "expired")
            metrics.record_call(self.now() - began, hit=hit, coalesced=False, stale=stale, runs=0)
        return self.hand_out(row[0]) if row is not None and hit else default

    def put(self, key: Hashable, value: Any, ttl: Duration | None = None, *, tags: Sequence[str] = ()) -> bool:
        """Keep *value* for *ttl* seconds (0: for ever; None: as configured); it wins over what is being computed.

        False: it is not kept, as it weighs too much, its `ttl` gives it no time, or it can be used only once.

        Raises:
            TypeError: *ttl* is no duration, or *tags* are no names.
            ValueError: *ttl* is negative or not a number; or there are *tags*, and the cache was not made for them.
        """
        life = None if ttl is None else span("ttl", ttl)
        if tags:
            tags = self._for_tags().checked(tags)
        now = self.now()
        row = self._keeper.row(value, now, ttl=life, tags=tags)
        with self.flights.lock:
            self.flights.fence(key)
            if isinstance(row, tuple):
                self.flights.invalidations.recall(key)
                self.shelf.replace(key, row, now)
            else:
                self.shelf.drop(key, "replaced")
                self.shelf.ledger.note(key, "not stored", row)
        if row is TOO_HEAVY and (metrics := self._measures(key)) is not None:
            metrics.record_size_limit_rejection()
        self._notice()
        return isinstance(row, tuple)

    def values(self) -> list[Any]:
        """The values of all entries that are still good, in no order that matters."""
        now = self.now()
        rows = [*self.shelf.rows.values()]
        return [self.hand_out(row[0]) for row in rows if self.is_fresh(row, now) and type(row[0]) is not Failure]

    def invalidate(self, key: Hashable) -> bool:
        """Forget *key*, and do not keep what is being computed for it now; False: nothing was kept."""
        with self.flights.lock:
            flying = self.flights.fence(key)
            found = self.shelf.drop(key, "invalidated")
            if found or flying:
                self.flights.invalidations.remember(key)
                self.shelf.ledger.note(key, "invalidated")
        self._notice()
        return found

    def clear(self, scope: Scope | None = None) -> None:
        """Forget everything, the counts too, and keep nothing of what is being computed now.

        With *scope*: the entries of the one function of that scope, in a cache that several share.
        """
        with self.flights.lock:
            self.flights.fence_all(lambda key: scope in (None, scope_of(key)))
            for key in [*dict.keys(self.shelf.rows)]:  # in one step, as hits move rows without the lock
                if scope in (None, scope_of(key)) and self.shelf.drop(key, "invalidated"):
                    self.shelf.ledger.note(key, "invalidated", "the cache was cleared")
            if scope is None:
                self.shelf.clear()
        self._notice()

    def invalidate_tag(self, tag: str, *, soft: bool = False) -> None:
        """Let no result of that name be used that was begun before now, however many there are.

        Args:
            tag: The name.
            soft: They are only stale from now on: they are handed out, or stand in, as the settings say.

        Raises:
            TypeError: *tag* is no text.
            ValueError: The cache was not made for tags.
        """
        options = self._for_tags()
        if not isinstance(tag, str):
            raise TypeError(f"tag must be text, got {tag!r}")
        with self.flights.lock:
            options.invalidate_tag(tag, self.now() if soft else None)

    def _for_tags(self) -> Options:
        """The machines of a cache that was made for tags."""
        if self.options is None or self.config.tags is None:
            raise ValueError("tags need a cache that was made for them: give CacheConfig(tags=...), which may be empty")
        return self.options

    @property
    def ttl(self) -> float | None:
        """Seconds an entry is good for; 0: it never expires. None: that is a function of the result."""
        return None if callable(self.config.ttl) else seconds(self.config.ttl)

    def info(self) -> CacheState:
        """The counts, and what is going on."""
        shelf, options = self.shelf, self.options
        state = CacheState(shelf.hits, shelf.misses, shelf.size, self.size)
        limit = None if self.config.max_weight is None else float(self.config.max_weight)
        state.weight = min(getattr(shelf.holdings(None), "size_bytes", 0), limit or inf)
        state.max_weight = limit
        state.reloading = 0 if options is None else options.reloads.running
        state.reload_failures = 0 if options is None else options.reloads.failures
        return state

    def close(self, timeout: Duration = 30.0) -> bool:
        """Reload nothing in the background any more; ask what runs there to end, wait for it, and keep nothing of it.

        A thread cannot be asked: it is waited for. The cache goes on answering.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            True: nothing runs any more.

        Raises:
            TypeError: *timeout* is no duration.
            ValueError: *timeout* is negative or not a number.
        """
        limit = span("timeout", timeout)
        return True if self.options is None else self.options.close(limit)

    async def aclose(self, timeout: Duration = 30.0) -> bool:  # noqa: ASYNC109 - it says whether, and raises nothing
        """What `close` does, leaving the event loop to others meanwhile."""
        limit = span("timeout", timeout)
        return True if self.options is None else await self.options.close_async(limit)

    def is_fresh(self, row: Row, now: float) -> bool:
        """Whether *row* can be handed out as it is."""
        return now < row[1] or (self.options is not None and self.options.is_fresh(row, now))

    def hand_out(self, value: Any) -> Any:
        """What a caller gets of a kept *value*.

        Raises:
            Exception: An error is kept; a fresh copy of it.
        """
        return value if self.options is None else self.options.keeper.hand_out(value)

    def metrics_of(self, scope: Scope | None) -> CacheMetrics | None:
        """Where the calls of one function are recorded; *scope*: hers in a cache that several share."""
        if scope is None or self._given is not None or not self.config.enable_metrics:
            return self.metrics
        return self._measured(None, scope)

    def _measures(self, key: Hashable) -> CacheMetrics | None:
        """Where calls of *key* are recorded."""
        observer = self._observers.get(scope_of(key))
        return self.metrics if observer is None else observer() or self.metrics

    def _measured(self, metrics: CacheMetrics | None, scope: Scope | None = None) -> CacheMetrics:
        """The given metrics, or new ones, told what we hold."""
        from ..metrics.cache_metrics import CacheMetrics

        if metrics is None:
            metrics = CacheMetrics(self.config.metrics_sampling_rate, clock=self.clock)
        elif not isinstance(metrics, CacheMetrics):
            raise TypeError(f"metrics must be a CacheMetrics, got {metrics!r}")
        limit = None if self.config.max_weight is None else float(self.config.max_weight)
        reloading = None if self.options is None else partial(self.options.reloads.running_of, scope)
        metrics.watch(self.shelf.holdings(scope), max_weight=limit, reloading=reloading)
        observers = {each: observer for each, observer in self._observers.items() if observer() is not None}
        self._observers = {**observers, scope: ref(metrics)}
        return metrics

    def _notice(self) -> None:
        """Let the metrics know at once that entries have left."""
        for each in self._observers.values():
            if (metrics := each()) is not None:
                metrics.notice()

    @property
    def size(self) -> int:
        """Entries kept; one that comes while another is on its way out does not count yet."""
        return min(len(self.shelf.rows), self.shelf.size)

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
        return row is not None and self.is_fresh(row, self.now())

    def __bool__(self) -> bool:
        """A cache is a cache even when it is empty."""
        return True

    def __repr__(self) -> str:
        return f"ResultCache({self.config}, size={self.size})"
