"""Background reloads: one per key, bounded in number, in the caller's context without its bounds."""

import threading
from contextvars import ContextVar

import pytest
from gated_upstream import ZONES, cached, is_clean, reloaded, told

from pyresilience import (
    CircuitBreakerConfig,
    RetryConfig,
    TimeoutConfig,
    remaining,
    resilience_context,
)
from pyresilience.cache.flights import Flights
from pyresilience.events import EventType

STALE = {"ttl": 10, "stale_while_revalidate": 100, "reload_cooldown": 3}
MANY = 200


@pytest.mark.parametrize("age", [8, 10, 14])
async def test_one_reload_however_many_callers(colour, clock, events, age):
    """All callers get the old value at once; exactly one of them is counted as the one that had it reloaded."""
    f, upstream = cached(colour, clock, events, **ZONES, enable_metrics=True)
    await colour.go(f, 1)
    clock.advance(age)
    gate = upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * MANY)
    assert (ends, f.cache.info().reloading) == ([1] * MANY, 1)
    await colour.until(lambda: upstream.runs == 2)
    gate.set()
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 2
    assert (upstream.runs, f.metrics.get_stats().recalculations) == (2, 2)
    assert is_clean(f)


async def test_many_callers_at_once_wait_for_one_run(colour, clock, events):
    """In the last zone callers wait for one run, and if it fails all have the old value."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    clock.advance(15)
    upstream.error = OSError()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * MANY)
    assert (ends, upstream.runs) == ([1] * MANY, 2)
    assert is_clean(f)


@pytest.mark.parametrize("age", [8, 10, 15])
async def test_an_upstream_that_is_down_is_asked_once_per_cool_down(colour, clock, events, age):
    """Under load, for as long as it is down, the number of runs is bounded by the cool-down, and no caller notices."""
    f, upstream = cached(colour, clock, events, **{**ZONES, "stale_if_error": 1000})
    await colour.go(f, 1)
    clock.advance(age)
    upstream.error = OSError()
    for rounds in range(1, 6):
        for _ in range(3):
            assert await colour.gather(*[lambda: colour.go(f, 1)] * 50) == [1] * 50
            await reloaded(colour, f)
            clock.advance(0.99)
        assert upstream.runs == 1 + rounds
        clock.advance(0.03)
    assert events.count(EventType.FAILURE) == 5


async def test_a_caller_that_comes_too_late_for_the_cool_down(colour, clock, events, monkeypatch):
    """Whoever looked before a reload failed, and would begin one after that, begins none."""
    looks, is_flying = [], Flights.is_flying

    async def fail():
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)

    def fail_meanwhile(*args):
        looks.append(is_flying(*args))
        if len(looks) == 1:
            other = threading.Thread(target=colour.run, args=(fail,))
            other.start()
            other.join(20)
        return looks[0]

    monkeypatch.setattr(Flights, "is_flying", fail_meanwhile)
    f, upstream = cached(colour, clock, events, **STALE)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = OSError()
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert (looks[0], upstream.runs, f.cache.info().reload_failures) == (False, 2, 1)


async def test_no_more_than_max_reloads_run(colour, clock, events):
    """Where there is no room nobody waits and nothing is queued; the next caller after there is room tries."""
    f, upstream = cached(colour, clock, events, **STALE, max_reloads=3)
    for x in range(10):
        await colour.go(f, x)
    clock.advance(10)
    gate = upstream.hold()
    for _ in range(3):
        assert [await colour.go(f, x) for x in range(10)] == [*range(1, 11)]
    await colour.until(lambda: upstream.runs == 13)
    assert f.cache.info().reloading == 3
    gate.set()
    upstream.free()
    await reloaded(colour, f)
    assert upstream.runs == 13
    assert await colour.go(f, 9) == 10
    await reloaded(colour, f)
    assert sorted([await colour.go(f, x) for x in (0, 1, 2)]) == [11, 12, 13]
    assert [await colour.go(f, x) for x in (9, 3)] == [14, 4]
    await reloaded(colour, f)


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
async def test_threads_are_bounded(colour, clock, events):
    """A thousand stale keys take no more threads than `max_reloads`, and all are daemons."""
    f, upstream = cached(colour, clock, events, **STALE, max_reloads=4, max_size=1000)
    for x in range(1000):
        f(x)
    clock.advance(10)
    before = {*threading.enumerate()}
    gate = upstream.hold()
    for x in range(1000):
        f(x)
    ours = {*threading.enumerate()} - before
    gate.set()
    upstream.free()
    await reloaded(colour, f)
    assert len(ours) <= 4
    assert all(thread.daemon for thread in ours)


async def test_failures_are_counted(colour, clock, events):
    """`info()` tells how many reloads failed, whether or not the old value stood in."""
    f, upstream = cached(colour, clock, events, **STALE, stale_on=(OSError,))
    await colour.go(f, 1)
    clock.advance(10)
    for failures, error in enumerate([OSError(), KeyError(), OSError()], start=1):
        upstream.error = error
        await colour.go(f, 1)
        await reloaded(colour, f)
        clock.advance(3)
        assert f.cache.info().reload_failures == failures
    upstream.error = None
    await colour.go(f, 1)
    await reloaded(colour, f)
    assert f.cache.info().reload_failures == 3


async def test_the_callers_context_goes_along_without_its_bounds(colour, clock, events):
    """A reload sees the caller's context variables, leaves its own changes to itself, and has no deadline of the caller."""
    tenant, seen = ContextVar("tenant", default="none"), []

    def look(*args):
        seen.append((tenant.get(), (resilience_context.get() or {}).get("request"), remaining()))
        tenant.set("changed")

    f, upstream = cached(colour, clock, events, **STALE)
    upstream.seen = look
    await colour.go(f, 1)
    seen.clear()
    clock.advance(10)

    async def ask():
        tenant.set("mine")
        resilience_context.set({"request": 7})
        return await colour.go(f, 1), tenant.get(), remaining()

    bounded = colour.decorate(ask, timeout=TimeoutConfig(30), clock=clock)
    value, mine, left = await colour.go(bounded)
    await reloaded(colour, f)
    assert (value, mine, left) == (1, "mine", 30)
    assert seen == [("mine", 7, None)]
    assert {event.context["request"] for event in events.of(EventType.SUCCESS)[1:]} == {7}


async def test_a_reload_is_no_call(colour, clock, events):
    """It says neither hit nor miss, and counts as none; its run is told like any other."""
    f, _ = cached(colour, clock, events, **STALE)
    await colour.go(f, 1)
    clock.advance(10)
    await colour.go(f, 1)
    await reloaded(colour, f)
    assert told(events) == [("cache_miss", "cold"), ("cache_hit", "stale")]
    assert events.count(EventType.SUCCESS) == 2
    assert f.cache_info()[:2] == (1, 1)


async def test_the_stages_work_for_a_reload(colour, clock, events):
    """It is retried and bounded like a call; an open circuit fails it without a run, and old values stand in."""
    stages = {
        "retry": RetryConfig(max_attempts=3, delay=0.001),
        "circuit_breaker": CircuitBreakerConfig(failure_threshold=3, recovery_timeout=50),
        "timeout": TimeoutConfig(60),
    }
    f, upstream = cached(colour, clock, events, stages, **STALE)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = OSError()
    for runs in (4, 4, 4):
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
        assert upstream.runs == runs
        clock.advance(4)
    assert f.cache.info().reload_failures == 3
    upstream.error = None
    clock.advance(50)
    await colour.go(f, 1)
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 5


async def test_a_time_out_of_the_reload_is_a_failure(colour, clock, events):
    """A reload that its timeout ends cools down, and the old value stays."""
    f, upstream = cached(colour, clock, events, {"timeout": TimeoutConfig(5)}, **STALE)
    await colour.go(f, 1)
    clock.advance(10)
    gate = upstream.hold()
    await colour.go(f, 1)
    await colour.until(lambda: upstream.runs == 2)
    clock.advance(5)
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs, f.cache.info().reload_failures) == (1, 2, 1)
    gate.set()
    upstream.free()
    clock.advance(3)
    await colour.go(f, 1)
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 3
