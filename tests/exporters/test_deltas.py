"""Differences: each count once, whatever begins anew."""

import pytest
from exporter_contract import label
from hypothesis import given
from hypothesis import strategies as st

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.metrics import (
    CacheMetrics,
    Latencies,
    MetricsExporter,
    MetricSnapshot,
    PipelineMetrics,
    RunSnapshot,
)
from pyresilience.metrics.exporters.deltas import Deltas
from pyresilience.metrics.exporters.restored import restored
from pyresilience.metrics.latencies import BUCKETS
from pyresilience.metrics.state import Circuit, State


def told(deltas, *states):
    """`{(key, labels): gain}` of what is not nothing, without gauges."""
    return {
        (metric.key, labels): value.counts if isinstance(value, Latencies) else value
        for metric, points in deltas.gains(list(states))
        for labels, value in points
        if metric.kind != "gauge" and (any(value.counts) if isinstance(value, Latencies) else value)
    }


def cache(**counts):
    return State("f", cache=MetricSnapshot(**counts))


@given(st.lists(st.sampled_from(["hit", "miss", "reset", "look"]), max_size=60))
def test_nothing_is_lost_or_doubled(steps):
    """What was counted before a `reset()` that nobody saw is gone; all else is told once."""
    metrics, deltas, seen, counted = CacheMetrics(), Deltas(), {"hit": 0, "miss": 0}, {"hit": 0, "miss": 0}
    unseen = {"hit": 0, "miss": 0}
    steady = True
    for step in [*steps, "look"]:
        if step in seen:
            getattr(metrics, f"record_{step}")()
            unseen[step] += 1
        elif step == "reset":
            before = metrics.get_stats()
            metrics.reset()
            unseen = {"hit": 0, "miss": 0}
            steady = steady and not (before.hits or before.misses)
        else:
            gains = told(deltas, State("f", cache=metrics.get_stats()))
            for name, key in (("hit", "cache.hits"), ("miss", "cache.misses")):
                gain = gains.get((key, ("f",)), 0)
                assert 0 <= gain <= unseen[name]
                seen[name] += gain
                counted[name] += unseen[name]
            if steady:
                assert seen == counted
            unseen = {"hit": 0, "miss": 0}


def test_all_of_a_cache_begins_anew_together():
    """Also what has meanwhile grown beyond what it was: the fall of another count tells."""
    deltas = Deltas()
    told(deltas, cache(hits=3, misses=5))
    assert told(deltas, cache(hits=4, misses=1)) == {("cache.hits", ("f",)): 4, ("cache.misses", ("f",)): 1}


def test_other_sources_go_on():
    """The `reset()` of a cache is not one of the runs, of the circuit or of another function."""
    deltas = Deltas()

    def states(hits, rest):
        return [
            State(
                "f",
                cache=MetricSnapshot(hits=hits),
                runs=RunSnapshot(success=rest),
                circuit=Circuit("closed", (0, 0, rest)),
                listener_errors=rest,
            ),
            State("g", cache=MetricSnapshot(hits=rest)),
        ]

    told(deltas, *states(5, 10))
    assert told(deltas, *states(2, 11)) == {
        ("cache.hits", ("f",)): 2,
        ("cache.hits", ("g",)): 1,
        ("calls", ("f", "success")): 1,
        ("circuit.transitions", ("f", "open")): 1,
        ("listener_errors", ("f",)): 1,
    }


def test_a_function_that_was_away_is_not_told_anew():
    """One that could not be read for a while goes on from where it was."""
    deltas = Deltas()
    told(deltas, cache(hits=3))
    assert told(deltas) == {}
    assert told(deltas, cache(hits=4)) == {("cache.hits", ("f",)): 1}


def test_histograms_are_told_by_bucket():
    """Counts and total of what was added."""
    deltas = Deltas()

    def state(first, second, total):
        return cache(hit_latency=Latencies((first, second, *[0] * (BUCKETS - 2)), total))

    told(deltas, state(1, 5, 2.0))
    [gain] = [
        value
        for metric, points in deltas.gains([state(4, 5, 2.5)])
        for labels, value in points
        if metric.kind == "histogram" and labels == ("f", "hit")
    ]
    assert gain.counts[:2] == (3, 0)
    assert gain.total == 0.5


def test_gauges_are_told_as_they_are():
    """Whether they rise or fall."""
    deltas = Deltas()
    for entries in (5, 3, 3):
        [value] = [
            points[0].value
            for metric, points in deltas.gains([cache(entry_count=entries)])
            if metric.key == "cache.entries"
        ]
        assert value == entries


class Nothing(MetricsExporter):
    """An exporter that only has functions."""

    def start(self):
        """Nothing to do."""

    def stop(self):
        """Nothing to do."""


def news(deltas, *exporters):
    """The hits that are new, by label."""
    return {
        labels[0]: value
        for metric, points in deltas.gains_of(exporters)
        for labels, value in points
        if metric.key == "cache.hits"
    }


@pytest.mark.parametrize("looked", [False, True])
def test_what_was_restored_is_not_told(looked):
    """Whether it was restored before the first look or after it."""
    exporter, deltas, metrics = Nothing(), Deltas(), CacheMetrics()
    exporter.export_metrics("f", metrics)
    metrics.record_hit()
    first = news(deltas, exporter)["f"] if looked else 0
    restored.settle_cache(metrics, cache(hits=100, misses=50))
    metrics.record_hit()
    assert metrics.get_stats().hits == 102
    assert first + news(deltas, exporter)["f"] == 2
    assert news(deltas, exporter) == {"f": 0}


def test_each_exporter_leaves_it_out():
    """Also one that is made long after, and calls the metrics by another name."""
    metrics, given = CacheMetrics(), []
    restored.settle_cache(metrics, cache(hits=100))
    metrics.record_hit()
    for name in ("f", "g"):
        given.append(Nothing())
        given[-1].export_metrics(name, metrics)
        assert news(Deltas(), given[-1]) == {name: 1}
    assert news(Deltas(), *given) == {"f": 1, "g": 1}


def test_other_metrics_of_the_same_name_are_told():
    """What was restored belongs to the metrics that got it: a function that is decorated again begins at nothing."""
    old, new = CacheMetrics(), CacheMetrics()
    restored.settle_cache(old, cache(hits=3))
    exporter, deltas = Nothing(), Deltas()
    exporter.export_metrics("f", new)
    for _ in range(4):
        new.record_hit()
    assert news(deltas, exporter) == {"f": 4}


def test_functions_that_share_their_metrics():
    """The one that comes first tells them; what was restored, neither does."""
    shared = ResultCache(CacheConfig(), metrics=CacheMetrics())

    @resilient(cache=shared)
    def one(x):
        return x

    @resilient(cache=shared)
    def other(x):
        return x

    exporter = Nothing()
    for f in (one, other):
        exporter.register_function(f)
    assert one.metrics is other.metrics
    restored.settle_cache(one.metrics, cache(hits=3))
    deltas = Deltas()
    for f in (one, other):
        f(1)
        f(1)
    assert news(deltas, exporter) == {label(one): 2}


def test_runs_that_were_restored_are_not_told():
    """Neither are those of a pipeline."""

    @resilient(listeners=[PipelineMetrics()])
    def f():
        return 1

    exporter, deltas = Nothing(), Deltas()
    exporter.register_function(f)
    subject = next(iter(exporter._subjects.values()))
    restored.settle(
        subject, State(label(f), runs=RunSnapshot(success=10, latency=Latencies((10, *[0] * (BUCKETS - 1)))))
    )
    f()
    gains = {
        (metric.key, labels[1:]): value for metric, points in deltas.gains_of([exporter]) for labels, value in points
    }
    assert gains["calls", ("success",)] == 1
    assert gains["call.duration", ()].count == 1
