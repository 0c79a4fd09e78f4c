"""What every exporter keeps. Its test module derives from `ExporterContract` and says how to look from outside."""

from __future__ import annotations

import os
import shutil
import threading
import time

import pytest

from pyresilience import CacheConfig, CircuitBreakerConfig, RetryConfig, resilient
from pyresilience._functions import label_of as label
from pyresilience.metrics import CacheMetrics, MetricsExporter

PATIENCE = 20.0
"""Seconds after which something that must happen is taken to hang."""

HOSTILE = [
    'x"} 1\nevil_total{a="b\\',
    "new\nline",
    "back\\slash",
    "{}[]<>|;:,#@=/ \t",
    "nul\x00 bell\x07 return\r next\x85 \u2028",
    "half \ud800 a pair",
    "f" * 10_000,
    "überall 🙂 ✓",
    "",
]
"""Names that a format, a shell or a parser may take amiss."""


def until(condition, what="it"):
    """Wait until *condition* holds, and return what it gave."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} never came about"
        time.sleep(0.005)
    return found


def program(name):
    """Where a program is that tests run; if it is missing they are skipped, or fail where it must be there."""
    found = shutil.which(name)
    if found is None:
        say = pytest.fail if os.environ.get("PYRESILIENCE_REQUIRE_SERVERS") == "1" else pytest.skip
        say(f"{name} is not installed: scripts/install-servers.sh")
    return found


def cached(name=None, **settings):
    """A function with metrics of its own, called *name*."""

    def f(x):
        if isinstance(x, Exception):
            raise x
        return x

    if name is not None:
        f.__name__ = f.__qualname__ = name
    return resilient(cache=CacheConfig(enable_metrics=True), **settings)(f)


def call(function, hits):
    """Call *function* so that it misses once (at the first time) and hits so often."""
    function(1)
    for _ in range(hits):
        function(1)


class ExporterContract:
    """Derive from it, and give it the fixture `exporter` and the method `hits`."""

    @pytest.fixture
    def exporter(self):
        """An exporter that was not started; the fixture stops it at the end."""
        raise NotImplementedError

    def hits(self, exporter, label):
        """How many cache hits of *label* the started exporter has told the world so far, in all; None: of no such label.

        It may make the exporter tell now what it would tell soon.
        """
        raise NotImplementedError

    def arrives(self, exporter, label, hits):
        """Wait until the world knows of so many hits."""
        until(lambda: self.hits(exporter, label) == hits, f"{hits} hits of {label[:80]!r}")

    def test_it_is_an_exporter(self, exporter):
        """It is a `MetricsExporter`."""
        assert isinstance(exporter, MetricsExporter)

    def test_what_was_registered_before_the_start_is_told(self, exporter):
        """The world hears of the hits of a registered function, and of later ones."""
        f = cached("before")
        exporter.register_function(f)
        exporter.start()
        call(f, 3)
        self.arrives(exporter, label(f), 3)
        call(f, 1)  # its first call hits as well
        self.arrives(exporter, label(f), 5)

    def test_what_is_registered_after_the_start_is_told(self, exporter):
        """A function may come late."""
        exporter.start()
        f = cached("after")
        exporter.register_function(f)
        call(f, 2)
        self.arrives(exporter, label(f), 2)

    def test_registering_twice_is_registering_once(self, exporter):
        """Nothing is counted twice."""
        f = cached("twice")
        exporter.register_function(f)
        exporter.start()
        exporter.register_function(f)
        call(f, 4)
        self.arrives(exporter, label(f), 4)

    def test_functions_are_told_apart(self, exporter):
        """Each has its own counts."""
        one, other = cached("one"), cached("other")
        for f in (one, other):
            exporter.register_function(f)
        exporter.start()
        call(one, 1)
        call(other, 2)
        self.arrives(exporter, label(one), 1)
        self.arrives(exporter, label(other), 2)

    @pytest.mark.parametrize(
        "thing",
        [
            len,
            print,
            None,
            42,
            "f",
            pytest.param(object(), id="object"),
            pytest.param(lambda: None, id="lambda"),
            int,
            dict.get,
        ],
        ids=repr,
    )
    def test_what_has_no_metrics_is_refused(self, exporter, thing):
        """The error says what to do."""
        with pytest.raises(ValueError, match="enable_metrics=True"):
            exporter.register_function(thing)

    def test_a_function_decorated_without_metrics_is_refused(self, exporter):
        """The error names the function and what to do."""

        @resilient(cache=CacheConfig())
        def plain(x):
            return x

        with pytest.raises(ValueError, match=r"plain.*enable_metrics=True"):
            exporter.register_function(plain)

    def test_metrics_of_ones_own_are_told(self, exporter):
        """`export_metrics` takes a `CacheMetrics`, and follows it."""
        metrics = CacheMetrics()
        exporter.export_metrics("own.cache", metrics)
        exporter.start()
        for _ in range(3):
            metrics.record_hit()
        self.arrives(exporter, "own.cache", 3)

    def test_a_snapshot_is_told(self, exporter):
        """`export_metrics` takes a `MetricSnapshot`, and the latest one counts."""
        metrics = CacheMetrics()
        exporter.export_metrics("a.snapshot", metrics.get_stats())
        metrics.record_hit()
        metrics.record_hit()
        exporter.export_metrics("a.snapshot", metrics.get_stats())
        exporter.start()
        self.arrives(exporter, "a.snapshot", 2)

    @pytest.mark.parametrize("thing", [None, {}, 1, "metrics"])
    def test_other_things_are_no_metrics(self, exporter, thing):
        """The error names what it got."""
        with pytest.raises(TypeError, match="metrics must be"):
            exporter.export_metrics("name", thing)

    def test_start_and_stop_may_be_repeated(self, exporter):
        """Starting twice is starting once, so is stopping, in whichever order, and nothing is told twice."""
        f = cached("repeated")
        exporter.register_function(f)
        exporter.stop()
        exporter.start()
        exporter.start()
        call(f, 2)
        self.arrives(exporter, label(f), 2)
        exporter.stop()
        exporter.stop()
        exporter.start()
        call(f, 0)  # a hit: it is cached
        self.arrives(exporter, label(f), 3)

    def test_names_cannot_do_harm(self, exporter):
        """Whatever a function is called, the others are told."""
        good = cached("good")
        exporter.register_function(good)
        for name in HOSTILE:
            exporter.register_function(cached(name))
            exporter.export_metrics(name, CacheMetrics())
        exporter.start()
        call(good, 2)
        self.arrives(exporter, label(good), 2)

    def test_a_function_that_cannot_be_read_costs_nobody_else(self, exporter, monkeypatch, caplog):
        """The others are told; that one is logged, once."""
        good, bad = cached("good"), cached(f"bad_{time.monotonic_ns()}")  # what is logged once, is so for ever

        read = CacheMetrics.get_stats

        def broken(metrics, *window):
            if metrics is bad.metrics:
                raise RuntimeError("out of order")
            return read(metrics, *window)

        monkeypatch.setattr(CacheMetrics, "get_stats", broken)
        for f in (bad, good):
            exporter.register_function(f)
        exporter.start()
        call(good, 1)
        self.arrives(exporter, label(good), 1)
        call(good, 0)
        self.arrives(exporter, label(good), 2)
        assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]

    def test_it_tells_while_many_threads_call(self, exporter):
        """Nothing is lost and nothing raised while functions are called and registered in many threads."""
        f = cached("busy", retry=RetryConfig(max_attempts=2, delay=0), circuit_breaker=CircuitBreakerConfig())
        exporter.register_function(f)
        exporter.start()
        f(1)
        failures = []

        def work(place):
            try:
                for n in range(200):
                    f(1)
                    if n % 50 == 0:
                        exporter.register_function(cached(f"one_of_{place}_{n}"))
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(place,)) for place in range(6)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            seen = self.hits(exporter, label(f))
            assert seen is None or 0 <= seen <= 1200
        for thread in threads:
            thread.join()
        assert failures == []
        self.arrives(exporter, label(f), 1200)

    def test_functions_are_not_slowed_by_an_exporter_that_does_nothing_yet(self, exporter):
        """Before the start no thread runs."""
        before = set(threading.enumerate())
        exporter.register_function(cached("waiting"))
        assert set(threading.enumerate()) <= before
