"""A caller with an old value at hand waits only `soft_timeout` seconds for a new one."""

import threading

import pytest
from gated_upstream import Until, cached, counted, is_clean, later, reloaded, told, waiting

from pyresilience.cache.flights import Flights

SPARE = {"ttl": 10, "stale_if_error": 100, "reload_cooldown": 3, "soft_timeout": 2, "enable_metrics": True}


async def spare(colour, clock, f, events):
    """Bring the entry of 1 into its last zone."""
    await colour.go(f, 1)
    clock.advance(10)
    events.clear()
    f.metrics.reset()


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
    await colour.until(lambda: upstream.runs == 2)
    assert f.cache.info().reloading == 1
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
    ends = await colour.gather(
        lambda: colour.go(f, 1), later(colour, f, clock, 1, 2, Until(lambda: waiting(f) == 0), gate.set)
    )
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
    gate.set()
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs) == (2, 2)


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
async def test_soft_callers_who_come_at_once(colour, clock, events, monkeypatch):
    """Of two who find that no load runs yet one begins it, and the other waits for that one as well."""
    looks, together, is_flying = [], threading.Barrier(2), Flights.is_flying

    def look_together(*args):
        found = is_flying(*args)
        looks.append(found)
        if len(looks) <= 2:
            together.wait(20)
        return found

    monkeypatch.setattr(Flights, "is_flying", look_together)
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 2, later(colour, f, clock, 2, gate.set))
    await reloaded(colour, f)
    assert (looks[:2], ends[:2], upstream.runs) == ([False, False], [2, 2], 2)
    assert counted(f) == (1, 1, 1, 1, 0)
    assert is_clean(f)


async def test_soft_the_load_of_another_lands_meanwhile(colour, clock, events, monkeypatch):
    """Who is about to begin a load when that of another lands has the new value, and begins none."""
    looks, ends, is_flying = [], [], Flights.is_flying

    def look_before(*args):
        found = is_flying(*args)
        looks.append(found)
        if len(looks) == 1:
            other = threading.Thread(target=lambda: ends.append(colour.call(f, 1)))
            other.start()
            other.join(20)
        return found

    monkeypatch.setattr(Flights, "is_flying", look_before)
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    ends.append(await colour.go(f, 1))
    await reloaded(colour, f)
    assert (looks[0], ends, upstream.runs) == (False, [2, 2], 2)
    assert is_clean(f)


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
        await colour.until(lambda: len(ends) == 2)
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


@pytest.mark.parametrize("wait", [0, 1])
@pytest.mark.parametrize("then", ["compute", "raise"])
async def test_soft_beside_a_shorter_limit_for_followers(colour, clock, events, then, wait):
    """`wait_timeout` bounds waiting for others: who has the load run for itself waits the soft timeout, for one load."""
    f, upstream = cached(colour, clock, events, **SPARE, wait_timeout=wait, on_wait_timeout=then)
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    ends = await colour.gather(lambda: colour.go(f, 1), later(colour, f, clock, 1, 1.99, 0.01))
    assert ends[0] == 1
    assert (told(events), counted(f)) == ([("cache_hit", "stale")], (0, 1, 1, 1, 0))
    gate.set()
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs) == (2, 2)


@pytest.mark.parametrize("way", ["expired", "invalidated"])
async def test_soft_says_why(colour, clock, events, way):
    """A miss whose load is there in time is told and explained by what ended the old value."""
    f, _ = cached(colour, clock, events, **SPARE, tags=("all",))
    await colour.go(f, 1)
    clock.advance(10) if way == "expired" else f.cache.invalidate_tag("all", soft=True)
    events.clear()
    assert await colour.go(f, 1) == 2
    assert told(events) == [("cache_miss", way)]
    assert f.cache.explain(1).reason == way


async def test_soft_after_an_error_that_is_not_excused(colour, clock, events):
    """There is no cool-down for it, and the next caller waits no longer than any other."""
    f, upstream = cached(colour, clock, events, **SPARE, stale_on=(OSError,))
    await spare(colour, clock, f, events)
    upstream.error = KeyError()
    assert await colour.end_of(f, 1) is upstream.error
    await reloaded(colour, f)
    upstream.error, gate = None, upstream.hold()
    ends = await colour.gather(lambda: colour.go(f, 1), later(colour, f, clock, 1, 2))
    assert ends[0] == 1
    gate.set()
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs) == (3, 3)


async def test_soft_does_not_hide_mistakes_in_the_settings(colour, clock, events):
    """What a function among the settings raises goes to all who wait, though there is an old value."""
    f, upstream = cached(colour, clock, events, **SPARE, weigher=lambda value: value if value == 1 else -1)
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 3, later(colour, f, clock, 3, gate.set))
    assert [type(end) for end in ends[:3]] == [ValueError] * 3
    await reloaded(colour, f)
    assert is_clean(f)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_soft_and_then_as_all_others(colour, clock, events):
    """Who has waited the soft timeout, and then finds no old value any more, waits on at rest."""
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    gate, looks, flights = upstream.hold(), [], f.cache._cache.flights
    look = flights.look

    def watched(key, flight):
        looks.append(key)
        return look(key, flight)

    async def watch():
        await colour.until(lambda: waiting(f) == 1)
        f.cache.invalidate(1)
        flights.look = watched
        clock.advance(2)
        await colour.until(lambda: upstream.runs == 3)
        await colour.sleep(0.02)
        gate.set()

    async def come():
        await colour.until(lambda: upstream.runs > 1 and f.cache.entry(1) is None)
        return await colour.go(f, 1)

    ends = await colour.gather(lambda: colour.go(f, 1), come, watch)
    assert ends[:2] == [3, 3]
    assert len(looks) < 10


@pytest.mark.parametrize("then", ["compute", "raise"])
async def test_soft_when_the_old_value_goes_meanwhile(colour, clock, events, then):
    """Who has the load run for itself has its result, whatever `wait_timeout` says, though nothing old is left."""
    config = {**SPARE, "stale_if_error": 1, "wait_timeout": 1, "on_wait_timeout": then}
    f, upstream = cached(colour, clock, events, **config)
    await spare(colour, clock, f, events)
    gate = upstream.hold()
    ends = await colour.gather(lambda: colour.go(f, 1), later(colour, f, clock, 1, 2, 5, gate.set))
    assert (ends[0], upstream.runs) == (2, 2)
    assert told(events) == [("cache_miss", "expired")]
    assert counted(f) == (0, 1, 1, 1, 0)


async def test_soft_and_then_for_itself(colour, clock, events):
    """Each run is counted: that in the background, and that of the caller, once the first is of no use."""
    f, upstream = cached(colour, clock, events, **SPARE)
    await spare(colour, clock, f, events)
    gate = upstream.hold()

    async def call_it_off():
        await colour.until(lambda: waiting(f) == 1 and upstream.runs == 2)
        upstream.free()
        f.cache.invalidate(1)
        clock.advance(2)

    ends = await colour.gather(lambda: colour.go(f, 1), call_it_off)
    gate.set()
    await reloaded(colour, f)
    assert (ends[0], upstream.runs) == (3, 3)
    assert counted(f) == (0, 1, 1, 2, 0)
