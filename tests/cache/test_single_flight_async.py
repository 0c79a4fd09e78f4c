"""Single flight among tasks, in asyncio and trio, and across event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import anyio
import pytest

from pyresilience import (
    CacheConfig,
    EventType,
    FallbackConfig,
    ResilienceTimeoutError,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.cache.flights import Flights
from pyresilience.testing import EventRecorder

GUARD = 20


@pytest.fixture(params=["asyncio", "trio"])
def run(request):
    """Run an async function to its end in one of the event loops."""

    def run(main):
        async def guarded():
            with anyio.fail_after(GUARD):
                return await main()

        return anyio.run(guarded, backend=request.param)

    return run


def flying(f):
    return f.cache._cache.flights._flying


async def followers(f, count):
    while sum(len(flight.followers) for flight in flying(f).values()) < count:
        await anyio.sleep(0.001)


def test_a_thousand_tasks_run_it_once(run):
    """1000 coroutines on one cold key run the function once; one misses, the others hit, coalesced."""
    recorder = EventRecorder()
    runs, values = [], []

    @resilient(cache=CacheConfig(), listeners=[recorder])
    async def f(k):
        runs.append(k)
        await followers(f, 999)
        return [k]

    async def one():
        values.append(await f(7))

    async def main():
        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(one)

    run(main)
    assert runs == [7]
    assert len(values) == 1000
    assert all(value is values[0] for value in values)
    assert recorder.count(EventType.CACHE_MISS) == 1
    assert {event.source for event in recorder.of(EventType.CACHE_HIT)} == {"coalesced"}
    assert not flying(f)


def test_a_cancelled_leader_hands_over(run):
    """If the leader is cancelled, one follower computes, and the others never notice."""
    runs, values = [], []

    @resilient(cache=CacheConfig())
    async def f(k):
        runs.append(k)
        if len(runs) == 1:
            await anyio.sleep_forever()
        await anyio.sleep(0)
        return k

    async def leader(scope):
        with scope:
            await f(1)

    async def one():
        values.append(await f(1))

    async def main():
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(leader, scope)
            while not runs:
                await anyio.sleep(0.001)
            for _ in range(20):
                group.start_soon(one)
            await followers(f, 20)
            scope.cancel()
        return await f(1)

    assert run(main) == 1
    assert values == [1] * 20
    assert len(runs) == 2


def test_a_cancelled_follower_leaves_alone(run):
    """A follower that is cancelled disturbs neither the leader nor the other followers."""
    gate, runs, values = [], [], []

    @resilient(cache=CacheConfig())
    async def f(k):
        runs.append(k)
        await gate[0].wait()
        return k

    async def one():
        values.append(await f(1))

    async def impatient(scope):
        with scope:
            await f(1)
        values.append("gone")

    async def main():
        gate.append(anyio.Event())
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            while not runs:
                await anyio.sleep(0.001)
            group.start_soon(impatient, scope)
            group.start_soon(one)
            await followers(f, 2)
            scope.cancel()
            while "gone" not in values:
                await anyio.sleep(0.001)
            assert len(next(iter(flying(f).values())).followers) == 1
            gate[0].set()

    run(main)
    assert sorted(map(str, values)) == ["1", "1", "gone"]
    assert runs == [1]


def test_leader_and_heir_cancelled_at_once_leave_the_rest_a_value(run):
    """If the leader and the follower next in line are cancelled in the same moment, the third computes."""
    runs, values = [], []

    @resilient(cache=CacheConfig())
    async def f(k):
        runs.append(k)
        if len(runs) == 1:
            await anyio.sleep_forever()
        return k

    async def scoped(scope):
        with scope:
            values.append(await f(1))

    async def main():
        scopes = [anyio.CancelScope() for _ in range(4)]
        async with anyio.create_task_group() as group:
            for place, scope in enumerate(scopes):
                group.start_soon(scoped, scope)
                await followers(f, place) if place else await anyio.sleep(0.005)
            scopes[0].cancel()
            scopes[1].cancel()

    run(main)
    assert values == [1, 1]
    assert not flying(f)


def test_errors_are_shared_and_not_kept(run):
    """Those waiting get the leader's error, the next caller computes anew, and nothing holds the error."""
    runs, refs = [], []

    class Marked(Exception):
        pass

    @resilient(cache=CacheConfig())
    async def f(k):
        runs.append(k)
        if len(runs) == 1:
            await followers(f, 5)
            raise Marked
        return k

    async def one():
        try:
            await f(1)
        except Marked as error:
            refs.append(weakref.ref(error))

    async def main():
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(one)
        return await f(1)

    assert run(main) == 1
    gc.collect()
    assert len(refs) == 6
    assert not any(ref() for ref in refs)


def test_who_would_wait_for_itself_computes(run):
    """A coroutine function that awaits itself with its own key, also through child tasks, computes."""
    depth = []

    @resilient(cache=CacheConfig())
    async def f(k):
        depth.append(k)
        if len(depth) > 1:
            return 1
        values = []

        async def child():
            values.append(await f(k))

        async with anyio.create_task_group() as group:
            group.start_soon(child)
        return values[0] + 1

    assert run(lambda: f("k")) == 2


def test_two_keys_that_need_each_other_do_not_deadlock(run):
    """Tasks that compute a → b and b → a both end."""
    arrived, outcomes = [], {}

    @resilient(cache=CacheConfig())
    async def f(k):
        arrived.append(k)
        if len(arrived) > 2:
            return k
        while len(arrived) < 2:
            await anyio.sleep(0.001)
        return k + await f({"a": "b", "b": "a"}[k])

    async def one(k):
        outcomes[k] = await f(k)

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(one, "a")
            group.start_soon(one, "b")

    run(main)
    assert set(outcomes) == {"a", "b"}
    assert all(value.startswith(k) for k, value in outcomes.items())


def test_invalidate_fences_the_flight(run):
    """What was being computed when the key was invalidated goes to those who waited, and is not kept."""
    runs, outcomes, gates = [], {}, []

    @resilient(cache=CacheConfig())
    async def f(k):
        number = len(runs)
        runs.append(k)
        await gates[number].wait()
        return number

    async def one(name):
        outcomes[name] = await f(1)

    async def main():
        gates.extend([anyio.Event(), anyio.Event()])
        async with anyio.create_task_group() as group:
            group.start_soon(one, "leader")
            while not runs:
                await anyio.sleep(0.001)
            group.start_soon(one, "follower")
            await followers(f, 1)
            f.cache.invalidate(1)
            group.start_soon(one, "later")
            while len(runs) < 2:
                await anyio.sleep(0.001)
            gates[0].set()
            gates[1].set()
        return await f(1)

    assert run(main) == 1
    assert outcomes == {"leader": 0, "follower": 0, "later": 1}


def test_waiting_counts_against_the_deadline_of_the_call(run):
    """With a limit of the whole call a follower is answered by its own limit, and its fallback is asked."""
    runs, outcomes = [], {}

    @resilient(
        cache=CacheConfig(),
        fallback=FallbackConfig(handler="late", fallback_on=ResilienceTimeoutError),
        timeout=TimeoutConfig(seconds=0.04, per_attempt=False),
    )
    async def f(k):
        runs.append(k)
        await anyio.sleep_forever()

    async def one(name):
        outcomes[name] = await f(1)

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(one, "leader")
            while not runs:
                await anyio.sleep(0.001)
            group.start_soon(one, "follower")

    run(main)
    assert outcomes == {"leader": "late", "follower": "late"}


def test_cancellation_at_every_step_leaves_no_flight(run):
    """A leader with retries cancelled at any scheduling point leaves the key free and its followers served."""

    async def attempt(steps):
        runs, values = [], []

        @resilient(cache=CacheConfig(), retry=RetryConfig(max_attempts=2, delay=0))
        async def f(k):
            runs.append(k)
            for _ in range(3):
                await anyio.sleep(0)
            if len(runs) == 1:
                raise ConnectionError
            return k

        async def leader(scope):
            with scope:
                await f(1)

        async def follower():
            values.append(await f(1))

        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(leader, scope)
            await anyio.sleep(0)
            group.start_soon(follower)
            for _ in range(steps):
                await anyio.sleep(0)
            scope.cancel()
        assert values == [1]
        assert not flying(f)

    async def main():
        for steps in range(14):
            await attempt(steps)

    run(main)


def test_two_event_loops_share_one_computation():
    """Tasks in two event loops in two threads wait for one flight, and get its value in their own loop."""
    runs = []
    release = threading.Event()

    @resilient(cache=CacheConfig())
    async def f(k):
        runs.append(k)
        while not release.is_set():
            await asyncio.sleep(0.001)
        return k

    outcomes = []

    def other():
        outcomes.append(asyncio.run(asyncio.wait_for(f(1), GUARD)))

    async def main():
        task = asyncio.ensure_future(f(1))
        while not runs:
            await asyncio.sleep(0.001)
        threads = [threading.Thread(target=other, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        await followers(f, 3)
        release.set()
        outcomes.append(await task)
        for thread in threads:
            await asyncio.to_thread(thread.join, GUARD)

    asyncio.run(main())
    assert outcomes == [1] * 4
    assert runs == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_closed_under_its_leader_frees_the_key():
    """A loop closed with the leader still inside, even kept alive, does not wedge the key for the next loop."""
    hold = [True]

    @resilient(cache=CacheConfig())
    async def f(k):
        if hold[0]:
            await asyncio.sleep(GUARD)
        return k

    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(f(1)) for _ in range(3)]
    kept = [task.get_coro() for task in tasks]
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    hold[0] = False
    assert asyncio.run(asyncio.wait_for(f(1), GUARD)) == 1
    assert asyncio.run(asyncio.wait_for(f(1), GUARD)) == 1
    for task in tasks:
        task._log_destroy_pending = False
    for coroutine in kept:
        coroutine.close()
    assert f.cache_info().currsize == 1


def test_a_follower_in_another_loop_notices_that_its_leaders_loop_was_closed():
    """A caller that waits for a leader whose loop is closed takes over instead of waiting for ever."""
    hold = [True]

    @resilient(cache=CacheConfig())
    async def f(k):
        if hold[0]:
            await asyncio.sleep(GUARD)
        return k

    loop = asyncio.new_event_loop()
    task = loop.create_task(f(1))
    kept = task.get_coro()
    loop.run_until_complete(asyncio.sleep(0.01))
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(asyncio.run(asyncio.wait_for(f(1), GUARD))), daemon=True)
    thread.start()
    while not next(iter(flying(f).values())).followers:
        threading.Event().wait(0.001)
    hold[0] = False
    loop.close()
    thread.join(GUARD)
    task._log_destroy_pending = False
    kept.close()
    assert outcomes == [1]


def test_trio_and_asyncio_share_one_computation():
    """A caller under trio waits for a leader under asyncio in another thread, and gets its value."""
    runs = []
    release = threading.Event()

    @resilient(cache=CacheConfig())
    async def f(k):
        runs.append(k)
        while not release.is_set():
            await anyio.sleep(0.001)
        return k

    outcomes = []
    leader = threading.Thread(target=lambda: outcomes.append(anyio.run(f, 1, backend="asyncio")), daemon=True)
    leader.start()
    while not runs:
        threading.Event().wait(0.001)
    follower = threading.Thread(target=lambda: outcomes.append(anyio.run(f, 1, backend="trio")), daemon=True)
    follower.start()
    while not next(iter(flying(f).values())).followers:
        threading.Event().wait(0.001)
    release.set()
    leader.join(GUARD), follower.join(GUARD)
    assert outcomes == [1, 1]
    assert runs == [1]


def test_a_leader_in_another_loop_that_dies():
    """Who waits for a task of its own loop, and then for one of another, notices when that other loop is closed."""
    runs = []

    @resilient(cache=CacheConfig())
    async def f(x):
        runs.append(x)
        if len(runs) < 3:
            await asyncio.Event().wait()
        return len(runs)

    def followers():
        return sum(len(flight.followers) for flight in [*f.cache._cache.flights._flying.values()])

    async def enter(ready):
        task = asyncio.ensure_future(f(1))
        while not ready():
            await asyncio.sleep(0)
        return task

    here, elsewhere = asyncio.new_event_loop(), asyncio.new_event_loop()
    leader = here.run_until_complete(enter(lambda: runs))
    heir = elsewhere.run_until_complete(enter(lambda: followers() == 1))
    last = here.run_until_complete(enter(lambda: followers() == 2))
    leader.cancel()
    here.run_until_complete(asyncio.wait([leader]))

    async def hang():
        while len(runs) < 2:
            await asyncio.sleep(0)

    elsewhere.run_until_complete(hang())
    heir._log_destroy_pending = False
    elsewhere.close()
    assert here.run_until_complete(asyncio.wait_for(last, 20)) == 3
    here.close()
    assert not f.cache._cache.flights._flying


def test_a_follower_that_was_woken_in_vain_sleeps_on(monkeypatch):
    """Whose leaders come and go in other loops while its own is busy looks once, not over and over."""
    elsewhere, runs, looks = asyncio.new_event_loop(), [], []
    thread = threading.Thread(target=elsewhere.run_forever, daemon=True)
    thread.start()
    look = Flights.look
    monkeypatch.setattr(Flights, "look", lambda *args: looks.append(args) or look(*args))

    @resilient(cache=CacheConfig())
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0.1 if len(runs) == 3 else GUARD)
        return len(runs)

    def until(condition):
        while not condition():
            threading.Event().wait(0.001)

    async def main():
        def followers():
            return sum(len(flight.followers) for flight in [*flying(f).values()])

        async def enter(start, ready):
            task = start(f(1))
            while not ready():
                await asyncio.sleep(0.001)
            return task

        def keep_busy():
            until(lambda: len(runs) == 2)
            heir.cancel()
            until(heir.done)
            until(lambda: followers() == 1)

        here = asyncio.get_running_loop()
        leader = await enter(here.create_task, lambda: runs)
        heir = await enter(lambda call: asyncio.run_coroutine_threadsafe(call, elsewhere), lambda: followers() == 1)
        third = await enter(here.create_task, lambda: followers() == 2)
        last = await enter(here.create_task, lambda: followers() == 3)
        leader.cancel()
        here.call_soon(keep_busy)
        looks.clear()
        return await asyncio.gather(third, last)

    assert asyncio.run(main()) == [3, 3]
    assert len(looks) < 20
    elsewhere.call_soon_threadsafe(elsewhere.stop)
    thread.join(GUARD)
    elsewhere.close()


def test_a_follower_of_a_dead_loop_leaves_the_key_to_who_leads_it():
    """Where somebody else computes the key anew, a follower whose leader's loop is closed computes for itself alone."""
    runs, gate, ends = [], threading.Event(), []

    @resilient(cache=CacheConfig())
    async def f(x):
        runs.append(x)
        run = len(runs)
        if run == 1:
            await asyncio.Event().wait()
        while run == 2 and not gate.is_set():
            await asyncio.sleep(0.001)
        return run

    async def begin():
        task = asyncio.ensure_future(f(1))
        while not runs:
            await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    lost = loop.run_until_complete(begin())
    follower = threading.Thread(target=lambda: ends.append(asyncio.run(f(1))), daemon=True)
    follower.start()
    while not next(iter(flying(f).values())).followers:
        threading.Event().wait(0.001)
    f.cache.invalidate(1)
    anew = threading.Thread(target=lambda: ends.append(asyncio.run(f(1))), daemon=True)
    anew.start()
    while len(runs) < 2:
        threading.Event().wait(0.001)
    lost._log_destroy_pending = False
    loop.close()
    follower.join(GUARD)
    gate.set()
    anew.join(GUARD)
    assert (ends, f.cache.peek(1)) == ([3, 2], 2)
    assert not flying(f)
