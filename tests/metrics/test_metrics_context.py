"""MetricsContext: one call of a cache of one's own, timed and sampled as a whole."""

from __future__ import annotations

import asyncio
import gc
import weakref

import anyio
import pytest
from sampled_calls import choose

from pyresilience.metrics import CacheMetrics, MetricsContext, MetricSnapshot

METHODS = {
    "record_hit": "hits",
    "record_miss": "misses",
    "record_stale_hit": "stale_hits",
    "record_recalculation": "recalculations",
    "record_wait_timeout": "wait_timeouts",
    "record_size_limit_rejection": "size_limit_rejections",
}


@pytest.fixture
def metrics(clock):
    return CacheMetrics(clock=clock)


def sampled(clock, choices):
    """Metrics that record those calls for which *choices* says so."""
    return choose(CacheMetrics(0.5, clock=clock), choices)


def test_it_times_the_block(metrics, clock):
    """The duration of the block is the duration of the call."""
    with MetricsContext(metrics):
        clock.advance(0.5)
    stats = metrics.get_stats()
    assert (stats.avg_latency_ms, stats.load_latency.count, stats.hit_latency.count) == (500.0, 1, 0)


def test_it_times_hits_as_hits(metrics, clock):
    """Whether said on the context or on the metrics, a hit is timed as one."""
    with MetricsContext(metrics) as call:
        call.record_hit()
        clock.advance(0.5)
    with MetricsContext(metrics):
        clock.advance(0.25)
        metrics.record_hit()
    assert metrics.get_stats().hit_latency.total == 0.75
    assert metrics.get_stats().load_latency.count == 0


@pytest.mark.parametrize("of_the_context", [True, False])
@pytest.mark.parametrize(("method", "field"), METHODS.items())
def test_each_record(metrics, method, field, of_the_context):
    """The context offers every record of the metrics, and each counts once."""
    with MetricsContext(metrics) as call:
        getattr(call if of_the_context else metrics, method)()
    stats = metrics.get_stats()
    assert {name: getattr(stats, name) for name in METHODS.values() if getattr(stats, name)} == {field: 1}


def test_none_does_nothing():
    """Without metrics the block runs, every record is taken, and errors pass."""
    with MetricsContext(None) as call:
        for method in METHODS:
            getattr(call, method)()
    with pytest.raises(KeyError), MetricsContext(None):
        raise KeyError


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_errors_pass_and_are_timed(metrics, clock, error):
    """A block that raises is timed, and its error goes on."""
    with pytest.raises(error), MetricsContext(metrics) as call:
        call.record_miss()
        clock.advance(2)
        raise error
    assert metrics.get_stats().load_latency.total == 2.0


def test_blocks_one_after_another_are_calls(clock):
    """Each block is sampled once, whatever is or is not recorded in it."""
    metrics = sampled(clock, [True, False, True, False])
    for record in (True, True, False, False):
        with MetricsContext(metrics) as call:
            if record:
                call.record_miss()
                call.record_recalculation()
    stats = metrics.get_stats()
    assert (stats.misses, stats.recalculations, stats.load_latency.count) == (1, 1, 2)


def test_what_comes_after_the_block_is_another_call(clock):
    """A record after the block does not belong to it."""
    metrics = sampled(clock, [True, False])
    with MetricsContext(metrics):
        pass
    metrics.record_hit()
    assert (metrics.get_stats().hits, metrics.get_stats().load_latency.count) == (0, 1)


def test_two_levels(clock):
    """A call of a second level within a call of the first takes nothing from it: not its draw, not its hit."""
    first, second = sampled(clock, [True, False]), sampled(clock, [False, True])
    for _ in range(2):
        with MetricsContext(first) as outer:
            outer.record_miss()
            with MetricsContext(second) as inner:
                inner.record_hit()
                clock.advance(0.25)
            outer.record_recalculation()
            first.record_stale_hit()
    stats = first.get_stats()
    assert (stats.misses, stats.recalculations, stats.stale_hits, stats.load_latency.count) == (1, 1, 1, 1)
    stats = second.get_stats()
    assert (stats.hits, stats.hit_latency.count, stats.load_latency.count) == (1, 1, 0)


def test_a_hit_stays_a_hit_around_another_call(metrics, clock):
    """A hit said before an inner block is still known at the end of the outer one."""
    with MetricsContext(metrics) as outer:
        outer.record_hit()
        with MetricsContext(CacheMetrics(clock=clock)) as inner:
            inner.record_miss()
        clock.advance(1)
    assert (metrics.get_stats().hit_latency.total, metrics.get_stats().load_latency.count) == (1.0, 0)


def test_recursion(clock):
    """The same metrics within themselves: each level is a call of its own, drawn once."""
    metrics = sampled(clock, [True, False, True])

    def compute(depth):
        with MetricsContext(metrics) as call:
            call.record_miss()
            if depth:
                compute(depth - 1)
            metrics.record_recalculation()

    compute(2)
    stats = metrics.get_stats()
    assert (stats.misses, stats.recalculations, stats.load_latency.count) == (2, 2, 2)


def test_tasks_at_once(colour, clock):
    """Blocks that run at once in tasks or threads do not see each other."""
    metrics = sampled(clock, [True, False] * 4)
    inside, go = [], colour.event()

    async def call():
        with MetricsContext(metrics) as one:
            metrics.record_miss()
            inside.append(1)
            await go.wait()
            one.record_recalculation()
            metrics.record_stale_hit()

    async def release():
        await colour.until(lambda: len(inside) == 8)
        go.set()

    async def scenario():
        assert await colour.gather(*[call] * 8, release) == [None] * 9

    colour.run(scenario)
    stats = metrics.get_stats()
    assert (stats.misses, stats.recalculations, stats.stale_hits, stats.load_latency.count) == (4, 4, 4, 4)


def test_a_generator_that_yields_inside(metrics, clock):
    """Calls recorded while a generator rests in its block are not taken for its call."""

    def values():
        with MetricsContext(metrics) as call:
            call.record_hit()
            yield 1
            clock.advance(1)

    for _ in values():
        with MetricsContext(metrics) as call:
            call.record_miss()
            clock.advance(4)
    stats = metrics.get_stats()
    assert (stats.hits, stats.misses) == (1, 1)
    assert (stats.hit_latency.total, stats.load_latency.total) == (5.0, 4.0)


def test_it_may_end_in_another_context(metrics):
    """An async generator whose block is entered in one task and left in another counts all the same."""

    async def values():
        with MetricsContext(metrics) as call:
            call.record_hit()
            yield 1

    async def main():
        stream = values()
        await asyncio.create_task(anext(stream))
        assert await asyncio.create_task(anext(stream, None)) is None

    asyncio.run(main())
    assert (metrics.get_stats().hits, metrics.get_stats().hit_latency.count) == (1, 1)


def test_a_cancelled_block(metrics):
    """A block that is cancelled is timed."""

    async def main():
        with anyio.move_on_after(0), MetricsContext(metrics) as call:
            call.record_miss()
            await anyio.sleep(30)

    anyio.run(main)
    assert (metrics.get_stats().misses, metrics.get_stats().load_latency.count) == (1, 1)


def test_a_clock_that_goes_back(metrics, clock):
    """A clock that was set back gives no negative duration."""
    with MetricsContext(metrics):
        clock._now -= 5
    assert metrics.get_stats().load_latency.total == 0.0


def test_reset_inside_the_block(metrics, clock):
    """A reset forgets what was recorded; what the block says afterwards counts."""
    with MetricsContext(metrics) as call:
        call.record_miss()
        metrics.reset()
        clock.advance(1)
    assert metrics.get_stats().misses == 0
    assert metrics.get_stats().load_latency.total == 1.0
    metrics.reset()
    assert metrics.get_stats() == MetricSnapshot()


def test_nothing_keeps_the_metrics_alive():
    """When a block is over, the metrics may go."""
    metrics = CacheMetrics()
    with MetricsContext(metrics) as call:
        call.record_hit()
    gone = weakref.ref(metrics)
    del metrics, call
    gc.collect()
    assert gone() is None
