"""Cancelling a call at every point where it lets others run: nothing stays taken, and nobody hangs."""

import asyncio

import anyio
import pytest
import trio

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    FallbackConfig,
    RateLimiterConfig,
    RetryConfig,
    TimeoutConfig,
    resilient,
)

EVERYTHING = {
    "cache": CacheConfig(),
    "fallback": FallbackConfig("stand-in"),
    "retry": RetryConfig(max_attempts=3, delay=0.0005, jitter=None),
    "circuit_breaker": CircuitBreakerConfig(failure_threshold=3, recovery_timeout=0.0, half_open_max_calls=1),
    "rate_limiter": RateLimiterConfig(max_calls=50, period=500),
    "bulkhead": BulkheadConfig(max_concurrent=1, max_wait=10),
    "timeout": TimeoutConfig(15),
}


class Upstream:
    """Lets others run a few times, fails so often, and then answers."""

    def __init__(self, failures):
        self.failures, self.calls = failures, 0

    async def body(self, x):
        self.calls += 1
        for _ in range(3):
            await anyio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise OSError
        return x


def stage(f, name):
    return next(each for each in f.pipeline.stages if type(each).__name__ == name)


async def in_asyncio(f, steps):
    """Cancel a call after so many turns of the loop; whether that was before its end."""
    task = asyncio.ensure_future(f(1))
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        await task
        return False
    task.cancel()
    try:
        await asyncio.wait_for(task, 15)
    except asyncio.CancelledError:
        pass
    assert task.cancelled()
    return True


async def in_trio(f, steps):
    """Cancel a call after so many turns of the loop; whether that was before its end."""
    done = []

    async def call():
        await f(1)
        done.append(1)

    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            if done:
                return False
            nursery.cancel_scope.cancel()
    return not done


@pytest.mark.parametrize("failures", [0, 2, 3])
@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_cancelled_call_leaves_everything_free(colour, failures):
    """Whenever it is cancelled, slot, probe, permit and key are free, and the next call is answered."""
    cancel = in_asyncio if colour.name == "asyncio" else in_trio
    cut_off = 0
    for steps in range(60):
        upstream = Upstream(failures)
        f = resilient(**EVERYTHING)(upstream.body)
        cut_off += await cancel(f, steps)
        limiter, bulkhead = stage(f, "RateLimiter"), stage(f, "Bulkhead")
        assert bulkhead.health() == {"in_use": 0, "max_concurrent": 1, "waiting": 0}, steps
        assert 50 - limiter.health()["available"] <= upstream.calls, steps
        upstream.failures = 0
        with anyio.fail_after(15):
            assert await f(1) == 1, steps
    assert cut_off >= 3


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_cancelled_probe_makes_room_for_the_next(colour):
    """A half-open circuit whose only probe was cancelled lets another one through, every time."""
    f = resilient(circuit_breaker=EVERYTHING["circuit_breaker"])(anyio.sleep)
    for _ in range(3):
        f.circuit_breaker.record_failure()
    for _ in range(10):
        with anyio.move_on_after(0.001):
            await f(15)
    await f(0)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_storm_of_cancellations(colour):
    """Of many callers, half of them cancelled at some moment, the others all get their answer."""
    upstream = Upstream(0)
    f = resilient(
        retry=RetryConfig(delay=0),
        circuit_breaker=CircuitBreakerConfig(),
        bulkhead=BulkheadConfig(max_concurrent=3, max_wait=15),
        timeout=TimeoutConfig(15),
    )(upstream.body)
    answers = []

    async def patient(number):
        answers.append(await f(number))

    async def fickle(number):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(f, number)
                for _ in range(number % 11):
                    await anyio.sleep(0)
                scope.cancel()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(fickle if number % 2 else patient, number)
    assert sorted(answers) == list(range(0, 60, 2))
    assert stage(f, "Bulkhead").health() == {"in_use": 0, "max_concurrent": 3, "waiting": 0}


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_cancelled_backoff_ends_at_once(colour):
    """A call cancelled while it waits for its next attempt makes no more attempts."""
    upstream = Upstream(9)
    f = resilient(retry=RetryConfig(delay=15, jitter=None))(upstream.body)
    with anyio.move_on_after(0.01) as scope:
        await f(1)
    assert (scope.cancelled_caught, upstream.calls) == (True, 1)
