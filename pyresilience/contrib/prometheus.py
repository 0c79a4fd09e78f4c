"""Metrics in an application's own `prometheus_client` registry, from events."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from ..events import EventType, ResilienceEvent
from ..metrics.exporters.prometheus_text import label_value
from ..metrics.families import CATALOGUE, Metric
from ..metrics.latencies import Latencies
from ..metrics.run_metrics import ENDS, REFUSALS, STAGES, outcome_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    Collector = TypeVar("Collector", Counter, Gauge, Histogram)

_STATES = {
    EventType.CIRCUIT_CLOSED: "closed",
    EventType.CIRCUIT_HALF_OPEN: "half_open",
    EventType.CIRCUIT_OPEN: "open",
}


class PrometheusListener:
    """A listener that counts in the registry of `prometheus_client`, under the names that `PrometheusExporter` serves.

    Give it in `listeners=`, where the application serves its registry already, in one process or with the client's
    multi-process mode. It counts what events tell: runs, retries, time-outs, fallbacks, refusals, circuits, cache hits
    and misses, coalesced and stale ones; not what a cache holds, nor what it does in the background. The label
    `function` is the module and the qualified name. Several listeners of one registry share their metrics, so each
    function may have one of its own.

    Args:
        registry: Where to count; None: the client's default registry.

    Raises:
        ImportError: The package prometheus-client is not installed.
        ValueError: Somebody else has metrics of these names in the registry, such as a `PrometheusExporter`.
    """

    wants = frozenset(
        {
            EventType.CACHE_HIT,
            EventType.CACHE_MISS,
            EventType.RETRY,
            EventType.TIMEOUT,
            EventType.FALLBACK_USED,
            *_STATES,
            *REFUSALS,
            *ENDS,
        }
    )
    """The events that it needs to hear."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import REGISTRY
        except ImportError as error:
            raise ImportError(
                "PrometheusListener counts with the package prometheus-client, which is not installed: "
                "pip install prometheus-client"
            ) from error
        self._families = _families_of(REGISTRY if registry is None else registry)

    def __call__(self, event: ResilienceEvent) -> None:
        """Count *event*."""
        families, kind = self._families, event.event_type
        function = _label(getattr(event.function_name, "label", event.function_name))
        if kind is EventType.CACHE_HIT:
            families.found(function, getattr(event, "source", "fresh"))
        elif kind is EventType.CACHE_MISS:
            families.missed(function, getattr(event, "reason", "cold"))
        elif kind in ENDS:
            families.calls.labels(function, outcome_of(event)).inc()
            families.durations.labels(function).observe(event.duration or 0.0)
        elif kind is EventType.RETRY:
            families.retries.labels(function).inc()
        elif kind is EventType.TIMEOUT:
            families.timeouts.labels(function).inc()
        elif kind is EventType.FALLBACK_USED:
            families.fallbacks.labels(function).inc()
        elif kind in REFUSALS:
            stage = getattr(event, "stage", "")
            families.rejections.labels(function, stage if stage in STAGES else "other").inc()
        elif kind in _STATES:
            families.turn(function, _STATES[kind])


class _Families:
    """The metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        bounds = [bound for bound, _ in Latencies().cumulative()]
        self._registry = registry
        self._made: list[Any] = []
        self.hits = self._make(Counter, "cache.hits")
        self.misses = self._make(Counter, "cache.misses")
        self.coalesced = self._make(Counter, "cache.coalesced")
        self.stale = self._make(Counter, "cache.stale_hits")
        self.calls = self._make(Counter, "calls")
        self.durations = self._make(Histogram, "call.duration", buckets=bounds)
        self.retries = self._make(Counter, "retries")
        self.timeouts = self._make(Counter, "timeouts")
        self.fallbacks = self._make(Counter, "fallbacks")
        self.rejections = self._make(Counter, "rejections")
        self.transitions = self._make(Counter, "circuit.transitions")
        self._states = self._make(Gauge, "circuit.state", multiprocess_mode="livemax")

    def _make(self, collector: type[Collector], key: str, **settings: Any) -> Collector:
        """Enter a metric of the catalogue; if that cannot be, none is entered."""
        metric: Metric = next(each for each in CATALOGUE if each.key == key)
        try:
            made = collector(metric.prometheus, metric.help, metric.labels, registry=self._registry, **settings)
        except ValueError as error:
            for each in self._made:
                self._registry.unregister(each)
            raise ValueError(
                f"the registry has a metric {metric.prometheus} that is not of a PrometheusListener: "
                "do without the PrometheusExporter in it, or use a registry of its own"
            ) from error
        self._made.append(made)
        return made

    def found(self, function: str, source: str) -> None:
        """A call of *function* was answered from that *source*; an expired entry is a miss all the same."""
        if source == "stale":
            self.missed(function, "expired")
        else:
            self.hits.labels(function).inc()
            if source == "coalesced":
                self.coalesced.labels(function).inc()

    def missed(self, function: str, reason: str) -> None:
        """A call of *function* found nothing usable, for that *reason*."""
        self.misses.labels(function).inc()
        if reason == "expired":
            self.stale.labels(function).inc()

    def turn(self, function: str, state: str) -> None:
        """The circuit of *function* is in *state* now."""
        self.transitions.labels(function, state).inc()
        for each in _STATES.values():
            self._states.labels(function, each).set(each == state)


_by_registry: WeakKeyDictionary[Any, _Families] = WeakKeyDictionary()
_lock = threading.RLock()

_label = lru_cache(maxsize=4096)(label_value)


def _families_of(registry: CollectorRegistry) -> _Families:
    """The metrics of *registry*, entered when they are first wanted."""
    with _lock:
        if registry not in _by_registry:
            _by_registry[registry] = _Families(registry)
        return _by_registry[registry]
