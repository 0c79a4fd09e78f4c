"""Callers that are cancelled while they wait, lead, or have something reloaded: nobody else notices."""

import random

import anyio
import pytest
from gated_upstream import ZONES, cached, counted, is_clean, reloaded, told, waiting

SPARE = {**ZONES, "stale_while_revalidate": 0, "enable_metrics": True}
SOFT = {**SPARE, "soft_timeout": 2}

pytestmark = pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)


class Caller:
    """One call in a task of its own, that can be cancelled alone."""

    def __init__(self, colour, f):
        self.scope, self.end, self.over = anyio.CancelScope(), "cancelled", False
        self._colour, self._f = colour, f

    async def __call__(self):
        with self.scope:
            self.end = await self._colour.end_of(self._f, 1)
        self.over = True


async def led(colour, clock, f, upstream, group, followers, age=10):
    """Bring callers under way that wait for one run, which is held; the first of them has it run."""
    await colour.go(f, 1)
    clock.advance(age)
    runs = upstream.runs
    gate = upstream.hold()
    callers = [Caller(colour, f) for _ in range(1 + followers)]
    group.start_soon(callers[0])
    await colour.until(lambda: upstream.runs == runs + 1)
    for each in callers[1:]:
        group.start_soon(each)
    first = 0 if f.cache.info().reloading == 0 else 1
    await colour.until(lambda: waiting(f) == followers + first)
    return gate, callers


@pytest.mark.parametrize("fails", [False, True])
async def test_the_leader_where_callers_wait(colour, clock, events, fails):
    """Another takes over; the old value is still there for all, should that one fail."""
    f, upstream = cached(colour, clock, events, **SPARE)
    async with anyio.create_task_group() as group:
        _, callers = await led(colour, clock, f, upstream, group, 3)
        gate = upstream.hold()
        callers[0].scope.cancel()
        await colour.until(lambda: upstream.runs == 3)
        assert f.cache.entry(1).value == 1
        upstream.error = OSError() if fails else None
        gate.set()
    assert [each.end for each in callers] == ["cancelled", *[1 if fails else 3] * 3]
    assert (is_clean(f), f.cache.entry(1).value) == (True, 1 if fails else 3)
    assert counted(f)[3] == 3


async def test_all_who_wait(colour, clock, events):
    """When all are cancelled nothing is left, and the old value stays."""
    f, upstream = cached(colour, clock, events, **SPARE)
    async with anyio.create_task_group() as group:
        _, callers = await led(colour, clock, f, upstream, group, 3)
        for each in callers:
            each.scope.cancel()
    assert is_clean(f)
    upstream.error = OSError()
    upstream.free()
    assert await colour.go(f, 1) == 1


@pytest.mark.parametrize("who", [[0], [1], [0, 1, 2]])
async def test_a_soft_wait(colour, clock, events, who):
    """The reload goes on without those who were cancelled, even the one that began it, and is kept."""
    f, upstream = cached(colour, clock, events, **SOFT)
    async with anyio.create_task_group() as group:
        gate, callers = await led(colour, clock, f, upstream, group, 2)
        for number in who:
            callers[number].scope.cancel()
        await colour.until(lambda: waiting(f) == 3 - len(who))
        assert f.cache.info().reloading == 1
        gate.set()
    await reloaded(colour, f)
    assert [each.end for each in callers] == ["cancelled" if number in who else 2 for number in range(3)]
    assert (await colour.go(f, 1), upstream.runs, is_clean(f)) == (2, 2, True)


async def test_a_soft_wait_that_is_cancelled_is_no_call(colour, clock, events):
    """Neither for the metrics nor for anybody else; the run it began is a run."""
    f, upstream = cached(colour, clock, events, **SOFT)
    await colour.go(f, 1)
    clock.advance(10)
    events.clear()
    f.metrics.reset()
    before, gate = f.cache_info(), upstream.hold()
    with anyio.CancelScope() as scope:

        async def cancel():
            await colour.until(lambda: waiting(f) == 1)
            scope.cancel()

        await colour.gather(lambda: colour.go(f, 1), cancel)
    gate.set()
    await reloaded(colour, f)
    assert (counted(f), told(events), f.cache_info()) == ((0, 0, 0, 1, 0), [], before)


async def test_the_caller_of_a_stale_value(colour, clock, events):
    """A caller that is cancelled after it had a reload begun does not end it, whatever became of the caller's task."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    clock.advance(10)
    gate = upstream.hold()
    with anyio.CancelScope() as scope:
        assert await colour.go(f, 1) == 1
        scope.cancel()
        await anyio.sleep(0)
    await colour.until(lambda: upstream.runs == 2)
    gate.set()
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 2


async def test_a_caller_cancelled_before(colour, clock, events):
    """A call in a scope that is cancelled already still begins a reload that is not."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    clock.advance(10)
    with anyio.CancelScope() as scope:
        scope.cancel()
        assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 2


@pytest.mark.parametrize("then", ["compute", "stale", "raise"])
async def test_who_gives_up_while_the_leader_is_cancelled(colour, clock, events, then):
    """The time is up and the leader is gone at once: each of the others gets an end, and nothing is left."""
    f, upstream = cached(colour, clock, events, **SPARE, wait_timeout=2, on_wait_timeout=then)
    async with anyio.create_task_group() as group:
        _, callers = await led(colour, clock, f, upstream, group, 3)
        upstream.free()
        clock.advance(2)
        callers[0].scope.cancel()
    ends = [each.end for each in callers[1:]]
    assert callers[0].end == "cancelled"
    if then == "raise":
        assert all(isinstance(end, TimeoutError) or end > 1 for end in ends)
    else:
        assert all(end >= 1 for end in ends)
    assert is_clean(f)


@pytest.mark.parametrize("seed", range(25))
async def test_at_random(colour, clock, events, seed):
    """Whoever is cancelled whenever, while time goes on and the upstream comes and goes: nobody hangs, all is counted."""
    dice = random.Random(seed)
    config = dice.choice([SOFT, SPARE, ZONES, {**SPARE, "wait_timeout": 1, "on_wait_timeout": "stale"}])
    f, upstream = cached(colour, clock, events, **{**config, "max_reloads": 2})
    callers, gates = [], []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(120):
                deed = dice.random()
                if deed < 0.45:
                    callers.append(Caller(colour, f))
                    group.start_soon(callers[-1])
                elif deed < 0.6 and callers:
                    dice.choice(callers).scope.cancel()
                elif deed < 0.7:
                    clock.advance(dice.choice([0.5, 1, 3, 10]))
                elif deed < 0.8:
                    gates.append(upstream.hold())
                elif deed < 0.9 and gates:
                    gates.pop(dice.randrange(len(gates))).set()
                elif deed < 0.93:
                    f.cache.invalidate(1)
                else:
                    upstream.error = dice.choice([None, OSError()])
                for _ in range(dice.randrange(3)):
                    await anyio.sleep(0)
            upstream.free()
            upstream.error = None
            for gate in gates:
                gate.set()
            while not all(each.over for each in callers):
                clock.advance(1)
                await anyio.sleep(0)
        await reloaded(colour, f)
    assert is_clean(f)
    ended = [each.end for each in callers if each.end != "cancelled"]
    assert all(isinstance(end, (int, OSError)) for end in ended)
    facts = told(events)
    assert len(facts) >= len(ended)
    info = f.cache_info()
    assert (info.hits, info.misses) == (
        len([fact for fact in facts if fact[0] == "cache_hit"]),
        len([fact for fact in facts if fact[0] == "cache_miss"]),
    )
