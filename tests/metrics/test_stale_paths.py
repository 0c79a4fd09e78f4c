"""What the metrics say of calls to caches with options: zones, bounded waits, limits, tags, kept errors, ways past."""

from __future__ import annotations

import pytest
from crowds import waiting
from sampled_calls import choose

from pyresilience import (
    CacheConfig,
    CircuitBreakerConfig,
    EventType,
    FallbackConfig,
    ResilienceTimeoutError,
    ResultCache,
)
from pyresilience.metrics import CacheMetrics

COUNTS = (
    "hits", "misses", "coalesced", "stale_hits", "stale_served", "recalculations", "wait_timeouts",
    "size_limit_rejections",
)  # fmt: skip
COLD = {"misses": 1, "recalculations": 1}


def met(f, window=None):
    """The counts that are not 0."""
    stats = f.metrics.get_stats(window)
    return {name: getattr(stats, name) for name in COUNTS if getattr(stats, name)}


def besides(**counts):
    """What is met by a cold call and by those that count so."""
    return {name: count for name in COUNTS if (count := COLD.get(name, 0) + counts.get(name, 0))}


def gone(f):
    """Entries that left for want of room, by age, and on request."""
    evictions = f.metrics.get_stats().evictions
    return evictions.size, evictions.expired, evictions.invalidated


def agrees(f, events, ended):
    """Counts, durations and events tell one story of so many calls that ended."""
    stats = f.metrics.get_stats()
    hits, misses = events.of(EventType.CACHE_HIT), events.of(EventType.CACHE_MISS)
    served = sum(event.source == "stale" for event in hits)
    assert stats.total_calls == stats.hits + stats.misses == ended
    assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
    assert len(hits) + len(misses) == ended
    assert sum(event.source == "coalesced" for event in hits) == stats.coalesced
    assert sum(event.reason == "expired" for event in misses) + served == stats.stale_hits
    assert served <= stats.stale_served <= stats.stale_hits <= stats.misses
    assert sum(f.cache.info()[:2]) == ended


def flying(f):
    return list(f.cache._cache.flights._flying.values())


class Upstream:
    """What decorated functions call: it counts, fails and blocks when it is told to."""

    def __init__(self, colour):
        self.colour = colour
        self.runs = 0
        self.fails = False
        self.gate = None
        self.inside = 0

    def block(self):
        """Let those who come from now on wait; returns what lets them go."""
        self.gate = self.colour.event()
        return self.gate.set

    async def __call__(self, x):
        self.runs += 1
        self.inside += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise ConnectionError(x)
        return [x, self.runs]


@pytest.fixture
def upstream(colour):
    return Upstream(colour)


@pytest.fixture
def decorate(colour, clock, events, upstream):
    """Decorates a function that asks the upstream, with a measured cache of these options."""

    def decorate(pipeline=None, body=None, **options):
        async def ask(x):
            return await upstream(x)

        config = CacheConfig(**{"ttl": 10, "enable_metrics": True, **options})
        return colour.decorate(body or ask, cache=config, clock=clock, listeners=[events], **(pipeline or {}))

    return decorate


@pytest.fixture
def idle(colour):
    """Waits until nothing is reloaded in the background any more."""

    async def idle(f):
        await colour.until(lambda: f.cache.info().reloading == 0 and not flying(f))

    return idle


# Zones.


async def test_ahead_of_its_time(colour, decorate, clock, events, upstream, idle):
    """All callers of an entry that is due are hits; the one that began its reload has the run on its account."""
    f = decorate(refresh_ahead=0.8)
    await colour.go(f, 1)
    clock.advance(8)
    release = upstream.block()
    assert [await colour.go(f, 1) for _ in range(3)] == [[1, 1]] * 3
    await colour.until(lambda: upstream.runs == 2)
    release()
    await idle(f)
    assert await colour.go(f, 1) == [1, 2]
    assert met(f) == besides(hits=4, recalculations=1)
    assert gone(f) == (0, 0, 0)
    agrees(f, events, ended=5)


async def test_served_stale(colour, decorate, clock, events, upstream, idle):
    """Who gets an entry whose time is over is a miss and a stale hit; one of them has the run on its account."""
    f = decorate(stale_while_revalidate=20)
    await colour.go(f, 1)
    clock.advance(10)
    release = upstream.block()
    assert [await colour.go(f, 1) for _ in range(3)] == [[1, 1]] * 3
    await colour.until(lambda: upstream.runs == 2)
    release()
    await idle(f)
    assert await colour.go(f, 1) == [1, 2]
    assert met(f) == besides(hits=1, misses=3, stale_hits=3, stale_served=3, recalculations=1)
    assert f.metrics.get_stats().load_latency.count == 4
    agrees(f, events, ended=5)


async def test_served_stale_while_the_reload_fails(colour, decorate, clock, events, upstream, idle):
    """During the cool-down nobody tries again: stale hits without a run."""
    f = decorate(stale_while_revalidate=20, reload_cooldown=2)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.fails = True
    await colour.go(f, 1)
    await idle(f)
    await colour.go(f, 1)
    clock.advance(2)
    await colour.go(f, 1)
    await idle(f)
    assert upstream.runs == 3
    assert met(f) == besides(misses=3, stale_hits=3, stale_served=3, recalculations=2)
    assert f.cache.info().reload_failures == 2
    agrees(f, events, ended=4)


async def test_no_room_for_another_reload(colour, decorate, clock, events, upstream, idle):
    """A caller whose reload finds no room begins none, and counts none."""
    f = decorate(stale_while_revalidate=20, max_reloads=1)
    await colour.go(f, 1)
    await colour.go(f, 2)
    clock.advance(10)
    release = upstream.block()
    await colour.go(f, 1)
    await colour.go(f, 2)
    await colour.until(lambda: upstream.runs == 3)
    release()
    await idle(f)
    assert met(f) == {"misses": 4, "stale_hits": 2, "stale_served": 2, "recalculations": 3}
    agrees(f, events, ended=4)


async def test_a_spare_for_a_failing_upstream(colour, decorate, clock, events, upstream):
    """Who ran in vain and got the old value ran; who comes during the cool-down does not. Both are stale hits."""
    f = decorate(stale_if_error=20, reload_cooldown=2)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.fails = True
    assert [await colour.go(f, 1) for _ in range(2)] == [[1, 1]] * 2
    assert met(f) == besides(misses=2, stale_hits=2, stale_served=2, recalculations=1)
    clock.advance(2)
    upstream.fails = False
    assert await colour.go(f, 1) == [1, 3]
    assert met(f) == besides(misses=3, stale_hits=3, stale_served=2, recalculations=2)
    assert gone(f) == (0, 0, 0)
    agrees(f, events, ended=4)


async def test_an_open_circuit_and_a_spare(colour, decorate, clock, events, upstream):
    """A run that a stage refused is none, though the old value was served for it."""
    f = decorate({"circuit_breaker": CircuitBreakerConfig()}, stale_if_error=20, reload_cooldown=0)
    await colour.go(f, 1)
    clock.advance(10)
    f.circuit_breaker.force_open()
    assert await colour.go(f, 1) == [1, 1]
    assert upstream.runs == 1
    assert met(f) == besides(misses=1, stale_hits=1, stale_served=1)
    agrees(f, events, ended=2)


async def test_a_spare_instead_of_a_stand_in(colour, decorate, clock, events, upstream):
    """With a fallback as well it counts the same."""
    f = decorate({"fallback": FallbackConfig("stand-in")}, stale_if_error=20)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.fails = True
    assert await colour.go(f, 1) == [1, 1]
    assert met(f) == besides(misses=1, stale_hits=1, stale_served=1, recalculations=1)
    agrees(f, events, ended=2)


async def test_nothing_excuses_the_failure(colour, decorate, clock, events, upstream):
    """An error that the old value does not stand in for is raised: a miss that met an expired entry and ran."""
    f = decorate(stale_if_error=20, stale_on=(KeyError,))
    await colour.go(f, 1)
    clock.advance(10)
    upstream.fails = True
    assert isinstance(await colour.end_of(f, 1), ConnectionError)
    assert met(f) == besides(misses=1, stale_hits=1, recalculations=1)
    agrees(f, events, ended=2)


async def test_past_all_zones(colour, decorate, clock, events):
    """When nothing is good any more the entry has expired, and is counted as such."""
    f = decorate(stale_while_revalidate=5, stale_if_error=20)
    await colour.go(f, 1)
    clock.advance(30)
    await colour.go(f, 1)
    assert met(f) == besides(misses=1, stale_hits=1, recalculations=1)
    assert gone(f) == (0, 1, 0)
    agrees(f, events, ended=2)


async def test_an_idle_entry(colour, decorate, clock, events):
    """An entry that nobody asked for has expired like any other; one that is in use is a hit."""
    f = decorate(tti=4)
    for pause in (0, 3, 3, 4):
        clock.advance(pause)
        await colour.go(f, 1)
    assert met(f) == besides(hits=2, misses=1, stale_hits=1, recalculations=1)
    assert gone(f) == (0, 1, 0)
    agrees(f, events, ended=4)


@pytest.mark.parametrize("shared", [False, True])
async def test_what_runs_in_the_background(colour, clock, upstream, idle, shared):
    """Reloads that run, and how many brought nothing, are counted for their own function, at any sampling rate."""
    config = CacheConfig(ttl=10, stale_while_revalidate=90, enable_metrics=True, metrics_sampling_rate=0.0)
    cache = ResultCache(config, clock=clock) if shared else config

    async def body(x):
        return await upstream(x)

    async def another(x):
        return await upstream(x)

    f, g = (colour.decorate(each, cache=cache, clock=clock) for each in (body, another))
    for each in (f, g):
        await colour.go(each, 1)
    clock.advance(10)
    release = upstream.block()
    upstream.fails = True
    await colour.go(f, 1)
    await colour.until(lambda: upstream.runs == 3)
    assert [each.metrics.get_stats().reloading for each in (f, g)] == [1, 0]
    release()
    await idle(f)
    told = [each.metrics.get_stats("1m") for each in (f, g)]
    assert [(stats.reloading, stats.reload_failures) for stats in told] == [(0, 1), (0, 0)]
    clock.advance(70)
    assert f.metrics.get_stats("1m").reload_failures == 0
    assert f.metrics.get_stats().reload_failures == f.cache.info().reload_failures == 1


async def test_closing_fails_no_reload(colour, decorate, clock, upstream, idle):
    """A reload that `close` or `aclose` ends has not failed."""
    f = decorate(stale_while_revalidate=20)
    await colour.go(f, 1)
    clock.advance(10)
    release = upstream.block()
    await colour.go(f, 1)
    await colour.until(lambda: upstream.runs == 2)
    if colour.is_sync:
        assert not f.cache.close(0)
        release()
    else:
        assert await f.cache.aclose()
    await idle(f)
    stats = f.metrics.get_stats()
    assert (stats.reloading, stats.reload_failures) == (0, 0)


# A caller that waits only so long.


async def impatient(colour, f, clock, condition, seconds):
    """What a caller gets that is there when the *condition* holds, *seconds* later."""

    async def call():
        return await colour.end_of(f, 1)

    async def hurry():
        await colour.until(condition)
        clock.advance(seconds)

    return (await colour.gather(call, hurry))[0]


async def test_a_soft_timeout(colour, decorate, clock, events, upstream, idle):
    """Who does not wait for the load it began is a stale hit with that run, as slow as it waited."""
    f = decorate(stale_if_error=20, soft_timeout=3)
    await colour.go(f, 1)
    clock.advance(10)
    release = upstream.block()
    assert await impatient(colour, f, clock, lambda: waiting(f) == 1, 3) == [1, 1]
    assert f.metrics.get_stats().load_latency.total == 3.0
    release()
    await idle(f)
    assert await colour.go(f, 1) == [1, 2]
    assert met(f) == besides(hits=1, misses=1, stale_hits=1, stale_served=1, recalculations=1)
    agrees(f, events, ended=3)


async def test_a_soft_timeout_that_was_not_needed(colour, decorate, clock, events, upstream, idle):
    """Who waited for the load it began, and got it in time, met an expired entry and had it recomputed."""
    f = decorate(stale_if_error=20, soft_timeout=3)
    await colour.go(f, 1)
    clock.advance(10)
    assert await colour.go(f, 1) == [1, 2]
    await idle(f)
    assert met(f) == besides(misses=1, stale_hits=1, recalculations=1)
    agrees(f, events, ended=2)


async def test_a_soft_timeout_and_a_failure(colour, decorate, clock, events, upstream, idle):
    """If the load fails in time, the old value is a stale hit; the run is on the account of the one that began it."""
    f = decorate(stale_if_error=20, soft_timeout=3)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.fails = True
    assert await colour.go(f, 1) == [1, 1]
    await idle(f)
    assert met(f) == besides(misses=1, stale_hits=1, stale_served=1, recalculations=1)
    agrees(f, events, ended=2)


async def lead_and_wait(colour, f, clock, release, *, count=1, patience=5):
    """What one leader gets and *count* followers, if they wait as long as they may."""

    async def lead():
        return await colour.end_of(f, 1)

    async def follow():
        await colour.until(lambda: flying(f))
        return await colour.end_of(f, 1)

    async def hurry():
        await colour.until(lambda: waiting(f) == count)
        clock.advance(patience)
        await release()

    return (await colour.gather(lead, *[follow] * count, hurry))[:-1]


async def test_waited_then_computed(colour, decorate, clock, events, upstream):
    """A follower that has waited enough computes: a miss, a run and a wait time-out, as slow as both together."""
    f = decorate(wait_timeout=5)
    go = upstream.block()

    async def release():
        await colour.until(lambda: upstream.inside == 2)
        clock.advance(2)
        go()

    assert sorted(await lead_and_wait(colour, f, clock, release)) == [[1, 2], [1, 2]]
    assert met(f) == {"misses": 2, "recalculations": 2, "wait_timeouts": 1}
    assert f.metrics.get_stats().load_latency.total == 14.0
    assert [event.reason for event in events.of(EventType.CACHE_MISS)] == ["cold", "wait_timeout"]
    agrees(f, events, ended=2)


async def test_waited_then_took_the_old_value(colour, decorate, clock, events, upstream):
    """A follower that has waited enough, and takes the old value, is a stale hit and a wait time-out that ran nothing."""
    f = decorate(wait_timeout=5, on_wait_timeout="stale", stale_if_error=100)
    await colour.go(f, 1)
    clock.advance(10)
    go = upstream.block()

    async def release():
        await colour.until(lambda: waiting(f) == 0)
        go()

    assert sorted(await lead_and_wait(colour, f, clock, release, count=2)) == [[1, 1], [1, 1], [1, 2]]
    assert met(f) == besides(misses=3, stale_hits=3, stale_served=2, recalculations=1, wait_timeouts=2)
    agrees(f, events, ended=4)


async def test_waited_then_had_nothing_to_take(colour, decorate, clock, events, upstream):
    """With nothing old at hand it computes, and counts so."""
    f = decorate(wait_timeout=5, on_wait_timeout="stale", stale_if_error=100)
    go = upstream.block()

    async def release():
        await colour.until(lambda: upstream.inside == 2)
        go()

    await lead_and_wait(colour, f, clock, release)
    assert met(f) == {"misses": 2, "recalculations": 2, "wait_timeouts": 1}
    agrees(f, events, ended=2)


async def test_waited_then_raised(colour, decorate, clock, events, upstream):
    """A follower that gives up with an error found nothing usable and ran nothing: a miss and a wait time-out."""
    f = decorate(wait_timeout=5, on_wait_timeout="raise")
    go = upstream.block()

    async def release():
        await colour.until(lambda: waiting(f) == 0)
        go()

    value, error = await lead_and_wait(colour, f, clock, release)
    assert value == [1, 1]
    assert isinstance(error, ResilienceTimeoutError)
    assert met(f) == besides(misses=1, wait_timeouts=1)
    assert events.count(EventType.TIMEOUT) == 1
    assert f.metrics.get_stats().total_calls == len(events.of(EventType.CACHE_HIT, EventType.CACHE_MISS)) == 2


async def test_waiting_that_was_worth_it(colour, decorate, clock, events, upstream):
    """A follower that is answered in time is a coalesced hit, however short its patience."""
    f = decorate(wait_timeout=5)
    go = upstream.block()

    async def release():
        go()

    assert await lead_and_wait(colour, f, clock, release, count=3, patience=4) == [[1, 1]] * 4
    assert met(f) == besides(hits=3, coalesced=3)
    agrees(f, events, ended=4)


async def test_the_limit_of_the_function_wins(colour, decorate, clock, events, upstream, idle):
    """A stale value is there at once, so that no one waits: no wait time-out, whatever the limit is."""
    f = decorate(wait_timeout=1, on_wait_timeout="raise", stale_while_revalidate=20)
    await colour.go(f, 1)
    clock.advance(10)
    release = upstream.block()
    await colour.go(f, 1)
    await colour.until(lambda: upstream.runs == 2)
    clock.advance(5)
    assert await colour.go(f, 1) == [1, 1]
    release()
    await idle(f)
    assert met(f) == besides(misses=2, stale_hits=2, stale_served=2, recalculations=1)
    agrees(f, events, ended=3)


# Results over the limit.

LIMITS = {"max_entry_weight": {"max_entry_weight": 3}, "max_weight": {"max_weight": 3}}


def weighed(limit, **more):
    return {"weigher": lambda value: value[1] if value[0] == "grows" else 4, **LIMITS[limit], **more}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_result_over_the_limit(colour, decorate, events, upstream, limit):
    """It is returned, not kept, and counted for each call that computed one; who waited for it is a coalesced hit."""
    f = decorate(**weighed(limit))
    go = upstream.block()

    async def call():
        return await colour.go(f, 1)

    async def release():
        await colour.until(lambda: waiting(f) == 2)
        go()

    assert (await colour.gather(call, call, call, release))[:3] == [[1, 1]] * 3
    assert await colour.go(f, 1) == [1, 2]
    assert met(f) == {
        "hits": 2, "misses": 2, "coalesced": 2, "recalculations": 2, "size_limit_rejections": 2,
    }  # fmt: skip
    assert f.metrics.get_stats().entry_count == 0
    assert gone(f) == (0, 0, 0)
    agrees(f, events, ended=4)


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_value_over_the_limit_that_is_put(colour, decorate, limit):
    """What is put by hand and too heavy is no call, and a rejection all the same; what is not too heavy is none."""
    f = decorate(**weighed(limit))
    assert f.cache.put(["grows", 3], 1)
    assert met(f) == {}
    assert not f.cache.put(["heavy"], 1)
    assert met(f) == {"size_limit_rejections": 1}
    assert f.metrics.get_stats().entry_count == 0


async def test_a_reload_over_the_limit(colour, decorate, clock, events, upstream, idle):
    """What a background reload brings may be too heavy as well: a rejection, on top of the stale hit."""

    async def ask(x):
        return ["grows", 3 * (await upstream(x))[1]]

    f = decorate(body=ask, **weighed("max_entry_weight", stale_while_revalidate=20))
    await colour.go(f, 1)
    clock.advance(10)
    assert await colour.go(f, 1) == ["grows", 3]
    await idle(f)
    assert met(f) == besides(misses=1, stale_hits=1, stale_served=1, recalculations=1, size_limit_rejections=1)
    agrees(f, events, ended=2)


async def test_a_refresh(colour, decorate, events):
    """`f.cache.refresh` is a call that misses and runs, heavy or not."""
    f = decorate(**weighed("max_entry_weight"))
    await colour.go(f.cache.refresh, 1)
    assert met(f) == besides(size_limit_rejections=1)
    agrees(f, events, ended=1)


async def test_room_by_weight(colour, decorate):
    """Entries that leave as they weigh too much together are evicted by size; weight and entries are what is there."""
    f = decorate(max_weight=10, weigher=lambda value: 4)
    for x in (1, 2, 3):
        await colour.go(f, x)
    stats = f.metrics.get_stats()
    assert (stats.entry_count, stats.total_size_bytes, stats.max_weight) == (2, 8, 10.0)
    assert gone(f) == (1, 0, 0)


async def test_weights_that_are_no_whole_numbers(colour, decorate):
    """However odd the weights are, what is told is whole and never below 0, and nothing remains of an empty cache."""
    f = decorate(weigher=lambda value: 0.1 * value[0])
    for x in range(9):
        await colour.go(f, x)
    assert f.metrics.get_stats().total_size_bytes == 4
    f.cache.clear()
    assert f.metrics.get_stats().total_size_bytes == 0
    assert type(f.metrics.get_stats().total_size_bytes) is int


# What is kept, and what is not.


async def test_an_error_that_is_kept(colour, decorate, clock, events, upstream):
    """Errors that are results are hits as long as they are good, and have expired after that."""
    f = decorate(cache_exceptions=(ConnectionError,), negative_ttl=5)
    upstream.fails = True
    assert [type(await colour.end_of(f, 1)) for _ in range(3)] == [ConnectionError] * 3
    assert f.metrics.get_stats().entry_count == 1
    clock.advance(5)
    upstream.fails = False
    await colour.go(f, 1)
    assert met(f) == besides(hits=2, misses=1, stale_hits=1, recalculations=1)
    assert gone(f) == (0, 1, 0)
    agrees(f, events, ended=4)


@pytest.mark.parametrize("option", [{"cache_if": lambda value: False}, {"ttl": lambda value: 0}])
async def test_a_result_that_is_not_kept(colour, decorate, events, option):
    """What `cache_if` or `ttl` refuses is no rejection by size: misses that ran."""
    f = decorate(**option)
    await colour.go(f, 1)
    await colour.go(f, 1)
    assert met(f) == {"misses": 2, "recalculations": 2}
    agrees(f, events, ended=2)


@pytest.mark.parametrize("way", ["bypass", "disabled"])
async def test_a_call_past_the_cache(colour, decorate, events, way):
    """It neither finds nor leaves anything: a miss that ran, each time, and hits are hits again afterwards."""
    f = decorate(stale_while_revalidate=20)
    await colour.go(f, 1)
    with getattr(f.cache, way)():
        await colour.go(f, 1)
        await colour.go(f, 1)
    assert await colour.go(f, 1) == [1, 1]
    assert met(f) == besides(hits=1, misses=2, recalculations=2)
    assert [event.reason for event in events.of(EventType.CACHE_MISS)] == ["cold", "bypassed", "bypassed"]
    agrees(f, events, ended=4)


async def test_an_invalidated_tag(colour, decorate, events):
    """What was revoked by its tag is gone: a plain miss, and an entry that left on request."""
    f = decorate(tags=("all", "one:{x}"), stale_while_revalidate=20, stale_if_error=20)
    await colour.go(f, 1)
    assert await colour.go(f, 1) == [1, 1]
    f.cache.invalidate_tag("one:1")
    await colour.go(f, 1)
    assert met(f) == besides(hits=1, misses=1, recalculations=1)
    assert gone(f) == (0, 0, 1)
    agrees(f, events, ended=3)


async def test_a_softly_invalidated_tag(colour, decorate, events, idle):
    """What is only stale is served: a stale hit with a run, and nothing left on request."""
    f = decorate(tags=("all",), stale_while_revalidate=20)
    await colour.go(f, 1)
    f.cache.invalidate_tag("all", soft=True)
    assert await colour.go(f, 1) == [1, 1]
    await idle(f)
    assert await colour.go(f, 1) == [1, 2]
    assert met(f) == besides(hits=1, misses=1, stale_hits=1, stale_served=1, recalculations=1)
    assert gone(f) == (0, 0, 0)
    agrees(f, events, ended=3)


async def test_results_that_are_copied(colour, decorate, events):
    """With `copy`, every hit is looked at, and counted once."""
    f = decorate(copy="deep")
    assert [await colour.go(f, 1) for _ in range(4)] == [[1, 1]] * 4
    assert met(f) == besides(hits=3)
    agrees(f, events, ended=4)


@pytest.mark.parametrize("policy", ["lru", "s3fifo", "sieve", "tinylfu"])
async def test_evictions_by_cause(colour, decorate, clock, policy):
    """Whatever decides who leaves: no room, age and request are told apart, and a replaced value did not leave."""
    f = decorate(policy=policy, max_size=4, stale_while_revalidate=5)
    for x in range(6):
        await colour.go(f, x)
    assert gone(f) == (2, 0, 0)
    clock.advance(15)
    await colour.go(f, 6)
    assert gone(f) == (2, 1, 0)
    f.cache.put([6, 0], 6)
    assert f.cache.invalidate(6)
    assert gone(f) == (2, 1, 1)
    f.cache.clear()
    assert gone(f) == (2, 1, 4)
    assert f.metrics.get_stats().entry_count == 0


# Sampling, windows, and whose metrics they are.

OPTIONS = {"stale_while_revalidate": 20, "max_entry_weight": 3, "weigher": lambda value: 4 if value[0] == 2 else 1}


async def traffic(colour, f, clock, idle):
    """A cold call, a stale one with a reload, and one that is too heavy."""
    await colour.go(f, 1)
    clock.advance(10)
    await colour.go(f, 1)
    await idle(f)
    await colour.go(f, 2)


async def test_one_draw_for_each_call(colour, decorate, clock, upstream, idle):
    """A call is recorded with all it met, or not at all; a background run draws no lot of its own."""
    f = decorate(**OPTIONS, metrics_sampling_rate=0.5)
    choose(f.metrics, [False, True, False])
    await traffic(colour, f, clock, idle)
    assert met(f) == {"misses": 1, "stale_hits": 1, "stale_served": 1, "recalculations": 1}
    choose(f.metrics, [True])
    await colour.go(f, 2)
    assert met(f) == {"misses": 2, "stale_hits": 1, "stale_served": 1, "recalculations": 2, "size_limit_rejections": 1}
    assert upstream.runs == 4


async def test_one_draw_for_each_call_that_waits(colour, decorate, clock, upstream):
    """Who waits in vain and computes draws once."""
    f = decorate(wait_timeout=5, metrics_sampling_rate=0.5)
    choose(f.metrics, [True, True])
    go = upstream.block()

    async def release():
        await colour.until(lambda: upstream.inside == 2)
        go()

    await lead_and_wait(colour, f, clock, release)
    assert met(f) == {"misses": 2, "recalculations": 2, "wait_timeouts": 1}


async def test_sampling_0_records_nothing(colour, decorate, clock, idle):
    """No call and no rejection; what the cache holds and lets go is counted at any rate."""
    f = decorate(**OPTIONS, metrics_sampling_rate=0.0)
    await traffic(colour, f, clock, idle)
    f.cache.put([2], 9)
    f.cache.invalidate(1)
    assert met(f) == {}
    assert gone(f) == (0, 0, 1)


async def test_windows(colour, decorate, clock, idle):
    """A window knows of every count, and forgets it in time."""
    f = decorate(**OPTIONS)
    await traffic(colour, f, clock, idle)
    f.cache.invalidate(1)
    whole = besides(misses=2, stale_hits=1, stale_served=1, recalculations=2, size_limit_rejections=1)
    assert met(f, 60) == met(f) == whole
    assert f.metrics.history(60)["stale_hits"][-1] == 1
    clock.advance(60)
    assert met(f, 60) == {}
    assert f.metrics.get_stats(60).evictions.invalidated == 0
    assert met(f, 3600) == whole
    f.metrics.reset()
    assert met(f) == {}


async def test_a_shared_cache(colour, clock, upstream, idle):
    """Each function of a shared cache has its own account of every path, rejections by hand included."""
    cache = ResultCache(CacheConfig(ttl=10, enable_metrics=True, **OPTIONS), clock=clock)

    async def body(x):
        return await upstream(x)

    async def another(x):
        return await upstream(x)

    f, g = (colour.decorate(each, cache=cache, clock=clock) for each in (body, another))
    await traffic(colour, f, clock, idle)
    await colour.go(g, 1)
    assert met(f) == besides(misses=2, stale_hits=1, stale_served=1, recalculations=2, size_limit_rejections=1)
    assert met(g) == COLD
    assert not g.cache.put([2], 7)
    assert met(g) == besides(size_limit_rejections=1)
    assert (f.metrics.get_stats().total_size_bytes, g.metrics.get_stats().total_size_bytes) == (1, 1)
    g.cache.clear()
    assert (gone(f), gone(g)) == ((0, 0, 0), (0, 0, 1))


async def test_metrics_given_to_a_cache(colour, clock, idle):
    """All that goes through a cache of one's own is in the metrics it was given."""
    cache = ResultCache(CacheConfig(ttl=10, **OPTIONS), clock=clock, metrics=CacheMetrics(clock=clock))
    f = colour.decorate(lambda x: [x], cache=cache, clock=clock)
    await traffic(colour, f, clock, idle)
    assert f.metrics is cache.metrics
    assert not cache.put("key", [2])
    assert cache.get("key") is None
    assert met(f) == besides(misses=3, stale_hits=1, stale_served=1, recalculations=2, size_limit_rejections=2)


def test_a_revoked_entry_is_not_stale_to_get(clock):
    """`get` tells expired from invalidated as calls do: a tag's entry is a plain miss."""
    cache = ResultCache(CacheConfig(ttl=10, tags=()), clock=clock, metrics=CacheMetrics(clock=clock))
    cache.put("key", 1, tags=["t"])
    cache.invalidate_tag("t")
    assert cache.get("key") is None
    assert (cache.metrics.get_stats().misses, cache.metrics.get_stats().stale_hits) == (1, 0)
