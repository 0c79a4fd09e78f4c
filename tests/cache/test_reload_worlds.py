"""Reloads across event loops, threads and processes, and whatever a reload may come to."""

import asyncio
import gc
import threading

import pytest
from gated_upstream import ZONES, cached, is_clean, reloaded

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience._lifecycle import lifecycle

STALE = {"ttl": 10, "stale_while_revalidate": 1000, "reload_cooldown": 3}
PATIENCE = 20


class Stop(BaseException):
    """Ends a thread, not an error."""


@pytest.mark.parametrize("colour", ["sync", "trio"], indirect=True)
@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), Stop()], ids=repr)
async def test_what_is_no_exception_ends_a_reload_quietly(colour, clock, events, error):
    """The caller does not feel it, the key is free, it counts as a failure, and it cools down."""
    f, upstream = cached(colour, clock, events, **STALE)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = error
    for _ in range(5):
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
    assert (upstream.runs, f.cache.info().reload_failures, is_clean(f)) == (2, 1, True)
    upstream.error = None
    clock.advance(3)
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 3


@pytest.mark.parametrize("colour", ["asyncio"], indirect=True)
def test_what_is_no_exception_ends_a_loop(colour, clock, events):
    """In asyncio it ends the event loop as it would from any task, and the cache goes on in the next one."""
    f, upstream = cached(colour, clock, events, **STALE)

    async def leave():
        await colour.go(f, 1)
        clock.advance(10)
        upstream.error = SystemExit(1)
        assert await colour.go(f, 1) == 1
        await colour.sleep(0.02)

    async def go_on():
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
        return await colour.go(f, 1)

    with pytest.raises(SystemExit):
        colour.run(leave)
    upstream.error = None
    clock.advance(3)
    assert is_clean(f)
    assert colour.run(go_on) == 3


@pytest.mark.parametrize("answer", [lambda: iter([1]), lambda: (x for x in [1])])
async def test_what_can_be_used_only_once(colour, clock, events, answer):
    """A reload that returns a generator or an iterator keeps nothing of it, and nothing is stuck."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    real = upstream.answer

    async def other(*args):
        await real(*args)
        return answer()

    upstream.answer = other
    clock.advance(10)
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert is_clean(f)
    clock.advance(20)
    assert next(await colour.go(f, 1)) == 1
    assert f.cache.entry(1) is None


@pytest.mark.parametrize("field", ["cache_if", "ttl", "weigher", "tags", "copy"])
async def test_settings_that_raise(colour, clock, events, field):
    """A function among the settings that raises fails the reload, and the old value stays as long as it may."""

    def setting(*args, **kwargs):
        if upstream.runs > 1 and field != "copy":
            raise KeyError(field)
        return [] if field == "tags" else args[-1] if field == "copy" else 10

    f, upstream = cached(colour, clock, events, **{**ZONES, field: setting})
    await colour.go(f, 1)
    clock.advance(10)
    for _ in range(3):
        await colour.go(f, 1)
        await reloaded(colour, f)
    assert is_clean(f)
    assert upstream.runs == 2
    if field != "copy":
        assert f.cache.info().reload_failures == 1
        clock.advance(20)
        assert isinstance(await colour.end_of(f, 1), KeyError)


def test_a_dead_loop_whose_cleanup_fails(clock, events):
    """What the user's own cleanup raises, when the coroutine of a closed loop is given up, reaches nobody."""

    async def load(x):
        try:
            if hang:
                await asyncio.Event().wait()
        finally:
            if hang:
                raise KeyError
        return 1

    async def leave():
        await f(1)
        clock.advance(10)
        hang.append(1)
        assert await f(1) == 1
        await asyncio.sleep(0)

    hang, running = [], lifecycle.running
    f = resilient(cache=CacheConfig(**STALE, stale_on=(OSError,), max_reloads=1), clock=clock)(load)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    assert f.cache.info().reloading == 0
    assert lifecycle.running == running


def test_closing_while_a_loop_dies(clock):
    """A thread that waits for a reload is told when its loop is closed under it."""

    async def load(x):
        if hang:
            await asyncio.Event().wait()
        return 1

    async def leave():
        await f(1)
        clock.advance(10)
        hang.append(1)
        assert await f(1) == 1
        await asyncio.sleep(0)

    hang, ends = [], []
    f = resilient(cache=CacheConfig(**STALE), clock=clock)(load)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    closing = threading.Thread(target=lambda: ends.append(f.cache.close(60)), daemon=True)
    closing.start()
    while not f.cache._cache.options.reloads.closed:
        threading.Event().wait(0.001)
    threading.Event().wait(0.02)
    loop.close()
    closing.join(5)
    assert ends == [True]


@pytest.mark.parametrize("age", [10, 15])
def test_two_loops_at_once(clock, events, age):
    """Loops in two threads share entries and reloads: one run for both, whoever began it."""
    runs, together = [], threading.Barrier(2)

    async def load(x):
        runs.append(x)
        await asyncio.sleep(0.005)
        return len(runs)

    f = resilient(cache=CacheConfig(**{**ZONES, "soft_timeout": 5}), clock=clock, listeners=[events])(load)
    asyncio.run(f(1))
    clock.advance(age)
    ends = []

    def work():
        async def ask():
            together.wait(PATIENCE)
            ends.extend(await asyncio.gather(*[f(1) for _ in range(20)]))
            while f.cache.info().reloading:
                await asyncio.sleep(0.001)
            ends.append(await f(1))

        asyncio.run(ask())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(runs) == 2
    assert {*ends} <= {1, 2}
    assert ends.count(2) >= 2
    assert is_clean(f)


def test_a_loop_and_threads_share_a_cache(clock):
    """Functions of both colours in one cache share its room for reloads, and one close ends them all."""
    cache = ResultCache(CacheConfig(**STALE, max_reloads=2), clock=clock)
    gate, runs = threading.Event(), []

    @resilient(cache=cache, clock=clock)
    def blocking(x):
        runs.append("blocking")
        if hang:
            gate.wait(PATIENCE)
        return x

    @resilient(cache=cache, clock=clock)
    async def waiting(x):
        runs.append("waiting")
        if hang:
            await asyncio.Event().wait()
        return x

    hang = []

    async def main():
        for x in (1, 2):
            blocking(x), await waiting(x)
        clock.advance(10)
        hang.append(1)
        assert [blocking(1), await waiting(1), blocking(2), await waiting(2)] == [1, 1, 2, 2]
        while len(runs) < 6:
            await asyncio.sleep(0.001)
        assert cache.info().reloading == 2
        asyncio.get_running_loop().call_later(0.01, gate.set)
        return await cache.aclose(PATIENCE)

    assert asyncio.run(main()) is True
    assert sorted(runs[4:]) == ["blocking", "waiting"]
    assert cache.flights._flying == {}


@pytest.mark.parametrize("rounds", range(3))
def test_threads_come_and_go_without_a_pause(clock, rounds):
    """Threads that call, refresh, invalidate and move the time on for a while get right values, and leave nothing."""
    version, wrong, stop = [0], [], threading.Event()

    @resilient(
        cache=CacheConfig(**{**ZONES, "soft_timeout": 1, "wait_timeout": 1}, max_reloads=2, max_size=3), clock=clock
    )
    def f(x):
        if version[0] % 5 == 4:
            raise OSError
        return x, version[0]

    def call(seed):
        number = seed
        while not stop.is_set():
            number = (number * 1103515245 + 12345) % 2**31
            x = number % 5
            try:
                if number % 41 == 0:
                    f.cache.invalidate(x)
                elif number % 43 == 0:
                    f.cache.refresh(x)
                elif number % 97 == 0:
                    f.cache.clear()
                else:
                    got = f(x)
                    if got[0] != x or got[1] > version[0]:
                        wrong.append((x, got))
            except OSError:
                pass
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(1, 7)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        version[0] += 1
        clock.advance(3)
        threading.Event().wait(0.004)
    version[0] += version[0] % 5 == 4
    stop.set()
    for _ in range(100):
        clock.advance(1)
        threading.Event().wait(0.001)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert wrong == []
    assert f.cache.close(PATIENCE) is True
    assert is_clean(f)


def test_collected_while_a_reload_runs(clock):
    """A function and its cache that nobody holds any more are collected once their last reload has ended."""
    import weakref

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
    for _ in range(2000):
        gc.collect()
        if ref() is None:
            break
        threading.Event().wait(0.001)
    assert ref() is None
