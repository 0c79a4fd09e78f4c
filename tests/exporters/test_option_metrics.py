"""What the options of a cache do is told by every exporter, from the call to where the numbers arrive."""

from __future__ import annotations

import io
import json
import socket
from dataclasses import asdict
from urllib.request import urlopen

import pytest
from equipped_function import Equipped
from exporter_contract import label
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyresilience.exporters import (
    CloudWatchExporter,
    JsonFileExporter,
    OpenTelemetryExporter,
    PrometheusExporter,
    StatsDExporter,
)
from pyresilience.metrics import MetricSnapshot
from pyresilience.metrics.families import CATALOGUE

COUNTS = ("hits", "misses", "stale_hits", "stale_served", "recalculations", "wait_timeouts", "size_limit_rejections")
KEYS = {
    **{f"cache.{name}": (name,) for name in (*COUNTS, "reload_failures")},
    **{f"cache.evictions/{cause}": ("evictions", cause) for cause in ("size", "expired", "invalidated")},
    "cache.entries": ("entry_count",),
    "cache.size": ("total_size_bytes",),
    "cache.max_weight": ("max_weight",),
}
"""What is looked for, and where a snapshot has it."""


@pytest.fixture(scope="module")
def function():
    """A function to which all of it has happened."""
    return Equipped().happen()


@pytest.fixture
def started(function):
    """Start an exporter of the function; it is stopped at the end."""
    running = []

    def started(exporter):
        running.append(exporter)
        exporter.register_function(function)
        exporter.start()
        return exporter

    yield started
    for exporter in running:
        exporter.stop()


def expected(function):
    """What must arrive."""
    told = asdict(function.metrics.get_stats())
    found = {}
    for key, way in KEYS.items():
        value = told
        for step in way:
            value = value[step]
        found[key] = value
    return found


def test_all_of_it_has_happened(function):
    """No count that is looked for below is 0, so that none can be taken for another's silence."""
    assert all(expected(function).values())
    assert set(KEYS) <= {f"{metric.key}{'/' + c if c else ''}" for metric in CATALOGUE for c in _causes(metric)}


def _causes(metric):
    return ("size", "expired", "invalidated") if metric.labels[1:] == ("cause",) else ("",)


def keyed(values):
    """The catalogue's keys of `{(name, cause): value}`, by Prometheus's names or the dotted ones."""
    names = {name: metric.key for metric in CATALOGUE for name in (metric.prometheus, metric.dotted)}
    found = {}
    for (name, cause), value in values.items():
        key = f"{names.get(name)}/{cause}" if cause else names.get(name)
        if key in KEYS:
            found[key] = value
    return found


@pytest.mark.parametrize("client", [True, False], ids=["client", "own"])
def test_prometheus(function, started, client):
    """In both hands, with the label of the function."""
    exporter = started(PrometheusExporter(port=0, use_prometheus_client=client))
    with urlopen(exporter.url, timeout=20) as answer:
        families = list(parse_text(answer.read().decode()))
    values = {
        (sample.name, sample.labels.get("cause")): sample.value
        for family in families
        for sample in family.samples
        if sample.labels["function"] == label(function)
    }
    assert keyed(values) == expected(function)


def test_opentelemetry(function, started):
    """As sums and gauges of the real SDK."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    started(OpenTelemetryExporter(meter_provider=provider))
    values = {
        (metric.name, point.attributes.get("cause")): point.value
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if hasattr(point, "value")
    }
    provider.shutdown()
    assert keyed(values) == expected(function)


def test_statsd(function, started):
    """As lines in datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(20)
        started(StatsDExporter(port=daemon.getsockname()[1], interval=3600, max_datagram=65000)).flush()
        lines = daemon.recv(65536).decode().splitlines()
    values = {}
    for line in lines:
        name, _, rest = line.partition(":")
        value, kind, tags = (
            rest.split("|")[0],
            rest.split("|")[1],
            dict(t.split(":") for t in line.split("#")[1].split(",")),
        )
        if kind in "cg":
            values[name, tags.get("cause")] = float(value)
    assert keyed(values) == expected(function)


def test_cloudwatch(function, started):
    """As a line of the embedded metric format."""
    stream = io.StringIO()
    started(CloudWatchExporter(stream, interval=3600)).flush()
    document = json.loads(stream.getvalue())
    values = {}
    for name, value in document.items():
        whole, _, last = name.rpartition(".")
        values[(whole, last) if whole.endswith("evictions") else (name, None)] = value
    assert keyed(values) == expected(function)


def test_a_file_and_the_next_process(function, started, tmp_path):
    """In the file, as it is read again; contents and limits are those of when it was written."""
    started(JsonFileExporter(tmp_path / "metrics.json", interval=3600)).flush()
    (state,) = JsonFileExporter.read(tmp_path / "metrics.json")
    assert state.cache == function.metrics.get_stats()
    assert state.cache != MetricSnapshot()


def test_a_file_of_an_earlier_version(function, started, tmp_path, caplog):
    """A file that knows nothing of the latest counts is taken for what it says."""
    path = tmp_path / "metrics.json"
    started(JsonFileExporter(path, interval=3600)).flush()
    document = json.loads(path.read_text())
    for name in ("stale_served", "reloading", "reload_failures", "max_weight"):
        del document["states"][0]["cache"][name]
    path.write_text(json.dumps(document))
    (state,) = JsonFileExporter.read(path)
    assert (state.cache.stale_hits, state.cache.stale_served) == (function.metrics.get_stats().stale_hits, 0)
    assert not caplog.records


def test_several_processes(function, tmp_path):
    """In what processes tell each other, whatever unit the weights have."""
    from pyresilience.metrics.exporters.multiprocess import Publisher, read_states
    from pyresilience.metrics.subject import Subject, read

    odd = Equipped("odd", weigher=lambda value: 0.3, max_weight=100)
    odd.f(1)
    publisher = Publisher(
        tmp_path, lambda *, detailed=False: read([Subject(function), Subject(odd.f)], detailed=detailed)
    )
    publisher.start()
    states = {state.function: state.cache for state in read_states(tmp_path)}
    publisher.stop()
    assert states[label(function)] == function.metrics.get_stats()
    assert states[label(odd.f)].max_weight == 100
