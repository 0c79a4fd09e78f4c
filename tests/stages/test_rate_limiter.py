"""Not calling more often than allowed."""

import pytest

from pyresilience import (
    BulkheadConfig,
    BulkheadFullError,
    EventType,
    Pipeline,
    RateLimiterConfig,
    RateLimitExceededError,
    RetryConfig,
    TimeoutConfig,
)
from pyresilience.testing import FakeClock


def limited(colour, clock, body=lambda *args: "done", listeners=(), **settings):
    return colour.decorate(body, rate_limiter=RateLimiterConfig(**settings), clock=clock, listeners=listeners)


def test_so_many_calls_and_no_more(colour, clock, events):
    """Within a period max_calls calls begin; the next is refused at once, and says when to come back."""
    f = limited(colour, clock, max_calls=3, period=10, listeners=[events])
    for _ in range(3):
        colour.call(f)
    clock.advance(4)
    refused = colour.outcome(f)
    assert (type(refused), refused.retry_after, clock.sleeps) == (RateLimitExceededError, 6.0, [])
    assert [event.retry_after for event in events.of(EventType.RATE_LIMITED)] == [6.0]


def test_the_period_slides(colour, clock):
    """A call may begin one period after the one that it replaces, not at the turn of a fixed interval."""
    f = limited(colour, clock, max_calls=2, period=10)
    colour.call(f)
    clock.advance(9)
    colour.call(f)
    clock.advance(1)
    colour.call(f)
    clock.advance(8.5)
    assert isinstance(colour.outcome(f), RateLimitExceededError)
    clock.advance(0.5)
    assert colour.call(f) == "done"


def test_patient_calls_wait_for_their_time(colour, clock):
    """With max_wait a call sleeps once, until its reservation."""
    f = limited(colour, clock, max_calls=1, period=5, max_wait=60)
    for _ in range(3):
        colour.call(f)
    assert clock.sleeps == [5.0, 5.0]


def test_no_window_holds_more_than_allowed(colour, clock):
    """Over a long run with bursts and pauses no period sees more than max_calls beginnings."""
    began = []
    f = limited(colour, clock, lambda: began.append(clock.monotonic()), max_calls=3, period=10, max_wait=8)
    for pause in [0] * 5 + [3, 0, 9.5, 0, 0, 0.5, 11, 0, 0, 0, 25, 1, 1, 1, 1, 1]:
        clock.advance(pause)
        colour.outcome(f)
    assert len(began) > 12
    assert all(later - earlier >= 10 - 1e-9 for earlier, later in zip(began, began[3:], strict=False))


def test_a_wait_that_would_be_too_long_is_refused_at_once(colour, clock):
    """Who cannot have a permit within max_wait does not wait for it, and takes none from those after."""
    f = limited(colour, clock, max_calls=1, period=10, max_wait=4)
    colour.call(f)
    clock.advance(5)
    for _ in range(3):
        assert isinstance(colour.outcome(f), RateLimitExceededError)
    assert clock.sleeps == []
    clock.advance(2)
    colour.call(f)
    assert clock.sleeps == [3.0]


def test_every_attempt_takes_a_permit(colour, clock):
    """Retries count against the limit as well."""
    began = []

    def body():
        began.append(clock.monotonic())
        raise OSError

    f = colour.decorate(
        body,
        retry=RetryConfig(max_attempts=4, delay=0),
        rate_limiter=RateLimiterConfig(max_calls=2, period=10),
        clock=clock,
    )
    refused = colour.outcome(f)
    assert (type(refused), len(began)) == (RateLimitExceededError, 2)
    assert isinstance(refused.__cause__, OSError)


async def test_a_permit_that_an_inner_stage_refuses_is_given_back(colour, clock):
    """A call refused for want of a slot has not begun: its permit is free again."""
    go, inside = colour.event(), []

    async def body():
        inside.append(1)
        await go.wait()

    f = colour.decorate(
        body,
        rate_limiter=RateLimiterConfig(max_calls=2, period=60),
        bulkhead=BulkheadConfig(max_concurrent=1),
        clock=clock,
    )

    async def others():
        await colour.until(lambda: inside)
        ends = [await colour.end_of(f) for _ in range(4)]
        go.set()
        return ends

    _, refused = await colour.gather(lambda: colour.go(f), others)
    assert [type(each) for each in refused] == [BulkheadFullError] * 4
    assert f.pipeline.stages[0].health() == {"available": 1}


def test_a_permit_of_a_call_that_failed_is_spent(colour, clock):
    """What has reached the function has begun, however it ended."""

    def body():
        raise OSError

    f = limited(colour, clock, body, max_calls=1, period=60)
    colour.outcome(f)
    assert isinstance(colour.outcome(f), RateLimitExceededError)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
async def test_a_cancelled_waiter_gives_its_reservation_back(colour):
    """Whoever is cancelled in line leaves no gap behind: the next one is not refused for it."""
    import anyio

    f = colour.decorate(lambda: "done", rate_limiter=RateLimiterConfig(max_calls=1, period=500, max_wait=1000))
    await f()
    for _ in range(5):
        with anyio.move_on_after(0.005):
            await f()
    (limiter,) = f.pipeline.stages
    assert len(limiter._ring._ring) == 1


def test_a_deadline_in_line_gives_the_reservation_back(colour, clock):
    """A call whose whole time is up before its permit leaves none behind, so the next one may wait as well."""
    f = colour.decorate(
        lambda: "done",
        rate_limiter=RateLimiterConfig(max_calls=1, period=100, max_wait=150),
        timeout=TimeoutConfig(10, per_attempt=False),
        clock=clock,
    )
    colour.call(f)
    for _ in range(3):
        assert isinstance(colour.outcome(f), TimeoutError)
    assert sum(clock.sleeps) == 30.0
    limiter = f.pipeline.stages[1]
    assert len(limiter._ring._ring) == 1


class StillClock(FakeClock):
    """Records when each sleeper would wake up, and lets no time pass."""

    def sleep(self, seconds):
        self.sleeps.append(seconds)

    async def sleep_async(self, seconds):
        self.sleeps.append(seconds)


def test_reservations_are_first_come_first_served(colour):
    """Callers who come in order get times in order, one period apart, each computed once."""
    clock = StillClock(1000.0)
    f = limited(colour, clock, max_calls=2, period=10, max_wait=1000)
    for _ in range(6):
        colour.call(f)
    assert clock.sleeps == [10.0, 10.0, 20.0, 20.0]


async def test_many_callers_at_once_are_kept_to_the_limit(colour):
    """However many callers race, exactly max_calls of them begin."""
    f = limited(colour, FakeClock(), max_calls=7, period=60)
    ends = await colour.gather(*[lambda: colour.go(f)] * 20)
    assert sum(end == "done" for end in ends) == 7


def test_one_limit_serves_all_functions_of_its_pipeline(colour, clock):
    """Sync and async functions of one pipeline share the permits."""
    pipeline = Pipeline(RateLimiterConfig(max_calls=1, period=60), clock=clock)
    f, g = pipeline(colour.dye(lambda: 1)), pipeline(lambda: 2)
    colour.call(f)
    with pytest.raises(RateLimitExceededError):
        g()


def test_health_tells_the_permits_at_hand(colour, clock):
    """`available` is what would be admitted at once."""
    f = limited(colour, clock, max_calls=3, period=10)
    colour.call(f)
    (limiter,) = f.pipeline.stages
    assert limiter.health() == {"available": 2}
    clock.advance(10)
    assert limiter.health() == {"available": 3}
