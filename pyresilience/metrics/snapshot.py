"""What a cache's metrics say at one moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .latencies import NOTHING, Latencies


@dataclass(frozen=True, slots=True)
class Evictions:
    """Entries that left a cache, by cause.

    Args:
        size: There was no room for them.
        expired: Their time was over.
        invalidated: Somebody asked for it.
    """

    size: int = 0
    expired: int = 0
    invalidated: int = 0

    def __add__(self, other: Evictions) -> Evictions:
        return Evictions(self.size + other.size, self.expired + other.expired, self.invalidated + other.invalidated)


_NONE = Evictions()


@dataclass(frozen=True, slots=True)
class MetricSnapshot:
    """The metrics of a cache at one moment, or over one window. Counts are of the recorded calls, never scaled.

    Args:
        hits: Calls that were answered without running the function, those that waited for another caller included.
        misses: Calls that found nothing usable.
        hit_rate: Hits per call, in percent (0..100); 0 if there were no calls.
        total_calls: Hits and misses together.
        avg_latency_ms: The average duration of a call, in milliseconds; 0 if none was timed.
        stale_hits: Misses that found an entry whose time was over.
        recalculations: Runs of the function.
        wait_timeouts: Calls that waited for another caller as long as they may.
        entry_count: Entries in the cache now, whatever the window.
        total_size_bytes: What they take now: an estimate in bytes, or what a weigher says.
        size_limit_rejections: Results that were too large to be kept.
        coalesced: The hits among `hits` that waited for another caller to compute.
        evictions: Entries that left, by cause.
        max_entries: Entries that the cache may hold; None: unknown.
        max_weight: What they may weigh together, in the unit of `total_size_bytes`; None: anything, or unknown.
        stale_served: The misses among `stale_hits` that were answered with the old entry.
        reloading: Entries that are being reloaded in the background now, whatever the window.
        reload_failures: Reloads in the background that brought nothing better.
        sampling_rate: The share of the calls that was recorded.
        hit_latency: How long hits took.
        load_latency: How long misses took, the run of the function included.
    """

    hits: int = 0
    misses: int = 0
    hit_rate: float = 0.0
    total_calls: int = 0
    avg_latency_ms: float = 0.0
    stale_hits: int = 0
    recalculations: int = 0
    wait_timeouts: int = 0
    entry_count: int = 0
    total_size_bytes: int = 0
    size_limit_rejections: int = 0
    coalesced: int = 0
    evictions: Evictions = _NONE
    max_entries: int | None = None
    sampling_rate: float = 1.0
    hit_latency: Latencies = NOTHING
    load_latency: Latencies = NOTHING
    max_weight: float | None = None
    stale_served: int = 0
    reloading: int = 0
    reload_failures: int = 0

    @property
    def hit_ratio(self) -> float:
        """Hits per call (0..1); 0 if there were no calls."""
        return self.hits / self.total_calls if self.total_calls else 0.0

    @property
    def hit_p50(self) -> float | None:
        """The median duration of a hit, in seconds; None: no hit was timed."""
        return self.hit_latency.quantile(0.50)

    @property
    def hit_p95(self) -> float | None:
        """The duration in seconds that 95 % of the hits did not exceed; None: no hit was timed."""
        return self.hit_latency.quantile(0.95)

    @property
    def hit_p99(self) -> float | None:
        """The duration in seconds that 99 % of the hits did not exceed; None: no hit was timed."""
        return self.hit_latency.quantile(0.99)

    @property
    def load_p50(self) -> float | None:
        """The median duration of a miss, in seconds; None: no miss was timed."""
        return self.load_latency.quantile(0.50)

    @property
    def load_p95(self) -> float | None:
        """The duration in seconds that 95 % of the misses did not exceed; None: no miss was timed."""
        return self.load_latency.quantile(0.95)

    @property
    def load_p99(self) -> float | None:
        """The duration in seconds that 99 % of the misses did not exceed; None: no miss was timed."""
        return self.load_latency.quantile(0.99)

    @property
    def estimated_hits(self) -> float:
        """Hits of all calls, estimated from the sampled ones."""
        return self._estimate(self.hits)

    @property
    def estimated_misses(self) -> float:
        """Misses of all calls, estimated from the sampled ones."""
        return self._estimate(self.misses)

    @property
    def estimated_total_calls(self) -> float:
        """All calls, estimated from the sampled ones."""
        return self._estimate(self.total_calls)

    @property
    def estimated_stale_hits(self) -> float:
        """Stale hits of all calls, estimated from the sampled ones."""
        return self._estimate(self.stale_hits)

    @property
    def estimated_stale_served(self) -> float:
        """Calls answered with an old entry, of all calls, estimated from the sampled ones."""
        return self._estimate(self.stale_served)

    @property
    def estimated_recalculations(self) -> float:
        """Runs of the function in all calls, estimated from the sampled ones."""
        return self._estimate(self.recalculations)

    @property
    def estimated_wait_timeouts(self) -> float:
        """Wait time-outs of all calls, estimated from the sampled ones."""
        return self._estimate(self.wait_timeouts)

    @property
    def estimated_size_limit_rejections(self) -> float:
        """Size-limit rejections of all calls, estimated from the sampled ones."""
        return self._estimate(self.size_limit_rejections)

    @property
    def estimated_coalesced(self) -> float:
        """Coalesced hits of all calls, estimated from the sampled ones."""
        return self._estimate(self.coalesced)

    def _estimate(self, count: int) -> float:
        return count / self.sampling_rate if self.sampling_rate else 0.0

    def merge(*snapshots: MetricSnapshot) -> MetricSnapshot:
        """One snapshot of several caches, or of one function's caches in several processes: sums, and rates of sums.

        Where the sampling rates differ, `sampling_rate` is the share of all their calls that was recorded.
        """
        limits = [each.max_entries for each in snapshots if each.max_entries is not None]
        weights = [each.max_weight for each in snapshots if each.max_weight is not None]
        return snapshot(
            hits=sum(each.hits for each in snapshots),
            misses=sum(each.misses for each in snapshots),
            stale_hits=sum(each.stale_hits for each in snapshots),
            recalculations=sum(each.recalculations for each in snapshots),
            wait_timeouts=sum(each.wait_timeouts for each in snapshots),
            entry_count=sum(each.entry_count for each in snapshots),
            total_size_bytes=sum(each.total_size_bytes for each in snapshots),
            size_limit_rejections=sum(each.size_limit_rejections for each in snapshots),
            coalesced=sum(each.coalesced for each in snapshots),
            evictions=sum((each.evictions for each in snapshots), _NONE),
            max_entries=sum(limits) if limits else None,
            max_weight=sum(weights) if weights else None,
            stale_served=sum(each.stale_served for each in snapshots),
            reloading=sum(each.reloading for each in snapshots),
            reload_failures=sum(each.reload_failures for each in snapshots),
            sampling_rate=_joint_rate(snapshots),
            hit_latency=sum((each.hit_latency for each in snapshots), NOTHING),
            load_latency=sum((each.load_latency for each in snapshots), NOTHING),
        )


def snapshot(*, hits: int, misses: int, hit_latency: Latencies, load_latency: Latencies, **rest: Any) -> MetricSnapshot:
    """A snapshot from what was counted: the rates and the average follow from it."""
    calls, timed = hits + misses, hit_latency.count + load_latency.count
    return MetricSnapshot(
        hits=hits,
        misses=misses,
        hit_rate=100.0 * hits / calls if calls else 0.0,
        total_calls=calls,
        avg_latency_ms=1000.0 * (hit_latency.total + load_latency.total) / timed if timed else 0.0,
        hit_latency=hit_latency,
        load_latency=load_latency,
        **rest,
    )


def _joint_rate(snapshots: tuple[MetricSnapshot, ...]) -> float:
    rates = {each.sampling_rate for each in snapshots}
    if len(rates) == 1:
        return rates.pop()
    calls, estimated = (
        sum(each.total_calls for each in snapshots),
        sum(each.estimated_total_calls for each in snapshots),
    )
    return calls / estimated if estimated else 1.0
