"""Zones, reloads and waits together with the rest: refusals, kept errors, refreshes, shared caches, hung reloads."""

import anyio
import pytest
from gated_upstream import ZONES, cached, is_clean, reloaded, under_way, waiting

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    RateLimiterConfig,
    ResultCache,
    _blocking,
)
from pyresilience._outcome import Crowded

SPARE = {**ZONES, "stale_while_revalidate": 0}


@pytest.mark.parametrize("age", [10, 15])
async def test_an_open_circuit(colour, clock, events, age):
    """What refuses a run is excused like a failure, unless `stale_on` says otherwise; the function is not called."""
    stages = {"circuit_breaker": CircuitBreakerConfig()}
    f, upstream = cached(colour, clock, events, stages, **ZONES)
    strict, _ = cached(colour, clock, events, stages, **ZONES, stale_on=(OSError,))
    for each in (f, strict):
        await colour.go(each, 1)
        each.circuit_breaker.force_open()
    clock.advance(age)
    assert [await colour.go(f, 1) for _ in range(3)] == [1, 1, 1]
    await reloaded(colour, f)
    assert upstream.runs == 1
    end = await colour.end_of(strict, 1)
    assert end == 1 if age == 10 else isinstance(end, CircuitOpenError)
    await reloaded(colour, strict)


@pytest.mark.parametrize("stage", [{"rate_limiter": RateLimiterConfig(1, 1000)}, {"bulkhead": BulkheadConfig(1)}])
async def test_no_permit(colour, clock, events, stage):
    """A caller who waits and is refused a permit has the old value."""
    f, upstream = cached(colour, clock, events, stage, **SPARE)
    await colour.go(f, 1)
    clock.advance(10)
    if "bulkhead" not in stage:
        assert await colour.go(f, 1) == 1
        return
    gate, ends = upstream.hold(), []

    async def hold_it():
        ends.append(await colour.go(f, 2))

    async def ask():
        await colour.until(lambda: upstream.runs == 2)
        ends.append(await colour.go(f, 1))
        gate.set()

    await colour.gather(hold_it, ask)
    assert ends == [1, 2]


async def test_an_error_that_is_a_result(colour, clock, events):
    """A kept error takes the place of an old value: it is the upstream's answer, not a failure to get one."""
    f, upstream = cached(colour, clock, events, **ZONES, cache_exceptions=(LookupError,), negative_ttl=4)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = KeyError("gone")
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert isinstance(await colour.end_of(f, 1), KeyError)
    assert (upstream.runs, f.cache.info().reload_failures) == (2, 0)
    clock.advance(4)
    upstream.error = OSError()
    assert await colour.end_of(f, 1) is upstream.error
    upstream.error = None
    assert await colour.go(f, 1) == 4


async def test_an_error_as_a_result_for_those_who_wait(colour, clock, events):
    """In the last zone it is raised, and kept."""
    f, upstream = cached(colour, clock, events, **SPARE, cache_exceptions=(LookupError,))
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = KeyError("gone")
    for _ in range(3):
        assert isinstance(await colour.end_of(f, 1), KeyError)
    assert upstream.runs == 2


async def test_who_waits_for_a_refresh_that_fails(colour, clock, events):
    """The refresh raises; a caller with an old value that waited for it has that value."""
    f, upstream = cached(colour, clock, events, **SPARE)
    await colour.go(f, 1)
    clock.advance(10)
    gate = upstream.hold()

    async def fail():
        await colour.until(lambda: waiting(f) == 1)
        upstream.error = OSError()
        gate.set()

    async def follow():
        await colour.until(lambda: upstream.runs == 2)
        return await colour.go(f, 1)

    first, second, _ = await colour.gather(lambda: colour.go(f.cache.refresh, 1), follow, fail)
    assert first is upstream.error
    assert second == 1
    assert is_clean(f)


async def test_a_hung_reload_of_what_is_gone(colour, clock, events):
    """Callers who find nothing but a hung reload wait `wait_timeout` for it at most, and then free the key."""
    f, upstream = cached(colour, clock, events, **ZONES, wait_timeout=2)
    gate = await under_way(colour, f, upstream, clock)
    clock.advance(50)

    async def move():
        await colour.until(lambda: waiting(f) == 1)
        clock.advance(2)

    ends = await colour.gather(lambda: colour.go(f, 1), move)
    assert ends[0] == 3
    assert await colour.go(f, 1) == 3
    gate.set()
    await reloaded(colour, f)
    assert (f.cache.peek(1), is_clean(f)) == (3, True)


async def test_a_life_of_its_own(colour, clock, events):
    """An entry put with a TTL of its own has its zones by that."""
    f, upstream = cached(colour, clock, events, **ZONES)
    f.cache.put("mine", 1, ttl=100)
    states = []
    for step in (79.9, 0.1, 19.9, 0.1, 4.9, 0.1, 14.9, 0.1):
        clock.advance(step)
        states.append(f.cache.entry(1).state)
    assert states == ["fresh", "ahead", "ahead", "stale", "stale", "spare", "spare", "gone"]
    f.cache.put("for ever", 1, ttl=0)
    clock.advance(1e9)
    assert await colour.go(f, 1) == "for ever"


@pytest.mark.parametrize("deed", ["clear", "cache_clear"])
async def test_functions_that_share_a_cache(colour, clock, events, deed):
    """Clearing one function leaves the reloads of the others alone; closing ends those of all."""
    cache = ResultCache(CacheConfig(**ZONES), clock=clock)
    gate, runs = colour.event(), []

    def make(name):
        async def load(x):
            runs.append(name)
            if len(runs) > 2:
                await gate.wait()
            return len(runs)

        load.__qualname__ = name
        return colour.decorate(load, cache=cache, clock=clock)

    f, g = make("f"), make("g")
    assert (await colour.go(f, 1), await colour.go(g, 1)) == (1, 2)
    clock.advance(10)
    await colour.go(f, 1), await colour.go(g, 1)
    await colour.until(lambda: len(runs) == 4)
    (f.cache.clear if deed == "clear" else f.cache_clear)()
    gate.set()
    await reloaded(colour, f)
    assert (f.cache.entry(1), g.cache.peek(1)) == (None, 4)
    assert cache.flights._flying == {}


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
@pytest.mark.parametrize("age", [8, 10])
async def test_the_system_has_no_thread(colour, clock, events, age, monkeypatch):
    """If no thread can be started the caller has the old value all the same, and the next one tries again."""
    f, upstream = cached(colour, clock, events, **ZONES)
    f(1)
    clock.advance(age)

    def refuse(run):
        raise Crowded

    with monkeypatch.context() as patch:
        patch.setattr(_blocking, "_start", refuse)
        assert [f(1) for _ in range(3)] == [1, 1, 1]
    assert (is_clean(f), f.cache.info().reload_failures) == (True, 0)
    f(1)
    await reloaded(colour, f)
    assert f(1) == 2


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_wait_for_closing_that_is_cancelled(colour, clock, events):
    """It leaves the reload to end by itself, and the next wait for it is as good."""
    f, upstream = cached(colour, clock, events, **ZONES)
    cleaned_up = anyio.Event()

    real = upstream.answer

    async def answer(*args):
        try:
            return await real(*args)
        finally:
            if upstream.runs == 2:
                with anyio.CancelScope(shield=True):
                    await cleaned_up.wait()

    upstream.answer = answer
    await under_way(colour, f, upstream, clock)
    with anyio.move_on_after(0.01) as scope:
        await f.cache.aclose()
    assert (scope.cancelled_caught, f.cache.info().reloading) == (True, 1)
    cleaned_up.set()
    assert await f.cache.aclose() is True
    assert is_clean(f)
