"""How long callers wait for each other, and what they do then: `soft_timeout` and `wait_timeout`."""

import pytest
from gated_upstream import ZONES, cached, counted, is_clean, reloaded, told, waiting

from pyresilience import ResilienceTimeoutError, TimeoutConfig
from pyresilience.events import EventType

SPARE = {"ttl": 10, "stale_if_error": 100, "reload_cooldown": 3, "soft_timeout": 2, "enable_metrics": True}
BOUND = {"ttl": 10, "wait_timeout": 2, "enable_metrics": True}


async def spare(colour, clock, f, events):
    """Bring the entry of 1 into its last zone."""
    await colour.go(f, 1)
    clock.advance(10)
    events.clear()
    f.metrics.reset()


def later(colour, f, clock, count, *steps):
    """What moves the clock on once *count* callers wait, and then does the *steps*."""

    async def move():
        await colour.until(lambda: waiting(f) == count)
        for step in steps:
            if isinstance(step, (int, float)):
                clock.advance(step)
            else:
                step()
            await colour.sleep(0.005)

    return move


@pytest.mark.parametrize("callers", [1, 5])
async def test_soft_the_load_is_slow(colour, clock, events, callers):
    """At the soft timeout, and not before, all who wait get the old value; the load goes on and is kept."""
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    gate, done = upstream.hold(), []

    async def call():
        done.append(await colour.go(f, 1))

    await colour.gather(*[call] * callers, later(colour, f, clock, callers, 1.99, lambda: done.append("soon"), 0.01))
    assert done == ["soon", *[1] * callers]
    assert told(events) == [("cache_hit", "stale")] * callers
    assert counted(f) == (0, callers, callers, 1, 0)
    assert (upstream.runs, f.cache.info().reloading) == (2, 1)
    gate.set()
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs) == (2, 2)
    assert is_clean(f)


async def test_soft_the_load_is_fast(colour, clock, events):
    """A load that ends before gives all the new value; the one that had it run counts as a recalculation."""
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 3, later(colour, f, clock, 3, 1.99, gate.set))
    await reloaded(colour, f)
    assert (ends[:3], upstream.runs) == ([2, 2, 2], 2)
    assert counted(f) == (2, 1, 1, 1, 0)
    assert is_clean(f)


async def test_soft_the_load_is_there_at_once(colour, clock, events):
    """Whether the load lands before its caller waits for it, or after, is not to be seen in the counts."""
    f, _ = cached(colour, clock, events, **SPARE)
    for _ in range(5):
        await spare(colour, clock, f, events)
        value = f.cache.entry(1).value
        assert await colour.go(f, 1) == value + 1
        await reloaded(colour, f)
        assert counted(f) == (0, 1, 1, 1, 0)


async def test_soft_the_load_fails_before(colour, clock, events):
    """All who wait have the old value as soon as the load fails, and are told that it is old."""
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    upstream.error, gate = OSError(), upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 3, later(colour, f, clock, 3, 1, gate.set))
    await reloaded(colour, f)
    assert (ends[:3], upstream.runs) == ([1, 1, 1], 2)
    assert told(events) == [("cache_hit", "stale")] * 3
    assert counted(f) == (0, 3, 3, 1, 0)
    assert await colour.go(f, 1) == 1
    assert upstream.runs == 2


async def test_soft_the_load_fails_before_with_another_error(colour, clock, events):
    """An error that `stale_on` does not name goes to those who still wait for it."""
    f, upstream = cached(colour, clock, events, **SPARE, stale_on=(OSError,))
    await spare(colour, clock, f, events)
    upstream.error, gate = KeyError(), upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 2, later(colour, f, clock, 2, gate.set))
    await reloaded(colour, f)
    assert ends[:2] == [upstream.error] * 2
    assert is_clean(f)


@pytest.mark.parametrize("error", [OSError, KeyError])
async def test_soft_the_load_fails_after(colour, clock, events, error):
    """Nobody feels it; it cools down."""
    f, upstream = cached(colour, clock, events, **SPARE, stale_on=(OSError,))
    await spare(colour, clock, f, events)
    upstream.error, gate = error(), upstream.hold()
    ends = await colour.gather(lambda: colour.go(f, 1), later(colour, f, clock, 1, 2, gate.set))
    await reloaded(colour, f)
    assert ends[0] == 1
    assert f.cache.info().reload_failures == 1
    if error is OSError:
        assert (await colour.go(f, 1), upstream.runs) == (1, 2)
    clock.advance(3)
    upstream.error = None
    upstream.free()
    assert await colour.go(f, 1) == 3


async def test_soft_callers_who_come_while_it_hangs(colour, clock, events):
    """Each waits its own soft timeout, or less; there is no second load however long the first takes."""
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    for _ in range(4):
        ends = await colour.gather(*[lambda: colour.go(f, 1)] * 2, later(colour, f, clock, 2, 2))
        assert ends[:2] == [1, 1]
    assert upstream.runs == 2
    gate.set()
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 2


async def test_soft_zero_never_waits(colour, clock, events):
    """`soft_timeout=0`: the old value at once, also in the last zone."""
    f, upstream = cached(colour, clock, events, **{**SPARE, "soft_timeout": 0})
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    assert [await colour.go(f, 1) for _ in range(3)] == [1, 1, 1]
    await colour.until(lambda: upstream.runs == 2)
    gate.set()
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 2


async def test_soft_without_room_for_a_reload(colour, clock, events):
    """When as many loads as may hang already, a caller with an old value does not hang as well."""
    f, upstream = cached(colour, clock, events, **SPARE, max_reloads=1)
    await colour.go(f, 2)
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    ends = []

    async def first():
        ends.append(await colour.go(f, 1))

    async def second():
        await colour.until(lambda: waiting(f) == 1)
        await colour.gather(third, let_go)

    async def third():
        ends.append(await colour.go(f, 2))

    async def let_go():
        await colour.sleep(0.02)
        clock.advance(2)
        await colour.sleep(0.02)
        ends.append("let go")
        gate.set()

    await colour.gather(first, second)
    await reloaded(colour, f)
    assert sorted(ends[:2], key=str) == [1, 2] and ends[2] == "let go", ends


@pytest.mark.parametrize("revalidate", [0, 5])
async def test_soft_and_nothing_old(colour, clock, events, revalidate):
    """Without an old value callers wait as long as it takes, whatever the soft timeout."""
    f, upstream = cached(colour, clock, events, **{**SPARE, "stale_while_revalidate": revalidate})
    gate = upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 3, later(colour, f, clock, 2, 50, gate.set))
    assert (ends[:3], upstream.runs) == ([1] * 3, 1)


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
        lambda: colour.go(f, 1), follow, later(colour, f, clock, 1, 1.99, free, 0.01, lambda: None, gate.set)
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
        later(colour, f, clock, 1, lambda: f.cache.invalidate(1), 2, lambda: None, gate.set),
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
        lambda: colour.go(f, 1), follow, later(colour, f, clock, 1, 2, lambda: None, gate.set)
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
    ends = await colour.gather(lambda: colour.go(f, 1), follow, later(colour, f, clock, 1, 2, lambda: None, gate.set))
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
        lambda: colour.go(f, 1), follow, later(colour, f, clock, 1, 0.9, lambda: None, 0.1, lambda: None, gate.set)
    )
    assert all(isinstance(end, ResilienceTimeoutError) for end in ends[:2]), ends
    assert counted(f)[4] == 0
    assert is_clean(f)
