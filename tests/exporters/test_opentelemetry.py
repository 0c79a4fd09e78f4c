"""OpenTelemetryExporter: what readers of the real SDK collect, and what its Prometheus exporter makes of it."""

import gc
import logging
import os
import sys
import threading
import time
import weakref

import pytest
from exporter_contract import HOSTILE, ExporterContract, cached, call, label, until
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import NoOpMeter, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyresilience import CacheConfig, CircuitBreakerConfig, RetryConfig, resilient
from pyresilience.exporters import OpenTelemetryExporter
from pyresilience.metrics import CacheMetrics, Latencies, MetricSnapshot
from pyresilience.metrics.exporters import opentelemetry
from pyresilience.metrics.families import CATALOGUE, Point, measure
from pyresilience.metrics.latencies import BUCKETS, EDGES
from pyresilience.metrics.snapshot import snapshot
from pyresilience.metrics.state import State


class Collector:
    """A meter provider with a reader, and what that collects."""

    def __init__(self, *readers):
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader, *readers], shutdown_on_exit=False)

    def collect(self):
        """`{(name, labels): point}` of one collection."""
        data = self.reader.get_metrics_data()
        return {
            (metric.name, frozenset(point.attributes.items())): point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    def value(self, name, **labels):
        point = self.collect().get((name, frozenset(labels.items())))
        return None if point is None else point.value


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """A collection may take as long as it likes, and still is of one moment."""
    monkeypatch.setattr(opentelemetry, "FRESH", 3600.0)


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.provider.shutdown()


@pytest.fixture
def make(collector):
    """Make exporters that are stopped at the end."""
    made = []

    def make(**settings):
        made.append(OpenTelemetryExporter(**(settings or {"meter_provider": collector.provider})))
        return made[-1]

    yield make
    for exporter in made:
        exporter.stop()


@pytest.fixture
def exporter(make):
    return make()


class TestContract(ExporterContract):
    """It keeps what every exporter keeps."""

    @pytest.fixture
    def exporter(self, make):
        return make()

    @pytest.fixture(autouse=True)
    def _collector(self, collector):
        self.collector = collector

    def hits(self, exporter, label):
        return self.collector.value("pyresilience.cache.hits", function=label)


def busy():
    """A function whose every kind of metric has something to say."""

    @resilient(
        cache=CacheConfig(enable_metrics=True, max_weight="1MB"),
        retry=RetryConfig(max_attempts=2, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=3),
    )
    def f(x):
        if x < 0:
            raise ValueError("no")
        return x

    for x in (1, 1, 1, 2, -1, -2):
        try:
            f(x)
        except Exception:
            continue
    return f


def samples(text):
    """`{(name, labels): value}` of an exposition, without the labels that OpenTelemetry adds."""
    return {
        (
            sample.name,
            frozenset((key, value) for key, value in sample.labels.items() if not key.startswith("otel_scope")),
        ): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


@pytest.fixture
def prometheus():
    """A provider that the OpenTelemetry Prometheus exporter reads, and its registry."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, registry=registry)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    yield provider, registry
    provider.shutdown()


def expected(states):
    """The samples that the catalogue promises, histograms by their count, sum and buckets."""
    found = {}
    for metric, points in measure(states):
        for labels, value in points:
            named = frozenset(zip(metric.labels, labels, strict=True))
            if not isinstance(value, Latencies):
                found[metric.prometheus, named] = value
            elif value.count:
                found[f"{metric.prometheus}_count", named] = value.count
                found[f"{metric.prometheus}_sum", named] = value.total
                for bound, count in value.cumulative():
                    le = "+Inf" if bound == float("inf") else str(bound)
                    found[f"{metric.prometheus}_bucket", named | {("le", le)}] = count
    return found


def test_every_name_of_the_catalogue_comes_out_equal(prometheus):
    """Through the OpenTelemetry Prometheus exporter, every sample has the name, labels and value of our own."""
    provider, registry = prometheus
    f = busy()
    exporter = OpenTelemetryExporter(meter_provider=provider)
    exporter.register_function(f)
    exporter.start()
    text = generate_latest(registry).decode()
    promised = expected(exporter.states())
    exporter.stop()
    told = samples(text)
    assert told.keys() == promised.keys()
    for key, value in promised.items():
        assert told[key] == pytest.approx(value, rel=1e-4), key
    names = {family.name for family in parse_text(text)}
    for metric in CATALOGUE:
        assert metric.prometheus.removesuffix("_total") in names, metric


def test_hostile_names_break_no_scrape(prometheus):
    """Every function is told, whatever it is called."""
    provider, registry = prometheus
    exporter = OpenTelemetryExporter(meter_provider=provider)
    for name in HOSTILE:
        exporter.export_metrics(name, MetricSnapshot(hits=3))
    exporter.start()
    told = samples(generate_latest(registry).decode())
    exporter.stop()
    hits = [value for (name, _), value in told.items() if name == "pyresilience_cache_hits_total"]
    assert hits == [3] * len(HOSTILE)


def test_instruments_have_unit_and_help(exporter, collector):
    """As the catalogue says."""
    exporter.register_function(busy())
    exporter.start()
    [resource] = collector.reader.get_metrics_data().resource_metrics
    [scope] = resource.scope_metrics
    assert scope.scope.name == "pyresilience"
    told = {metric.name: (metric.unit, metric.description) for metric in scope.metrics}
    assert told == {metric.dotted: (metric.unit, metric.help) for metric in CATALOGUE}


def test_one_collection_is_of_one_moment(exporter, collector, monkeypatch):
    """All instruments tell of one reading; the next collection reads anew."""
    readings = []
    states = exporter.states
    monkeypatch.setattr(exporter, "states", lambda: readings.append(1) or states())
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.start()
    for rounds in (1, 2, 3):
        collector.collect()
        assert len(readings) == rounds


def test_a_reading_is_not_kept_for_long(exporter, collector, monkeypatch):
    """What was read for a collection that broke off is not told in the next."""
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    exporter.start()
    desk = opentelemetry._desks.of(exporter._meter)
    hits = next(metric for metric in CATALOGUE if metric.key == "cache.hits")
    entries = next(metric for metric in CATALOGUE if metric.key == "cache.entries")
    desk._observe(hits)
    metrics.update_size_metrics(5, 500)
    assert [each.value for each in desk._observe(entries)] == [0]
    desk._observe(entries)
    metrics.update_size_metrics(6, 600)
    later = time.monotonic() + opentelemetry.FRESH
    monkeypatch.setattr(time, "monotonic", lambda: later)
    desk._observe(hits)
    assert [each.value for each in desk._observe(entries)] == [6]


def durations(collector, **labels):
    return collector.collect().get(("pyresilience.cache.operation.duration", frozenset(labels.items())))


def test_a_histogram_is_told_what_was_added(exporter, collector):
    """Each duration once, in its bucket; the sums are true."""
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    exporter.start()
    for rounds in (1, 2):
        for seconds in (0.001, 0.0012, 0.5, 200.0):
            metrics.record_miss()
            metrics.record_latency(seconds)
        point = durations(collector, function="f", result="miss")
        assert point.count == 4 * rounds
        assert point.sum == pytest.approx(200.5022 * rounds)
        assert tuple(point.explicit_bounds) == EDGES[::2]
        below = [sum(point.bucket_counts[: n + 1]) for n in range(len(point.bucket_counts))]
        assert below == [count for _, count in metrics.get_stats().load_latency.cumulative()]
    assert durations(collector, function="f", result="miss").count == 8


def test_many_durations_are_told_as_a_sample(exporter, collector):
    """A collection takes its time, but not without bound; proportions are true, and the counters exact."""
    counts = [0] * BUCKETS
    counts[10], counts[20] = 75_000_000, 25_000_000
    told = snapshot(hits=10**8, misses=0, hit_latency=Latencies(tuple(counts), 20_600.0), load_latency=Latencies())
    exporter.export_metrics("f", told)
    exporter.start()
    point = durations(collector, function="f", result="hit")
    assert abs(point.count - opentelemetry.RECORDINGS) <= 2
    assert point.sum / point.count == pytest.approx(20_600.0 / 10**8, rel=1e-3)
    assert sorted(point.bucket_counts)[-2:] == pytest.approx([2500, 7500], abs=1)
    assert collector.value("pyresilience.cache.hits", function="f") == 10**8


def test_several_functions_share_the_recordings(exporter, collector):
    """Each gets its share of them."""
    counts = (0,) * 9 + (10**6,) + (0,) * (BUCKETS - 10)
    told = snapshot(hits=10**6, misses=0, hit_latency=Latencies(counts, 5.0), load_latency=Latencies())
    for n in range(4):
        exporter.export_metrics(f"f{n}", told)
    exporter.start()
    found = collector.collect()
    points = [point for (name, _), point in found.items() if name == "pyresilience.cache.operation.duration"]
    assert [point.count for point in points] == pytest.approx([opentelemetry.RECORDINGS / 4] * 4, abs=1)


def test_two_readers_are_told_the_same(make):
    """A second reader takes nothing from the first, and no duration is recorded twice."""
    second = InMemoryMetricReader()
    collector = Collector(second)
    exporter = make(meter_provider=collector.provider)
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    exporter.start()
    for n in range(1, 4):
        metrics.record_miss()
        metrics.record_latency(0.1)
        for reader in (collector.reader, second):
            collector.reader, kept = reader, collector.reader
            assert durations(collector, function="f", result="miss").count == n
            assert collector.value("pyresilience.cache.misses", function="f") == n
            collector.reader = kept
    collector.provider.shutdown()


def test_counters_never_fall(exporter, collector):
    """After a `reset()` they go on from where they were, as OpenTelemetry demands of a monotonic sum."""
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    exporter.start()
    for hits, total in ((5, 5), (2, 7)):
        for _ in range(hits):
            metrics.record_hit()
        assert collector.value("pyresilience.cache.hits", function="f") == total
        metrics.reset()


def test_sampled_counts_are_told_as_they_are(exporter, collector):
    """Nothing is scaled up."""
    metrics = CacheMetrics(sampling_rate=0.5)
    metrics.skip, metrics.draw = 0, lambda: 0  # each call is drawn
    for _ in range(4):
        metrics.record_hit()
    exporter.export_metrics("f", metrics)
    exporter.start()
    assert collector.value("pyresilience.cache.hits", function="f") == 4


def test_what_is_no_number_is_not_told(exporter, collector, caplog):
    """The SDK would log it at each collection."""
    exporter.export_metrics("f", MetricSnapshot(hits=1, total_size_bytes=float("nan")))
    exporter.start()
    assert collector.value("pyresilience.cache.hits", function="f") == 1
    assert collector.value("pyresilience.cache.size", function="f") is None
    assert caplog.records == []


def test_a_stopped_exporter_tells_nothing(exporter, collector):
    """Its instruments stay, and observe nothing; started again, they tell the counts of the pause as well."""
    f = cached("stopped")
    exporter.register_function(f)
    exporter.start()
    call(f, 2)
    assert collector.value("pyresilience.cache.hits", function=label(f)) == 2
    exporter.stop()
    call(f, 2)
    assert collector.value("pyresilience.cache.hits", function=label(f)) is None
    exporter.start()
    assert collector.value("pyresilience.cache.hits", function=label(f)) == 5
    assert durations(collector, function=label(f), result="hit").count == 5


def test_exporters_of_one_meter_share_its_instruments(make, collector, caplog):
    """A second one makes none of its own, which the SDK would not read; a function of both is told once."""
    one, other = make(), make()
    shared = cached("shared")
    for exporter in (one, other):
        exporter.register_function(shared)
    other.export_metrics("own", MetricSnapshot(hits=7))
    one.start()
    other.start()
    call(shared, 3)
    assert collector.value("pyresilience.cache.hits", function=label(shared)) == 3
    assert collector.value("pyresilience.cache.hits", function="own") == 7
    one.stop()
    assert collector.value("pyresilience.cache.hits", function=label(shared)) == 3
    assert caplog.records == []


def test_a_meter_of_ones_own(make, collector):
    """The instruments are made there."""
    exporter = make(meter=collector.provider.get_meter("shop", "1.0"))
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.start()
    [resource] = collector.reader.get_metrics_data().resource_metrics
    assert [scope.scope.name for scope in resource.scope_metrics] == ["shop"]


def test_without_an_sdk_nothing_happens(make):
    """The API alone does nothing, and that is no error."""
    exporter = make(meter_provider=NoOpMeterProvider())
    exporter.register_function(cached("nobody_reads"))
    exporter.start()
    exporter.stop()


def test_the_applications_provider_may_be_set_later(script):
    """As programs do that set up telemetry after their modules were imported; a second exporter finds its way too."""
    out = script("""
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from pyresilience.exporters import OpenTelemetryExporter
        from pyresilience.metrics import MetricSnapshot

        early = OpenTelemetryExporter()
        early.export_metrics("early", MetricSnapshot(hits=1))
        early.start()
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
        late = OpenTelemetryExporter()
        late.export_metrics("late", MetricSnapshot(hits=2))
        late.start()
        for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
            for metric in scope.metrics:
                if metric.name == "pyresilience.cache.hits":
                    for point in metric.data.data_points:
                        print(point.attributes["function"], point.value)
    """)
    assert out == ["early", "1", "late", "2"]


class OldMeter(NoOpMeter):
    """A meter of a time when histograms could not be given bounds."""

    def create_histogram(self, name, unit="", description=""):
        return super().create_histogram(name, unit, description)


def test_an_old_api_is_told_of(make, caplog):
    """It works, with a line that says what is amiss."""
    exporter = make(meter=OldMeter("old"))
    exporter.start()
    exporter.stop()
    assert {"pip install --upgrade opentelemetry-api" in record.getMessage() for record in caplog.records} == {True}


def test_the_package_is_named_where_it_is_missing(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"pip install opentelemetry-api$"):
        OpenTelemetryExporter()


def test_the_sdk_is_not_needed(script):
    """Nothing but the API is imported."""
    assert script("""
        import sys
        from pyresilience.exporters import OpenTelemetryExporter
        exporter = OpenTelemetryExporter()
        exporter.start()
        exporter.stop()
        print(any(name.startswith("opentelemetry.sdk") for name in sys.modules))
    """) == ["False"]


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"meter": 1}, TypeError, "meter must be"),
        ({"meter_provider": NoOpMeter("m")}, TypeError, "meter_provider must be"),
        ({"meter": NoOpMeter("m"), "meter_provider": NoOpMeterProvider()}, ValueError, "not both"),
    ],
)
def test_settings_are_checked(settings, kind, words):
    """The error says which and why, at once."""
    with pytest.raises(kind, match=words):
        OpenTelemetryExporter(**settings)


def test_a_meter_may_go(collector):
    """What is kept for it goes with it."""

    class Passing(NoOpMeter):
        pass

    meter = Passing("passing")
    exporter = OpenTelemetryExporter(meter=meter)
    exporter.start()
    exporter.stop()
    gone = weakref.ref(meter)
    del meter, exporter
    gc.collect()
    assert gone() is None


def test_collections_at_once(exporter, collector):
    """Threads that collect, call, start and stop do not meet in a deadlock, and no count is lost.

    The first collection after one that a stop has broken off may still tell of that one's moment.
    """
    f = cached("at_once")
    exporter.register_function(f)
    exporter.start()
    f(1)

    def work(place):
        for n in range(50):
            f(1)
            if place == 0:
                exporter.stop()
                exporter.start()
            elif place == 1:
                collector.collect()

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    until(lambda: collector.value("pyresilience.cache.hits", function=label(f)) == 250)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_tells_its_own(exporter, collector):
    """It begins at nothing, and stopped."""
    f = cached("forked")
    exporter.register_function(f)
    exporter.start()
    call(f, 5)
    assert collector.value("pyresilience.cache.hits", function=label(f)) == 5
    child = os.fork()
    if child == 0:  # the child
        try:
            assert collector.value("pyresilience.cache.hits", function=label(f)) is None
            exporter.start()
            f(1)
            assert collector.value("pyresilience.cache.hits", function=label(f)) == 1
            os._exit(0)
        except BaseException:
            logging.getLogger("pyresilience").exception("in the child")
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert collector.value("pyresilience.cache.hits", function=label(f)) == 5


def test_the_catalogue_is_what_is_expected():
    """The comparison above looks at histograms, and at every kind there is."""
    assert {metric.kind for metric in CATALOGUE} == {"counter", "gauge", "histogram"}
    points = dict(measure([State("f", cache=MetricSnapshot(hits=2))]))
    assert Point(("f",), 2) in points[CATALOGUE[0]]
