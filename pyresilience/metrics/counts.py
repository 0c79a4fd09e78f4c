"""The order in which the totals of a cache stand, and what a snapshot makes of them. Pure."""

from __future__ import annotations

from .latencies import BUCKETS, latencies
from .snapshot import Evictions, MetricSnapshot, snapshot
from .windows import Totals

HITS, COALESCED, MISSES, STALE, RUNS, TIMEOUTS, REJECTIONS, BY_SIZE, EXPIRED, INVALIDATED = range(10)
HIT_TIME, LOAD_TIME = 10, 11
HIT_LATENCY = 12
LOAD_LATENCY = HIT_LATENCY + BUCKETS
WIDTH = LOAD_LATENCY + BUCKETS

SERIES = {"hits": HITS, "misses": MISSES, "coalesced": COALESCED, "stale_hits": STALE, "wait_timeouts": TIMEOUTS}
"""What is drawn over time."""

LATENCY = -1
"""Stands for a duration among the facts of a call."""


def to_snapshot(
    totals: Totals, *, entry_count: int, total_size_bytes: int, max_entries: int | None, sampling_rate: float
) -> MetricSnapshot:
    """What *totals* say, with what the cache holds."""
    counts = [int(count) for count in totals[:HIT_TIME]]
    return snapshot(
        hits=counts[HITS],
        misses=counts[MISSES],
        stale_hits=counts[STALE],
        recalculations=counts[RUNS],
        wait_timeouts=counts[TIMEOUTS],
        entry_count=entry_count,
        total_size_bytes=total_size_bytes,
        size_limit_rejections=counts[REJECTIONS],
        coalesced=counts[COALESCED],
        evictions=Evictions(counts[BY_SIZE], counts[EXPIRED], counts[INVALIDATED]),
        max_entries=max_entries,
        sampling_rate=sampling_rate,
        hit_latency=latencies(totals[HIT_LATENCY:LOAD_LATENCY], totals[HIT_TIME]),
        load_latency=latencies(totals[LOAD_LATENCY:], totals[LOAD_TIME]),
    )


def to_totals(its: MetricSnapshot) -> list[float]:
    """The totals that say what a snapshot says, except of contents."""
    totals = [0.0] * HIT_LATENCY
    totals[HITS], totals[COALESCED], totals[MISSES], totals[STALE] = its.hits, its.coalesced, its.misses, its.stale_hits
    totals[RUNS], totals[TIMEOUTS] = its.recalculations, its.wait_timeouts
    totals[REJECTIONS] = its.size_limit_rejections
    totals[BY_SIZE : INVALIDATED + 1] = its.evictions.size, its.evictions.expired, its.evictions.invalidated
    totals[HIT_TIME], totals[LOAD_TIME] = its.hit_latency.total, its.load_latency.total
    return [*totals, *its.hit_latency.counts, *its.load_latency.counts]
