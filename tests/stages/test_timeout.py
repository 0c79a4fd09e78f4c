"""An answer in time, or an error in time."""

import asyncio
import contextvars
import threading

import anyio
import pytest
import trio

from pyresilience import (
    EventType,
    Pipeline,
    RateLimiterConfig,
    RejectedError,
    ResilienceTimeoutError,
    RetryConfig,
    TimeoutConfig,
    _blocking,
    remaining,
    resilient,
)

ASYNC = pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)


def slow(colour, clock, seconds=10):
    """A body during which *seconds* pass; an async one then never returns by itself."""

    async def body():
        clock.advance(seconds)
        if not colour.is_sync:
            await colour.event().wait()

    return body


def test_a_late_answer_is_a_timeout(colour, clock, events):
    """What takes longer than the limit raises ResilienceTimeoutError, which is a TimeoutError, and is told."""
    f = colour.decorate(slow(colour, clock), timeout=TimeoutConfig(5), clock=clock, listeners=[events], name="fetch")
    raised = colour.outcome(f)
    assert isinstance(raised, ResilienceTimeoutError)
    assert isinstance(raised, TimeoutError)
    assert (raised.name, raised.seconds) == ("fetch", 5.0)
    (told,) = events.of(EventType.TIMEOUT)
    assert (told.seconds, told.per_attempt) == (5.0, True)


def test_an_answer_in_time_is_the_answer(colour, clock):
    """Within the limit nothing is noticed."""

    def body(x):
        clock.advance(4)
        return x

    assert colour.call(colour.decorate(body, timeout=TimeoutConfig(5), clock=clock), 7) == 7


def test_it_works_by_the_wall_clock(colour):
    """With the system's clock a call that never ends is ended."""
    go = threading.Event()

    async def body():
        if colour.is_sync:
            go.wait(20)
        else:
            await colour.event().wait()

    try:
        assert isinstance(colour.outcome(colour.decorate(body, timeout=TimeoutConfig(0.01))), ResilienceTimeoutError)
    finally:
        go.set()


@pytest.mark.parametrize("per_attempt", [True, False])
def test_a_timeout_error_of_the_function_passes(colour, per_attempt):
    """The function's own TimeoutError is not taken for ours."""
    own = TimeoutError("mine")

    def body():
        raise own

    assert colour.outcome(colour.decorate(body, timeout=TimeoutConfig(15, per_attempt=per_attempt))) is own


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, ValueError])
def test_every_error_passes(colour, kind):
    """What the function raises reaches the caller, whichever thread it ran in."""

    def body():
        raise kind("mine")

    with pytest.raises(kind, match="mine"):
        colour.call(colour.decorate(body, timeout=TimeoutConfig(15)))


def test_each_attempt_has_its_own_limit(colour, clock):
    """per_attempt=True: attempts that are in time go on, however long the call takes."""
    left = []

    def body():
        left.append(remaining())
        clock.advance(4)
        raise OSError

    f = colour.decorate(
        body, retry=RetryConfig(max_attempts=4, delay=3, jitter=None), timeout=TimeoutConfig(5), clock=clock
    )
    assert isinstance(colour.outcome(f), OSError)
    assert left == [5.0] * 4


def test_a_timed_out_attempt_is_retried(colour, clock):
    """The time-out of an attempt is an error like others."""
    tries = []

    async def body():
        tries.append(1)
        if len(tries) == 1:
            await slow(colour, clock)()
        return "done"

    f = colour.decorate(body, retry=RetryConfig(delay=0), timeout=TimeoutConfig(5), clock=clock)
    assert colour.call(f) == "done"


def test_the_whole_call_is_bounded(colour, clock):
    """per_attempt=False: attempts and the pauses between them count together, and nothing is retried after."""
    tries = []

    def body():
        tries.append(clock.monotonic() - 1000)
        clock.advance(2)
        raise OSError("down")

    f = colour.decorate(
        body,
        retry=RetryConfig(max_attempts=99, delay=3, backoff_factor=1, jitter=None),
        timeout=TimeoutConfig(12, per_attempt=False),
        clock=clock,
    )
    raised = colour.outcome(f)
    assert isinstance(raised, ResilienceTimeoutError)
    assert (tries, clock.monotonic()) == ([0, 5, 10], 1012)


def test_the_error_of_the_whole_call_is_chained_from_the_last_attempts(colour, clock):
    """Whoever sees the time-out also sees why it took so long."""

    def body():
        raise OSError("down")

    f = colour.decorate(
        body,
        retry=RetryConfig(max_attempts=9, delay=10, jitter=None),
        timeout=TimeoutConfig(5, per_attempt=False),
        clock=clock,
    )
    raised = colour.outcome(f)
    assert isinstance(raised, ResilienceTimeoutError)
    assert isinstance(raised.__cause__, OSError)


def test_no_retry_is_told_that_does_not_happen(colour, clock, events):
    """RETRY means that another attempt follows; after the deadline none does."""

    def body():
        clock.advance(6)
        raise OSError

    f = colour.decorate(
        body,
        retry=RetryConfig(max_attempts=9, delay=0),
        timeout=TimeoutConfig(5, per_attempt=False),
        clock=clock,
        listeners=[events],
    )
    raised = colour.outcome(f)
    assert isinstance(raised, TimeoutError)
    assert events.of(EventType.RETRY) == []


def test_remaining_tells_the_seconds_left(colour, clock):
    """Inside a bounded call it counts down to 0, outside it is None."""
    seen = []

    async def body():
        for step in (0, 3, 2):
            clock.advance(step)
            seen.append(remaining())
        if not colour.is_sync:
            await colour.sleep(0)

    colour.call(colour.decorate(body, timeout=TimeoutConfig(20, per_attempt=False), clock=clock))
    assert (seen, remaining()) == ([20.0, 17.0, 15.0], None)


def test_remaining_is_the_innermost_limit(colour, clock):
    """Of nested limits the nearest counts, on whichever level it was set, and the outer one is in force again after."""
    seen = {}

    def leaf(name):
        seen[name] = remaining()

    near = colour.decorate(lambda: leaf("near"), timeout=TimeoutConfig(3), clock=clock)
    far = colour.decorate(lambda: leaf("far"), timeout=TimeoutConfig(60), clock=clock)

    async def body():
        await colour.go(near)
        await colour.go(far)
        leaf("body")

    colour.call(colour.decorate(body, timeout=TimeoutConfig(10), clock=clock))
    assert seen == {"near": 3.0, "far": 10.0, "body": 10.0}


def test_nested_limits_keep_apart(colour, clock):
    """The inner time-out is an error inside the outer call, which may still answer."""
    inner = colour.decorate(slow(colour, clock, 3), timeout=TimeoutConfig(2), clock=clock)

    async def body():
        return type(await colour.end_of(inner))

    f = colour.decorate(body, timeout=TimeoutConfig(10), clock=clock)
    assert colour.outcome(f) is ResilienceTimeoutError


def test_an_outer_limit_ends_an_inner_call(colour, clock):
    """Where the outer limit is nearer, it ends both."""
    inner = colour.decorate(slow(colour, clock, 6), timeout=TimeoutConfig(60), clock=clock, name="inner")

    async def body():
        return await colour.go(inner)

    f = colour.decorate(body, timeout=TimeoutConfig(5), clock=clock, name="outer")
    assert colour.outcome(f).name == "outer"


def test_the_callers_context_is_seen(colour):
    """The function sees the context variables of its caller, on a worker thread as well."""
    tenant = contextvars.ContextVar("tenant", default=None)
    f = colour.decorate(tenant.get, timeout=TimeoutConfig(15))

    async def scenario():
        tenant.set("acme")
        return await colour.go(f)

    assert contextvars.copy_context().run(colour.run, scenario) == "acme"


# Async: cancellation.


@ASYNC
async def test_an_outer_cancellation_wins(colour):
    """A caller's own cancellation is not turned into a time-out."""

    async def forever():
        await anyio.sleep_forever()

    f = resilient(timeout=TimeoutConfig(15))(forever)
    with anyio.move_on_after(0.01) as scope:
        await f()
    assert scope.cancelled_caught


def test_a_cancellation_at_the_same_moment_wins_in_asyncio(clock):
    """Where limit and outer cancellation come together, the caller is cancelled."""

    @resilient(timeout=TimeoutConfig(5), clock=clock)
    async def body():
        clock.advance(10)
        asyncio.current_task().cancel()
        await asyncio.sleep(60)

    async def main():
        task = asyncio.ensure_future(body())
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(main())


def test_a_cancellation_at_the_same_moment_wins_in_trio(clock):
    """Where limit and outer cancellation come together, the caller is cancelled."""

    @resilient(timeout=TimeoutConfig(5), clock=clock)
    async def body():
        clock.advance(10)
        outer.cancel()
        await trio.sleep_forever()

    async def main():
        with outer:
            await body()
        return outer.cancelled_caught

    outer = trio.CancelScope()
    assert trio.run(main)


def test_asyncio_still_sees_the_cancellation_of_a_task():
    """`task.cancel()` ends the task as cancelled, and its request is not taken back."""

    @resilient(timeout=TimeoutConfig(15))
    async def forever():
        await asyncio.sleep(60)

    async def main():
        task = asyncio.ensure_future(forever())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled(), task.cancelling()

    assert asyncio.run(main()) == (True, 1)


def test_asyncio_wait_for_around_a_limit():
    """The time-out of `asyncio.wait_for` around us is its own."""

    @resilient(timeout=TimeoutConfig(15))
    async def forever():
        await asyncio.sleep(60)

    async def main():
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(forever(), 0.01)
        return caught.value

    assert not isinstance(asyncio.run(main()), ResilienceTimeoutError)


def test_asyncio_counts_no_request_of_ours(clock):
    """After a time-out the task counts no cancellation request, so that `asyncio.timeout` around it still works."""

    @resilient(timeout=TimeoutConfig(5), clock=clock)
    async def late():
        clock.advance(10)
        await asyncio.sleep(60)

    async def main():
        with pytest.raises(ResilienceTimeoutError):
            await late()
        requests = asyncio.current_task().cancelling()
        await asyncio.sleep(0)
        return requests

    assert asyncio.run(main()) == 0


@ASYNC
async def test_a_limit_that_passes_unnoticed_cancels_nothing_later(colour, clock):
    """A function that returns without awaiting after its limit leaves no cancellation behind for its caller."""

    async def body():
        clock.advance(10)
        return "late"

    f = colour.decorate(body, timeout=TimeoutConfig(5), clock=clock)
    await colour.end_of(f)
    for _ in range(3):
        await anyio.sleep(0)


@ASYNC
async def test_a_limit_that_rings_from_another_thread_cancels_nothing_later(colour, clock):
    """An alarm rung by another thread just when the function ends does not hit its caller afterwards."""
    go = anyio.Event()

    async def body():
        await go.wait()
        return "in time"

    async def caller():
        end = await colour.end_of(colour.decorate(body, timeout=TimeoutConfig(5), clock=clock))
        for _ in range(5):
            await anyio.sleep(0.001)
        return end

    async def ring():
        await anyio.sleep(0.005)
        go.set()
        thread = threading.Thread(target=clock.advance, args=(10,))
        thread.start()
        thread.join()

    end, _ = await colour.gather(caller, ring)
    assert end == "in time" or isinstance(end, ResilienceTimeoutError)


@ASYNC
async def test_a_sleep_past_the_limit_on_a_fake_clock_is_a_timeout(colour, clock):
    """Time that passes in a function's own sleep counts, every time."""

    async def body():
        await clock.sleep_async(10)
        return "late"

    f = colour.decorate(body, timeout=TimeoutConfig(5), clock=clock)
    ends = [type(await colour.end_of(f)) for _ in range(50)]
    assert set(ends) == {ResilienceTimeoutError}


# Sync: threads.


@pytest.fixture
def hanging():
    """A function that hangs until the test is over."""
    go = threading.Event()
    yield lambda: go.wait(20)
    go.set()


def test_abandoned_calls_are_bounded(hanging, clock, events):
    """Beyond pool_size hung calls new ones are refused at once, and told."""

    @resilient(timeout=TimeoutConfig(5, pool_size=2), clock=clock, listeners=[events])
    def f():
        clock.advance(10)  # once it has begun: what has not is not abandoned
        hanging()

    ends = []
    for _ in range(4):
        try:
            f()
        except Exception as error:
            ends.append(type(error))
    assert ends == [ResilienceTimeoutError] * 2 + [RejectedError] * 2
    assert [event.stage for event in events.of(EventType.BULKHEAD_REJECTED)] == ["timeout"] * 2


def test_an_abandoned_call_that_ends_makes_room(clock):
    """Once hung calls return, new ones are let in."""
    go, ended = threading.Event(), threading.Semaphore(0)

    @resilient(timeout=TimeoutConfig(5, pool_size=1), clock=clock)
    def f():
        clock.advance(10)
        go.wait(20)
        ended.release()
        return "done"

    with pytest.raises(ResilienceTimeoutError):
        f()
    go.set()
    assert ended.acquire(timeout=20)
    (stage,) = f.pipeline.stages
    for _ in range(5000):
        if not stage.health()["abandoned"]:
            break
        threading.Event().wait(0.002)
    assert stage.health() == {"abandoned": 0, "pool_size": 1}


def test_hung_threads_refuse_no_async_call(hanging):
    """An async call needs no thread: it is let in although the sync functions of its pipeline hang."""
    pipeline = Pipeline(TimeoutConfig(0.01, pool_size=1))
    f = pipeline(hanging)

    @pipeline
    async def quick():
        return "done"

    with pytest.raises(ResilienceTimeoutError):
        f()
    assert asyncio.run(quick()) == "done"


def test_an_abandoned_call_is_not_interrupted(clock):
    """The thread runs on to its own end, and what it does is done."""
    go, done = threading.Event(), threading.Event()

    @resilient(timeout=TimeoutConfig(5), clock=clock)
    def f():
        clock.advance(10)
        go.wait(20)
        done.set()

    with pytest.raises(ResilienceTimeoutError):
        f()
    assert not done.is_set()
    go.set()
    assert done.wait(20)


def test_a_hung_call_is_given_up_on_a_fake_clock(clock):
    """When a function moves the clock past its limit and hangs, its caller is free before it ends."""
    go, ended = threading.Event(), []

    @resilient(timeout=TimeoutConfig(5), clock=clock)
    def f():
        clock.advance(10)
        go.wait(60)
        ended.append(1)

    for _ in range(20):
        with pytest.raises(ResilienceTimeoutError):
            f()
        assert not ended
    go.set()


def test_threads_are_used_again():
    """Calls one after another run on parked threads and not on ever new ones."""
    names = set()
    f = resilient(timeout=TimeoutConfig(15))(lambda: names.add(threading.get_ident()))
    before = threading.active_count()
    for _ in range(200):
        f()
    assert threading.active_count() - before <= 16


def test_hung_calls_do_not_starve_others(hanging):
    """However many calls hang, another one gets its thread."""
    hang = resilient(timeout=TimeoutConfig(0.01))(hanging)
    for _ in range(30):
        with pytest.raises(ResilienceTimeoutError):
            hang()
    assert resilient(timeout=TimeoutConfig(15))(lambda: "done")() == "done"


def test_a_worker_that_comes_too_late_does_not_begin(monkeypatch):
    """A call given up before its thread got going is not run afterwards on a permit that was given back."""
    ran, late, start = [], [], _blocking._start
    monkeypatch.setattr(_blocking, "_start", lambda *job: late.append(job))
    f = resilient(timeout=TimeoutConfig(0.01), rate_limiter=RateLimiterConfig(max_calls=1, period=60))(
        lambda: ran.append(1)
    )
    for _ in range(3):
        with pytest.raises((ResilienceTimeoutError, RejectedError)):
            f()
    for job in late:
        start(*job)
    abandoned = f.pipeline.stages[1]
    for _ in range(5000):
        if not abandoned.health()["abandoned"]:
            break
        threading.Event().wait(0.002)
    assert abandoned.health()["abandoned"] == 0
    assert len(ran) <= 1


def test_a_bounded_function_may_call_itself():
    """Recursion under a limit takes a thread per level and does not deadlock."""

    @resilient(timeout=TimeoutConfig(15))
    def down(n):
        return n if n == 0 else down(n - 1)

    assert down(40) == 0


def test_no_thread_is_started_without_a_timeout(colour):
    """Only a limit on a sync function needs a thread."""
    seen = []
    f = colour.decorate(lambda: seen.append(threading.current_thread()), retry=RetryConfig())
    colour.call(f)
    assert seen == [threading.current_thread()]
