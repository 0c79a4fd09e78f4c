"""The order in which the totals of a cache stand, and what a snapshot makes of them. Pure."""

from __future__ import annotations

from typing import Any

from .latencies import BUCKETS, latencies
from .snapshot import Evictions, MetricSnapshot, snapshot
from .windows import Totals

(
    HITS, COALESCED, MISSES, STALE, SERVED, RUNS, TIMEOUTS, REJECTIONS, FAILED_RELOADS, BY_SIZE, EXPIRED, INVALIDATED,
) = range(12)  # fmt: skip
HIT_TIME, LOAD_TIME = 12, 13
HIT_LATENCY = 14
LOAD_LATENCY = HIT_LATENCY + BUCKETS
WIDTH = LOAD_LATENCY + BUCKETS

SERIES = {
    "hits": HITS,
    "misses": MISSES,
    "coalesced": COALESCED,
    "stale_hits": STALE,
    "stale_served": SERVED,
    "wait_timeouts": TIMEOUTS,
}
"""What is drawn over time."""

LATENCY = -1
"""Stands for a duration among the facts of a call."""


def to_snapshot(totals: Totals, *, sampling_rate: float, **gauges: Any) -> MetricSnapshot:
    """What *totals* say, with the *gauges* of what the cache holds."""
    counts = [int(count) for count in totals[:HIT_TIME]]
    return snapshot(
        hits=counts[HITS],
        misses=counts[MISSES],
        stale_hits=counts[STALE],
        stale_served=counts[SERVED],
        recalculations=counts[RUNS],
        wait_timeouts=counts[TIMEOUTS],
        size_limit_rejections=counts[REJECTIONS],
        reload_failures=counts[FAILED_RELOADS],
        coalesced=counts[COALESCED],
        evictions=Evictions(counts[BY_SIZE], counts[EXPIRED], counts[INVALIDATED]),
        sampling_rate=sampling_rate,
        hit_latency=latencies(totals[HIT_LATENCY:LOAD_LATENCY], totals[HIT_TIME]),
        load_latency=latencies(totals[LOAD_LATENCY:], totals[LOAD_TIME]),
        **gauges,
    )


def to_totals(its: MetricSnapshot) -> list[float]:
    """The totals that say what a snapshot says, except of contents."""
    totals = [0.0] * HIT_LATENCY
    totals[HITS], totals[COALESCED], totals[MISSES], totals[STALE] = its.hits, its.coalesced, its.misses, its.stale_hits
    totals[SERVED], totals[RUNS], totals[TIMEOUTS] = its.stale_served, its.recalculations, its.wait_timeouts
    totals[REJECTIONS], totals[FAILED_RELOADS] = its.size_limit_rejections, its.reload_failures
    totals[BY_SIZE : INVALIDATED + 1] = its.evictions.size, its.evictions.expired, its.evictions.invalidated
    totals[HIT_TIME], totals[LOAD_TIME] = its.hit_latency.total, its.load_latency.total
    return [*totals, *its.hit_latency.counts, *its.load_latency.counts]
