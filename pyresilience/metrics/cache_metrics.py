"""The metrics of one cache: what its calls met, how long they took, and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from math import inf, isfinite
from random import random

from .._forks import renew_in_child
from .._typing import Duration
from ..clock import Clock
from .counts import (
    BY_SIZE,
    COALESCED,
    EXPIRED,
    HIT_LATENCY,
    HIT_TIME,
    HITS,
    INVALIDATED,
    LATENCY,
    LOAD_LATENCY,
    LOAD_TIME,
    MISSES,
    REJECTIONS,
    RUNS,
    SERIES,
    STALE,
    TIMEOUTS,
    WIDTH,
    to_snapshot,
    to_totals,
)  # fmt: skip
from .holding import Holding
from .latencies import bucket
from .snapshot import MetricSnapshot
from .tally import Tally
from .windows import Totals

STRIDE = 50e-6
"""Seconds within which hits share one timing: reading the clock twice for each would cost more than the hit."""

_call: ContextVar[tuple[object, bool, frozenset[int]]] = ContextVar(
    "pyresilience_recorded_call", default=(None, False, frozenset())
)
"""By hand: whose call is being recorded in this thread or task, whether it was drawn, and what was recorded of it."""


class CacheMetrics:
    """Counts and durations of the calls to a cache; safe for threads, without a lock on the way of a hit.

    A decorated function has one as `.metrics` if its cache was made with `enable_metrics=True`. For a cache of your
    own, call the `record_` methods, or use a `MetricsContext`: what is recorded of one call in the same thread or task
    is sampled as a whole.

    Args:
        sampling_rate: The share of calls (0..1) that is recorded; decided once per call.
        window_sizes: The windows that `get_stats` can be asked for; None: a minute, an hour and a day. A window of 1.6
            seconds is exact to 0.1 s: to one sixteenth of its length.
        clock: Where the time is read.

    Raises:
        TypeError: The rate is no number, or a window no duration.
        ValueError: The rate is not within 0..1, or a window not above 0.
    """

    def __init__(
        self,
        sampling_rate: float = 1.0,
        window_sizes: Sequence[Duration] | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        if isinstance(sampling_rate, bool) or not isinstance(sampling_rate, (int, float)):
            raise TypeError(f"sampling_rate must be a number between 0 and 1, got {sampling_rate!r}")
        if not 0 <= sampling_rate <= 1:
            raise ValueError(f"sampling_rate must be between 0 and 1, got {sampling_rate!r}")
        self.sampling_rate = float(sampling_rate)
        """The share of calls that is recorded."""
        self.chance: float | None = None if sampling_rate == 1 else self.sampling_rate
        """What the die must be below for a call to be recorded; None: all are."""
        self.die: Callable[[], float] = random
        self._tally = Tally(WIDTH, window_sizes, clock=clock)
        self.now = self._tally.now
        """Reads the clock by which durations are measured."""
        self._told_sizes: tuple[int, int] = (0, 0)
        self._holding: Holding | None = None
        self._left = (0, 0, 0)
        self._forget_hits()
        renew_in_child(self)

    # On the way of a call.

    def time_hit(self, began: float) -> None:
        """The hit that was just counted in `hits` is timed, for itself and for those since the last one timed."""
        took = self._tally.now() - began
        if not self._tally.lock.acquire(blocking=False):
            return  # who counts now, or the next hit, will do it
        try:
            self._took = took
            self._settle(besides=1)
            self._tally.advance(began)
            self._settle()
            self.turn = began + STRIDE
        finally:
            self._tally.lock.release()

    def record_call(self, began: float, *, hit: bool, coalesced: bool, stale: bool, ran: bool) -> None:
        """A call that was no plain hit is over."""
        if not self._draw():
            return
        now = self._tally.now()
        took = now - began
        with self._tally.lock:
            self._catch_up(now)
            totals = self._tally.totals
            totals[HITS if hit else MISSES] += 1
            totals[COALESCED] += coalesced
            totals[STALE] += stale
            totals[RUNS] += ran
            self._add_latency(took, missed=not hit)

    def _settle(self, besides: int = 0) -> None:
        """Count the hits since the last one timed, *besides* so many."""
        untold = self.hits - self._told - besides
        if untold > 0:
            self._told += untold
            totals = self._tally.totals
            totals[HITS] += untold
            totals[HIT_TIME] += untold * self._took
            totals[HIT_LATENCY + bucket(self._took)] += untold

    def _forget_hits(self) -> None:
        self.hits = self._told = 0
        self.turn = -inf
        self._took = 0.0

    # By hand.

    def record_hit(self) -> None:
        """A call was answered from the cache."""
        self._record(HITS)

    def record_miss(self) -> None:
        """A call found nothing usable in the cache."""
        self._record(MISSES)

    def record_stale_hit(self) -> None:
        """The call found an entry whose time was over."""
        self._record(STALE)

    def record_recalculation(self) -> None:
        """The call ran the function."""
        self._record(RUNS)

    def record_wait_timeout(self) -> None:
        """The call waited as long as it may for another caller."""
        self._record(TIMEOUTS)

    def record_size_limit_rejection(self) -> None:
        """The call's result was too large to be kept."""
        self._record(REJECTIONS)

    def record_latency(self, seconds: float) -> None:
        """The call took *seconds*: as a hit if that was recorded before, and otherwise as a miss.

        Raises:
            ValueError: *seconds* is negative or not finite.
        """
        if not (isfinite(seconds) and seconds >= 0):
            raise ValueError(f"a latency must be a finite number of seconds >= 0, got {seconds!r}")
        self._record(LATENCY, seconds)

    def update_size_metrics(self, entry_count: int, total_size_bytes: int) -> None:
        """The cache holds *entry_count* entries of *total_size_bytes* now.

        Raises:
            ValueError: One of them is negative.
        """
        if not (entry_count >= 0 and total_size_bytes >= 0):
            raise ValueError(f"entries and bytes must be >= 0, got {entry_count!r} and {total_size_bytes!r}")
        self._told_sizes = (entry_count, total_size_bytes)

    def begin_call(self) -> None:
        """What is recorded from now on in this thread or task is of one call, recorded as a whole or not at all."""
        _call.set((self, self._draw(), frozenset()))

    def _record(self, what: int, seconds: float = 0.0) -> None:
        owner, drawn, facts = _call.get()
        if owner is not self or _begins_anew(what, facts):
            drawn, facts = self._draw(), frozenset()
        _call.set((self, drawn, facts | {what}))
        if not drawn:
            return
        with self._tally.lock:
            self._catch_up(self._tally.now())
            if what == LATENCY:
                self._add_latency(seconds, missed=HITS not in facts)
            else:
                self._tally.totals[what] += 1

    def _draw(self) -> bool:
        return self.chance is None or self.die() < self.chance

    def _add_latency(self, seconds: float, *, missed: bool) -> None:
        totals = self._tally.totals
        totals[LOAD_TIME if missed else HIT_TIME] += seconds
        totals[(LOAD_LATENCY if missed else HIT_LATENCY) + bucket(seconds)] += 1

    # What they say.

    @property
    def window_sizes(self) -> tuple[float, ...]:
        """The windows that `get_stats` can be asked for, in seconds; any shorter one will do as well."""
        return tuple(self._tally.lengths)

    def get_stats(self, window: Duration | None = None) -> MetricSnapshot:
        """The metrics since the beginning, or the last `reset()`; or of the last *window* seconds.

        Entries and bytes are those of this moment, whatever the window.

        Raises:
            TypeError: *window* is no duration.
            ValueError: *window* is not above 0, or longer than the longest of the `window_sizes`.
        """
        with self._tally.lock:
            self._catch_up(self._tally.now())
            return self._snapshot(self._tally.within(window))

    def history(self, window: float) -> dict[str, list[int]]:
        """Hits, misses and the like in each sixteenth of the last *window* seconds, the oldest first.

        Raises:
            ValueError: *window* is longer than the longest of the `window_sizes`.
        """
        with self._tally.lock:
            self._catch_up(self._tally.now())
            return dict(zip(SERIES, self._tally.history(window, list(SERIES.values())), strict=True))

    def reset(self) -> None:
        """Begin anew. Entries and bytes stay what they are."""
        with self._tally.lock:
            self._tally.clear()
            self._forget_hits()
            self._left = self._holding.evicted if self._holding else (0, 0, 0)

    def restore(self, snapshot: MetricSnapshot) -> None:
        """Add what an earlier process counted; the windows do not see it, and entries and bytes stay what they are."""
        self._tally.restore(to_totals(snapshot))

    def renew(self) -> None:
        """A forked child counts its own calls, from nothing."""
        self._forget_hits()
        self._left = self._holding.evicted if self._holding else (0, 0, 0)

    def watch(self, holding: Holding) -> None:
        """Take entries, bytes and evictions from there."""
        self._holding = holding
        self._left = holding.evicted

    def _catch_up(self, now: float) -> None:
        """Count what nobody has told: hits that were not timed, and entries that left."""
        self._settle()
        self._tally.advance(now)
        if self._holding is not None and (gone := self._holding.evicted) != self._left:
            for place, count, before in zip((BY_SIZE, EXPIRED, INVALIDATED), gone, self._left, strict=True):
                self._tally.totals[place] += count - before
            self._left = gone

    def _snapshot(self, totals: Totals) -> MetricSnapshot:
        holding = self._holding
        entries, size = self._told_sizes if holding is None else (holding.entries, holding.size_bytes)
        return to_snapshot(
            totals,
            entry_count=entries,
            total_size_bytes=size,
            max_entries=None if holding is None else holding.max_entries,
            sampling_rate=self.sampling_rate,
        )


def _begins_anew(what: int, facts: frozenset[int]) -> bool:
    """Whether *what* cannot belong to the call of which these *facts* were recorded."""
    decided = HITS in facts or MISSES in facts
    return what in facts or (decided and (what in (HITS, MISSES) or LATENCY in facts))
