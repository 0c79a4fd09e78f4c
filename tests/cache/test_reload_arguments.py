"""A reload has the arguments of a call that is over: whoever made that may have changed them since."""

from contextvars import ContextVar
from dataclasses import dataclass

import pytest
from gated_upstream import ZONES, is_clean, reloaded, waiting

from pyresilience import CacheConfig


def summing(colour, clock, **config):
    """A function that adds up a list, its calls, and what holds its runs."""
    calls, gates = [], []

    async def total(xs):
        calls.append(list(xs))
        if gates:
            await gates[-1].wait()
        return sum(xs)

    return colour.decorate(total, cache=CacheConfig(**config), clock=clock), calls, gates


async def begun(colour, clock, f, calls, gates, age=10):
    """Have the sum of a list reloaded, and hold that; returns the list."""
    xs = [1]
    await colour.go(f, xs)
    clock.advance(age)
    gates.append(colour.event())
    assert await colour.go(f, xs) == 1
    await colour.until(lambda: len(calls) == 2)
    return xs


@pytest.mark.parametrize("age", [8, 10])
async def test_what_was_changed_before_its_result_is_there(colour, clock, age):
    """The result of other arguments is not kept; nobody tries again at once, and then a caller's own do."""
    f, calls, gates = summing(colour, clock, **ZONES)
    xs = await begun(colour, clock, f, calls, gates, age)
    xs.append(100)
    gates.pop().set()
    await reloaded(colour, f)
    assert (await colour.go(f, [1]), f.cache.peek(xs)) == (1, None)
    assert (len(calls), f.cache.info().reload_failures) == (2, 1)
    clock.advance(3)
    await colour.go(f, [1])
    await reloaded(colour, f)
    assert (await colour.go(f, [1]), calls) == (1, [[1]] * 3)
    assert f.cache.entry([1]).state == "fresh"
    assert is_clean(f)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_what_was_changed_before_it_begins(colour, clock):
    """The function does not run for what nobody asked."""
    f, calls, _ = summing(colour, clock, **ZONES)
    xs = [1]
    await colour.go(f, xs)
    clock.advance(10)
    await colour.go(f, xs)
    xs.append({})  # of which no key can be made, and no sum
    await reloaded(colour, f)
    assert (calls, f.cache.info().reload_failures) == ([[1]], 1)


async def test_those_who_waited_for_it(colour, clock):
    """They compute for themselves, with their own."""
    f, calls, gates = summing(colour, clock, **ZONES)
    xs = await begun(colour, clock, f, calls, gates)
    xs.append(100)
    clock.advance(20)

    async def let_it_go():
        await colour.until(lambda: waiting(f) == 2)
        gates.pop().set()

    ends = await colour.gather(*[lambda: colour.go(f, [1])] * 2, let_it_go)
    assert ends[:2] == [1, 1]
    assert calls == [[1]] * 3
    await reloaded(colour, f)
    assert f.cache.entry([1]).state == "fresh"
    assert is_clean(f)


async def test_it_fails_since_they_were_changed(colour, clock):
    """Who waits for it, with the same arguments as they were, is not told of that error."""
    f, calls, gates = summing(colour, clock, **ZONES)
    xs = await begun(colour, clock, f, calls, gates)
    xs[0] = "1"  # which cannot be added up
    clock.advance(20)

    async def let_it_go():
        await colour.until(lambda: waiting(f) == 1)
        gates.pop().set()

    assert (await colour.gather(lambda: colour.go(f, [1]), let_it_go))[0] == 1
    assert calls == [[1]] * 3


async def test_a_method_of_what_has_changed(colour, clock):
    """The fields of `self` are part of the key."""

    @dataclass(eq=True, unsafe_hash=True)
    class Shop:
        rate: int
        gate: object = None

    async def price(shop):
        rate = shop.rate
        if rate > 1:
            shop.rate = 5
        return rate

    f = colour.decorate(price, cache=CacheConfig(**ZONES), clock=clock)
    shop = Shop(2)
    await colour.go(f, shop)
    clock.advance(10)
    await colour.go(f, Shop(2))
    await reloaded(colour, f)
    assert f.cache.info().reload_failures == 1
    assert f.cache.entry(Shop(2)).state == "stale"


async def test_what_the_key_varies_by(colour, clock):
    """A switch that is turned meanwhile makes it another result; a context variable is what it was for the caller."""
    tenant, switch, runs = ContextVar("tenant", default="a"), ["old"], []

    async def look(x):
        runs.append(x)
        answer = switch[0], tenant.get()
        if len(runs) == 2:
            switch[0] = "new"
        tenant.set("elsewhere")
        return answer

    config = CacheConfig(**ZONES, vary=(tenant, lambda: switch[0]))
    f = colour.decorate(look, cache=config, clock=clock)

    async def call():
        tenant.set("a")
        answer = await colour.go(f, 1)
        tenant.set("a")
        return answer

    await call()
    clock.advance(10)
    assert await call() == ("old", "a")
    await reloaded(colour, f)
    assert (f.cache.info().reload_failures, f.cache.entry(1)) == (1, None)
    switch[0] = "old"
    clock.advance(3)
    assert await call() == ("old", "a")
    await reloaded(colour, f)
    assert f.cache.entry(1).state == "fresh"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_function_that_changes_its_arguments(colour, clock, fails):
    """As long as the call goes on that has it reloaded, the arguments are the function's own."""
    soft = {"ttl": 10, "stale_if_error": 100, "soft_timeout": 2, "reload_cooldown": 3}
    runs = []

    async def total(xs):
        runs.append(sum(xs))
        xs.clear()
        if fails and len(runs) > 1:
            raise ConnectionError
        return runs[-1]

    f = colour.decorate(total, cache=CacheConfig(**soft), clock=clock)
    for _ in range(3):
        assert await colour.go(f, [1, 2]) == 3
        await reloaded(colour, f)
        clock.advance(10)
    assert runs == [3] * 3
    assert f.cache.info().reload_failures == 2 * fails
    assert f.cache.peek([]) is None
    assert is_clean(f)


async def test_a_call_that_waits_no_longer(colour, clock):
    """From then on the arguments are its maker's again."""
    f, calls, gates = summing(colour, clock, ttl=10, stale_if_error=100, soft_timeout=2)
    xs = [1]
    await colour.go(f, xs)
    clock.advance(10)
    gates.append(colour.event())

    async def move():
        await colour.until(lambda: waiting(f) == 1 and len(calls) == 2)
        clock.advance(2)

    assert (await colour.gather(lambda: colour.go(f, xs), move))[0] == 1
    xs.append(100)
    gates.pop().set()
    await reloaded(colour, f)
    assert (f.cache.entry([1]).value, f.cache.info().reload_failures) == (1, 1)
