"""Calls that go past the cache: those of one block of code, or all of them while it is switched off."""

from __future__ import annotations

import contextvars
import gc
import sys
import threading

import pytest
from interrupting import HOME, interrupt

from pyresilience import CacheConfig, EventType, ResultCache, resilient
from pyresilience.cache.valve import _passes

BLOCKS = pytest.mark.parametrize("block", ["bypass", "disabled"])


class Upstream:
    """Answers how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        return self.calls

    def numbered(self, x=0):
        return self()


def counting(colour, **settings):
    """A cached function of that colour that says how often it ran, which is 1, as it was called once."""
    upstream = Upstream()
    f = colour.decorate(lambda x=0: upstream(), **{"cache": CacheConfig(), **settings})
    assert colour.call(f) == 1
    return f


@BLOCKS
def test_calls_neither_find_nor_leave_a_result(colour, block, events):
    """In the block each call runs the function; afterwards what was kept before is found, and nothing else."""
    f = counting(colour, listeners=[events])

    async def scenario():
        with getattr(f.cache, block)():
            assert await colour.go(f) == 2
            assert await colour.go(f) == 3
            assert await colour.go(f, 7) == 4
        assert await colour.go(f) == 1
        assert not f.cache.contains(7)

    events.clear()
    colour.run(scenario)
    assert [each.reason for each in events.of(EventType.CACHE_MISS)] == ["bypassed"] * 3
    assert events.count(EventType.CACHE_HIT) == 1


@BLOCKS
def test_the_metrics_count_them_as_misses(colour, block):
    """A call that went past the cache is a miss that ran the function; what it returned is not weighed."""
    upstream = Upstream()
    f = colour.decorate(lambda x: upstream(), cache=CacheConfig(enable_metrics=True, max_entry_weight=1))

    async def scenario():
        with getattr(f.cache, block)():
            await colour.go(f, 1)

    colour.run(scenario)
    stats = f.metrics.get_stats()
    assert (stats.hits, stats.misses, stats.recalculations, stats.size_limit_rejections) == (0, 1, 1, 0)


@pytest.mark.parametrize(("block", "others"), [("bypass", 1), ("disabled", 2)])
async def test_whose_calls(colour, block, others):
    """`bypass` is for the calls of this thread or task alone, `disabled` for those of all."""
    f = colour.decorate(Upstream().numbered, cache=CacheConfig())
    assert await colour.go(f) == 1
    inside, done = colour.event(), colour.event()

    async def holder():
        with getattr(f.cache, block)():
            inside.set()
            await done.wait()
            return await colour.go(f)

    async def other():
        await inside.wait()
        try:
            return await colour.go(f)
        finally:
            done.set()

    mine, theirs = await colour.gather(holder, other)
    assert theirs == others
    assert mine == others + 1
    assert await colour.go(f) == 1


async def test_they_wait_for_nobody(colour):
    """A call that goes past the cache does not join those who compute the same, nor do they get its result."""
    started, go, upstream = colour.event(), colour.event(), Upstream()

    async def body():
        number = upstream()
        if number == 1:
            started.set()
            await go.wait()
        return number

    f = colour.decorate(body, cache=CacheConfig())

    async def past():
        await started.wait()
        with f.cache.bypass():
            number = await colour.go(f)
        go.set()
        return number

    assert await colour.gather(lambda: colour.go(f), past) == [1, 2]
    assert await colour.go(f) == 1


@pytest.mark.parametrize("inner", ["bypass", "disabled"])
@BLOCKS
def test_blocks_may_be_nested(colour, block, inner):
    """The end of the inner block does not end the outer one, whichever they are."""
    f = counting(colour)

    async def scenario():
        with getattr(f.cache, block)():
            with getattr(f.cache, inner)():
                assert await colour.go(f) == 2
            assert await colour.go(f) == 3
        assert await colour.go(f) == 1

    colour.run(scenario)


@BLOCKS
def test_an_error_ends_the_block(colour, block):
    """Whatever ends it: the error goes on, and the cache is found again."""
    f = counting(colour)
    with pytest.raises(KeyError, match="mine"), getattr(f.cache, block)():
        raise KeyError("mine")
    assert colour.call(f) == 1


@BLOCKS
def test_it_is_for_one_function(colour, block):
    """Another function, even one that shares the cache, is not concerned."""
    shared, runs = ResultCache(CacheConfig()), {"f": 0, "g": 0}

    def body(name):
        def run():
            runs[name] += 1

        return colour.decorate(run, cache=shared)

    f, g = body("f"), body("g")

    async def scenario():
        await colour.go(f)
        await colour.go(g)
        with getattr(f.cache, block)():
            await colour.go(f)
            await colour.go(g)
        await colour.go(f)
        await colour.go(g)

    colour.run(scenario)
    assert runs == {"f": 2, "g": 1}


@pytest.mark.parametrize("first", ["bypass", "disabled"])
@BLOCKS
def test_blocks_may_end_in_any_order(block, first):
    """The block of another function, begun earlier and ended earlier, takes nothing of this one with it."""
    f, g = (resilient(cache=CacheConfig())(Upstream()) for _ in range(2))
    assert (f(), g()) == (1, 1)
    one, other = getattr(f.cache, first)(), getattr(g.cache, block)()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert (f(), g()) == (1, 2)
    other.__exit__(None, None, None)
    assert (f(), g()) == (1, 1)


@BLOCKS
def test_a_generator_may_hold_one(block):
    """A block in a generator ends when the generator is closed; meanwhile others may come and go."""
    f = resilient(cache=CacheConfig())(Upstream())
    f()

    def holder():
        with getattr(f.cache, block)():
            while True:
                yield f()

    one, other = holder(), holder()
    assert (next(one), next(other), next(one)) == (2, 3, 4)
    one.close()
    assert next(other) == 5
    other.close()
    assert f() == 1


async def test_a_child_that_outlives_the_block(colour):
    """What is begun in the block goes past the cache, too, until the block ends; then it finds the cache again."""
    f = colour.decorate(Upstream().numbered, cache=CacheConfig())
    assert await colour.go(f) == 1
    ended, looked = colour.event(), colour.event()
    seen, contexts = [], []

    async def child():
        seen.append(await colour.go(f))
        looked.set()
        await ended.wait()
        seen.append(await colour.go(f))

    async def begin():
        if colour.is_sync:
            with f.cache.bypass():
                contexts.append(contextvars.copy_context())
                thread = threading.Thread(target=contexts[0].run, args=(lambda: colour.run(child),), daemon=True)
                thread.start()
                await looked.wait()
            ended.set()
            thread.join(20)
            return
        import anyio

        async with anyio.create_task_group() as group:
            with f.cache.bypass():
                group.start_soon(child)
                await looked.wait()
            ended.set()

    await begin()
    assert seen == [2, 1]


@BLOCKS
def test_many_threads_at_once(block):
    """Whoever enters and leaves blocks meanwhile: a call in a block runs the function."""
    ran = threading.local()

    def body():
        ran.calls = getattr(ran, "calls", 0) + 1

    f, missing = resilient(cache=CacheConfig())(body), []

    def work():
        for _ in range(200):
            with getattr(f.cache, block)():
                before = getattr(ran, "calls", 0)
                f()
                missing.append(ran.calls == before)
            f()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    finally:
        sys.setswitchinterval(before)
    assert missing == [False] * 800


def steps(call):
    """How many functions of ours a call enters."""
    count = 0

    def watch(frame, event, _):
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(HOME)

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


@BLOCKS
def test_a_hit_is_as_short_as_before(colour, block):
    """Once the last block has ended, a hit takes the way it took before there was one."""
    f = counting(colour)

    def hit():
        return f() if colour.is_sync else pytest.raises(StopIteration, f().send, None)

    before = steps(hit)
    with getattr(f.cache, block)(), f.cache.bypass():
        pass
    assert steps(hit) == before


@BLOCKS
def test_an_interrupt_anywhere(block):
    """Ctrl-C while a block begins or ends: it is over, the next one works, and a hit is as short as before."""

    def hit():
        assert f() == 1

    def use():
        with getattr(f.cache, block)():
            pass

    point, place = 0, ""
    while place is not None:
        point += 1
        f = resilient(cache=CacheConfig())(Upstream())
        f()
        before = steps(hit)
        place = contextvars.copy_context().run(interrupt, point, use)
        gc.collect()
        hit()
        assert steps(hit) == before, place
        with getattr(f.cache, block)():
            assert f() == 2, place
        assert f() == 1, place
    assert point > 10


def test_interrupts_do_not_add_up():
    """Whatever Ctrl-C leaves of a block in a context is gone with the next one there."""
    f = resilient(cache=CacheConfig())(Upstream())

    def use():
        with f.cache.bypass():
            pass

    def sweep():
        point = 0
        while interrupt(point := point + 1, use) is not None:
            use()
            assert _passes.get() == (), point
        return point

    assert contextvars.copy_context().run(sweep) > 10
