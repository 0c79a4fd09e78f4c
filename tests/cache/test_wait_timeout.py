"""Followers wait only `wait_timeout` seconds, and what they do then: compute, take an old value, or raise."""

import pytest
from gated_upstream import ZONES, Until, cached, counted, is_clean, later, told, waiting

from pyresilience import ResilienceTimeoutError, TimeoutConfig
from pyresilience.events import EventType

BOUND = {"ttl": 10, "wait_timeout": 2, "enable_metrics": True}


async def test_compute(colour, clock, events):
    """A follower that has waited `wait_timeout` computes itself, and what it has is kept; a later one follows it."""
    f, upstream = cached(colour, clock, events, **BOUND)
    gate = upstream.hold()

    async def follow():
        await colour.until(lambda: upstream.runs == 1)
        return await colour.go(f, 1)

    def free():
        assert upstream.runs == 1
        upstream.free()

    ends = await colour.gather(
        lambda: colour.go(f, 1),
        follow,
        later(colour, f, clock, 1, 1.99, free, 0.01, Until(lambda: upstream.runs == 2), gate.set),
    )
    assert ends[:2] == [1, 2]
    assert await colour.go(f, 1) == 2
    assert told(events)[:2] == [("cache_miss", "cold"), ("cache_miss", "wait_timeout")]
    assert counted(f) == (1, 2, 0, 2, 1)
    assert is_clean(f)


async def test_compute_takes_the_key_over(colour, clock, events):
    """While the first to give up computes, others wait for it and not for the hung one."""
    f, upstream = cached(colour, clock, events, **BOUND)
    hung = upstream.hold()
    second = None

    async def follow():
        nonlocal second
        await colour.until(lambda: upstream.runs == 1)
        second = upstream.hold()
        return await colour.go(f, 1)

    async def come_later():
        await colour.until(lambda: upstream.runs == 2)
        return await colour.go(f, 1)

    async def let_go():
        await colour.until(lambda: upstream.runs == 2 and waiting(f) == 1)
        second.set()
        await colour.until(lambda: f.cache.peek(1) == 2)
        hung.set()

    ends = await colour.gather(lambda: colour.go(f, 1), follow, come_later, let_go, later(colour, f, clock, 1, 2))
    assert ends[:3] == [1, 2, 2]
    assert (f.cache.peek(1), upstream.runs) == (2, 2)
    assert is_clean(f)


async def test_compute_after_the_hung_leader_was_invalidated(colour, clock, events):
    """What a follower computes after the invalidation is younger than that, and kept."""
    f, upstream = cached(colour, clock, events, **BOUND)
    gate = upstream.hold()

    async def follow():
        await colour.until(lambda: upstream.runs == 1)
        upstream.free()
        return await colour.go(f, 1)

    ends = await colour.gather(
        lambda: colour.go(f, 1),
        follow,
        later(colour, f, clock, 1, lambda: f.cache.invalidate(1), 2, Until(lambda: upstream.runs == 2), gate.set),
    )
    assert ends[:2] == [1, 2]
    assert f.cache.peek(1) == 2
    assert is_clean(f)


async def test_raise(colour, clock, events):
    """Exactly at `wait_timeout` the follower is refused; the leader is not, and what it has is kept."""
    f, upstream = cached(colour, clock, events, **BOUND, on_wait_timeout="raise")
    gate = upstream.hold()

    async def follow():
        await colour.until(lambda: upstream.runs == 1)
        return await colour.go(f, 1)

    first, second, _ = await colour.gather(
        lambda: colour.go(f, 1), follow, later(colour, f, clock, 1, 2, Until(lambda: waiting(f) == 0), gate.set)
    )
    assert first == 1
    assert isinstance(second, ResilienceTimeoutError)
    assert told(events) == [("cache_miss", "cold"), ("cache_hit", "coalesced")]
    assert (events.count(EventType.TIMEOUT), upstream.runs) == (1, 1)
    assert counted(f)[4] == 1
    assert f.cache.peek(1) == 1
    assert is_clean(f)


@pytest.mark.parametrize(("age", "wanted"), [(0, 2), (10, 1), (29.5, 2)])
async def test_stale(colour, clock, events, age, wanted):
    """`"stale"` takes an old value if there still is one; else it computes."""
    config = {**ZONES, "stale_while_revalidate": 0, "wait_timeout": 2, "on_wait_timeout": "stale"}
    f, upstream = cached(colour, clock, events, **config)
    if age:
        await colour.go(f, 1)
        clock.advance(age)
    runs, gate = upstream.runs, upstream.hold()

    async def follow():
        await colour.until(lambda: upstream.runs == runs + 1)
        upstream.free()
        return await colour.go(f, 1)

    events.clear()
    ends = await colour.gather(
        lambda: colour.go(f, 1), follow, later(colour, f, clock, 1, 2, Until(lambda: waiting(f) == 0), gate.set)
    )
    assert ends[:2] == [runs + 1, wanted + (wanted > 1) * runs]
    said = ("cache_hit", "stale") if wanted == 1 else ("cache_miss", "wait_timeout")
    assert told(events)[1] == said
    assert is_clean(f)


@pytest.mark.parametrize("then", ["compute", "stale", "raise"])
async def test_a_timely_leader(colour, clock, events, then):
    """Who waits less than that gets what the leader has, and no timeout is counted."""
    f, upstream = cached(colour, clock, events, **BOUND, on_wait_timeout=then)
    gate = upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 4, later(colour, f, clock, 3, 1.99, gate.set))
    assert ends[:4] == [1] * 4
    assert counted(f) == (3, 1, 0, 1, 0)


@pytest.mark.parametrize("then", ["compute", "stale", "raise"])
async def test_the_limit_of_the_whole_call_comes_first(colour, clock, events, then):
    """A shorter time limit of the call ends it while it waits, whatever `wait_timeout` says."""
    stages = {"timeout": TimeoutConfig(1, per_attempt=False)}
    f, upstream = cached(colour, clock, events, stages, **{**BOUND, "on_wait_timeout": then})
    gate = upstream.hold()

    async def follow():
        await colour.until(lambda: upstream.runs == 1)
        return await colour.go(f, 1)

    ends = await colour.gather(
        lambda: colour.go(f, 1), follow, later(colour, f, clock, 1, 0.9, 0.1, Until(lambda: is_clean(f)), gate.set)
    )
    assert all(isinstance(end, ResilienceTimeoutError) for end in ends[:2]), ends
    assert counted(f)[4] == 0
    assert is_clean(f)
