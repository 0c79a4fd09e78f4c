"""After an error nothing keeps the frames of the call alive: what is in them dies by its reference count alone."""

import gc
import weakref

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    FallbackConfig,
    RateLimiterConfig,
    RetryConfig,
    TimeoutConfig,
)


class Precious:
    """Something in the frame of the function that fails."""


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def all_dead(colour, refs):
    """Whether what *refs* refer to dies; a worker thread or an event loop may hold on to it for a moment."""
    for _ in range(20_000):
        if refs and all(ref() is None for ref in refs):
            return True
        await colour.sleep(0.001)
    return False


CASES = {
    "nothing": {},
    "cache": {"cache": CacheConfig()},
    "fallback that does not apply": {"fallback": FallbackConfig(1, fallback_on=KeyError)},
    "retry": {"retry": RetryConfig(max_attempts=3, delay=0)},
    "retry that does not apply": {"retry": RetryConfig(retry_on=KeyError)},
    "retry that ignores": {"retry": RetryConfig(ignore_on=OSError), "fallback": FallbackConfig(1)},
    "circuit breaker": {"circuit_breaker": CircuitBreakerConfig()},
    "rate limiter": {"rate_limiter": RateLimiterConfig()},
    "bulkhead": {"bulkhead": BulkheadConfig()},
    "timeout": {"timeout": TimeoutConfig(15)},
    "timeout of all": {"timeout": TimeoutConfig(15, per_attempt=False), "retry": RetryConfig(delay=0)},
    "everything": {
        "cache": CacheConfig(),
        "fallback": FallbackConfig(1, fallback_on=KeyError),
        "retry": RetryConfig(max_attempts=3, delay=0),
        "circuit_breaker": CircuitBreakerConfig(),
        "rate_limiter": RateLimiterConfig(),
        "bulkhead": BulkheadConfig(),
        "timeout": TimeoutConfig(15),
    },
}


def held(colour, settings):
    """A function that fails with something precious in its frame, and the weak references to it."""
    refs = []

    def body():
        precious = Precious()
        refs.append(weakref.ref(precious))
        raise OSError

    return colour.decorate(body, **settings), refs


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
async def test_an_error_leaves_no_cycle(colour, no_gc, settings):
    """The error of a call through these stages, once dropped, takes its frames with it."""
    f, refs = held(colour, settings)
    try:
        await colour.go(f)
    except OSError:
        pass
    assert await all_dead(colour, refs)


async def test_a_refusal_leaves_no_cycle(colour, no_gc):
    """A refusal chained from the last error takes that error's frames with it, once the circuit lets go of it."""
    f, refs = held(
        colour,
        {
            "retry": RetryConfig(max_attempts=3, delay=0),
            "circuit_breaker": CircuitBreakerConfig(failure_threshold=1),
        },
    )
    try:
        await colour.go(f)
    except CircuitOpenError:
        pass
    f.circuit_breaker.reset()
    assert await all_dead(colour, refs)


async def test_a_shared_error_leaves_no_cycle(colour, no_gc):
    """An error that many callers of one key got takes its frames with it."""
    refs, waiting = [], []

    async def body(x):
        precious = Precious()
        refs.append(weakref.ref(precious))
        await colour.until(lambda: len(waiting) == 4)
        await colour.sleep(0.01)
        raise OSError

    f = colour.decorate(body, cache=CacheConfig(), retry=RetryConfig(retry_on=KeyError))

    async def caller():
        waiting.append(1)
        try:
            await colour.go(f, 1)
        except OSError:
            pass

    await colour.gather(*[caller] * 4)
    assert await all_dead(colour, refs)


async def test_a_timeout_leaves_no_cycle(colour, no_gc, clock):
    """A time-out, once dropped, takes the frames of the call with it."""
    refs = []

    async def body():
        precious = Precious()
        refs.append(weakref.ref(precious))
        clock.advance(10)
        if not colour.is_sync:
            await colour.event().wait()

    f = colour.decorate(body, timeout=TimeoutConfig(5), clock=clock)
    try:
        await colour.go(f)
    except TimeoutError:
        pass
    assert await all_dead(colour, refs)


def test_an_error_raised_many_times_does_not_grow(colour):
    """One exception object that is raised by many calls keeps a short traceback."""
    error = OSError()

    def body():
        raise error.with_traceback(None)

    f = colour.decorate(body, retry=RetryConfig(max_attempts=2, delay=0), timeout=TimeoutConfig(15))
    lengths = []
    for _ in range(5):
        colour.outcome(f)
        length, traceback = 0, error.__traceback__
        while traceback is not None:
            length, traceback = length + 1, traceback.tb_next
        lengths.append(length)
    assert len(set(lengths)) == 1


@pytest.mark.parametrize("colour", ["sync"], indirect=True)
async def test_threads_park_without_what_they_worked_on(colour, no_gc):
    """A parked worker thread holds neither argument nor result of its last call."""
    f = colour.decorate(lambda thing: [thing], timeout=TimeoutConfig(15))
    thing = Precious()
    refs = [weakref.ref(thing)]
    f(thing)
    del thing
    assert await all_dead(colour, refs)
