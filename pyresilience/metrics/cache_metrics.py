"""The metrics of one cache: what its calls met, how long they took, and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from .._forks import renew_in_child
from .._typing import Duration
from ..clock import Clock
from .contents import Contents
from .counts import (
    COALESCED,
    FAILED_RELOADS,
    HIT_LATENCY,
    HIT_TIME,
    HITS,
    LATENCY,
    LOAD_LATENCY,
    LOAD_TIME,
    MISSES,
    REJECTIONS,
    RUNS,
    SERIES,
    SERVED,
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
        "__weakref__", "_contents", "_tally", "_told", "_took",
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
        self._contents = Contents()
        self._forget_hits()
        renew_in_child(self)

    # On the way of a call.

    def count_hit(self, moment: float, now: Callable[[], float]) -> None:
        """A fresh entry was found at that *moment* of the cache's clock, which *now* reads."""
        if self.skip > 0:
            self.skip -= 1
        elif self.sampling_rate:
            self.hits += 1
            if self.draw is not None:
                self.skip = self.draw()
            if moment >= self.turn:
                self.time_hit(moment, now() - moment)

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
        runs: int,
        served: bool = False,
        timed_out: bool = False,
        heavy: bool = False,
    ) -> None:
        """A call that was no plain hit has taken so many seconds, and had the function run so often."""
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
            totals[SERVED] += served
            totals[RUNS] += runs
            totals[TIMEOUTS] += timed_out
            totals[REJECTIONS] += heavy

    def notice(self) -> None:
        """Entries may have left: count them now, so that the windows know when."""
        if self._contents.has_lost:
            with self._tally.lock:
                self._tally.advance(self.now())
                self._contents.count(self._tally.totals)

    def record_reload_failure(self) -> None:
        """A reload in the background brought nothing better. It is no call: it is counted at any sampling rate."""
        with self._tally.lock:
            self._catch_up(self.now())
            self._tally.totals[FAILED_RELOADS] += 1

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
        self._contents.tell(entry_count, total_size_bytes)

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
        gauges = self._contents.gauges()
        with self._tally.lock:
            self._catch_up(self._tally.now())
            return to_snapshot(self._tally.within(window), sampling_rate=self.sampling_rate, **gauges)

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
            self._contents.forget()

    def restore(self, snapshot: MetricSnapshot) -> None:
        """Add what an earlier process counted; the windows do not see it, and entries and bytes stay what they are."""
        self._tally.restore(to_totals(snapshot))

    def renew(self) -> None:
        """A forked child counts its own calls, from nothing."""
        self._forget_hits()
        self._contents.forget()

    def watch(
        self, holding: Holding, *, max_weight: float | None = None, reloading: Callable[[], int] | None = None
    ) -> None:
        """Take entries, bytes and evictions from there.

        Args:
            holding: What the cache holds.
            max_weight: What that may weigh; None: anything.
            reloading: Tells how many entries are being reloaded in the background; None: none ever is.
        """
        self._contents.watch(holding, max_weight, reloading)

    def _catch_up(self, now: float) -> None:
        """Count what nobody has told: hits that were not timed, and entries that left. It was before *now*."""
        self._settle()
        self._contents.count(self._tally.totals)
        self._tally.advance(now)
