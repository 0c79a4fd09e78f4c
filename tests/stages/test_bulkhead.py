"""Not running more calls at once than there is room for."""

import asyncio
import sys
import threading

import pytest

from pyresilience import BulkheadConfig, BulkheadFullError, EventType, Pipeline, RetryConfig, TimeoutConfig
from pyresilience.testing import FakeClock


class Room:
    """A function body that counts who is inside, and keeps them there until the door opens."""

    def __init__(self, colour):
        self.colour, self.door = colour, colour.event()
        self.inside, self.most, self.order = 0, 0, []
        self._lock = threading.Lock()

    async def body(self, name=None):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.order.append(name)
        try:
            await self.door.wait()
        finally:
            with self._lock:
                self.inside -= 1
        return name


def bulkhead(f):
    (stage,) = [stage for stage in f.pipeline.stages if type(stage).__name__ == "Bulkhead"]
    return stage


def free(f):
    health = bulkhead(f).health()
    assert health["waiting"] == 0
    return health["max_concurrent"] - health["in_use"]


async def test_so_many_at_once_and_the_rest_is_refused(colour, events):
    """With no max_wait a call that finds no slot is refused, and told."""
    room = Room(colour)
    f = colour.decorate(room.body, bulkhead=BulkheadConfig(max_concurrent=3), listeners=[events])

    async def others():
        await colour.until(lambda: room.inside == 3)
        ends = [await colour.end_of(f) for _ in range(2)]
        room.door.set()
        return ends

    *_, refused = await colour.gather(*[lambda: colour.go(f)] * 3, others)
    assert [type(each) for each in refused] == [BulkheadFullError] * 2
    assert refused[0].name == "Room.body"
    assert (events.count(EventType.BULKHEAD_REJECTED), free(f)) == (2, 3)


async def test_waiting_callers_get_in_one_after_another(colour):
    """With max_wait everyone gets in, and never more than the limit at once."""
    room = Room(colour)
    f = colour.decorate(room.body, bulkhead=BulkheadConfig(max_concurrent=2, max_wait=15))

    async def open_the_door():
        await colour.until(lambda: bulkhead(f).health()["waiting"] == 6)
        room.door.set()

    ends = await colour.gather(*[lambda i=i: colour.go(f, i) for i in range(8)], open_the_door)
    assert ends[:8] == list(range(8))
    assert (room.most, free(f)) == (2, 2)


async def test_the_line_is_first_come_first_served(colour):
    """Callers get in in the order in which they lined up."""
    room = Room(colour)
    f = colour.decorate(room.body, bulkhead=BulkheadConfig(max_concurrent=1, max_wait=15))
    stage = bulkhead(f)

    async def caller(number):
        await colour.until(lambda: room.order and stage.health()["waiting"] == number)
        return await colour.go(f, number)

    async def first():
        return await colour.go(f, "first")

    async def open_the_door():
        await colour.until(lambda: stage.health()["waiting"] == 5)
        room.door.set()

    await colour.gather(first, *[lambda i=i: caller(i) for i in range(5)], open_the_door)
    assert room.order == ["first", 0, 1, 2, 3, 4]


async def test_a_wait_in_vain_ends(colour, clock):
    """After max_wait a call in line is refused, and leaves the line."""
    room = Room(colour)
    f = colour.decorate(room.body, bulkhead=BulkheadConfig(max_concurrent=1, max_wait=5), clock=clock)

    async def second():
        await colour.until(lambda: room.inside)
        return await colour.end_of(f)

    async def pass_time():
        await colour.until(lambda: bulkhead(f).health()["waiting"])
        while bulkhead(f).health()["waiting"]:
            clock.advance(5)
            await colour.sleep(0.001)
        room.door.set()

    _, refused, _ = await colour.gather(lambda: colour.go(f), second, pass_time)
    assert isinstance(refused, BulkheadFullError)
    assert free(f) == 1


async def test_waiting_ends_at_the_deadline_of_the_call(colour, clock):
    """A call whose whole time is up while it stands in line is timed out, not refused."""
    room = Room(colour)
    unbounded = Pipeline(BulkheadConfig(max_concurrent=1, max_wait=100), clock=clock)
    (guard,) = unbounded.stages

    class SameBulkhead:
        def build(self, wiring):
            return guard

    f = unbounded(colour.dye(room.body))
    g = Pipeline(TimeoutConfig(5, per_attempt=False), SameBulkhead(), clock=clock)(colour.dye(room.body))

    async def second():
        await colour.until(lambda: room.inside)
        return await colour.end_of(g)

    async def pass_time():
        await colour.until(lambda: guard.health()["waiting"])
        while guard.health()["waiting"]:
            clock.advance(5)
            await colour.sleep(0.001)
        room.door.set()

    _, late, _ = await colour.gather(lambda: colour.go(f), second, pass_time)
    assert isinstance(late, TimeoutError)
    assert guard.health() == {"in_use": 0, "max_concurrent": 1, "waiting": 0}


@pytest.mark.parametrize("ending", [None, OSError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_every_ending_gives_the_slot_back(colour, ending):
    """However the function ends, its slot is free afterwards."""

    def body():
        if ending is not None:
            raise ending

    f = colour.decorate(body, bulkhead=BulkheadConfig(max_concurrent=1))
    for _ in range(3):
        try:
            colour.call(f)
        except BaseException as error:
            assert type(error) is ending
        assert free(f) == 1


def test_no_slot_is_held_while_retry_sleeps(colour):
    """Between two attempts another call gets in."""
    entered = []

    class Busy(FakeClock):
        def sleep(self, seconds):
            f("other")

        async def sleep_async(self, seconds):
            await f("other")

    def body(name):
        entered.append(name)
        if name == "flaky" and entered.count("flaky") == 1:
            raise OSError

    f = colour.decorate(
        body,
        retry=RetryConfig(delay=3, jitter=None),
        bulkhead=BulkheadConfig(max_concurrent=1),
        clock=Busy(),
    )
    colour.call(f, "flaky")
    assert entered == ["flaky", "other", "flaky"]


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_cancelled_caller_gives_its_slot_back(colour):
    """Whether it is inside or in line, a cancelled call leaves slots and line as if it had never come."""
    import anyio

    room = Room(colour)
    f = colour.decorate(room.body, bulkhead=BulkheadConfig(max_concurrent=2, max_wait=15))
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(f)
        await colour.until(lambda: bulkhead(f).health()["waiting"] == 4)
        group.cancel_scope.cancel()
    assert (room.inside, free(f)) == (0, 2)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_cancelled_waiter_does_not_stop_the_line(colour):
    """Those behind a cancelled waiter still get in."""
    import anyio

    room = Room(colour)
    f = colour.decorate(room.body, bulkhead=BulkheadConfig(max_concurrent=1, max_wait=15))
    stage, leaver, done = bulkhead(f), anyio.CancelScope(), []

    async def leave():
        with leaver:
            await f("leaver")

    async def stay():
        done.append(await f("stayer"))

    async with anyio.create_task_group() as group:
        group.start_soon(f, "first")
        await colour.until(lambda: room.inside)
        group.start_soon(leave)
        await colour.until(lambda: stage.health()["waiting"] == 1)
        group.start_soon(stay)
        await colour.until(lambda: stage.health()["waiting"] == 2)
        leaver.cancel()
        await colour.until(lambda: stage.health()["waiting"] == 1)
        room.door.set()
    assert (room.order, done) == (["first", "stayer"], ["stayer"])


def test_sync_and_async_callers_share_the_slots():
    """A thread inside takes the place of a task, and hands it over when it leaves."""
    pipeline = Pipeline(BulkheadConfig(max_concurrent=1, max_wait=15))
    go, inside, order = threading.Event(), threading.Event(), []

    @pipeline
    def blocking():
        inside.set()
        assert go.wait(15)
        order.append("thread")

    @pipeline
    async def waiting():
        order.append("task")

    async def main():
        thread = threading.Thread(target=blocking, daemon=True)
        thread.start()
        assert await asyncio.to_thread(inside.wait, 15)
        task = asyncio.ensure_future(waiting())
        while pipeline.stages[0].health()["waiting"] != 1:
            await asyncio.sleep(0.001)
        go.set()
        await asyncio.wait_for(task, 15)
        thread.join(15)

    asyncio.run(main())
    assert order == ["thread", "task"]


async def test_a_storm_leaves_every_slot_free(colour):
    """Many callers, some of which fail, never exceed the limit and leave nothing behind."""
    room = Room(colour)
    room.door.set()

    async def body(number):
        await room.body(number)
        if number % 3 == 0:
            raise OSError

    f = colour.decorate(body, bulkhead=BulkheadConfig(max_concurrent=4, max_wait=15))
    ends = await colour.gather(*[lambda i=i: colour.go(f, i) for i in range(40)])
    assert sum(isinstance(end, OSError) for end in ends) == 14
    assert room.most <= 4
    assert free(f) == 4


def test_no_call_is_refused_while_there_is_room():
    """As many threads as there are slots, all at once, on a bulkhead never used before: nobody is refused."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    refused = []
    try:
        for _ in range(150):
            start = threading.Barrier(8)
            f = Pipeline(BulkheadConfig(max_concurrent=8))(lambda: None)

            def caller(start=start, f=f):
                start.wait()
                try:
                    f()
                except BulkheadFullError as error:
                    refused.append(error)

            threads = [threading.Thread(target=caller, daemon=True) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
    finally:
        sys.setswitchinterval(before)
    assert not refused
