"""The catalogue of metrics against the contract, and the report to the letter."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience import CacheConfig, CircuitBreakerConfig, ResultCache, resilient
from pyresilience.metrics import CacheMetrics, Latencies, MetricSnapshot, PipelineMetrics, RunSnapshot
from pyresilience.metrics.families import CATALOGUE, Metric, measure
from pyresilience.metrics.report import report
from pyresilience.metrics.state import SERIES, Circuit, State
from pyresilience.metrics.subject import Subject, read
from pyresilience.testing import FakeClock

CONTRACT = {
    "pyresilience_cache_hits_total": ("counter", ("function",)),
    "pyresilience_cache_misses_total": ("counter", ("function",)),
    "pyresilience_cache_stale_hits_total": ("counter", ("function",)),
    "pyresilience_cache_recalculations_total": ("counter", ("function",)),
    "pyresilience_cache_wait_timeouts_total": ("counter", ("function",)),
    "pyresilience_cache_size_limit_rejections_total": ("counter", ("function",)),
    "pyresilience_cache_entries": ("gauge", ("function",)),
    "pyresilience_cache_max_entries": ("gauge", ("function",)),
    "pyresilience_cache_size_bytes": ("gauge", ("function",)),
    "pyresilience_cache_hit_ratio": ("gauge", ("function",)),
    "pyresilience_cache_operation_duration_seconds": ("histogram", ("function", "result")),
    "pyresilience_calls_total": ("counter", ("function", "outcome")),
    "pyresilience_call_duration_seconds": ("histogram", ("function",)),
    "pyresilience_retries_total": ("counter", ("function",)),
    "pyresilience_timeouts_total": ("counter", ("function",)),
    "pyresilience_fallbacks_total": ("counter", ("function",)),
    "pyresilience_rejections_total": ("counter", ("function", "stage")),
    "pyresilience_circuit_state": ("gauge", ("function", "state")),
    "pyresilience_circuit_transitions_total": ("counter", ("function",)),
    "pyresilience_listener_errors_total": ("counter", ("function",)),
}


def plain(x):
    return x


@pytest.fixture
def function(clock):
    """A function with all there is to measure, called in every way."""
    f = resilient(
        cache=CacheConfig(max_size=3, ttl=300, enable_metrics=True), circuit_breaker=CircuitBreakerConfig(), clock=clock
    )(plain)
    for x in (1, 1, 2, 3, 4):
        f(x)
    f.circuit_breaker.force_open()
    return f


def states_of(*functions):
    return read(map(Subject, functions), detailed=True)


def values(states):
    """`{(name, *labels): value}` of all points; a histogram's value is its count."""
    found = {}
    for metric, points in measure(states):
        for labels, value in points:
            assert len(labels) == len(metric.labels)
            found[(metric.prometheus, *labels)] = value.count if isinstance(value, Latencies) else value
    return found


@pytest.mark.parametrize(("name", "kind_and_labels"), CONTRACT.items())
def test_the_families_of_the_contract(name, kind_and_labels):
    """Every family stands in the catalogue under its name, with its type and at least its labels."""
    kind, labels = kind_and_labels
    (metric,) = [each for each in CATALOGUE if each.prometheus == name]
    assert metric.kind == kind
    assert metric.labels[: len(labels)] == labels
    assert metric.help.endswith(".")
    assert "\n" not in metric.help


def test_names_are_fit_for_every_system():
    """Names are unique, of plain characters, equal but for dots, and units are named as Prometheus wants them."""
    assert len({metric.prometheus for metric in CATALOGUE}) == len(CATALOGUE)
    for metric in CATALOGUE:
        assert metric.dotted.replace("_", "").replace(".", "").isalpha()
        assert metric.prometheus.startswith(metric.dotted.replace(".", "_"))
        assert metric.prometheus.endswith("_total") == (metric.kind == "counter")
        assert {"s": "_seconds", "By": "_bytes"}.get(metric.unit, "") in metric.prometheus
        assert metric.labels[0] == "function"


def test_their_values(function):
    """What is measured is what happened."""
    label = f"{__name__}.plain"
    found = values(states_of(function))
    for name, value in {
        ("cache_hits_total",): 1,
        ("cache_misses_total",): 4,
        ("cache_recalculations_total",): 4,
        ("cache_entries",): 3,
        ("cache_max_entries",): 3,
        ("cache_hit_ratio",): 0.2,
        ("cache_evictions_total", "size"): 1,
        ("cache_evictions_total", "invalidated"): 0,
        ("cache_operation_duration_seconds", "hit"): 1,
        ("cache_operation_duration_seconds", "miss"): 4,
        ("calls_total", "success"): 4,
        ("calls_total", "failure"): 0,
        ("call_duration_seconds",): 4,
        ("circuit_state", "open"): 1,
        ("circuit_state", "closed"): 0,
        ("circuit_state", "half_open"): 0,
        ("circuit_transitions_total", "open"): 1,
        ("rejections_total", "bulkhead"): 0,
        ("listener_errors_total",): 0,
    }.items():
        assert found[(f"pyresilience_{name[0]}", label, *name[1:])] == value, name
    assert found[("pyresilience_cache_size_bytes", label)] > 0


def test_what_is_not_there_is_not_measured():
    """Without cache, runs or circuit their families have no points, and a cache of unknown size has no limit."""
    found = values([State("f"), State("g", cache=MetricSnapshot())])
    assert {name for name, *labels in found if labels[0] == "f"} == {"pyresilience_listener_errors_total"}
    assert ("pyresilience_cache_max_entries", "g") not in found
    assert ("pyresilience_cache_max_weight", "g") not in found
    assert ("pyresilience_cache_entries", "g") in found


def test_label_sets_are_unique():
    """States of one label become one point, however many there are."""
    state = State("f", MetricSnapshot(hits=2), 1.0, RunSnapshot(3), Circuit("open"))
    for _, points in measure([state, State("g", runs=RunSnapshot(1)), state]):
        assert len({labels for labels, _ in points}) == len(points)
    assert values([state, state])[("pyresilience_cache_hits_total", "f")] == 4
    assert values([state, state])[("pyresilience_circuit_state", "f", "open")] == 1


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_pass_unchanged(one, other):
    """Quotes, line breaks, dots, braces: the label is the name, and escaping is the exporter's."""
    several = [State(name, MetricSnapshot(hits=1), runs=RunSnapshot(1)) for name in (one, other)]
    functions = {labels[0] for _, points in measure(several) for labels, _ in points}
    assert functions == {one, other}
    assert {each["function"] for each in json.loads(json.dumps(report(several)))["functions"]} == {one, other}


def test_a_metric_is_a_value():
    """Metrics are equal by what they say, so that exporters may keep them in dicts."""
    assert len({*CATALOGUE, Metric("cache.hits", "counter", CATALOGUE[0].help)}) == len(CATALOGUE)


# The report.

CACHE = {
    "calls": 5, "hits": 1, "fresh_hits": 1, "coalesced": 0, "stale_hits": 0, "stale_served": 0, "misses": 4,
    "recalculations": 4, "wait_timeouts": 0, "size_limit_rejections": 0, "hit_ratio": 0.2, "entries": 3,
    "max_entries": 3, "max_weight": None, "reloading": 0, "reload_failures": 0, "ttl": 300.0,
    "evictions": {"size": 1, "expired": 0, "invalidated": 0}, "sampling_rate": 1.0,
}  # fmt: skip
RUNS = {"success": 4, "failure": 0, "rejected": 0, "fallback": 0, "retries": 0, "timeouts": 0, "fallbacks": 0}


def shown(function, window=None):
    """The report of one function, as it comes out of JSON."""
    return json.loads(json.dumps(report(states_of(function), window), allow_nan=False))


def test_its_frame(function):
    """The time twice, the window, the windows there are, the functions, and the history of each window."""
    before = time.time()
    data = shown(function)
    assert set(data) >= {"timestamp", "now", "window", "windows", "functions", "history"}
    assert before <= data["now"] <= time.time()
    stamp = datetime.strptime(data["timestamp"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    assert 0 <= data["now"] - stamp < 1
    assert (data["window"], data["windows"]) == (None, [60, 3600, 86400])
    assert set(data["history"]) == {"60", "3600", "86400"}


def test_a_function_in_it(function):
    """Every field has its name and its value."""
    (data,) = shown(function)["functions"]
    assert set(data) == {"function", "cache", "runs", "circuit", "listener_errors"}
    assert data["function"] == f"{__name__}.plain"
    assert data["cache"].pop("bytes") > 0
    for name in ("hit_latency", "load_latency"):
        assert set(data["cache"].pop(name)) == {"p50", "p95", "p99"}
    assert data["cache"] == CACHE
    refused = data["runs"].pop("rejections")
    assert {"circuit_breaker": 0, "rate_limiter": 0, "bulkhead": 0, "timeout": 0}.items() <= refused.items()
    assert set(data["runs"].pop("latency")) == {"p50", "p95", "p99"}
    assert data["runs"] == RUNS
    assert data["circuit"]["state"] == "open"
    ((when, became),) = data["circuit"]["history"]
    assert (became, abs(when - time.time()) < 60) == ("open", True)
    assert data["listener_errors"] == 0


def test_what_was_not_timed_is_null():
    """Without calls there is no ratio and no quantile, rather than a 0 that looks like one."""
    data = shown(resilient(cache=CacheConfig(enable_metrics=True))(lambda x: x))["functions"][0]
    assert data["cache"]["hit_ratio"] is None
    assert data["cache"]["hit_latency"] == data["runs"]["latency"] == {"p50": None, "p95": None, "p99": None}
    assert data["circuit"] is None


def test_parts_that_are_not_there_are_null():
    """Runs without a cache, and a cache without runs, say so."""
    only_runs = shown(resilient(listeners=[PipelineMetrics()])(lambda: 1))["functions"][0]
    assert (only_runs["cache"], only_runs["runs"] is None) == (None, False)
    only_cache = report([State("f", cache=MetricSnapshot())])["functions"][0]
    assert (only_cache["runs"], only_cache["cache"] is None) == (None, False)
    assert report([])["functions"] == []


def test_history_of_the_report(function, clock):
    """Sixteen steps per window, the oldest first, summed over the functions, under the names of the page."""
    other = resilient(cache=CacheConfig(enable_metrics=True), clock=clock)(lambda x: x)
    other(1)
    data = report(states_of(function, other))
    for text, length in (("60", 60.0), ("3600", 3600.0), ("86400", 86400.0)):
        row = data["history"][text]
        assert (row["step"], row["end"]) == (length / 16, data["now"])
        assert set(row) == {"step", "end", *SERIES}
        assert all(len(row[name]) == 16 for name in SERIES)
    assert {
        "hits", "misses", "coalesced", "stale_hits", "stale_served", "wait_timeouts", "success", "failure", "rejected",
        "fallback", "retries", "timeouts",
    } == set(SERIES)  # fmt: skip
    assert data["history"]["60"]["misses"] == [0] * 15 + [5]
    clock.advance(3.75 * 4)
    later = report(states_of(function, other))["history"]["60"]["misses"]
    assert sum(later) == sum(later[11:13]) == 5


@pytest.mark.parametrize("window", [60, 3600, 86400, 60.0])
def test_a_window_of_the_report(clock, window):
    """A window restricts counts and durations; contents and history are as ever."""
    f = resilient(cache=CacheConfig(max_size=3, ttl=0, enable_metrics=True), clock=clock)(plain)
    for x in (1, 2, 3, 4):
        f(x)
    clock.advance(window)
    f(4)
    data = shown(f, window)
    (row,) = data["functions"]
    assert data["window"] == window
    assert (row["cache"]["hits"], row["cache"]["misses"], row["cache"]["evictions"]["size"]) == (1, 0, 0)
    assert (row["runs"]["success"], row["cache"]["load_latency"]["p50"]) == (0, None)
    assert (row["cache"]["entries"], row["cache"]["max_entries"], row["cache"]["ttl"]) == (3, 3, 0.0)
    assert data["history"].keys() == shown(f)["history"].keys()
    assert shown(f)["functions"][0]["cache"]["misses"] == 4


def test_windows_of_several_functions():
    """Functions that were measured over other windows have no counts in those that they lack."""
    clock = FakeClock(1000.0)
    short = ResultCache(CacheConfig(), clock=clock, metrics=CacheMetrics(window_sizes=["10s"], clock=clock))
    f = resilient(cache=short, listeners=[PipelineMetrics(window_sizes=["10s"], clock=clock)], clock=clock)(plain)
    g = resilient(cache=CacheConfig(enable_metrics=True), clock=clock)(lambda x: x)
    f(1)
    g(1)
    data = report(states_of(f, g), 60.0)
    assert data["windows"] == [10.0, 60.0, 3600.0, 86400.0]
    assert [each["cache"] is None for each in data["functions"]] == [False, True]
    assert sum(report(states_of(f, g))["history"]["10"]["misses"]) == 1


def test_states_without_history():
    """States that come from elsewhere with windows and without history are shown all the same."""
    data = report([State("f", runs=RunSnapshot(1), recent={60.0: (None, RunSnapshot(1))})], 60.0)
    assert data["functions"][0]["runs"]["success"] == 1


def test_no_arguments_and_no_results_are_told(function):
    """Keys, values and texts of errors are in no report and in no label."""
    secret = "hunter2-" * 3
    f = resilient(cache=CacheConfig(enable_metrics=True))(lambda password: password)
    f(secret)
    assert secret not in json.dumps(report(states_of(f)))
    assert secret not in repr(values(states_of(f)))
