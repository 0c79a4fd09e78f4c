"""Every way a call can take through a cache, and what the metrics say of it, row by row of the table."""

from __future__ import annotations

import anyio
import pytest
from crowds import waiting

from pyresilience import (
    BulkheadConfig,
    BulkheadFullError,
    CacheConfig,
    CacheKeyError,
    CircuitBreakerConfig,
    CircuitOpenError,
    EventType,
    FallbackConfig,
    RateLimiterConfig,
    RateLimitExceededError,
    ResilienceTimeoutError,
    RetryConfig,
    TimeoutConfig,
)
from pyresilience.cache.shelf import Shelf
from pyresilience.metrics import CacheMetrics

COUNTS = (
    "hits", "misses", "coalesced", "stale_hits", "recalculations", "wait_timeouts", "size_limit_rejections",
)  # fmt: skip


def met(f):
    """The counts that are not 0."""
    stats = f.metrics.get_stats()
    return {name: getattr(stats, name) for name in COUNTS if getattr(stats, name)}


def agrees(f, events, ended):
    """Counts, durations and events tell one story of so many calls that ended."""
    stats = f.metrics.get_stats()
    assert stats.total_calls == stats.hits + stats.misses == ended
    assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
    assert (events.count(EventType.CACHE_HIT), events.count(EventType.CACHE_MISS)) == (stats.hits, stats.misses)
    assert sum(event.source == "coalesced" for event in events.of(EventType.CACHE_HIT)) == stats.coalesced
    assert sum(event.reason == "expired" for event in events.of(EventType.CACHE_MISS)) == stats.stale_hits


@pytest.fixture
def decorate(colour, clock, events):
    """Decorates a body with a measured cache in the colour of the test."""

    def decorate(body, *, ttl=300.0, max_size=256, key=None, on_unhashable="raise", **settings):
        config = CacheConfig(ttl=ttl, max_size=max_size, key=key, on_unhashable=on_unhashable, enable_metrics=True)
        return colour.decorate(body, cache=config, clock=clock, listeners=[events], **settings)

    return decorate


def broken(*args):
    raise OSError


def test_a_cold_call(colour, decorate, events):
    """No entry: a miss that runs the function, timed as a load."""
    f = decorate(lambda x: x)
    assert colour.call(f, 1) == 1
    assert met(f) == {"misses": 1, "recalculations": 1}
    agrees(f, events, ended=1)


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("arguments", [(1,), ("word",), (1.5,), ((1, 2),), (None,), ("x" * 5000,)])
def test_a_fresh_entry(colour, clock, events, arguments, heard):
    """Every later call of a key is a hit, timed as one, whatever its key is made of and whoever listens."""
    listeners = [events] if heard else []
    f = colour.decorate(lambda x: x, cache=CacheConfig(enable_metrics=True), clock=clock, listeners=listeners)

    async def scenario():
        for _ in range(9):
            assert await colour.go(f, *arguments) == arguments[0]
            clock.advance(1)

    colour.run(scenario)
    assert met(f) == {"hits": 8, "misses": 1, "recalculations": 1}
    stats = f.metrics.get_stats()
    assert (stats.hit_latency.count, stats.load_latency.count) == (8, 1)
    if heard:
        agrees(f, events, ended=9)


def test_hits_in_one_moment(colour, decorate, events):
    """Hits that share one timing are all counted, and all have a duration."""
    f = decorate(lambda x: x)

    async def scenario():
        for _ in range(101):
            await colour.go(f, 7)

    colour.run(scenario)
    assert met(f) == {"hits": 100, "misses": 1, "recalculations": 1}
    agrees(f, events, ended=101)


def test_falsy_and_none_results_hit(colour, decorate, events):
    """A result that is None or empty is a hit like any other."""
    for place, value in enumerate((None, 0, "", [], False)):
        f = decorate(lambda x, value=value: value)
        assert [colour.call(f, 1), colour.call(f, 1)] == [value, value]
        assert met(f) == {"hits": 1, "misses": 1, "recalculations": 1}, place


def test_callers_that_wait_for_the_leader(colour, decorate, events):
    """One computes, the others wait: they are coalesced hits, and what they waited is their duration."""
    go, inside = colour.event(), []

    async def body(x):
        inside.append(x)
        await go.wait()
        return x

    f = decorate(body)

    async def release():
        await colour.until(lambda: inside and waiting(f) == 6)
        f.pipeline._wiring.clock.advance(2)
        go.set()

    async def call():
        return await colour.go(f, 1)

    async def scenario():
        assert (await colour.gather(*[call] * 7, release))[:7] == [1] * 7

    colour.run(scenario)
    assert inside == [1]
    assert met(f) == {"hits": 6, "misses": 1, "coalesced": 6, "recalculations": 1}
    stats = f.metrics.get_stats()
    assert (stats.hit_latency.total, stats.load_latency.total) == (12.0, 2.0)
    agrees(f, events, ended=7)


def test_an_expired_entry(colour, decorate, clock, events):
    """A call that finds an entry whose time is over is a miss and a stale hit, and runs the function."""
    f = decorate(lambda x: x, ttl=10)
    colour.call(f, 1)
    clock.advance(9.999)
    colour.call(f, 1)
    clock.advance(0.001)
    colour.call(f, 1)
    assert met(f) == {"hits": 1, "misses": 2, "stale_hits": 1, "recalculations": 2}
    assert f.metrics.get_stats().evictions.expired == 1
    agrees(f, events, ended=3)


def test_many_callers_of_an_expired_entry(colour, decorate, clock, events):
    """Of the callers that meet an expired entry at once, one is the stale hit and the others are coalesced."""
    go, runs = colour.event(), []

    async def body(x):
        runs.append(x)
        if len(runs) > 1:
            await go.wait()
        return x

    f = decorate(body, ttl=10)

    async def call():
        return await colour.go(f, 1)

    async def release():
        await colour.until(lambda: waiting(f) == 3)
        go.set()

    async def scenario():
        await call()
        clock.advance(10)
        await colour.gather(call, call, call, call, release)

    colour.run(scenario)
    assert met(f) == {"hits": 3, "misses": 2, "coalesced": 3, "stale_hits": 1, "recalculations": 2}
    agrees(f, events, ended=5)


def test_an_invalidated_entry_is_not_stale(colour, decorate, events):
    """What was invalidated is gone: the next call is a plain miss."""
    f = decorate(lambda x: x)
    colour.call(f, 1)
    assert f.cache.invalidate(1)
    colour.call(f, 1)
    assert met(f) == {"misses": 2, "recalculations": 2}
    agrees(f, events, ended=2)


def test_a_function_that_fails(colour, decorate, events):
    """Failures are misses that ran, each of them, and nothing is kept."""
    f = decorate(broken)
    assert [type(colour.outcome(f, 1)) for _ in range(3)] == [OSError] * 3
    assert met(f) == {"misses": 3, "recalculations": 3}
    assert f.metrics.get_stats().entry_count == 0
    agrees(f, events, ended=3)


def test_those_who_wait_for_a_failure(colour, decorate, events):
    """They did not run anything: they are coalesced hits of the answer, which is an error."""
    go = colour.event()

    async def body(x):
        await go.wait()
        raise OSError

    f = decorate(body)

    async def call():
        return await colour.go(f, 1)

    async def release():
        await colour.until(lambda: waiting(f) == 2)
        go.set()

    async def scenario():
        ends = await colour.gather(call, call, call, release)
        assert [type(each) for each in ends[:3]] == [OSError] * 3

    colour.run(scenario)
    assert met(f) == {"hits": 2, "misses": 1, "coalesced": 2, "recalculations": 1}
    agrees(f, events, ended=3)


def test_a_fallback(colour, decorate, events):
    """A stand-in is no cached result: each call misses and runs."""
    f = decorate(broken, fallback=FallbackConfig("stand-in"))
    assert [colour.call(f, 1) for _ in range(3)] == ["stand-in"] * 3
    assert met(f) == {"misses": 3, "recalculations": 3}
    agrees(f, events, ended=3)


def test_a_retried_call_is_one_recalculation(colour, decorate, events):
    """Three attempts are one call: one miss, one recalculation, one duration."""
    attempts = []

    def body(x):
        attempts.append(x)
        if len(attempts) < 3:
            raise OSError
        return x

    f = decorate(body, retry=RetryConfig(max_attempts=3, delay=0))
    assert colour.call(f, 1) == 1
    assert met(f) == {"misses": 1, "recalculations": 1}
    agrees(f, events, ended=1)


def test_a_retried_call_whose_last_attempt_is_refused(colour, decorate, events):
    """The function ran once before the circuit opened: that is a recalculation."""
    f = decorate(
        broken,
        retry=RetryConfig(max_attempts=3, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1),
    )
    assert isinstance(colour.outcome(f, 1), CircuitOpenError)
    assert met(f) == {"misses": 1, "recalculations": 1}
    agrees(f, events, ended=1)


REFUSALS = {
    "circuit": (CircuitOpenError, {"circuit_breaker": CircuitBreakerConfig()}),
    "limiter": (RateLimitExceededError, {"rate_limiter": RateLimiterConfig(max_calls=1, period=100)}),
    "bulkhead": (BulkheadFullError, {"bulkhead": BulkheadConfig(max_concurrent=1)}),
}


@pytest.mark.parametrize(
    ("stage", "retried"),
    [("circuit", False), ("limiter", False), ("bulkhead", False), ("circuit", True), ("bulkhead", True)],
)
def test_a_refused_call(colour, decorate, events, stage, retried):
    """What a stage refuses is a miss that ran nothing, also when it was tried again."""
    error, settings = REFUSALS[stage]
    if retried:
        settings = {**settings, "retry": RetryConfig(max_attempts=2, delay=0, max_delay=0, retry_on=(error,))}
    go, inside = colour.event(), []

    async def body(x):
        inside.append(x)
        if stage == "bulkhead":
            await go.wait()
        return x

    f = decorate(body, **settings)

    async def occupy():
        await colour.go(f, 1)

    async def refuse():
        await colour.until(lambda: inside)
        assert isinstance(await colour.end_of(f, 2), error)
        go.set()

    async def scenario():
        if stage == "circuit":
            f.circuit_breaker.force_open()
            inside.append("nobody")
            await refuse()
        else:
            await colour.gather(occupy, refuse)

    colour.run(scenario)
    ran = stage != "circuit"
    assert met(f) == ({"misses": 2, "recalculations": 1} if ran else {"misses": 1})
    agrees(f, events, ended=1 + ran)


def test_a_call_past_the_cache(colour, decorate, events):
    """With `on_unhashable="bypass"` such calls miss and run each time, and nothing is kept."""
    f = decorate(lambda x: x, on_unhashable="bypass")
    odd = type("Odd", (), {"__hash__": None})()
    assert [colour.call(f, odd) for _ in range(3)] == [odd] * 3
    assert met(f) == {"misses": 3, "recalculations": 3}
    assert f.metrics.get_stats().entry_count == 0
    agrees(f, events, ended=3)


def test_a_call_without_a_key_did_not_begin(colour, decorate, events):
    """An argument that can be no part of a key is refused before there is a call to count."""
    f = decorate(lambda x: x)
    assert isinstance(colour.outcome(f, type("Odd", (), {"__hash__": None})()), CacheKeyError)
    assert met(f) == {}
    agrees(f, events, ended=0)


def test_a_time_limit(colour, decorate, clock, events):
    """A call that ran into its limit is a miss that ran, with the limit as its duration."""
    go = colour.event()

    async def body(x):
        clock.advance(5)
        await go.wait()

    f = decorate(body, timeout=TimeoutConfig(5))

    async def scenario():
        assert isinstance(await colour.end_of(f, 1), ResilienceTimeoutError)
        go.set()

    colour.run(scenario)
    assert met(f) == {"misses": 1, "recalculations": 1}
    assert f.metrics.get_stats().load_latency.total == 5.0
    agrees(f, events, ended=1)


def test_the_limit_of_the_whole_call_passes_while_waiting(colour, decorate, clock, events):
    """Who waited for another until its own time was up ran nothing: a coalesced hit, as its event says."""
    go, hang, stood_in = colour.event(), colour.event(), []

    async def stand_in(error):
        stood_in.append(error)
        if len(stood_in) == 1:
            await go.wait()
        return "stand-in"

    async def body(x):
        clock.advance(10)
        await hang.wait()

    f = decorate(
        body,
        timeout=TimeoutConfig(10, per_attempt=False),
        fallback=FallbackConfig(colour.dye(stand_in)),
    )

    async def first():
        return await colour.go(f, 1)

    async def second():
        await colour.until(lambda: stood_in)
        return await colour.go(f, 1)

    async def hurry():
        await colour.until(lambda: waiting(f) == 1)
        clock.advance(10)
        await colour.until(lambda: len(stood_in) == 2)
        go.set()

    async def scenario():
        assert (await colour.gather(first, second, hurry))[:2] == ["stand-in"] * 2
        hang.set()

    colour.run(scenario)
    assert met(f) == {"hits": 1, "misses": 1, "coalesced": 1, "recalculations": 1}
    agrees(f, events, ended=2)


def test_the_leader_goes_and_a_follower_computes(colour, decorate, events):
    """A leader that is cancelled or interrupted was a miss; so is the follower who computes in its place."""
    runs = []

    async def body(x):
        runs.append(x)
        if len(runs) == 1:
            await colour.until(lambda: waiting(f) == 1)
            raise KeyboardInterrupt
        return x

    async def body_async(x):
        runs.append(x)
        if len(runs) == 1:
            await colour.until(lambda: waiting(f) == 1)
            scopes[0].cancel()
            await anyio.sleep_forever()
        return x

    scopes = []
    f = decorate(body if colour.is_sync else body_async)

    async def lead():
        if colour.is_sync:
            try:
                await colour.go(f, 1)
            except KeyboardInterrupt:
                return "gone"
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await colour.go(f, 1)
        return "gone"

    async def follow():
        await colour.until(lambda: runs)
        return await colour.go(f, 1)

    async def scenario():
        assert await colour.gather(lead, follow) == ["gone", 1]

    colour.run(scenario)
    assert met(f) == {"misses": 2, "recalculations": 2}
    agrees(f, events, ended=2)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_follower_that_is_cancelled_is_not_counted(backend, clock, events):
    """A call that was cancelled while it waited met nothing: neither hit nor miss, in counts and in events."""
    from pyresilience import resilient

    async def scenario():
        go = anyio.Event()

        @resilient(cache=CacheConfig(enable_metrics=True), clock=clock, listeners=[events])
        async def f(x):
            await go.wait()
            return x

        async with anyio.create_task_group() as group:
            group.start_soon(f, 1)
            await anyio.wait_all_tasks_blocked()
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(f, 1)
                    await anyio.wait_all_tasks_blocked()
                    assert waiting(f) == 1
                    scope.cancel()
            go.set()
        assert met(f) == {"misses": 1, "recalculations": 1}
        agrees(f, events, ended=1)

    anyio.run(scenario, backend=backend)


def test_a_function_that_calls_itself(colour, decorate, events):
    """Each inner call counts for itself."""

    async def body(n):
        return n if n < 2 else await colour.go(f, n - 1) + await colour.go(f, n - 2)

    f = decorate(body)
    assert colour.call(f, 10) == 55
    assert met(f) == {"hits": 8, "misses": 11, "recalculations": 11}
    agrees(f, events, ended=19)


def test_a_function_that_calls_itself_with_the_same_arguments(colour, decorate, events):
    """It computes instead of waiting for itself: both are misses that ran."""
    depth = []

    async def body(n):
        depth.append(n)
        return await colour.go(f, n) if len(depth) < 3 else n

    f = decorate(body)
    assert colour.call(f, 1) == 1
    assert met(f) == {"misses": 3, "recalculations": 3}
    assert f.metrics.get_stats().entry_count == len(f.cache._cache) == 1
    agrees(f, events, ended=3)


def test_results_that_cannot_be_shared(colour, decorate, events):
    """What is used up by using it is computed by each caller for itself: all are misses that ran."""
    go, runs = colour.event(), []

    async def body(x):
        runs.append(x)
        await go.wait()
        return iter([x])

    f = decorate(body)

    async def call():
        return list(await colour.go(f, 1))

    async def release():
        await colour.until(lambda: waiting(f) == 2)
        go.set()

    async def scenario():
        assert (await colour.gather(call, call, call, release))[:3] == [[1]] * 3

    colour.run(scenario)
    assert met(f) == {"misses": 3, "recalculations": 3}
    assert f.metrics.get_stats().entry_count == 0
    agrees(f, events, ended=3)


def test_a_method(colour, clock):
    """Metrics belong to the function: all objects count together, and a bound method shows them."""

    class Shop:
        price = colour.decorate(lambda self, x: x, cache=CacheConfig(enable_metrics=True), clock=clock)

    one, other = Shop(), Shop()
    for shop in (one, one, other):
        colour.call(shop.price, 1)
    assert isinstance(Shop.price.metrics, CacheMetrics)
    assert one.price.metrics is other.price.metrics is Shop.price.metrics
    assert met(Shop.price) == {"hits": 1, "misses": 2, "recalculations": 2}


def test_off_is_none(colour):
    """Without `enable_metrics`, and without a cache, there are no metrics, and the cache keeps no account."""
    plain, bare = colour.decorate(lambda x: x, cache=CacheConfig()), colour.decorate(lambda x: x)
    colour.call(plain, 1)
    colour.call(bare, 1)
    assert plain.metrics is None
    assert bare.metrics is None
    assert plain.pipeline.metrics is None
    assert type(plain.cache._cache.shelf) is Shelf


def test_the_gauges_of_a_call(colour, decorate):
    """Entries, bytes and the limit are what the cache holds."""
    f = decorate(lambda x: "x" * x, max_size=3)
    for x in (10, 20, 30, 40):
        colour.call(f, x)
    stats = f.metrics.get_stats()
    assert (stats.entry_count, stats.max_entries) == (3, 3)
    assert stats.total_size_bytes == sum(len("x" * x) + "".__sizeof__() for x in (20, 30, 40))
    assert (stats.evictions.size, stats.evictions.expired, stats.evictions.invalidated) == (1, 0, 0)


def test_clear_counts_what_it_takes(colour, decorate):
    """`clear()` empties the gauges, counts every entry as invalidated, and leaves the counts of calls alone."""
    f = decorate(lambda x: x)
    for x in (1, 2, 3):
        colour.call(f, x)
    f.cache.clear()
    stats = f.metrics.get_stats()
    assert (stats.entry_count, stats.total_size_bytes, stats.evictions.invalidated) == (0, 0, 3)
    assert stats.misses == 3
