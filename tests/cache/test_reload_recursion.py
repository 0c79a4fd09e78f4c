"""Reloads that come back to the cache: functions that call themselves, each other, or are called by a listener."""

import threading

import pytest
from gated_upstream import ZONES, is_clean, reloaded

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.events import EventType

STALE = {"ttl": 10, "stale_while_revalidate": 100, "reload_cooldown": 3}


async def test_a_function_that_calls_itself(colour, clock, events):
    """A reload that asks for its own key, and for others, gets what is kept and does not wait for itself."""
    calls = []

    async def factorial(n):
        calls.append(n)
        if len(calls) > 50:
            raise RecursionError
        await colour.go(f, 3)
        return n * await colour.go(f, n - 1) if n else 1

    f = colour.decorate(factorial, cache=CacheConfig(**STALE), clock=clock)
    f.cache.put(0, 3)
    assert await colour.go(f, 5) == 0
    clock.advance(10)
    calls.clear()
    assert await colour.go(f, 3) == 0
    await reloaded(colour, f)
    await colour.until(lambda: is_clean(f))
    assert sorted(calls) == [*range(4)]


@pytest.mark.parametrize("settings", [STALE, {**ZONES, "stale_while_revalidate": 0, "soft_timeout": 2}])
async def test_two_functions_whose_reloads_call_each_other(colour, clock, events, settings):
    """Neither waits for the other for ever."""
    runs = []

    async def even(n):
        runs.append("even")
        return n if len(runs) > 10 else await colour.go(odd, n)

    async def ask_odd(n):
        runs.append("odd")
        return n if len(runs) > 10 else await colour.go(even_cached, n)

    cache = ResultCache(CacheConfig(**settings), clock=clock)
    even_cached = colour.decorate(even, cache=cache, clock=clock)
    odd = colour.decorate(ask_odd, cache=cache, clock=clock)
    even_cached.cache.put(7, 1)
    odd.cache.put(7, 1)
    clock.advance(10)
    ends = await colour.gather(lambda: colour.go(even_cached, 1), lambda: colour.go(odd, 1))
    assert {*ends} <= {1, 7}
    await reloaded(colour, odd)
    assert is_clean(odd)
    assert len(runs) <= (6 if "soft_timeout" not in settings else 12)


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
async def test_a_listener_may_call_the_function(colour, clock, events):
    """A listener that hears of a stale hit, a failure or a success, and calls the function, is answered."""
    heard, upstream_down = [], []

    def listen(event):
        if len(heard) < 30 and threading.current_thread() not in inside:
            heard.append(event.event_type)
            inside.append(threading.current_thread())
            try:
                f(1)
            finally:
                inside.remove(threading.current_thread())

    inside, runs = [], []

    @resilient(cache=CacheConfig(**ZONES), clock=clock, listeners=[listen])
    def f(x):
        runs.append(x)
        if upstream_down:
            raise OSError
        return x

    f(1)
    for age in (10, 6, 6, 6):
        upstream_down.append(1)
        clock.advance(age)
        assert f(1) == 1
        await reloaded(colour, f)
    assert is_clean(f)
    assert {EventType.CACHE_HIT, EventType.CACHE_MISS, EventType.FAILURE} <= {*heard}
    assert len(runs) < 12
