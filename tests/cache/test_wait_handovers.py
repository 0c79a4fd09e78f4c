"""Whom callers wait for when another takes the place of their leader, or when the result is there before their turn."""

import asyncio
import sys

import anyio
import pytest
from gated_upstream import ZONES, cached, counted, is_clean, told, waiting
from interrupting import HOME

from pyresilience import CacheConfig, EventType, resilient

BOUND = {"ttl": 10, "wait_timeout": 2, "enable_metrics": True}


async def queue(colour, clock, f, upstream, direct, third=None):
    """A leader that hangs, one who comes at once and another who comes a second later, or when *third* is true.

    *direct*, which gets what lets the leader go, goes on from there. Returns what each of the three has in the end.
    """
    hung, began = upstream.hold(), clock.monotonic()

    async def call(came):
        await colour.until(came)
        return await colour.go(f, 1)

    async def go_on():
        await colour.until(lambda: waiting(f) == 1)
        clock.advance(1)
        await colour.until(lambda: third is not None or waiting(f) == 2)
        await direct(hung)

    ends = await colour.gather(
        lambda: colour.go(f, 1),
        lambda: call(lambda: upstream.runs),
        lambda: call(third or (lambda: clock.monotonic() > began)),
        go_on,
    )
    assert ends.pop() is None
    assert is_clean(f)
    return ends


async def deposed(colour, clock, f, upstream):
    """Let the first who waits take the leader's place, and hold its run; returns what lets that go."""
    gate = upstream.hold()
    clock.advance(1)
    await colour.until(lambda: (upstream.runs, waiting(f)) == (2, 1))
    return gate


async def test_those_behind_go_over_to_who_takes_the_place(colour, clock, events):
    """Who gives up takes the leader's place, and the others along: they have its result, and run nothing."""
    f, upstream = cached(colour, clock, events, **BOUND)

    async def direct(hung):
        gate = await deposed(colour, clock, f, upstream)
        gate.set()
        await colour.until(lambda: len(told(events)) == 3)
        hung.set()

    assert await queue(colour, clock, f, upstream, direct) == [1, 2, 2]
    assert (upstream.runs, f.cache.peek(1)) == (2, 2)
    assert told(events) == [("cache_miss", "cold"), ("cache_miss", "wait_timeout"), ("cache_hit", "coalesced")]
    assert counted(f) == (1, 2, 0, 2, 1)


async def test_a_young_leader_keeps_its_place(colour, clock, events):
    """Who has waited long enough for both of them computes for itself alone; what the new leader has is kept."""
    f, upstream = cached(colour, clock, events, **BOUND)

    async def direct(hung):
        gate = await deposed(colour, clock, f, upstream)
        upstream.free()
        clock.advance(1)
        await colour.until(lambda: (upstream.runs, upstream.over) == (3, 1))
        assert not f.cache.contains(1)
        gate.set()
        await colour.until(lambda: f.cache.contains(1))
        hung.set()

    assert await queue(colour, clock, f, upstream, direct) == [1, 2, 3]
    assert (upstream.runs, f.cache.peek(1)) == (3, 2)


async def test_a_new_leader_that_hangs(colour, clock, events):
    """It has as much time as the one before it; then its place is taken, too."""
    f, upstream = cached(colour, clock, events, **BOUND)

    async def direct(hung):
        gate = await deposed(colour, clock, f, upstream)
        upstream.free()
        clock.advance(2)
        await colour.until(lambda: f.cache.contains(1))
        gate.set()
        hung.set()

    ends = await queue(colour, clock, f, upstream, direct, third=lambda: upstream.runs == 2)
    assert (ends, upstream.runs, f.cache.peek(1)) == ([1, 2, 3], 3, 3)


@pytest.mark.parametrize("then", ["compute", "raise", "stale"])
@pytest.mark.parametrize("way", ["put", "refresh"])
async def test_a_result_that_is_there_already(colour, clock, events, then, way):
    """Whatever a caller was to do in the end, it takes a fresh result that somebody has brought meanwhile."""
    f, upstream = cached(colour, clock, events, **BOUND, stale_if_error=20, on_wait_timeout=then)
    brought, runs = (7, 1) if way == "put" else (2, 2)

    async def direct(hung):
        upstream.free()
        if way == "put":
            f.cache.put(7, 1)
        else:
            upstream.runs = 1
            assert await colour.go(f.cache.refresh, 1) == 2
        for count in (1, 2):
            clock.advance(1)
            await colour.until(lambda count=count: told(events).count(("cache_hit", "fresh")) == count)
        hung.set()

    assert await queue(colour, clock, f, upstream, direct) == [1, brought, brought]
    assert (upstream.runs, f.cache.peek(1)) == (runs, brought)
    assert [kind for kind, _ in told(events)] == ["cache_miss"] * runs + ["cache_hit"] * 2
    assert events.count(EventType.TIMEOUT) == 0
    assert (counted(f)[0], counted(f)[4]) == (2, 0)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
@pytest.mark.parametrize("config", [{"ttl": 10}, ZONES])
async def test_what_was_put_outlives_a_cancelled_leader(colour, clock, events, config):
    """Who was to compute in the leader's place finds the value that was put, and so do those behind."""
    f, upstream = cached(colour, clock, events, **config)
    upstream.hold()
    ends, leader = [], anyio.CancelScope()

    async def lead():
        with leader:
            await f(1)

    async def follow():
        ends.append(await f(1))

    async with anyio.create_task_group() as group:
        group.start_soon(lead)
        await colour.until(lambda: upstream.runs == 1)
        upstream.free()
        for _ in range(3):
            group.start_soon(follow)
        await colour.until(lambda: waiting(f) == 3)
        f.cache.put(7, 1)
        leader.cancel()
    assert (ends, upstream.runs, f.cache.peek(1)) == ([7, 7, 7], 1, 7)
    assert sorted(told(events)) == [*[("cache_hit", "coalesced")] * 2, ("cache_hit", "fresh"), ("cache_miss", "cold")]
    assert is_clean(f)


@pytest.mark.parametrize("config", [{}, {"wait_timeout": 60}])
def test_a_crowd_that_is_cancelled_costs_its_length(config):
    """Callers who give up one after the other cost the same each, however many wait behind them."""

    async def hang(x):
        await asyncio.Event().wait()

    async def steps(callers):
        f, count = resilient(cache=CacheConfig(**config))(hang), 0
        tasks = [asyncio.create_task(f(1)) for _ in range(callers)]
        while waiting(f) < callers - 1:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

        def watch(frame, event, arg):
            nonlocal count
            count += frame.f_code.co_filename.startswith(HOME)

        sys.setprofile(watch)
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            sys.setprofile(None)
        assert is_clean(f)
        return count

    assert asyncio.run(steps(400)) < 3 * asyncio.run(steps(200))
