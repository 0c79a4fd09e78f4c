"""The metrics of one cache: what its calls met, how long they took, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

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
from .recorder import Recorder
from .recording import Recording, begin, checked_latency, recording_of
from .sampling import checked_rate, gaps
from .snapshot import MetricSnapshot
from .tally import Tally
from .windows import Totals

STRIDE = 200e-6
"""Seconds within which hits share one timing: reading the clock twice for each would cost more than the hit."""


class CacheMetrics(Recorder):
    """Counts and durations of the calls to a cache; safe for threads, without a lock on the way of a hit.

    A decorated function has one as `.metrics` if its cache was made with `enable_metrics=True`. For a cache of your
    own, call the `record_` methods, or use a `MetricsContext`: what is recorded of one call in the same thread or task
    is sampled as a whole.

    Args:
        sampling_rate: The share of calls (0..1) that is recorded; decided once per call.
        window_sizes: The windows that `get_stats` can be asked for; None: a minute, an hour and a day. Each is exact to
            one sixteenth of its length; one in between is as exact as the next longer.
        clock: Where the time is read.

    Raises:
        TypeError: The rate is no number, or a window no duration.
        ValueError: The rate is not within 0..1, or a window not above 0.
    """

    __slots__ = (
        "__weakref__", "_holding", "_left", "_tally", "_told", "_told_sizes", "_took",
        "draw", "hits", "now", "sampling_rate", "skip", "turn",
    )  # fmt: skip

    hits: int
    """Hits counted on their way, without a lock; `get_stats` tells how many there were."""
    turn: float
    """When a hit is to be timed again, on the cache's clock."""

    def __init__(
        self,
        sampling_rate: float = 1.0,
        window_sizes: Sequence[Duration] | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.sampling_rate = checked_rate(sampling_rate)
        """The share of calls that is recorded."""
        self.draw = gaps(self.sampling_rate) if 0 < sampling_rate < 1 else None
        """Tells how many calls are not recorded until the next one is; None: all are, or none."""
        self.skip = 0 if self.draw is None else self.draw()
        """How many of the calls to come are not recorded."""
        self._tally = Tally(WIDTH, window_sizes, clock=clock)
        self.now = self._tally.now
        """Reads the clock by which durations are measured."""
        self._told_sizes: tuple[int, int] = (0, 0)
        self._holding: Holding | None = None
        self._left = (0, 0, 0)
        self._forget_hits()
        renew_in_child(self)

    # On the way of a call.

    def time_hit(self, moment: float, took: float) -> None:
        """The hit that was just counted in `hits` took so many seconds; so did those since the last one timed.

        Args:
            moment: When it was, on the cache's clock; `turn` is the earliest time for the next one.
            took: How long it was, in seconds.
        """
        with self._tally.lock:
            if moment < self.turn:
                return  # another thread has just done it
            self.turn = moment + STRIDE
            self._took = took
            self._settle(besides=1)
            self._tally.advance(self.now())
            self._settle()

    def record_call(
        self,
        took: float,
        *,
        hit: bool,
        coalesced: bool,
        stale: bool,
        ran: bool,
        timed_out: bool = False,
        heavy: bool = False,
    ) -> None:
        """A call that was no plain hit has taken so many seconds."""
        self.notice()
        if not self._draw():
            return
        kind, time = (HITS, HIT_TIME) if hit else (MISSES, LOAD_TIME)
        place = (HIT_LATENCY if hit else LOAD_LATENCY) + bucket(took)
        with self._tally.lock:
            self._catch_up(self.now())
            totals = self._tally.totals
            totals[kind] += 1
            totals[place] += 1
            totals[time] += took
            totals[COALESCED] += coalesced
            totals[STALE] += stale
            totals[RUNS] += ran
            totals[TIMEOUTS] += timed_out
            totals[REJECTIONS] += heavy

    def notice(self) -> None:
        """Entries may have left: count them now, so that the windows know when."""
        if self._holding is not None and self._holding.evicted != self._left:
            with self._tally.lock:
                self._tally.advance(self.now())
                self._count_evictions()

    def _settle(self, besides: int = 0) -> None:
        """Count the hits since the last one timed, *besides* so many."""
        untold, place = self.hits - self._told - besides, HIT_LATENCY + bucket(self._took)
        if untold > 0:
            totals = self._tally.totals
            self._told += untold
            totals[HITS] += untold
            totals[place] += untold
            totals[HIT_TIME] += untold * self._took

    def _forget_hits(self) -> None:
        self.hits = self._told = 0
        self.turn = -inf
        self._took = 0.0

    # By hand.

    def record_latency(self, seconds: float) -> None:
        """The call took *seconds*: as a hit if that was recorded before, and otherwise as a miss.

        Raises:
            ValueError: *seconds* is negative or not finite.
        """
        self.record(LATENCY, checked_latency(seconds))

    def update_size_metrics(self, entry_count: int, total_size_bytes: int) -> None:
        """The cache holds *entry_count* entries of *total_size_bytes* now.

        Raises:
            ValueError: One of them is negative.
        """
        if not (entry_count >= 0 and total_size_bytes >= 0):
            raise ValueError(f"entries and bytes must be >= 0, got {entry_count!r} and {total_size_bytes!r}")
        self._told_sizes = (entry_count, total_size_bytes)

    def begin_call(self) -> Recording:
        """A call that is recorded by hand begins: as a whole, or not at all."""
        return Recording(self, drawn=self._draw())

    def record(self, what: int, seconds: float = 0.0, call: Recording | None = None) -> None:
        """Count *what*, a place among the totals or LATENCY, for the *call*, or for the one being recorded here."""
        if call is None:
            call = recording_of(self)
            if call is None or call.is_done_with(what):
                call = self.begin_call()
                begin(call)
        hit = HITS in call.facts
        call.facts.add(what)
        if not call.drawn:
            return
        place = what
        if what == LATENCY:
            place = (HIT_LATENCY if hit else LOAD_LATENCY) + bucket(seconds)
        with self._tally.lock:
            self._catch_up(self.now())
            totals = self._tally.totals
            totals[place] += 1
            if what == LATENCY:
                totals[HIT_TIME if hit else LOAD_TIME] += seconds

    def _draw(self) -> bool:
        """Whether the call that begins now is recorded."""
        if not self.sampling_rate:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.draw is not None:
            self.skip = self.draw()
        return True

    # What they say.

    @property
    def window_sizes(self) -> tuple[float, ...]:
        """The windows that `get_stats` can be asked for, in seconds. One in between is as exact as the next longer."""
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
        """Count what nobody has told: hits that were not timed, and entries that left. It was before *now*."""
        self._settle()
        self._count_evictions()
        self._tally.advance(now)

    def _count_evictions(self) -> None:
        if self._holding is not None and (gone := self._holding.evicted) != self._left:
            before, self._left = self._left, gone
            for place, now, then in zip((BY_SIZE, EXPIRED, INVALIDATED), gone, before, strict=True):
                self._tally.totals[place] += now - then

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
