"""Whatever invalidates wins over reloads under way: their late results are not kept, and old values not handed out."""

import pytest
from gated_upstream import ZONES, cached, is_clean, reloaded, told, under_way, waiting

from pyresilience import RetryConfig

TAGGED = {**ZONES, "tags": ("all", "one:{args[0]}")}

WAYS = {
    "invalidate": lambda f: f.cache.invalidate(1),
    "clear": lambda f: f.cache.clear(),
    "cache_clear": lambda f: f.cache_clear(),
    "tag": lambda f: f.cache.invalidate_tag("all"),
    "tag of the argument": lambda f: f.cache.invalidate_tag("one:1"),
    "invalidated twice": lambda f: (f.cache.invalidate_tag("all"), f.cache.invalidate(1)),
}


@pytest.mark.parametrize("age", [8, 10])
@pytest.mark.parametrize("way", WAYS)
async def test_the_next_call_computes(colour, clock, events, way, age):
    """After it the old value is not handed out any more, nor the one being computed; what is computed then is kept."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    gate = await under_way(colour, f, upstream, clock, age)
    WAYS[way](f)
    assert await colour.go(f, 1) == 3
    assert await colour.go(f, 1) == 3
    gate.set()
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 3
    assert (upstream.runs, f.cache.entry(1).state) == (3, "fresh")
    assert is_clean(f)


@pytest.mark.parametrize("way", WAYS)
async def test_the_late_result_is_not_kept(colour, clock, events, way):
    """A reload that lands after it leaves nothing, even if nobody has called meanwhile."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    gate = await under_way(colour, f, upstream, clock)
    WAYS[way](f)
    gate.set()
    await reloaded(colour, f)
    assert (f.cache.peek(1), f.cache.contains(1)) == (None, False)
    events.clear()
    assert await colour.go(f, 1) == 3
    reason = "cold" if "clear" in way else "invalidated"
    assert told(events) == [("cache_miss", reason)]


@pytest.mark.parametrize("way", WAYS)
async def test_a_failing_reload_brings_nothing_back(colour, clock, events, way):
    """A reload that fails after it does not make the old value stand in for anybody, and there is no cool-down."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    gate = await under_way(colour, f, upstream, clock)
    WAYS[way](f)
    upstream.error = OSError()
    gate.set()
    await reloaded(colour, f)
    assert await colour.end_of(f, 1) is upstream.error
    upstream.error = None
    assert await colour.go(f, 1) == 4
    assert is_clean(f)


@pytest.mark.parametrize("way", WAYS)
async def test_in_the_zone_where_callers_wait(colour, clock, events, way):
    """The old value that the failing run has in hand does not stand in once it was invalidated."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    await colour.go(f, 1)
    clock.advance(15)
    gate = upstream.hold()

    async def meddle():
        await colour.until(lambda: upstream.runs == 2)
        WAYS[way](f)
        upstream.error = OSError()
        gate.set()

    end, _ = await colour.gather(lambda: colour.go(f, 1), meddle)
    assert end is upstream.error


@pytest.mark.parametrize("tag", ["all", "one:1"])
@pytest.mark.parametrize("age", [0, 10, 15])
async def test_a_caller_after_an_invalidated_tag_gets_nothing_older(colour, clock, events, age, tag):
    """Who calls after the invalidation does not get what was read before it, though that is just being computed."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    if age:
        await colour.go(f, 1)
    clock.advance(age)
    runs, gate = upstream.runs, upstream.hold()

    async def meddle():
        await colour.until(lambda: upstream.runs == runs + 1)
        await reached(colour, upstream, runs + 1)
        f.cache.invalidate_tag(tag)
        upstream.free()
        late, _ = await colour.gather(lambda: colour.go(f, 1), let_go)
        assert late == runs + 2

    async def let_go():
        await colour.sleep(0.01)
        gate.set()

    ends = await colour.gather(lambda: colour.go(f, 1), meddle)
    assert ends[1] is None, ends
    await reloaded(colour, f)
    assert await colour.go(f, 1) == runs + 2


async def reached(colour, upstream, runs):
    """Wait until the upstream has begun so many runs."""
    await colour.until(lambda: upstream.runs >= runs)


@pytest.mark.parametrize("age", [3, 10])
async def test_a_soft_invalidation_makes_stale(colour, clock, events, age):
    """From then on the entry is stale, since then: old value at once, one reload; gone in its time."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    await colour.go(f, 1)
    clock.advance(3)
    f.cache.invalidate_tag("all", soft=True)
    assert f.cache.entry(1).state == "stale"
    clock.advance(age - 3)
    upstream.error = OSError()
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    clock.advance(3 + 20 - age)
    assert f.cache.entry(1).state == "gone"
    upstream.error = None
    assert await colour.go(f, 1) == 3


async def test_a_soft_invalidation_during_a_reload(colour, clock, events):
    """What began before it is stale once it lands, and the next caller has it reloaded."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    gate = await under_way(colour, f, upstream, clock)
    clock.advance(1)
    f.cache.invalidate_tag("all", soft=True)
    assert await colour.go(f, 1) == 1
    gate.set()
    await reloaded(colour, f)
    assert f.cache.entry(1).state == "stale"
    assert await colour.go(f, 1) == 2
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs, f.cache.entry(1).state) == (3, 3, "fresh")


async def test_put_wins_over_a_reload(colour, clock, events):
    """What was put by hand stays, whenever the reload lands or fails."""
    for error in (None, OSError()):
        f, upstream = cached(colour, clock, events, **TAGGED)
        gate = await under_way(colour, f, upstream, clock)
        f.cache.put("mine", 1)
        assert await colour.go(f, 1) == "mine"
        upstream.error = error
        gate.set()
        await reloaded(colour, f)
        assert await colour.go(f, 1) == "mine"
        assert upstream.runs == 2
        clock.advance(10)
        assert await colour.go(f, 1) == "mine"
        await reloaded(colour, f)
        assert upstream.runs == 3


async def test_refresh_wins_over_a_reload(colour, clock, events):
    """What was refreshed by hand is newer than what a reload had begun before, whichever lands first."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    gate = await under_way(colour, f, upstream, clock)
    assert await colour.go(f.cache.refresh, 1) == 3
    gate.set()
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs) == (3, 3)


async def test_refresh_that_fails_changes_nothing(colour, clock, events):
    """It raises, whatever `stale_on` says, and the old value stands where it stood."""
    f, upstream = cached(colour, clock, events, **TAGGED)
    await colour.go(f, 1)
    for age in (5, 5, 5):
        clock.advance(age)
        upstream.error = OSError()
        assert await colour.end_of(f.cache.refresh, 1) is upstream.error
        assert await colour.go(f, 1) == 1
        clock.advance(3)
    assert f.cache.entry(1).value == 1


async def test_after_an_invalidated_reload_others_begin(colour, clock, events):
    """A reload that hangs, whose result nobody wants any more, keeps no later one of its key from beginning."""
    f, upstream = cached(colour, clock, events, **ZONES)
    gate = await under_way(colour, f, upstream, clock)
    f.cache.invalidate(1)
    assert await colour.go(f, 1) == 3
    clock.advance(10)
    assert await colour.go(f, 1) == 3
    await colour.until(lambda: upstream.runs == 4)
    await colour.until(lambda: f.cache.peek(1) == 4)
    gate.set()
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs) == (4, 4)
    assert is_clean(f)


async def test_invalidated_while_a_soft_wait_goes_on(colour, clock, events):
    """Those who waited for a run that was invalidated share one new run at most, and its result is kept."""
    f, upstream = cached(colour, clock, events, **{**ZONES, "stale_while_revalidate": 0}, soft_timeout=2)
    await colour.go(f, 1)
    clock.advance(10)
    gate = upstream.hold()

    async def meddle():
        await colour.until(lambda: waiting(f) == 5 and upstream.runs == 2)
        f.cache.invalidate(1)
        upstream.free()
        clock.advance(2)
        await colour.sleep(0.02)
        gate.set()

    ends = await colour.gather(*[lambda: colour.go(f, 1)] * 5, meddle)
    await reloaded(colour, f)
    assert {*ends[:5]} <= {2, 3}
    assert upstream.runs <= 3
    assert "wait_timeout" not in [word for _, word in told(events)]
    assert await colour.go(f, 1) == 3
    assert is_clean(f)


async def test_a_reload_of_what_was_evicted_may_come_back(colour, clock, events):
    """Eviction is no invalidation: the reload is kept, and the cache does not grow."""
    f, upstream = cached(colour, clock, events, **ZONES, max_size=2)
    gate = await under_way(colour, f, upstream, clock)
    await colour.go(f, 2)
    await colour.go(f, 3)
    assert f.cache.entry(1) is None
    gate.set()
    await reloaded(colour, f)
    assert (f.cache.peek(1), len(f.cache._cache)) == (2, 2)


@pytest.mark.parametrize(
    "refuse", [{"cache_if": lambda value: value == 1}, {"ttl": lambda value: 10 if value == 1 else 0}]
)
async def test_a_new_value_that_is_not_kept(colour, clock, events, refuse):
    """The old value is not handed out for ever when the new one may not be kept: the next caller computes."""
    f, upstream = cached(colour, clock, events, **{**ZONES, **refuse})
    await colour.go(f, 1)
    clock.advance(10)
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 3
    assert is_clean(f)


async def test_a_stand_in_is_no_reload(colour, clock, events):
    """A reload whose result `retry_on_result` still rejects leaves the old value where it is."""
    stages = {"retry": RetryConfig(max_attempts=2, delay=0, retry_on_result=lambda value: value > 1)}
    f, upstream = cached(colour, clock, events, stages, **ZONES)
    await colour.go(f, 1)
    clock.advance(10)
    for _ in range(3):
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
    assert f.cache.entry(1).value == 1
