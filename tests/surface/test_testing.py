"""What the library offers for tests."""

import threading
from functools import partial

import anyio
import pytest

from pyresilience import (
    BulkheadConfig,
    BulkheadFullError,
    CacheConfig,
    CircuitBreakerConfig,
    EventType,
    RateLimiterConfig,
    ResilienceTimeoutError,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.testing import EventRecorder, FakeClock, set_testing


def failing(calls):
    def body():
        calls.append(1)
        raise OSError

    return body


def test_a_fake_clock_stands_still():
    """It shows what it was set to until it is moved."""
    clock = FakeClock(5.0)
    assert clock.monotonic() == clock.monotonic() == 5.0
    clock.advance("1m30s")
    assert clock.monotonic() == 95.0


def test_a_fake_clock_does_not_go_back():
    """A negative step is refused, and so is one that is no number."""
    clock = FakeClock()
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="back"):
            clock.advance(bad)


def test_sleeping_moves_a_fake_clock(colour):
    """A sleep takes no time and is remembered, in sync and async code."""
    clock = FakeClock()

    async def scenario():
        if colour.is_sync:
            clock.sleep(3)
        else:
            await clock.sleep_async(3)

    colour.run(scenario)
    assert (clock.monotonic(), clock.sleeps) == (3.0, [3])


def test_alarms_ring_in_order_and_at_their_time():
    """Each alarm on the way rings once, with the clock showing its time."""
    clock, rung = FakeClock(), []
    clock.alarm(5, lambda: rung.append(("late", clock.monotonic())))
    clock.alarm(2, lambda: rung.append(("early", clock.monotonic())))
    clock.alarm(3, lambda: rung.append(("never", clock.monotonic())))()
    clock.advance(4)
    assert rung == [("early", 2.0)]
    clock.advance(4)
    assert rung == [("early", 2.0), ("late", 5.0)]


def test_an_alarm_that_is_due_rings_at_once():
    """An alarm for now, or for a time that has passed, does not wait for the clock to move."""
    clock, rung = FakeClock(), threading.Event()
    clock.alarm(0, rung.set)
    clock.alarm(-1, rung.set)
    assert rung.is_set()


def test_an_alarm_may_set_another():
    """An alarm set by an alarm rings in the same step, if it falls into it."""
    clock, rung = FakeClock(), []
    clock.alarm(1, lambda: clock.alarm(1, lambda: rung.append(clock.monotonic())))
    clock.advance(5)
    assert rung == [2.0]


def test_a_fake_clock_serves_many_threads():
    """Alarms set and cancelled from several threads are neither lost nor rung twice."""
    clock, rung = FakeClock(), []

    def work():
        for _ in range(200):
            clock.alarm(1, lambda: rung.append(1))
            clock.alarm(1, lambda: rung.append("cancelled"))()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    clock.advance(2)
    assert rung == [1] * 800


def test_a_recorder_records():
    """Events in order, by type and counted, until it is cleared."""
    recorder = EventRecorder()
    f = resilient(retry=RetryConfig(max_attempts=2, delay=0), listeners=[recorder])(failing([]))
    with pytest.raises(OSError):
        f()
    assert recorder.types == [EventType.RETRY, EventType.RETRY_EXHAUSTED, EventType.FAILURE]
    assert [event.event_type for event in recorder] == recorder.types
    assert (len(recorder), recorder.count(EventType.RETRY)) == (3, 1)
    assert recorder.of(EventType.FAILURE, EventType.RETRY) == [recorder.events[0], recorder.events[2]]
    recorder.clear()
    assert len(recorder) == 0


def test_set_testing_bounds_attempts_and_sleeps_nowhere(colour, clock):
    """Under it retries do not wait, limits do not pause, and attempts are few."""
    calls = []
    f = colour.decorate(
        failing(calls),
        retry=RetryConfig(max_attempts=100, delay=60),
        rate_limiter=RateLimiterConfig(max_calls=1, period=60, max_wait=6000),
        clock=clock,
    )
    with set_testing(True):
        colour.outcome(f)
    assert (len(calls), clock.sleeps) == (3, [])


def test_set_testing_does_not_wait_for_a_deadline(colour, clock):
    """A pause that is left out cannot make the call late either."""
    calls = []
    f = colour.decorate(
        failing(calls),
        retry=RetryConfig(delay=60, jitter=None),
        timeout=TimeoutConfig(5, per_attempt=False),
        clock=clock,
    )
    with set_testing():
        assert isinstance(colour.outcome(f), OSError)
    assert (len(calls), clock.sleeps) == (3, [])


def test_set_testing_takes_the_number_of_attempts(colour, clock):
    """`attempts=` bounds, and never raises, the number of attempts."""
    for attempts, made in ((1, 1), (2, 2), (9, 4)):
        calls = []
        f = colour.decorate(failing(calls), retry=RetryConfig(max_attempts=4, delay=60), clock=clock)
        with set_testing(attempts=attempts):
            colour.outcome(f)
        assert len(calls) == made


def test_set_testing_restores_what_was_before(colour, clock):
    """Leaving the innermost block brings back the block around it, and the outermost the real thing."""

    def attempts():
        calls = []
        colour.outcome(colour.decorate(failing(calls), retry=RetryConfig(max_attempts=5, delay=0), clock=clock))
        return len(calls)

    with set_testing(attempts=2):
        with set_testing(attempts=4):
            inner = attempts()
        with set_testing(False):
            off = attempts()
        outer = attempts()
    assert (inner, off, outer, attempts()) == (4, 5, 2, 5)


def test_set_testing_as_a_plain_call(clock):
    """Called, it stays in force until it is switched off."""
    calls = []
    f = resilient(retry=RetryConfig(max_attempts=5, delay=60), clock=clock)(failing(calls))
    set_testing(True, attempts=2)
    try:
        with pytest.raises(OSError):
            f()
    finally:
        set_testing(False)
    assert (len(calls), clock.sleeps) == (2, [])


@pytest.mark.parametrize("attempts", [0, -1])
def test_set_testing_needs_an_attempt(attempts):
    """Less than one attempt is refused, and changes nothing."""
    with pytest.raises(ValueError, match="attempts"):
        set_testing(attempts=attempts)


def test_a_whole_recovery_on_a_fake_clock(colour, clock):
    """Hours of an outage pass in a test without waiting."""
    healthy = []

    def body():
        if not healthy:
            raise OSError
        return "done"

    f = colour.decorate(
        body,
        retry=RetryConfig(max_attempts=3, delay="10m", max_delay="2h", jitter=None),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=3, recovery_timeout="1h", success_threshold=1),
        clock=clock,
    )
    assert isinstance(colour.outcome(f), OSError)
    assert clock.sleeps == [600.0, 1200.0]
    healthy.append(1)
    clock.advance("1h")
    assert colour.call(f) == "done"


class HastyClock(FakeClock):
    """Is moved on by others just before somebody who has read it sets an alarm."""

    step = 0

    def alarm(self, seconds, ring):
        step, self.step = self.step, 0
        self.advance(step)
        return super().alarm(seconds, ring)


WAITS = {
    "follower": {"cache": CacheConfig(wait_timeout=5, on_wait_timeout="raise")},
    "line": {"bulkhead": BulkheadConfig(max_concurrent=1, max_wait=5)},
}


@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("wait", WAITS)
async def test_time_that_passes_before_the_alarm_is_set(colour, wait, step):
    """Who has read the clock, and is about to wait when it is moved, waits until the same moment."""
    clock, gate, begun = HastyClock(1000.0), colour.event(), []

    async def body():
        begun.append(1)
        await gate.wait()

    f = colour.decorate(body, **WAITS[wait], clock=clock)

    async def second():
        await colour.until(lambda: begun)
        clock.step = step
        end = await colour.end_of(f)
        gate.set()
        return end

    async def third():
        await colour.until(lambda: clock.monotonic() == 1000.0 + step and (clock._alarms or gate.is_set()))
        clock.advance(5 - step)

    _, end, _ = await colour.gather(lambda: colour.go(f), second, third)
    assert isinstance(end, (BulkheadFullError, ResilienceTimeoutError))
    assert (clock.monotonic(), clock._alarms) == (1005.0, [])


def test_a_bounded_call_whose_time_passes_before_the_alarm_is_set():
    """The same for a synchronous call that has a timeout."""
    clock, gate = HastyClock(), threading.Event()
    clock.step = 5
    with pytest.raises(ResilienceTimeoutError):
        resilient(timeout=TimeoutConfig(5), clock=clock)(partial(gate.wait, 20))()
    gate.set()


def test_a_fake_clock_leaves_the_loop_to_others():
    """An async sleep on it lets other tasks run."""
    clock, order = FakeClock(), []

    async def main():
        async with anyio.create_task_group() as group:
            for name in ("a", "b"):

                async def sleeper(name=name):
                    order.append(name)
                    await clock.sleep_async(1)
                    order.append(name)

                group.start_soon(sleeper)

    anyio.run(main)
    assert order == ["a", "b", "a", "b"]
