"""Ctrl-C at every point of the library where the interpreter can deliver it, while old values are at hand."""

import threading
from functools import partial

import pytest
from gated_upstream import Upstream, is_clean, waiting
from interrupting import eventually, interrupt, is_free

from pyresilience import CacheConfig
from pyresilience._lifecycle import lifecycle
from pyresilience.testing import FakeClock

ZONES = {
    "ttl": 10,
    "refresh_ahead": 0.8,
    "stale_while_revalidate": 5,
    "stale_if_error": 100,
    "reload_cooldown": 3,
    "max_reloads": 1,
    "enable_metrics": True,
}
SOFT = {**ZONES, "stale_while_revalidate": 0, "soft_timeout": 2}
WAIT = {**ZONES, "wait_timeout": 2}


def made(colour, **config):
    """A function with an entry of 1, its upstream and its clock."""
    clock, upstream = FakeClock(1000.0), Upstream(colour)

    async def load(*args):
        return await upstream.answer(*args)

    f = colour.decorate(load, cache=CacheConfig(**config), clock=clock)
    colour.call(f, 1)
    return f, upstream, clock


def sweep(colour, prepare, act, check=None, **config):
    """Interrupt *act* at every point in turn; afterwards nothing is stuck, nothing left, and reloads begin as ever."""
    point, place = 0, ""
    running = lifecycle.running
    while place is not None:
        point += 1
        f, upstream, clock = made(colour, **config)
        upstream.done = False
        prepare(f, upstream, clock)
        place = interrupt(point, partial(colour.run, act, f, upstream, clock))
        if upstream.gate is not None and colour.is_sync:
            upstream.gate.set()
        upstream.free()
        upstream.done = True
        where = f"point {point}: {place}"
        assert eventually(lambda f=f: is_clean(f)), f"interrupted at {where}, something is left"
        assert eventually(lambda: lifecycle.running == running), f"interrupted at {where}, a call is never over"
        upstream.error = upstream.seen = None
        options = f.cache._cache.options
        assert is_free(f.cache._cache.flights.lock), where
        assert is_free(options.reloads._lock), where
        if check is not None:
            check(f, upstream, place)
        lives_on(colour, f, upstream, clock, where)
    assert point > 10


def lives_on(colour, f, upstream, clock, where):
    """A call is answered, the entry gets stale, is reloaded once, and the new value is there."""

    async def live():
        clock.advance(4)
        await colour.go(f, 1)
        await colour.until(lambda: f.cache.info().reloading == 0)
        value = await colour.go(f.cache.refresh, 1)
        clock.advance(10)
        runs = upstream.runs
        answers = [await colour.go(f, 1)]
        await colour.until(lambda: f.cache.info().reloading == 0)
        answers.append(await colour.go(f, 1))
        assert answers[-1] == value + 1, where
        assert upstream.runs == runs + 1, where
        assert f.cache.info().reload_failures >= 0

    colour.run(live)
    assert is_clean(f), where


def age(seconds):
    """Let the entry get so old."""
    return lambda f, upstream, clock: clock.advance(seconds)


async def ask(f, upstream, clock):
    """Call, and wait until nothing is under way."""
    colour = upstream.colour
    await colour.go(f, 1)
    await colour.until(lambda: f.cache.info().reloading == 0)


@pytest.mark.parametrize("seconds", [8, 15])
def test_a_reload_that_begins(colour, seconds):
    """Ctrl-C in the call that begins a reload, or anywhere in that reload where it runs in the same thread."""
    sweep(colour, age(seconds), ask, **ZONES)


@pytest.mark.parametrize("seconds", [10, 15])
def test_a_reload_that_fails(colour, seconds):
    """The same where the reload fails; the old value is still there."""

    def prepare(f, upstream, clock):
        clock.advance(seconds)
        upstream.error = OSError()

    def check(f, upstream, place):
        assert f.cache.entry(1).value == 1, place

    sweep(colour, prepare, ask, check, **ZONES)


def test_a_stale_hit_while_a_reload_runs(colour):
    """Ctrl-C in a call that finds a reload under way: that goes on, and is kept where it runs elsewhere."""

    async def act(f, upstream, clock):
        gate = upstream.hold()
        await colour.go(f, 1)
        await colour.until(lambda: upstream.runs == 2)
        await colour.go(f, 1)
        gate.set()
        await colour.until(lambda: f.cache.info().reloading == 0)

    sweep(colour, age(10), act, **ZONES)


def test_a_stale_hit_where_there_is_no_room(colour):
    """Ctrl-C in a call whose reload finds no room: that of the other key is not disturbed."""

    def prepare(f, upstream, clock):
        colour.call(f, 2)
        clock.advance(10)

    async def act(f, upstream, clock):
        gate = upstream.hold()
        await colour.go(f, 2)
        await colour.until(lambda: upstream.runs == 3)
        await colour.go(f, 1)
        gate.set()
        await colour.until(lambda: f.cache.info().reloading == 0)

    sweep(colour, prepare, act, **ZONES)


@pytest.mark.parametrize("end", ["in time", "too late", "fails"])
def test_a_soft_wait(colour, end):
    """Ctrl-C in the call that waits for a background load, however that ends."""

    def prepare(f, upstream, clock):
        clock.advance(10)
        upstream.error = OSError() if end == "fails" else None

        def once_it_waits(*args):
            upstream.seen = None
            assert not colour.is_sync or eventually(lambda: waiting(f) or upstream.done)
            if end == "too late":
                clock.advance(2)

        upstream.seen = once_it_waits

    async def act(f, upstream, clock):
        gate = upstream.hold() if end == "too late" else None
        assert await colour.go(f, 1) == (2 if end == "in time" else 1)
        if gate is not None:
            gate.set()
        await colour.until(lambda: f.cache.info().reloading == 0)

    sweep(colour, prepare, act, **SOFT)


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
@pytest.mark.parametrize(("then", "seconds"), [("compute", 0), ("compute", 20), ("stale", 20), ("raise", 0)])
def test_a_follower_that_gives_up(colour, then, seconds):
    """Ctrl-C in a follower, at any point of its wait and of what it does then: its leader is not disturbed."""
    point, place = 0, ""
    while place is not None:
        point += 1
        f, upstream, clock = made(colour, **WAIT, on_wait_timeout=then)
        if not seconds:
            f.cache.clear()
        clock.advance(seconds)
        gate, ends = upstream.hold(), []
        leader = threading.Thread(target=lambda f=f, ends=ends: ends.append(f(1)), daemon=True)
        leader.start()
        assert eventually(lambda u=upstream: u.runs == 2)
        upstream.free()

        def move(f=f, clock=clock, gate=gate):
            assert eventually(lambda: gate.is_set() or waiting(f) == 1)
            clock.advance(2)

        def follow(f=f, mover=threading.Thread(target=move, daemon=True)):
            mover.start()
            try:
                f(1)
            except TimeoutError:
                assert then == "raise"

        place = interrupt(point, follow)
        where = f"point {point}: {place}"
        gate.set()
        leader.join(20)
        assert ends == [2], where
        assert eventually(lambda clock=clock, at=1002 + seconds: clock.monotonic() == at)
        assert eventually(lambda f=f: is_clean(f)), where
        assert is_free(f.cache._cache.flights.lock), where
        if then == "raise" or (then == "stale" and seconds):
            assert f.cache.peek(1) == 2, where
        lives_on(colour, f, upstream, clock, where)
    assert point > 20


@pytest.mark.parametrize("way", ["invalidate", "clear", "tag", "put", "refresh", "close", "info"])
def test_the_control_surface(colour, way):
    """Ctrl-C in what is done by hand while a reload runs."""
    ways = {
        "invalidate": lambda f: f.cache.invalidate(1),
        "clear": lambda f: f.cache.clear(),
        "tag": lambda f: f.cache.invalidate_tag("all"),
        "put": lambda f: f.cache.put("mine", 1),
        "refresh": lambda f: f.cache.refresh(1),
        "close": lambda f: f.cache.close(0),
        "info": lambda f: f.cache.info(),
    }
    point, place = 0, ""
    while place is not None:
        point += 1
        f, upstream, clock = made(colour, **ZONES, tags=("all",))
        clock.advance(10)

        async def act(f=f, upstream=upstream, point=point):
            nonlocal place
            gate = upstream.hold()
            await colour.go(f, 1)
            await colour.until(lambda: upstream.runs == 2)
            upstream.free()
            if way == "refresh" and not colour.is_sync:
                coroutine = f.cache.refresh(1)
                place = interrupt(point, lambda: _step(coroutine))
            else:
                place = interrupt(point, lambda: ways[way](f))
            gate.set()
            await colour.until(lambda: f.cache.info().reloading == 0)

        colour.run(act)
        where = f"point {point}: {place}"
        assert is_clean(f), where
        assert is_free(f.cache._cache.flights.lock), where
        if way == "close":
            assert place is None or f.cache.close(0), where
        else:
            lives_on(colour, f, upstream, clock, where)
    assert point > 2


def _step(coroutine):
    """Run it to its end, which it reaches without waiting."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
