"""The examples of the page that the metrics were ordered from, with our names, and what its tests would ask."""

from __future__ import annotations

import threading
import urllib.request
from datetime import timedelta

import pytest

from pyresilience import CacheConfig, resilient
from pyresilience.exporters import MetricsExporter, PrometheusExporter
from pyresilience.metrics import CacheMetrics, MetricsContext, MetricSnapshot


def test_the_first_example(capsys):
    """A function with metrics tells its hit rate in percent and its latency in milliseconds."""

    @resilient(cache=CacheConfig(enable_metrics=True))
    def expensive_function(x):
        return x**2

    for x in (5, 5, 5, 7):
        assert expensive_function(x) == x**2
    stats = expensive_function.metrics.get_stats()
    print(f"Hit rate: {stats.hit_rate}%")
    print(f"Latency: {stats.avg_latency_ms}ms")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Hit rate: 50.0%"
    assert 0 < float(out[1].removeprefix("Latency: ").removesuffix("ms")) < 1000


def test_the_example_of_sampling():
    """A tenth of the calls is recorded."""

    @resilient(cache=CacheConfig(enable_metrics=True, metrics_sampling_rate=0.1))
    def high_traffic_function(x):
        return x * 2

    for x in range(3000):
        high_traffic_function(x % 10)
    stats = high_traffic_function.metrics.get_stats()
    assert 150 < stats.total_calls < 480
    assert stats.misses == stats.recalculations <= 10


def test_the_example_of_the_exporter():
    """Registered and started, it serves the metrics of the function over HTTP until it is stopped."""

    @resilient(cache=CacheConfig(enable_metrics=True))
    def expensive_function(x):
        return x**2

    expensive_function(1)
    expensive_function(1)
    exporter = PrometheusExporter(port=0)
    exporter.register_function(expensive_function)
    exporter.register_function(expensive_function)
    exporter.start()
    try:
        exporter.start()
        with urllib.request.urlopen(f"http://localhost:{exporter.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        exporter.stop()
        exporter.stop()
    lines = [line for line in text.splitlines() if "expensive_function" in line]
    (hits,) = [line for line in lines if line.startswith("pyresilience_cache_hits_total{")]
    assert float(hits.rpartition(" ")[2]) == 1


@pytest.mark.parametrize("function", [len, lambda x: x, resilient(cache=CacheConfig())(lambda x: x)])
def test_exporting_what_has_no_metrics(function):
    """A function without metrics is refused when it is registered, with the setting that brings them."""
    with pytest.raises(ValueError, match=r"enable_metrics=True"):
        PrometheusExporter(port=0).register_function(function)


def test_an_exporter_is_abstract():
    """The base says what an exporter must offer, and cannot be made itself."""
    with pytest.raises(TypeError):
        MetricsExporter()
    assert issubclass(PrometheusExporter, MetricsExporter)


def test_off_by_default():
    """Metrics are opted in to."""
    assert resilient(cache=CacheConfig())(lambda x: x).metrics is None
    assert CacheConfig().enable_metrics is False
    assert CacheConfig().metrics_sampling_rate == 1.0


def test_a_miss_and_then_hits():
    """The first call of an argument misses and recalculates, later ones hit."""
    f = resilient(cache=CacheConfig(enable_metrics=True))(lambda x: x * 2)
    f(5)
    first = f.metrics.get_stats()
    assert (first.hits, first.misses, first.recalculations, first.total_calls, first.hit_rate) == (0, 1, 1, 1, 0.0)
    f(5)
    f(10)
    f(10)
    stats = f.metrics.get_stats()
    assert (stats.hits, stats.misses, stats.recalculations, stats.total_calls, stats.hit_rate) == (2, 2, 2, 4, 50.0)
    assert stats.avg_latency_ms > 0
    assert isinstance(stats, MetricSnapshot)


def test_functions_have_metrics_of_their_own():
    """Two functions do not count into each other."""
    f, g = (resilient(cache=CacheConfig(enable_metrics=True))(lambda x: x) for _ in range(2))
    f(1)
    f(1)
    g(1)
    assert (f.metrics.get_stats().hits, g.metrics.get_stats().hits) == (1, 0)


def test_the_context_alone():
    """Timing a block needs no pipeline, and None is allowed."""
    metrics = CacheMetrics()
    with MetricsContext(metrics):
        threading.Event().wait(0.02)
    assert 19 < metrics.get_stats().avg_latency_ms < 5000
    with MetricsContext(None):
        pass


def test_windows_by_timedelta():
    """Windows are asked for as timedeltas, those given and the usual ones."""
    metrics = CacheMetrics(window_sizes=[timedelta(minutes=1), timedelta(hours=1)])
    metrics.record_hit()
    metrics.record_latency(0.1)
    for window in (None, timedelta(minutes=1), timedelta(hours=1)):
        stats = metrics.get_stats(window=window)
        assert (stats.hits, round(stats.avg_latency_ms)) == (1, 100)
    with pytest.raises(ValueError, match=r"window"):
        metrics.get_stats(window=timedelta(days=1))


def test_a_cache_of_ones_own():
    """Around a plain dict, with sizes told by hand."""
    metrics, kept = CacheMetrics(), {}

    def get(key):
        with MetricsContext(metrics) as call:
            if key in kept:
                call.record_hit()
                return kept[key]
            call.record_miss()
            call.record_recalculation()
            kept[key] = str(key)
            metrics.update_size_metrics(len(kept), sum(map(len, kept.values())))
            return kept[key]

    assert [get(key) for key in (1, 1, 22, 1)] == ["1", "1", "22", "1"]
    stats = metrics.get_stats()
    assert (stats.hits, stats.misses, stats.recalculations, stats.hit_rate) == (2, 2, 2, 50.0)
    assert (stats.entry_count, stats.total_size_bytes) == (2, 3)
    assert (stats.hit_latency.count, stats.load_latency.count) == (2, 2)
