"""Reloads and event loops: they end with theirs, however it ends, and the cache goes on in any other."""

import asyncio
import contextvars
import gc
import threading

import anyio
import pytest
import trio
from gated_upstream import ZONES, cached, is_clean, reloaded, told, under_way, waiting

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience._lifecycle import lifecycle

STALE = {"ttl": 10, "stale_while_revalidate": 1000, "reload_cooldown": 3}
SPARE = {**ZONES, "stale_while_revalidate": 0}
PATIENCE = 20


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
def test_a_run_of_the_loop_ends_with_a_reload(colour, clock, events):
    """The end of the event loop's run ends its reloads; the next run begins one, and nothing is said of it."""
    f, upstream = cached(colour, clock, events, **STALE)

    async def leave():
        await under_way(colour, f, upstream, clock)

    async def leave_at_once():
        assert await colour.go(f, 1) == 1

    async def go_on():
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
        return await colour.go(f, 1)

    running = lifecycle.running
    colour.run(leave)
    assert (is_clean(f), upstream.over, lifecycle.running) == (True, 2, running)
    upstream.hold()
    colour.run(leave_at_once)
    assert (is_clean(f), lifecycle.running) == (True, running)
    upstream.free()
    runs = upstream.runs
    assert colour.run(go_on) == runs + 1
    assert f.cache.info().reload_failures == 0


def test_a_finalizer_after_the_end_of_trio(clock):
    """Where trio starts nothing in the background any more, a caller has the old value, and the next run reloads it."""

    @resilient(cache=CacheConfig(**STALE), clock=clock)
    async def f(x):
        await anyio.sleep(0)
        return clock.monotonic()

    async def generate():
        try:
            yield
        finally:
            late.append(await f(1))

    async def leave():
        first.append(await f(1))
        clock.advance(10)
        await generator.__anext__()

    async def go_on():
        await f(1)
        while f.cache.info().reloading:
            await anyio.sleep(0)
        return await f(1)

    first, late, generator = [], [], generate()
    trio.run(leave)
    assert late == first
    assert is_clean(f)
    assert trio.run(go_on) == clock.monotonic()


def test_a_task_factory_of_old(clock):
    """A task factory that knows nothing of contexts still gets a reload, which sees the caller's variables."""

    @resilient(cache=CacheConfig(**STALE), clock=clock)
    async def f(x):
        await asyncio.sleep(0)
        return tenant.get()

    async def main():
        asyncio.get_running_loop().set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
        await f(1)
        clock.advance(10)
        tenant.set("acme")
        assert await f(1) == "none"
        while f.cache.info().reloading:
            await asyncio.sleep(0)
        return await f(1)

    tenant = contextvars.ContextVar("tenant", default="none")
    assert asyncio.run(main()) == "acme"


@pytest.mark.parametrize("begun", [False, True])
def test_a_loop_that_is_closed_over_a_reload(clock, events, begun, caplog, recwarn):
    """A loop closed without cancelling leaves no stuck key, no errand, no call under way and no noise."""
    runs, running, hang = [], lifecycle.running, []

    async def load(x):
        runs.append(x)
        if hang:
            await asyncio.Event().wait()
        return len(runs)

    f = resilient(cache=CacheConfig(**STALE, max_reloads=1), clock=clock, listeners=[events])(load)

    async def leave():
        await f(1)
        clock.advance(10)
        hang.append(1)
        assert await f(1) == 1
        if begun:
            await asyncio.sleep(0)
            assert len(runs) == 2

    async def go_on():
        assert await f(1) == 1
        while f.cache.info().reloading:
            await asyncio.sleep(0)
        return await f(1)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    assert f.cache.info().reloading == 0
    assert lifecycle.running == running
    hang.clear()
    before = len(runs)
    assert asyncio.run(go_on()) == before + 1
    assert f.cache.close(0) is True
    gc.collect()
    assert (caplog.records, [str(each.message) for each in recwarn]) == ([], [])


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
def test_a_reload_with_children(colour, clock, events):
    """The end of a run is no failure of the reloads in it, however many tasks of their own they have."""
    f, upstream = cached(colour, clock, events, **ZONES)
    real = upstream.answer

    async def answer(*args):
        value = await real(*args)
        if upstream.runs > 1:
            async with trio.open_nursery() if colour.name == "trio" else anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(anyio.sleep_forever)
        return value

    upstream.answer = answer

    async def leave():
        await colour.go(f, 1)
        clock.advance(10)
        await colour.go(f, 1)
        await colour.until(lambda: upstream.runs == 2)
        await colour.sleep(0.005)

    colour.run(leave)
    assert (is_clean(f), f.cache.info().reload_failures) == (True, 0)


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
    closing.join(PATIENCE)
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


def test_who_waits_for_a_reload_in_a_loop_that_dies(clock, events):
    """A caller in another loop takes over when the loop of the reload is closed under it."""
    runs, hang = [], []

    async def load(x):
        runs.append(x)
        if hang:
            hang.clear()
            await asyncio.Event().wait()
        return len(runs)

    f = resilient(cache=CacheConfig(**SPARE, soft_timeout=5), clock=clock, listeners=[events])(load)

    async def leave():
        await f(1)
        clock.advance(10)
        hang.append(1)
        waiter = asyncio.ensure_future(f(1))
        while len(runs) < 2:
            await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    assert f.cache.info().reloading == 1
    ends = []
    other = threading.Thread(target=lambda: ends.append(asyncio.run(f(1))), daemon=True)
    other.start()
    while waiting(f) < 1:
        threading.Event().wait(0.001)
    loop.close()
    other.join(PATIENCE)
    assert ends == [3]
    assert (len(runs), is_clean(f)) == (3, True)
    assert [word for _, word in told(events)][-1] == "expired"
