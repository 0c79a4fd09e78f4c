"""Reloads end with the cache, with the event loop they live in, and with the process, and leave nothing stuck."""

import threading

import anyio
import pytest
from gated_upstream import ZONES, cached, is_clean, reloaded, under_way, waiting

from pyresilience import CacheConfig, _blocking, resilient

STALE = {"ttl": 10, "stale_while_revalidate": 1000, "reload_cooldown": 3}


async def close(colour, f, timeout=20):
    """Close the cache in the way of that colour."""
    return await colour.go(f.cache.close if colour.is_sync else f.cache.aclose, timeout)


async def test_nothing_to_close(colour, clock, events):
    """Closing a cache in which nothing runs, or that never reloads, is done at once, any number of times."""
    f, upstream = cached(colour, clock, events, **STALE)
    plain, _ = cached(colour, clock, events)
    for each in (f, plain):
        for _ in range(2):
            assert await close(colour, each, 0) is True
            assert each.cache.close(0) is True
        assert await colour.go(each, 1) == 1
        assert each.cache.peek(1) == 1


async def test_closing_ends_and_awaits_reloads(colour, clock, events):
    """It returns when the last has ended; what they had is not kept, and none begins any more."""
    f, upstream = cached(colour, clock, events, **STALE)
    gate, over = await under_way(colour, f, upstream, clock), []

    async def end():
        over.append(await close(colour, f))

    async def let_go():
        if colour.is_sync:  # a thread cannot be cancelled
            await colour.until(lambda: f.cache._cache.options.reloads.closed)
            await colour.sleep(0.01)
            assert over == []
            gate.set()

    await colour.gather(end, let_go)
    assert (over, upstream.over, f.cache.info().reloading) == ([True], 2, 0)
    assert f.cache.entry(1).value == 1
    assert await colour.go(f, 1) == 3
    assert (upstream.runs, f.cache.info().reloading) == (3, 0)
    assert is_clean(f)


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
@pytest.mark.parametrize("timeout", [0, 0.01, "10ms"])
async def test_a_thread_that_does_not_end(colour, clock, events, timeout):
    """The wait is bounded, and says that something still runs; its late result is not kept."""
    f, upstream = cached(colour, clock, events, **STALE)
    gate = await under_way(colour, f, upstream, clock)
    assert f.cache.close(timeout) is False
    assert f.cache.info().reloading == 1
    gate.set()
    await reloaded(colour, f)
    assert (f.cache.close(timeout), f.cache.entry(1).value) == (True, 1)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_task_that_does_not_end_at_once(colour, clock, events):
    """The wait for a reload that takes its time over being cancelled is bounded."""
    cleaned_up, runs = colour.event(), []

    async def load(x):
        runs.append(x)
        if len(runs) > 1:
            try:
                await colour.event().wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await cleaned_up.wait()
        return 1

    f = colour.decorate(load, cache=CacheConfig(**STALE), clock=clock)
    await colour.go(f, 1)
    clock.advance(10)
    await colour.go(f, 1)
    await colour.until(lambda: len(runs) == 2)
    assert await f.cache.aclose(0.01) is False
    assert f.cache.info().reloading == 1
    cleaned_up.set()
    await reloaded(colour, f)
    assert f.cache.entry(1).value == 1


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
async def test_a_wrong_timeout_closes_nothing(colour, clock, events, timeout):
    """A timeout that is none is refused before anything is ended."""
    f, upstream = cached(colour, clock, events, **STALE)
    gate = await under_way(colour, f, upstream, clock)
    with pytest.raises((ValueError, TypeError)):
        await close(colour, f, timeout)
    gate.set()
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 2


async def test_callers_after_closing(colour, clock, events):
    """Where a reload would have begun, the caller waits and computes; if that fails, the old value stands in."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    await close(colour, f)
    clock.advance(8)
    assert await colour.go(f, 1) == 1
    clock.advance(2)
    upstream.error = OSError()
    assert [await colour.go(f, 1) for _ in range(3)] == [1, 1, 1]
    assert upstream.runs == 2
    upstream.error = None
    clock.advance(3)
    assert await colour.go(f, 1) == 3


async def test_who_waits_for_a_reload_that_is_closed(colour, clock, events):
    """A caller in its soft wait takes over when the reload is ended, and gets a value; a thread's goes to it."""
    f, upstream = cached(colour, clock, events, **{**ZONES, "stale_while_revalidate": 0}, soft_timeout=5)
    await colour.go(f, 1)
    clock.advance(10)
    gate = upstream.hold()

    async def end():
        await colour.until(lambda: waiting(f) == 2 and upstream.runs == 2)
        upstream.free()
        if colour.is_sync:
            gate.set()
        assert await close(colour, f)

    ends = await colour.gather(lambda: colour.go(f, 1), lambda: colour.go(f, 1), end)
    assert ends == ([2, 2, None] if colour.is_sync else [3, 3, None])
    assert is_clean(f)


async def test_closing_while_callers_come(colour, clock, events):
    """Whatever callers meet while the cache is being closed, each gets a value, and then nothing runs."""
    f, upstream = cached(colour, clock, events, **STALE, max_size=1000)
    for x in range(60):
        await colour.go(f, x)
    clock.advance(10)

    async def ask(x):
        assert await colour.go(f, x % 60) > 0

    thunks = [lambda x=x: ask(x) for x in range(120)]
    thunks[40:40] = [lambda: close(colour, f)] * 2
    ends = await colour.gather(*thunks)
    assert {*ends} == {None, True}
    assert is_clean(f)


async def test_closing_inside_a_reload(colour, clock, events):
    """A reload that closes its own cache does not wait for itself."""
    ends = []

    async def load(x):
        if ends:
            ends.append(await close(colour, f))
        return 1

    f = colour.decorate(load, cache=CacheConfig(**STALE), clock=clock)
    await colour.go(f, 1)
    clock.advance(10)
    ends.append("before")
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert ends == ["before", False] if colour.is_sync else ["before"]
    assert is_clean(f)


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
def test_closing_inside_a_reload_that_has_hardly_begun(colour, clock, monkeypatch):
    """The same if its thread is faster than the caller that started it."""
    done, on_time = threading.Event(), []
    start = _blocking._start

    def start_and_dawdle(run):
        start(run)
        on_time.append(done.wait(20))

    def load(x):
        if begun:
            f.cache.close(60)
            done.set()
        return 1

    begun = []
    f = colour.decorate(load, cache=CacheConfig(**STALE), clock=clock)
    f(1)
    clock.advance(10)
    begun.append(1)
    monkeypatch.setattr(_blocking, "_start", start_and_dawdle)
    assert f(1) == 1
    assert on_time == [True]


def test_closing_in_a_thread_like_the_one_that_began(clock, monkeypatch):
    """A reload is waited for although the thread that began it has ended, and the one that closes has its number."""
    start, ends = _blocking._start, []

    def start_late(run, go):
        start(lambda: (go.wait(20), run()))

    for _ in range(20):
        go = threading.Event()
        f = resilient(cache=CacheConfig(**STALE), clock=clock)(lambda x: x)
        f(1)
        clock.advance(10)
        with monkeypatch.context() as patch:
            patch.setattr(_blocking, "_start", lambda run, go=go: start_late(run, go))
            beginning = threading.Thread(target=f, args=(1,))
            beginning.start()
            beginning.join(20)
        closing = threading.Thread(target=lambda f=f: ends.append(f.cache.close(20)))
        closing.start()
        while not f.cache._cache.options.reloads.closed:
            threading.Event().wait(0.0005)
        go.set()
        closing.join(20)
    assert ends == [True] * 20


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_closing_by_the_blocking_way_inside_the_loop(colour, clock, events):
    """`close()` in the event loop does not block it: it says that something still runs, which then ends."""
    f, upstream = cached(colour, clock, events, **STALE)
    await under_way(colour, f, upstream, clock)
    assert f.cache.close(20) is False
    await reloaded(colour, f)
    assert (upstream.over, f.cache.close(0), f.cache.entry(1).value) == (2, True, 1)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_closing_from_another_thread(colour, clock, events):
    """A thread may close a cache whose reloads live in an event loop, and waits for them."""
    f, upstream = cached(colour, clock, events, **STALE)
    await under_way(colour, f, upstream, clock)
    ends = []
    thread = threading.Thread(target=lambda: ends.append(f.cache.close(20)))
    thread.start()
    await colour.until(lambda: not thread.is_alive())
    assert (ends, upstream.over) == ([True], 2)


async def test_closing_keeps_what_a_caller_computes(colour, clock, events):
    """Only reloads are closed: a caller who just computes the key of an old, fenced reload keeps its result."""
    f, upstream = cached(colour, clock, events, **STALE)
    old = await under_way(colour, f, upstream, clock)
    f.cache.invalidate(1)
    gate = upstream.hold()

    async def end():
        await colour.until(lambda: upstream.runs == 3)
        if colour.is_sync:
            old.set()
        await close(colour, f)
        gate.set()

    ends = await colour.gather(lambda: colour.go(f, 1), end)
    assert (ends, f.cache.peek(1)) == ([3, None], 3)
