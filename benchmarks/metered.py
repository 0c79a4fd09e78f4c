"""What is counted and timed: caches with metrics, counters by hand, and a process full of functions to be scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .caches import SIZE, TTL, resilient_cached
from .contest import OURS, Library
from .policies import resilient_with

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from pyresilience import CacheMetrics
    from pyresilience.metrics.state import State

FUNCTIONS = 100
"""Functions of the process that is scraped."""


def metered(function: Callable[..., Any], size: int = SIZE, share: float = 1.0) -> Callable[..., Any]:
    """Ours, with metrics of this *share* of the calls."""
    from pyresilience import CacheConfig, resilient

    config = CacheConfig(max_size=size, ttl=TTL, enable_metrics=True, metrics_sampling_rate=share)
    return resilient(cache=config)(function)


def sampled(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """Ours, with metrics of every tenth call, on average."""
    return metered(function, size, 0.1)


def cachier_cached(function: Callable[..., Any], _size: int = SIZE) -> Callable[..., Any]:
    """The decorator of cachier around its memory, which has no limit. No release has its metrics yet."""
    from cachier import cachier

    return cachier(backend="memory", stale_after=timedelta(seconds=TTL))(function)


def aiocache_cached(function: Callable[..., Any], _size: int = SIZE) -> Callable[..., Any]:
    """For coroutine functions only; its memory has no limit."""
    from aiocache import Cache, cached

    return cached(ttl=int(TTL), cache=Cache.MEMORY)(function)


def aiocache_metered(function: Callable[..., Any], _size: int = SIZE) -> Callable[..., Any]:
    """The same with its plugins for the hit ratio and for durations."""
    from aiocache import Cache, cached
    from aiocache.plugins import HitMissRatioPlugin, TimingPlugin

    return cached(ttl=int(TTL), cache=Cache.MEMORY, plugins=[HitMissRatioPlugin(), TimingPlugin()])(function)


METERED = f"{OURS}, metrics"
SAMPLED = f"{OURS}, metrics of 10 %"

OFF_AND_ON = (Library(OURS, resilient_cached, "ours"), Library(METERED, metered, "ours"))
EVERY_RATE = (*OFF_AND_ON, Library(SAMPLED, sampled, "ours"))
CACHIER = Library("cachier", cachier_cached)
AIOCACHE = (Library("aiocache", aiocache_cached), Library("aiocache, plugins", aiocache_metered))


_STAGES = ("fallback", "retry", "circuit_breaker", "bulkhead")

STAGES_OFF_AND_ON = (
    Library(OURS, resilient_with(*_STAGES), "ours"),
    Library(METERED, resilient_with(*_STAGES, metered=True), "ours"),
)


def old_metrics() -> CacheMetrics:
    """Metrics that have counted for days, of calls of all durations: every window is full."""
    from pyresilience import CacheMetrics
    from pyresilience.testing import FakeClock

    clock = FakeClock()
    metrics = CacheMetrics(clock=clock)
    for step in past_days():
        clock.advance(step)
        metrics.record_miss()
        metrics.record_latency(step * 1e-6)
    return metrics


def past_days() -> Iterable[float]:
    """Pauses between calls, in seconds, that leave a mark for every slice of a day, an hour and a minute."""
    for window in (86_400.0, 3_600.0, 60.0):
        yield from (window / 16 for _ in range(20))


def busy_functions() -> list[Callable[..., Any]]:
    """Functions with caches and circuits, each with a few misses and hits."""
    functions = [_numbered(place) for place in range(FUNCTIONS)]
    for function in functions:
        for number in (1, 2, 3, 2, 1):
            function(number)
    return functions


def _numbered(place: int) -> Callable[..., Any]:
    from pyresilience import CacheConfig, CircuitBreakerConfig, resilient

    def price(number: int) -> int:
        return number

    price.__qualname__ = f"price_{place}"
    return resilient(cache=CacheConfig(enable_metrics=True), circuit_breaker=CircuitBreakerConfig())(price)


def their_own(states: Iterable[State]) -> CollectorRegistry:
    """What *states* say as metrics of prometheus_client itself: the same names, labels and buckets."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    from pyresilience.metrics.families import measure
    from pyresilience.metrics.latencies import NOTHING, Latencies

    registry = CollectorRegistry()
    for metric, points in measure(states):
        about = (metric.prometheus, metric.help, metric.labels)
        if metric.kind == "histogram":
            edges = [edge for edge, _ in NOTHING.cumulative()]
            histogram = Histogram(*about, registry=registry, buckets=edges)
            for point in points:
                histogram.labels(*point.labels).observe(1e-3)
        else:
            kind = Counter if metric.kind == "counter" else Gauge
            family = kind(*about, registry=registry)
            for point in points:
                assert not isinstance(point.value, Latencies)
                family.labels(*point.labels).inc(point.value)
    return registry
