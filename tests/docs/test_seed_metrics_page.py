"""The page on metrics that the product was ordered from: each of its examples runs as it stands there, with our names."""

from __future__ import annotations

from datetime import timedelta
from urllib.request import urlopen

import pytest

from pyresilience import CacheConfig, CacheMetrics, MetricsContext, MetricSnapshot, ResultCache, resilient
from pyresilience.exporters import PrometheusExporter


def test_basic_usage(capsys):
    """Statistics are read from the function: the rate in percent, the mean duration in milliseconds."""

    @resilient(cache=CacheConfig(enable_metrics=True))
    def expensive_function(x):
        return x**2

    for x in (1, 2, 2, 2):
        expensive_function(x)

    # Access metrics
    stats = expensive_function.metrics.get_stats()
    print(f"Hit rate: {stats.hit_rate}%")
    print(f"Latency: {stats.avg_latency_ms}ms")

    assert capsys.readouterr().out == f"Hit rate: 50.0%\nLatency: {stats.avg_latency_ms}ms\n"
    assert 0 < stats.avg_latency_ms < 1000
    assert isinstance(stats, MetricSnapshot)


def test_sampling():
    """A tenth of the calls is recorded, and what is recorded of them agrees."""

    @resilient(
        cache=CacheConfig(
            enable_metrics=True,
            metrics_sampling_rate=0.1,  # Sample 10% of calls
        )
    )
    def high_traffic_function(x):
        return x * 2

    for x in range(30_000):
        high_traffic_function(x % 2)
    stats = high_traffic_function.metrics.get_stats()
    assert 2500 < stats.total_calls < 3500  # ten standard deviations
    assert stats.hits + stats.misses == stats.total_calls
    assert stats.misses == stats.recalculations <= 2
    assert stats.entry_count == 2


def test_the_prometheus_exporter():
    """The metrics are at `/metrics` of the port; here any free one, where the page says 9090."""

    @resilient(cache=CacheConfig(enable_metrics=True))
    def expensive_function(x):
        return x**2

    expensive_function(3), expensive_function(3)

    exporter = PrometheusExporter(port=0)
    exporter.register_function(expensive_function)
    exporter.start()

    # Metrics available at http://localhost:<port>/metrics
    with urlopen(f"http://localhost:{exporter.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    exporter.stop()
    label = f"{__name__}.expensive_function"
    for what in ("hits_total", "misses_total", "recalculations_total", "entries"):
        assert f'pyresilience_cache_{what}{{function="{label}"}} 1.0' in lines


def test_the_port_of_the_page_is_the_default():
    """`PrometheusExporter(port=9090)` and `PrometheusExporter()` are the same; neither listens yet."""
    assert PrometheusExporter().port == PrometheusExporter(port=9090, use_prometheus_client=True).port == 9090


def test_every_method_of_the_page():
    """Each `record_` method counts in the field of its name, and `reset()` begins anew."""
    metrics = CacheMetrics(sampling_rate=1.0, window_sizes=None)
    metrics.record_hit()
    metrics.record_miss()
    metrics.record_stale_hit()
    metrics.record_recalculation()
    metrics.record_wait_timeout()
    metrics.record_size_limit_rejection()
    metrics.record_latency(0.25)
    stats = metrics.get_stats(window=timedelta(minutes=1))
    assert (stats.hits, stats.misses, stats.hit_rate, stats.total_calls) == (1, 1, 50.0, 2)
    assert (stats.stale_hits, stats.recalculations, stats.wait_timeouts, stats.size_limit_rejections) == (1, 1, 1, 1)
    assert stats.avg_latency_ms == pytest.approx(250)
    metrics.reset()
    assert metrics.get_stats() == MetricSnapshot()


def test_the_context_manager_times_the_block():
    """A block is one call, with its duration."""
    metrics = CacheMetrics()
    with MetricsContext(metrics) as call:
        call.record_hit()
    stats = metrics.get_stats()
    assert (stats.hits, stats.hit_latency.count, stats.load_latency.count) == (1, 1, 0)


def test_a_cache_takes_metrics():
    """The cache without a function records in what it is given."""
    metrics = CacheMetrics()
    cache = ResultCache(CacheConfig(max_size=10), metrics=metrics)
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    stats = metrics.get_stats()
    assert (stats.hits, stats.misses, stats.entry_count) == (1, 1, 1)


def test_metrics_are_off_by_default():
    """Without the setting a function has no metrics, and an exporter says what to do."""

    @resilient(cache=CacheConfig())
    def plain(x):
        return x

    assert plain.metrics is None
    with pytest.raises(ValueError, match="enable_metrics=True"):
        PrometheusExporter(port=None).register_function(plain)
