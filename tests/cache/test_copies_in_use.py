"""Callers change what they got, in every way that there is to get something, and nobody else sees it."""

from __future__ import annotations

import copy

import pytest
from gated_upstream import waiting

from pyresilience import CacheConfig, FallbackConfig, ResultCache

ROWS = {"rows": [1]}
DEEP = {"deep": "deep", "function": copy.deepcopy}

deeply = pytest.mark.parametrize("how", DEEP.values(), ids=DEEP)


def spoil(result):
    """Change *result* as a careless caller does, and return what it was before."""
    before = copy.deepcopy(result)
    result["rows"].append("mine")
    result["more"] = "mine"
    return before


def fails_after(calls):
    """A function that answers so often, and fails from then on."""
    runs = []

    def body(x=0):
        runs.append(x)
        if len(runs) > calls:
            raise OSError("down")
        return copy.deepcopy(ROWS)

    return body


@deeply
@pytest.mark.parametrize(
    "settings",
    [{}, {"tags": ()}, {"enable_metrics": True}, {"max_weight": "1MB"}, {"tti": 60}, {"policy": "sieve"}],
    ids=str,
)
def test_hits(colour, how, settings):
    """The first caller and every later one have a result of their own."""
    f = colour.decorate(fails_after(1), cache=CacheConfig(copy=how, **settings))
    assert [spoil(colour.call(f)) for _ in range(4)] == [ROWS] * 4
    assert f.cache_info()[:2] == (3, 1)


@deeply
def test_looking_by_hand(colour, how):
    """What `get`, `peek` and `entry` show is no more the kept object than what a call gets; `values` likewise."""
    cache = ResultCache(CacheConfig(copy=how))
    f = colour.decorate(fails_after(1), cache=cache)
    colour.call(f)
    for _ in range(2):
        assert spoil(f.cache.get()) == ROWS
        assert spoil(f.cache.peek()) == ROWS
        assert spoil(f.cache.entry().value) == ROWS
        assert spoil(cache.get(f.cache.key())) == ROWS
        assert [spoil(each) for each in cache.values()] == [ROWS]
    assert colour.call(f) == ROWS


@deeply
def test_what_is_put(colour, how):
    """Whoever put something may go on changing it."""
    f = colour.decorate(fails_after(0), cache=CacheConfig(copy=how))
    cache = ResultCache(CacheConfig(copy=how))
    mine = copy.deepcopy(ROWS)
    f.cache.put(mine)
    cache.put("key", mine)
    spoil(mine)
    assert colour.call(f) == cache.get("key") == ROWS


@deeply
def test_refresh(colour, how):
    """Whoever refreshes gets a result of its own, too."""
    f = colour.decorate(fails_after(2), cache=CacheConfig(copy=how))
    colour.call(f)
    assert spoil(colour.call(f.cache.refresh)) == ROWS
    assert colour.call(f) == ROWS


@deeply
@pytest.mark.parametrize(
    "settings",
    [{}, {"cache_if": lambda _: False}, {"max_entry_weight": 1}, {"ttl": lambda _: 0}],
    ids=["kept", "if", "weight", "ttl"],
)
async def test_those_who_waited(colour, how, settings):
    """The leader changes its result as soon as it has it; those who waited have their own, even if it is not kept."""
    started, go, runs = colour.event(), colour.event(), []

    async def body():
        runs.append(1)
        started.set()
        await go.wait()
        return copy.deepcopy(ROWS)

    f = colour.decorate(body, cache=CacheConfig(copy=how, **settings))

    async def caller():
        return spoil(await colour.go(f))

    async def release():
        await started.wait()
        await colour.until(lambda: len(f.cache._cache.flights._flying[()].followers) == 4)
        go.set()

    assert (await colour.gather(*[caller] * 5, release))[:5] == [ROWS] * 5
    assert len(runs) == 1


@deeply
@pytest.mark.parametrize(
    "fallback", [{}, {"fallback": FallbackConfig(handler={"rows": ["fallback"]})}], ids=["", "fallback"]
)
async def test_an_old_result_that_stands_in(colour, clock, how, fallback):
    """Whoever is given an old result for want of a new one has it for itself, the leader and those who waited."""
    started, go, runs = colour.event(), colour.event(), []

    async def body():
        runs.append(1)
        if len(runs) > 1:
            started.set()
            await go.wait()
            raise OSError("down")
        return copy.deepcopy(ROWS)

    config = CacheConfig(ttl=5, copy=how, stale_if_error=60, reload_cooldown=5)
    f = colour.decorate(body, cache=config, clock=clock, **fallback)
    assert spoil(await colour.go(f)) == ROWS
    clock.advance(6)

    async def caller():
        return spoil(await colour.go(f))

    async def release():
        await started.wait()
        await colour.until(lambda: len(f.cache._cache.flights._flying[()].followers) == 2)
        go.set()

    assert (await colour.gather(*[caller] * 3, release))[:3] == [ROWS] * 3
    assert spoil(await colour.go(f)) == ROWS
    assert spoil(await colour.go(f)) == ROWS
    assert len(runs) == 2


@deeply
async def test_a_stale_result(colour, clock, how):
    """An old result handed out while a new one is being computed is a copy, and so is the new one."""
    f = colour.decorate(fails_after(2), cache=CacheConfig(ttl=5, copy=how, stale_while_revalidate=60), clock=clock)
    assert spoil(await colour.go(f)) == ROWS
    clock.advance(6)
    assert spoil(await colour.go(f)) == ROWS
    await colour.until(lambda: f.cache.info().reloading == 0)
    for _ in range(2):
        assert spoil(await colour.go(f)) == ROWS
    assert f.cache_info().misses == 1


@deeply
async def test_whoever_has_waited_long_enough(colour, clock, how):
    """The old result that is taken after `wait_timeout` is a copy."""
    started, go, runs = colour.event(), colour.event(), []

    async def body():
        runs.append(1)
        if len(runs) > 1:
            started.set()
            await go.wait()
        return copy.deepcopy(ROWS)

    config = CacheConfig(ttl=5, copy=how, stale_if_error=60, wait_timeout=1, on_wait_timeout="stale")
    f = colour.decorate(body, cache=config, clock=clock)
    await colour.go(f)
    clock.advance(6)

    async def waits():
        await started.wait()
        return [spoil(await colour.go(f)) for _ in range(1)]

    async def release():
        await started.wait()
        await colour.until(lambda: waiting(f) == 2)
        clock.advance(1)
        await colour.until(lambda: waiting(f) == 0)
        go.set()

    ends = await colour.gather(lambda: colour.go(f), waits, waits, release)
    assert ends == [ROWS, [ROWS], [ROWS], None]
    assert await colour.go(f) == ROWS


def test_shallow_copies(colour):
    """They are of the outside: what is added to the result is its caller's own, what is inside is shared."""
    f = colour.decorate(fails_after(1), cache=CacheConfig(copy="shallow"))
    colour.call(f)["more"] = "mine"
    assert colour.call(f) == ROWS
    assert f.cache.peek() is not f.cache.peek()
    assert f.cache.peek()["rows"] is f.cache.peek()["rows"]


@pytest.mark.parametrize("settings", [{}, {"tags": ()}, {"tti": 60}])
def test_without_copies_there_are_none(colour, settings):
    """By default all get the very object, however they ask."""
    f = colour.decorate(fails_after(1), cache=CacheConfig(**settings))
    first = colour.call(f)
    assert all(each is first for each in (colour.call(f), f.cache.get(), f.cache.peek(), f.cache.entry().value))


def test_one_copy_for_each(colour):
    """What is kept is copied once, and once more for each hit; what is not handed out is not copied."""
    copied = []

    def count(result):
        copied.append(result)
        return copy.copy(result)

    f = colour.decorate(fails_after(1), cache=CacheConfig(copy=count))
    colour.call(f)
    assert len(copied) == 1
    colour.call(f)
    assert len(copied) == 2
    f.cache.contains()
    f.cache.explain()
    f.cache.info()
    f.cache.invalidate()
    assert len(copied) == 2


def test_what_cannot_be_copied(colour):
    """The error of the copy is the call's; nothing is kept, and the next call tries again."""
    f = colour.decorate(lambda: (each for each in ()).__next__, cache=CacheConfig(copy="deep"))
    for _ in range(2):
        assert isinstance(colour.outcome(f), TypeError)
    assert f.cache_info() == (0, 2, 256, 0)


def test_a_copy_that_fails_later(colour):
    """What can be kept but not handed out fails the calls that ask for it, and can be invalidated."""
    broken = []

    def copier(result):
        if broken:
            raise ValueError("cannot be copied")
        return list(result)

    f = colour.decorate(lambda: [1], cache=CacheConfig(copy=copier))
    colour.call(f)
    broken.append(1)
    for ask in (f.cache.get, f.cache.peek, f.cache.entry):
        with pytest.raises(ValueError, match="cannot be copied"):
            ask()
    with pytest.raises(ValueError, match="cannot be copied"):
        colour.call(f)
    broken.clear()
    assert colour.call(f) == [1]
