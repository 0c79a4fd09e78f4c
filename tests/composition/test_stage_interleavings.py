"""Two threads, or event loops, at once in one pipeline, one stopped at every point: no permit is lost, or given twice."""

import asyncio
import threading

import pytest
from interleaving import interleavings

from pyresilience import (
    BulkheadConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    CircuitState,
    RateLimiterConfig,
    RateLimitExceededError,
    RetryBudget,
    RetryBudgetConfig,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.testing import FakeClock


class World:
    """A function in a pipeline, and how many are in it.

    Args:
        hand: `"sync"`, or `"asyncio"`.
        stages: Of the pipeline.
        failures: How often the function fails before it answers.
    """

    waits = False
    """Whether a caller waits for the other before that comes: none does here."""

    def __init__(self, hand, failures=0, **stages):
        self.clock, self.runs, self.inside, self.most, self.failures = FakeClock(), 0, 0, 0, failures
        self._is_sync, self._lock = hand == "sync", threading.Lock()

        def enter():
            with self._lock:
                self.runs += 1
                self.inside += 1
                self.most = max(self.most, self.inside)

        def leave():
            with self._lock:
                self.inside -= 1
                self.failures -= 1
                if self.failures >= 0:
                    raise OSError
            return "answer"

        def upstream():
            enter()
            return leave()

        async def upstream_async():
            enter()
            await asyncio.sleep(0)
            return leave()

        self.f = resilient(clock=self.clock, **stages)(upstream if self._is_sync else upstream_async)

    def call(self):
        """Call the function, in an event loop of its own if it is async."""
        return self.f() if self._is_sync else asyncio.run(self.f())


@pytest.fixture(params=["sync", "asyncio"])
def hand(request):
    """In threads, or in event loops that run in threads of their own."""
    return request.param


def both_call(make):
    """Two callers at once, and what became of them, in order."""
    for world, *ends in interleavings(make, World.call, World.call):
        yield world, sorted(str(end) if end == "answer" else type(end).__name__ for end in ends)


def test_one_slot_for_two_who_wait(hand):
    """They run one after the other, and the slot is there again."""
    for world, ends in both_call(lambda: World(hand, bulkhead=BulkheadConfig(max_concurrent=1, max_wait=60))):
        assert (ends, world.most, world.call()) == (["answer", "answer"], 1, "answer")


def test_one_slot_for_two_who_do_not_wait(hand):
    """Who is refused has met the other inside; the slot is there again."""
    for world, ends in both_call(lambda: World(hand, bulkhead=BulkheadConfig(max_concurrent=1))):
        assert ends in (["BulkheadFullError", "answer"], ["answer", "answer"])
        assert (world.runs, world.most, world.call()) == (ends.count("answer"), 1, "answer")


def test_one_permit_for_two(hand):
    """One gets it, the other is refused; there is one more in the next period, and no more than one."""
    for world, ends in both_call(lambda: World(hand, rate_limiter=RateLimiterConfig(max_calls=1, period=10))):
        assert ends == ["RateLimitExceededError", "answer"]
        world.clock.advance(10)
        assert world.call() == "answer"
        with pytest.raises(RateLimitExceededError):
            world.call()


def opened(hand, failures):
    """A pipeline whose circuit lets one call through, to see whether all is well again."""
    world = World(
        hand,
        failures,
        circuit_breaker=CircuitBreakerConfig(
            failure_threshold=1, recovery_timeout=5, half_open_max_calls=1, success_threshold=1
        ),
    )
    world.f.circuit_breaker.record_failure()
    world.clock.advance(5)
    return world


def test_one_probe_of_two_that_ends_well(hand):
    """The circuit is closed; who came with the probe is refused, who came after it is not."""
    for world, ends in both_call(lambda: opened(hand, 0)):
        assert ends in (["CircuitOpenError", "answer"], ["answer", "answer"])
        assert (world.f.circuit_breaker.state, world.call()) == (CircuitState.CLOSED, "answer")


def test_one_probe_of_two_that_fails(hand):
    """The circuit is open again, for as long as it says, and no second probe has got through."""
    for world, ends in both_call(lambda: opened(hand, 1)):
        assert (ends, world.runs) == (["CircuitOpenError", "OSError"], 1)
        with pytest.raises(CircuitOpenError):
            world.call()
        world.clock.advance(5)
        assert world.call() == "answer"


def test_two_failures_that_open_the_circuit(hand):
    """Both count, whichever is the second."""

    def make():
        return World(hand, 9, circuit_breaker=CircuitBreakerConfig(failure_threshold=2, recovery_timeout=5))

    for world, ends in both_call(make):
        assert (ends, world.f.circuit_breaker.state) == (["OSError", "OSError"], CircuitState.OPEN)


def test_one_retry_for_two(hand):
    """One of them pays with it, the other has nothing left."""

    def make():
        budget = RetryBudget(RetryBudgetConfig(max_retries=1, refill_rate=0.001), clock=FakeClock())
        return World(hand, 9, retry=RetryConfig(max_attempts=3, delay=0), retry_budget=budget)

    for world, ends in both_call(make):
        assert (ends, world.runs) == (["OSError", "OSError"], 3)


def test_two_in_time(hand):
    """A timeout that is not reached takes nothing from the other, nor keeps a thread for it."""
    for world, ends in both_call(lambda: World(hand, timeout=TimeoutConfig(seconds=30), retry=RetryConfig(delay=0))):
        assert (ends, world.runs) == (["answer", "answer"], 2)
