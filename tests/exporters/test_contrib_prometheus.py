"""PrometheusListener: events in, the application's own metrics out."""

import sys
import threading

import pytest
from exporter_contract import HOSTILE, label
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyresilience import (
    BulkheadConfig,
    BulkheadFullError,
    CacheConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    FallbackConfig,
    PipelineMetrics,
    RateLimiterConfig,
    RateLimitExceededError,
    ResilienceTimeoutError,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.contrib.prometheus import PrometheusListener
from pyresilience.events import BulkheadRejected, CacheHit, CacheMissed, Succeeded
from pyresilience.exporters import PrometheusExporter
from pyresilience.metrics.families import CATALOGUE


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def count(registry):
    """The value of one sample: `count("retries_total", f)`."""

    def count(name, function, **labels):
        return registry.get_sample_value(f"pyresilience_{name}", {"function": label(function), **labels})

    return count


def fails(error=ValueError):
    raise error


def test_cache_events(registry, count):
    """Hits, misses, hits that waited for another caller, and misses that met an expired entry, answered or not."""

    @resilient(cache=CacheConfig(), listeners=[PrometheusListener(registry)])
    def f(x):
        return x

    for x in (1, 1, 1, 2):
        f(x)
    assert (count("cache_hits_total", f), count("cache_misses_total", f)) == (2, 2)
    PrometheusListener(registry)(CacheHit(function_name="g", source="coalesced"))
    PrometheusListener(registry)(CacheHit(function_name="g", source="fresh"))
    PrometheusListener(registry)(CacheHit(function_name="g", source="stale"))
    PrometheusListener(registry)(CacheMissed(function_name="g", reason="expired"))
    PrometheusListener(registry)(CacheMissed(function_name="g", reason="invalidated"))
    told = ("stale_hits", "misses")
    assert [registry.get_sample_value(f"pyresilience_cache_{each}_total", {"function": "g"}) for each in told] == [2, 3]
    assert registry.get_sample_value("pyresilience_cache_coalesced_total", {"function": "g"}) == 1
    assert registry.get_sample_value("pyresilience_cache_hits_total", {"function": "g"}) == 2


def test_it_counts_as_the_metrics_do(registry, count, clock):
    """Of a cache with zones, hits and misses from events are those of its own metrics."""
    down = []

    @resilient(
        cache=CacheConfig(ttl=10, stale_if_error=20, enable_metrics=True),
        clock=clock,
        listeners=[PrometheusListener(registry)],
    )
    def f(x):
        if down:
            raise ConnectionError
        return x

    f(1)
    f(1)
    clock.advance(10)
    down.append(1)
    f(1)
    f(1)
    clock.advance(1)
    down.clear()
    f(1)
    stats = f.metrics.get_stats()
    assert (stats.hits, stats.misses, stats.stale_hits) == (1, 4, 3)
    for name in ("hits", "misses", "stale_hits"):
        assert count(f"cache_{name}_total", f) == getattr(stats, name), name


def test_runs_and_retries(registry, count, clock):
    """How runs ended, how long they took, and how often they were tried again."""
    seconds = [1.0, None, 2.0, None, None]

    @resilient(retry=RetryConfig(max_attempts=2, delay=0), clock=clock, listeners=[PrometheusListener(registry)])
    def f():
        if (took := seconds.pop(0)) is None:
            raise ValueError
        clock.advance(took)

    f()
    f()
    with pytest.raises(ValueError):
        f()
    assert [count("calls_total", f, outcome=each) for each in ("success", "failure")] == [2, 1]
    assert count("retries_total", f) == 2
    assert count("call_duration_seconds_count", f) == 3
    assert count("call_duration_seconds_sum", f) == 3.0
    assert count("call_duration_seconds_bucket", f, le="1.6") == 2


def test_refusals_and_fallbacks(registry, count):
    """Refusals by stage, runs that they ended, and stand-ins."""
    listener = PrometheusListener(registry)

    @resilient(rate_limiter=RateLimiterConfig(max_calls=1, period=60), listeners=[listener])
    def limited():
        return 1

    @resilient(fallback=FallbackConfig(handler=0), listeners=[listener])
    def replaced():
        raise ValueError

    @resilient(bulkhead=BulkheadConfig(max_concurrent=1), listeners=[listener])
    def crowded():
        with pytest.raises(BulkheadFullError):
            crowded()

    limited()
    with pytest.raises(RateLimitExceededError):
        limited()
    replaced()
    crowded()
    assert count("rejections_total", limited, stage="rate_limiter") == 1
    assert count("calls_total", limited, outcome="rejected") == 1
    assert count("fallbacks_total", replaced) == count("calls_total", replaced, outcome="fallback") == 1
    assert count("rejections_total", crowded, stage="bulkhead") == 1


def test_a_stage_of_ones_own_cannot_make_labels(registry):
    """What is no stage of ours is counted as `other`, however many names there are."""
    for place in range(5):
        PrometheusListener(registry)(BulkheadRejected(function_name="f", stage=f"mine {place}"))
    assert registry.get_sample_value("pyresilience_rejections_total", {"function": "f", "stage": "other"}) == 5


def test_timeouts(registry, count):
    """Limits that passed."""

    @resilient(timeout=TimeoutConfig(0.01), listeners=[PrometheusListener(registry)])
    def hangs():
        threading.Event().wait(0.1)

    with pytest.raises(ResilienceTimeoutError):
        hangs()
    assert count("timeouts_total", hangs) == 1


def test_circuits(registry, count, clock):
    """In which state a circuit is, and how often it became each."""

    @resilient(
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1, recovery_timeout=10, success_threshold=1),
        clock=clock,
        listeners=[PrometheusListener(registry)],
    )
    def f(error=None):
        if error:
            raise error

    def states():
        return {each: count("circuit_state", f, state=each) for each in ("closed", "half_open", "open")}

    with pytest.raises(ValueError):
        f(ValueError())
    assert states() == {"closed": 0, "half_open": 0, "open": 1}
    with pytest.raises(CircuitOpenError):
        f()
    assert count("rejections_total", f, stage="circuit_breaker") == 1
    clock.advance(11)
    f()
    assert states() == {"closed": 1, "half_open": 0, "open": 0}
    assert [count("circuit_transitions_total", f, state=each) for each in ("open", "half_open", "closed")] == [1, 1, 1]


def test_it_says_what_the_pipelines_own_metrics_say(registry, count):
    """Both listeners count the same of the same events."""
    own = PipelineMetrics()

    @resilient(
        retry=RetryConfig(max_attempts=3, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=8),
        fallback=FallbackConfig(handler=0),
        listeners=[own, PrometheusListener(registry)],
    )
    def f(x):
        if x > 3:
            raise ValueError
        return x

    for x in range(10):
        f(x)
    stats = own.get_stats(label(f))
    assert stats.retries == count("retries_total", f) > 0
    assert stats.success == count("calls_total", f, outcome="success") > 0
    assert stats.fallback == count("calls_total", f, outcome="fallback") > 0
    assert stats.rejections[0] == count("rejections_total", f, stage="circuit_breaker") > 0
    assert stats.latency.count == count("call_duration_seconds_count", f)


def test_names_labels_and_help_are_those_of_the_catalogue(registry):
    """An application can change from one to the other and keep its dashboards."""
    PrometheusListener(registry)
    exporter = PrometheusExporter(port=None)
    families = {each.name: (each.documentation, each.type) for each in registry.collect()}
    known = {
        each.prometheus.removesuffix("_total") if each.kind == "counter" else each.prometheus: (each.help, each.kind)
        for each in CATALOGUE
    }
    assert families.items() <= known.items()
    assert len(families) == 12
    exporter.stop()


def test_listeners_of_one_registry_share_their_metrics(registry, count):
    """Each function may have a listener of its own, also when many threads make them at once."""
    made = []
    threads = [threading.Thread(target=lambda: made.append(PrometheusListener(registry))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    @resilient(listeners=made)
    def f():
        return 1

    f()
    assert count("calls_total", f, outcome="success") == 8


def test_the_default_registry(script):
    """Without `registry=` it counts where the client library counts, as often as it is made."""
    assert script("""
        from prometheus_client import REGISTRY
        from pyresilience import resilient
        from pyresilience.contrib.prometheus import PrometheusListener
        @resilient(listeners=[PrometheusListener(), PrometheusListener()])
        def f(): return 1
        f()
        print(REGISTRY.get_sample_value("pyresilience_calls_total", {"function": "__main__.f", "outcome": "success"}))
    """) == ["2.0"]


def test_a_registry_is_not_kept_alive_nor_half_filled(registry):
    """If somebody else has one of the names there, the error says so, and nothing is left behind."""
    Counter("pyresilience_fallbacks", "Not ours.", ["function"], registry=registry)
    for _ in range(2):
        with pytest.raises(ValueError, match="pyresilience_fallbacks_total"):
            PrometheusListener(registry)
    assert [each.name for each in registry.collect()] == ["pyresilience_fallbacks"]


def test_an_exporter_does_not_join_the_same_registry(registry):
    """Both would say the same twice: whichever comes second is refused, and says why."""
    PrometheusListener(registry)
    with pytest.raises(ValueError, match="PrometheusListener is in it"):
        PrometheusExporter(port=None, registry=registry).start()
    other = CollectorRegistry()
    exporter = PrometheusExporter(port=None, registry=other)
    exporter.start()
    with pytest.raises(ValueError, match="PrometheusExporter"):
        PrometheusListener(other)
    exporter.stop()
    PrometheusListener(other)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_break_the_text(registry, name):
    """Whatever a function is called, both formats can be read, and have no line of its making."""
    PrometheusListener(registry)(Succeeded(function_name=name, duration=0.1))
    for text, parse in (
        (generate_latest(registry).decode(), parse_text),
        (generate_openmetrics(registry).decode(), parse_openmetrics),
    ):
        assert all(line.startswith(("#", "pyresilience_")) for line in text.splitlines())
        samples = {each.name for family in parse(text) for each in family.samples}
        assert {each.removesuffix("_created") for each in samples} <= {
            f"pyresilience_{each}" for each in ("calls_total", "calls", "call_duration_seconds")
        } | {f"pyresilience_call_duration_seconds_{each}" for each in ("bucket", "count", "sum")}


def test_it_needs_the_client_library(monkeypatch):
    """Where it is missing, the error names the package."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match="pip install prometheus-client"):
        PrometheusListener()
