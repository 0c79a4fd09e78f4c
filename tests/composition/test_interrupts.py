"""Ctrl-C at every point of the library where the interpreter can deliver it: nothing stays taken."""

import contextvars
import threading
from contextlib import suppress

import pytest
from interrupting import eventually, interrupt, is_free

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    RateLimiterConfig,
    RetryConfig,
    TimeoutConfig,
    remaining,
    resilient,
)
from pyresilience._lifecycle import lifecycle
from pyresilience.cache import flight
from pyresilience.testing import FakeClock


class Upstream:
    """Fails so many times and then answers, and knows how often it was reached."""

    def __init__(self, failures):
        self.failures, self.calls = failures, 0

    def __call__(self, x):
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise OSError
        return x


PIPELINE = {
    "retry": RetryConfig(max_attempts=3, delay=1),
    "circuit_breaker": CircuitBreakerConfig(failure_threshold=4, recovery_timeout=5, half_open_max_calls=1),
    "rate_limiter": RateLimiterConfig(max_calls=9, period=500, max_wait=1000),
    "bulkhead": BulkheadConfig(max_concurrent=1),
}


def sweep(check, failures=0, half_open=False, **more):
    """Interrupt a call at every point in turn, and *check* each time what it left behind."""
    point = 0
    while True:
        point += 1
        clock, upstream = FakeClock(1000.0), Upstream(failures)
        f = resilient(**{**PIPELINE, **more}, clock=clock)(upstream)
        if half_open:
            for _ in range(4):
                f.circuit_breaker.record_failure()
            clock.advance(5)
        running = lifecycle.running

        def attempt(f=f):
            with suppress(Exception):
                f(1)

        place = interrupt(point, attempt)
        if place is None:
            assert point > 20
            return
        assert lifecycle.running == running, place
        upstream.failures = 0
        check(f, upstream, clock, place)


def stage(f, name):
    return next(each for each in f.pipeline.stages if type(each).__name__ == name)


CASES = pytest.mark.parametrize(
    ("failures", "half_open"), [(0, False), (0, True), (2, False), (9, False)], ids=["good", "probe", "flaky", "bad"]
)


@CASES
def test_the_next_call_gets_in(failures, half_open):
    """Slot, probe and key are free: the same call goes through afterwards and is the only one that runs."""

    def check(f, upstream, clock, place):
        before = upstream.calls
        try:
            assert f(1) == 1
        except Exception as error:
            pytest.fail(f"after an interrupt at {place} the next call failed with {error!r}")
        assert upstream.calls - before <= 1, place

    sweep(check, failures, half_open, cache=CacheConfig())


@CASES
def test_no_permit_is_lost(failures, half_open):
    """The rate limiter has spent no more permits than the function was reached."""

    def check(f, upstream, clock, place):
        spent = 9 - stage(f, "RateLimiter").health()["available"]
        assert spent <= upstream.calls, place

    sweep(check, failures, half_open)


@CASES
def test_the_breaker_stays_usable(failures, half_open):
    """No lock is left locked, and the breaker can be read, asked and reset."""

    def check(f, upstream, clock, place):
        breaker = f.circuit_breaker
        assert breaker.metrics["state"] in ("closed", "half_open", "open")
        breaker.reset()
        assert breaker.allow_request(), place

    sweep(check, failures, half_open)


def test_a_call_with_a_time_limit():
    """An interrupt while another thread works for us leaves nothing under way, and no thread per interrupt."""

    def check(f, upstream, clock, place):
        assert eventually(lambda: not stage(f, "Timeout").health()["abandoned"]), place
        assert f(1) == 1, place

    resilient(timeout=TimeoutConfig(15))(len)("warm")
    before = threading.active_count()
    contextvars.copy_context().run(sweep, check, rate_limiter=None, timeout=TimeoutConfig(15))
    assert threading.active_count() - before <= 16


def test_no_deadline_stays_behind():
    """After an interrupted call nothing bounds the code that goes on: `remaining()` is None again."""

    def left(point):
        f = resilient(timeout=TimeoutConfig(15))(lambda: 1)
        place = interrupt(point, f)
        return place, remaining()

    for point in range(1, 200):
        place, seconds = contextvars.copy_context().run(left, point)
        assert seconds is None, place
        if place is None:
            break
    assert point > 10


def test_who_waits_in_line_gets_in():
    """Wherever the one inside is interrupted, the thread that waits for its slot gets it."""
    point, place = 0, ""
    while place is not None:
        point += 1
        done, waiters = threading.Event(), []

        def wait_in_line(done=done):
            f(False)
            done.set()

        def body(first, waiters=waiters, wait_in_line=wait_in_line):
            if first:
                waiters.append(threading.Thread(target=wait_in_line, daemon=True))
                waiters[0].start()
                while not stage(f, "Bulkhead").health()["waiting"]:
                    threading.Event().wait(0.001)

        f = resilient(bulkhead=BulkheadConfig(max_concurrent=1, max_wait=float("inf")))(body)
        place = interrupt(point, lambda: f(True))
        assert not waiters or done.wait(20), place
    assert point > 10


def test_who_waits_for_another_while_others_wait_for_it():
    """Wherever a call inside another is interrupted, the next can find out for whom it may wait."""
    point, place = 0, ""
    while place is not None:
        point += 1
        begun, gate = threading.Event(), threading.Event()

        @resilient(cache=CacheConfig())
        def inner(x, begun=begun, gate=gate):
            begun.set()
            return gate.wait(20)

        outer = resilient(cache=CacheConfig())(lambda x, inner=inner: inner(1))
        leader = threading.Thread(target=inner, args=(1,), daemon=True)
        leader.start()
        assert begun.wait(20)

        def open_once_somebody_waits(flying=inner.cache._cache.flights._flying, gate=gate):
            assert eventually(lambda: gate.is_set() or any(each.followers for each in [*flying.values()]))
            gate.set()

        def ask(outer=outer, opener=threading.Thread(target=open_once_somebody_waits, daemon=True)):
            opener.start()
            assert outer(1)

        place = interrupt(point, ask)
        assert is_free(flight._graph.lock), place
        gate.set()
        leader.join(20)
        assert inner(1) and outer(1), place
    assert point > 20
