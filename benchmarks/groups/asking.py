"""Metrics by hand, and what it costs when somebody asks for them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

from ..contest import OURS, Contestant, Group, Row, Sample
from ..metered import FUNCTIONS, busy_functions, old_metrics, past_days, their_own
from ..timing import Timed, timed
from .metrics import FEWER

COUNTING = "one call by hand: `record_hit()`"
OBSERVING = "one duration by hand: `record_latency(seconds)`"
TIMING = "one block by hand: `with MetricsContext(metrics)`"
ASKING = "`get_stats()`"
ASKING_WINDOW = "`get_stats(timedelta(hours=1))`"
SCRAPE = f"scrape of {FUNCTIONS} functions, text"
STATS = f"`/stats.json` of {FUNCTIONS} functions"
WEIGHT = "memory of a `CacheMetrics` after days"
WEIGHT_RUNS = "memory of the runs of one function after days"

_CLIENT = "prometheus_client"


def _ours(measure: Callable[[], Sample]) -> Contestant:
    return Contestant(OURS, measure, "ours")


def _theirs(measure: Callable[[], Sample]) -> Contestant:
    return Contestant(_CLIENT, measure)


def _by_hand(call: str) -> Timed:
    from pyresilience import CacheMetrics

    return timed(call, metrics=CacheMetrics())


def _counter() -> Timed:
    from prometheus_client import CollectorRegistry, Counter

    counter = Counter("hits", "Hits.", ("function",), registry=CollectorRegistry()).labels("f")
    return timed("counter.inc()", counter=counter)


def _histogram() -> Timed:
    from prometheus_client import CollectorRegistry, Histogram

    histogram = Histogram("took", "Seconds.", ("function",), registry=CollectorRegistry()).labels("f")
    return timed("histogram.observe(1e-3)", histogram=histogram)


def _block() -> Timed:
    from pyresilience import CacheMetrics, MetricsContext

    metrics = CacheMetrics()

    def block() -> None:
        with MetricsContext(metrics) as call:
            call.record_hit()

    return timed("block()", block=block)


def _their_block() -> Timed:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    histogram = Histogram("took", "Seconds.", ("function",), registry=registry).labels("f")
    counter = Counter("hits", "Hits.", ("function",), registry=registry).labels("f")

    def block() -> None:
        with histogram.time():
            counter.inc()

    return timed("block()", block=block)


def _asked(call: str) -> Timed:
    from datetime import timedelta

    return timed(call, copies=1, metrics=old_metrics(), hour=timedelta(hours=1))


def _scraped() -> Timed:
    from pyresilience.exporters import PrometheusExporter

    exporter = PrometheusExporter(port=None, use_prometheus_client=False)
    functions = busy_functions()
    for function in functions:
        exporter.register_function(function)
    return timed("exporter.text()", copies=1, exporter=exporter)


def _scraped_client() -> Timed:
    from prometheus_client import generate_latest

    from pyresilience.metrics.subject import Subject

    registry = their_own(Subject(function).state() for function in busy_functions())
    return timed("generate_latest(registry)", copies=1, generate_latest=generate_latest, registry=registry)


def _stats() -> Timed:
    from wsgiref.util import setup_testing_defaults

    from pyresilience.http.wsgi import resilience_app

    environ: dict[str, Any] = {"PATH_INFO": "/stats.json"}
    setup_testing_defaults(environ)
    app = resilience_app(busy_functions())
    return timed("app(environ, answer)", copies=1, app=app, environ=environ, answer=lambda status, headers: None)


def _weight(make: Callable[[], object]) -> Sample:
    make()  # so that it is imported

    def weigh(_: float) -> float:
        """What is allocated from before it is made until days have passed."""
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            kept = make()
            gc.collect()
            return tracemalloc.get_traced_memory()[0] - before if kept else 0.0
        finally:
            tracemalloc.stop()

    return weigh


def _old_runs() -> object:
    from pyresilience import PipelineMetrics
    from pyresilience.events import EventType, ResilienceEvent
    from pyresilience.testing import FakeClock

    clock = FakeClock()
    metrics = PipelineMetrics(clock=clock)
    for step in past_days():
        clock.advance(step)
        metrics(ResilienceEvent(event_type=EventType.FAILURE, function_name="f", duration=step * 1e-6))
    return metrics


GROUP = Group(
    "Metrics: by hand, and when somebody asks",
    "Beside `Counter.inc`, `Histogram.observe`, `Histogram.time` and `generate_latest` of prometheus_client; the last "
    "writes metrics of its own of the same names, labels and buckets.",
    (
        Row(COUNTING, "seconds", (_ours(partial(_by_hand, "metrics.record_hit()")), _theirs(_counter)), rounds=FEWER),
        Row(
            OBSERVING,
            "seconds",
            (_ours(partial(_by_hand, "metrics.record_latency(1e-3)")), _theirs(_histogram)),
            rounds=FEWER,
        ),
        Row(TIMING, "seconds", (_ours(_block), _theirs(_their_block)), rounds=FEWER),
        Row(ASKING, "seconds", (_ours(partial(_asked, "metrics.get_stats()")),), rounds=FEWER),
        Row(ASKING_WINDOW, "seconds", (_ours(partial(_asked, "metrics.get_stats(hour)")),), rounds=FEWER),
        Row(SCRAPE, "seconds", (_ours(_scraped), _theirs(_scraped_client)), rounds=FEWER),
        Row(STATS, "seconds", (_ours(_stats),), rounds=FEWER),
        Row(WEIGHT, "bytes", (_ours(partial(_weight, old_metrics)),), rounds=1),
        Row(WEIGHT_RUNS, "bytes", (_ours(partial(_weight, _old_runs)),), rounds=1),
    ),
)
