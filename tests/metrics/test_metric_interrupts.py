"""Ctrl-C at every point of a measured call where the interpreter can deliver it."""

from __future__ import annotations

import pytest
from interrupting import interrupt, is_free, meddle

from pyresilience import CacheConfig, ResultCache, RetryConfig, resilient
from pyresilience.cache.keys import scope_of
from pyresilience.metrics import CacheMetrics, MetricsContext, PipelineMetrics
from pyresilience.testing import FakeClock


def agrees(metrics, place):
    """The metrics can be read from elsewhere, and their counts belong together."""
    assert is_free(metrics._tally.lock), f"interrupted at {place}, the metrics are locked for ever"
    stats = metrics.get_stats()
    timed = (stats.hit_latency.count, stats.load_latency.count)
    assert timed == (stats.hits, stats.misses), f"interrupted at {place}, counts and durations differ"
    assert stats.recalculations <= stats.misses, place
    return stats


def weighed(cache, scope=None):
    rows = [row for key, row in cache.shelf.rows.items() if scope is None or scope_of(key) is scope]
    return min(len(rows), cache.config.max_size), sum(row[2] for row in rows)


ACTS = {
    "hit": lambda f: f(1),
    "hit later": lambda f: (f.pipeline._wiring.clock.advance(1), f(1)),
    "miss": lambda f: f(9),
    "expired": lambda f: (f.pipeline._wiring.clock.advance(10), f(1)),
    "invalidate": lambda f: f.cache.invalidate(2),
    "clear": lambda f: f.cache.clear(),
    "put": lambda f: f.cache._cache.put(("mine", 1), "value"),
    "get": lambda f: f.cache._cache.get(("mine", 1)),
    "read": lambda f: f.metrics.get_stats(),
    "read a window": lambda f: f.metrics.get_stats(60),
    "reset": lambda f: f.metrics.reset(),
}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_left_halfway(act, shared):
    """No lock stays taken, no count without its duration, and the account of the contents is true."""
    point, place = 0, ""
    while place is not None:
        point += 1
        clock = FakeClock(1000.0)
        config = CacheConfig(max_size=3, ttl=10, enable_metrics=True)
        cache = ResultCache(config, clock=clock) if shared else config
        f = resilient(cache=cache, clock=clock)(lambda x: "x" * x)
        f(1), f(2), f(3), f(1)
        place = interrupt(point, lambda f=f: ACTS[act](f))
        stats = agrees(f.metrics, place)
        cache = f.cache._cache
        assert (stats.entry_count, stats.total_size_bytes) == weighed(cache, f.cache._door.scope), place
        whole = agrees(cache.metrics, place)
        assert (whole.entry_count, whole.total_size_bytes) == weighed(cache), place
        assert f(1) == "x"
    assert point > 3


HAND = {
    "hit": lambda metrics: metrics.record_hit(),
    "context": lambda metrics: _context(metrics),
    "reset": lambda metrics: metrics.reset(),
    "restore": lambda metrics: metrics.restore(metrics.get_stats()),
    "history": lambda metrics: metrics.history(60.0),
}


def _context(metrics):
    with MetricsContext(metrics) as call:
        call.record_hit()


@pytest.mark.parametrize("act", HAND)
def test_by_hand(act):
    """Records by hand leave no lock taken wherever they are interrupted, and what is recorded next counts."""
    point, place = 0, ""
    while place is not None:
        point += 1
        metrics = CacheMetrics(clock=FakeClock(1000.0))
        place = interrupt(point, lambda metrics=metrics: HAND[act](metrics))
        assert is_free(metrics._tally.lock), place
        before = metrics.get_stats()
        with MetricsContext(metrics) as call:
            call.record_hit()
        after = metrics.get_stats()
        assert (after.hits, after.hit_latency.count) == (before.hits + 1, before.hit_latency.count + 1), place
    assert point > 3


def test_runs():
    """A run's outcome and its duration are counted together or not at all."""
    point, place = 0, ""
    while place is not None:
        point += 1
        runs = PipelineMetrics(clock=FakeClock(1000.0))

        @resilient(listeners=[runs], retry=RetryConfig(max_attempts=2, delay=0), clock=FakeClock(1000.0))
        def f(failures=[OSError]):
            if failures:
                raise failures.pop()

        place = interrupt(point, f)
        for label in runs.functions:
            assert is_free(runs.of(label)._tally.lock), place
            stats = runs.get_stats(label)
            assert stats.latency.count == stats.total <= 1, place
        f()
        assert runs.get_stats(*runs.functions).success >= 1, place
    assert point > 20


HANDLERS = {
    "calls the same": lambda f: f(1),
    "calls others": lambda f: [f(x) for x in (4, 5, 6, 7)],
    "writes the same": lambda f: f.cache._cache.put(("mine", 1), "xyz"),
    "invalidates": lambda f: [f.cache.invalidate(x) for x in (1, 2, 3, 9)],
    "clears": lambda f: f.cache.clear(),
    "clears all": lambda f: f.cache._cache.clear(),
    "reads": lambda f: (f.metrics.get_stats(60), f.metrics.history(60.0)),
    "resets": lambda f: f.metrics.reset(),
}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("act", ["hit later", "miss", "expired", "invalidate", "clear", "put", "get", "read a window"])
def test_handlers_may_do_anything_anywhere(act, handler):
    """A signal handler that uses the cache in the middle of anything is not felt, and the account stays true."""
    point, reached = 0, True
    while reached:
        point += 1
        clock = FakeClock(1000.0)
        cache = ResultCache(CacheConfig(max_size=3, ttl=10, enable_metrics=True), clock=clock)
        f = resilient(cache=cache, clock=clock)(lambda x: "x" * x)
        f(1), f(2), f(3), f(1)
        reached = meddle(point, lambda f=f: ACTS[act](f), lambda f=f: HANDLERS[handler](f))
        stats = agrees(f.metrics, point)
        assert (stats.entry_count, stats.total_size_bytes) == weighed(cache, f.cache._door.scope), point
        whole = agrees(cache.metrics, point)
        assert (whole.entry_count, whole.total_size_bytes) == weighed(cache), point
        assert len(cache) <= 3
        assert cache.flights._flying == {}
        assert f(1) == "x"
    assert point > 3


@pytest.mark.parametrize("handler", ["calls the same", "calls others", "clears all"])
@pytest.mark.parametrize("act", ["miss", "expired", "clear", "put"])
def test_handlers_and_a_plain_cache(act, handler):
    """The same where nothing is measured: no call fails, nothing stays under way, and there is never too much."""
    point, reached = 0, True
    while reached:
        point += 1
        clock = FakeClock(1000.0)
        cache = ResultCache(CacheConfig(max_size=3, ttl=10), clock=clock)
        f = resilient(cache=cache, clock=clock)(lambda x: "x" * x)
        f(1), f(2), f(3), f(1)
        reached = meddle(point, lambda f=f: ACTS[act](f), lambda f=f: HANDLERS[handler](f))
        assert len(cache) <= 3
        assert cache.flights._flying == {}
        assert f(1) == "x"
    assert point > 3
