"""Ctrl-C and signal handlers in an event loop that goes on being used: reloads keep no room for themselves."""

import asyncio
from contextlib import closing

import pytest
from gated_upstream import is_clean
from interrupting import interrupt, meddle

from pyresilience import CacheConfig, resilient
from pyresilience._lifecycle import lifecycle
from pyresilience.testing import FakeClock

ZONES = {"ttl": 10, "stale_while_revalidate": 5, "stale_if_error": 100, "max_reloads": 1, "reload_cooldown": 3}
SOFT = {**ZONES, "stale_while_revalidate": 0, "soft_timeout": 5}


def made(config):
    """A function with an entry of 1 that is too old, and a loop for it."""
    clock, runs, loop = FakeClock(1000.0), [], asyncio.new_event_loop()

    @resilient(cache=CacheConfig(**config), clock=clock)
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        return len(runs)

    loop.run_until_complete(f(1))
    clock.advance(10)
    return f, clock, runs, loop


async def settled(f):
    """Wait until nothing is under way, for a while."""
    for _ in range(200):
        if is_clean(f):
            return True
        await asyncio.sleep(0)
    return False


async def lives_on(f, clock):
    """A stale entry is reloaded."""
    value = await f.cache.refresh(1)
    clock.advance(10)
    await f(1)
    assert await settled(f)
    return await f(1) == value + 1


@pytest.mark.parametrize("config", [ZONES, SOFT], ids=["stale", "soft"])
def test_a_loop_that_goes_on_after_ctrl_c(config):
    """Wherever it struck, in a call, a reload, or between them, the next reload of the same loop finds its room."""
    point, place, running = 0, "", lifecycle.running
    while place is not None:
        point += 1
        f, clock, _, loop = made(config)

        async def act(f=f):
            await f(1)
            await settled(f)

        with closing(loop):
            task = loop.create_task(act())
            place = interrupt(point, lambda loop=loop, task=task: loop.run_until_complete(task))
            task.cancel()
            stopped = False  # a stop may be pending from the run that was interrupted
            while not (stopped and task.done()):
                loop.call_soon(loop.stop)
                loop.run_forever()
                stopped = True
            if not task.cancelled():
                task.exception()
            where = f"point {point}: {place}"
            assert loop.run_until_complete(settled(f)), where
            assert lifecycle.running == running, where
            clock.advance(3)
            assert loop.run_until_complete(lives_on(f, clock)), where
    assert point > 50


HANDLERS = {
    "invalidates": lambda f, clock: f.cache.invalidate(1),
    "clears": lambda f, clock: f.cache.clear(),
    "puts": lambda f, clock: f.cache.put(7, 1),
    "closes": lambda f, clock: f.cache.close(0),
    "looks": lambda f, clock: (f.cache.info(), f.cache.entry(1), f.cache.peek(1)),
    "moves the time on": lambda f, clock: clock.advance(3),
}


@pytest.mark.parametrize("config", [ZONES, SOFT], ids=["stale", "soft"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_handlers_in_a_loop(config, handler):
    """A signal handler that meddles with the cache anywhere in an asynchronous call, or its reload, is not felt."""
    point, reached = 0, True
    while reached:
        point += 1
        f, clock, runs, loop = made(config)

        async def act(f=f, runs=runs):
            assert await f(1) in (1, 2, 3, 7)
            assert await settled(f)

        with closing(loop):
            reached = meddle(
                point,
                lambda loop=loop, act=act: loop.run_until_complete(act()),
                lambda f=f, clock=clock: HANDLERS[handler](f, clock),
            )
            assert is_clean(f), point
            if handler == "closes":
                assert loop.run_until_complete(f.cache.aclose(5)) is True
            else:
                clock.advance(3)
                assert loop.run_until_complete(lives_on(f, clock)), point
    assert point > 50
