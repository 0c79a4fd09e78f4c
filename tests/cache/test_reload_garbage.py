"""Reloads hold on to nothing: what they had in hand dies with them."""

import gc
import threading
import weakref

import pytest
from gated_upstream import ZONES, reloaded
from interrupting import eventually

from pyresilience import CacheConfig, RetryConfig, resilient

PATIENCE = 20
STALE = {"ttl": 10, "stale_while_revalidate": 1000}


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("age", [10, 15])
async def test_reloads_leave_no_garbage(colour, clock, events, no_gc, fails, age):
    """What is in the frames of a reload dies with it, by reference counts alone; its arguments too."""
    refs = []

    class Precious:
        pass

    async def load(x):
        precious = Precious()
        refs.append(weakref.ref(precious))
        if fails and len(refs) > 1:
            raise OSError
        return 1

    soft = {**ZONES, "soft_timeout": 2}
    f = colour.decorate(load, cache=CacheConfig(**soft, key=lambda x: 1), retry=RetryConfig(delay=0), clock=clock)
    await colour.go(f, Precious())
    clock.advance(age)
    argument = Precious()
    refs.append(weakref.ref(argument))
    await colour.go(f, argument)
    del argument
    await reloaded(colour, f)
    assert len(refs) > 2
    await colour.until(lambda: all(ref() is None for ref in refs))


def test_collected_while_a_reload_runs(clock):
    """A function and its cache that nobody holds any more are collected once their last reload has ended."""
    gate, began = threading.Event(), threading.Event()

    def load(x):
        if began.is_set():
            gate.wait(PATIENCE)
        began.set()
        return x

    f = resilient(cache=CacheConfig(**STALE), clock=clock)(load)
    f(1)
    clock.advance(10)
    f(1)
    ref = weakref.ref(f.cache._cache)
    del f, load
    gate.set()

    def is_collected():
        gc.collect()
        return ref() is None

    assert eventually(is_collected)


def test_an_old_value_goes_when_it_is_replaced(colour):
    """Who had it computed anew does not hold on to what was there before, nor does the context that was done in."""

    class Value:
        pass

    old = []

    async def scenario():
        f = colour.decorate(lambda: Value(), cache=CacheConfig(tti=60))
        for _ in range(3):
            await colour.go(f)
            old.append(weakref.ref(f.cache.peek()))
            await colour.go(f.cache.refresh)
            assert [each() is None for each in old] == [True] * len(old)

    colour.run(scenario)
