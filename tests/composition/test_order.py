"""The order of the stages, by what each sees of the others."""

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    EventType,
    FallbackConfig,
    Pipeline,
    RateLimiterConfig,
    RateLimitExceededError,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.testing import FakeClock

EVERYTHING = {
    "fallback": FallbackConfig("x"),
    "retry": RetryConfig(),
    "circuit_breaker": CircuitBreakerConfig(),
    "rate_limiter": RateLimiterConfig(),
    "bulkhead": BulkheadConfig(),
}
ORDER = ["Fallback", "Retry", "CircuitBreaker", "RateLimiter", "Bulkhead"]


def names(f):
    return [type(stage).__name__ for stage in f.pipeline.stages]


def test_the_order_does_not_depend_on_the_order_of_the_arguments():
    """However they are written down, the stages stand in one order, the attempt's timeout innermost."""
    settings = dict(reversed({**EVERYTHING, "timeout": TimeoutConfig()}.items()))
    assert names(resilient(**settings)(len)) == [*ORDER, "Timeout"]


def test_a_timeout_of_the_whole_call_stands_outside_retry():
    """per_attempt=False puts it between fallback and retry."""
    f = resilient(**EVERYTHING, timeout=TimeoutConfig(per_attempt=False))(len)
    assert names(f) == ["Fallback", "Timeout", *ORDER[1:]]


def test_no_config_no_stage():
    """A bare decorator adds nothing."""
    assert names(resilient(len)) == names(resilient()(len)) == []


def test_the_cache_is_asked_before_everything(colour, clock, events):
    """A hit reaches no stage: neither an open circuit nor a spent limit is felt."""
    f = colour.decorate(
        lambda x: x,
        cache=CacheConfig(),
        circuit_breaker=CircuitBreakerConfig(),
        rate_limiter=RateLimiterConfig(max_calls=1, period=60),
        clock=clock,
        listeners=[events],
    )
    colour.call(f, 1)
    f.circuit_breaker.force_open()
    events.clear()
    assert colour.call(f, 1) == 1
    assert events.types == [EventType.CACHE_HIT]


def test_the_fallback_stands_outside_everything(colour, clock):
    """It stands in for the last error of retry and for the time-out of the whole call."""
    calls = []

    def body():
        calls.append(1)
        clock.advance(4)
        raise OSError

    f = colour.decorate(
        body,
        fallback=FallbackConfig(lambda error: type(error).__name__),
        retry=RetryConfig(max_attempts=2, delay=0),
        timeout=TimeoutConfig(60, per_attempt=False),
        clock=clock,
    )
    assert (colour.call(f), len(calls)) == ("OSError", 2)


def test_the_breaker_stands_outside_the_limiter(colour, clock):
    """An open circuit refuses without taking a permit."""
    f = colour.decorate(
        lambda: "done",
        circuit_breaker=CircuitBreakerConfig(),
        rate_limiter=RateLimiterConfig(max_calls=1, period=60),
        clock=clock,
    )
    f.circuit_breaker.force_open()
    colour.outcome(f)
    f.circuit_breaker.reset()
    assert colour.call(f) == "done"


def test_a_refusal_between_attempts_is_final(colour, clock, events):
    """The limiter refuses the second attempt: no third follows, and the first error is the cause."""

    def body():
        raise OSError

    f = colour.decorate(
        body,
        retry=RetryConfig(max_attempts=5, delay=0),
        rate_limiter=RateLimiterConfig(max_calls=1, period=60),
        clock=clock,
        listeners=[events],
    )
    raised = colour.outcome(f)
    assert isinstance(raised, RateLimitExceededError)
    assert isinstance(raised.__cause__, OSError)
    assert events.types == [EventType.RETRY, EventType.RATE_LIMITED, EventType.FAILURE]


def test_the_whole_story_in_events(colour, clock, events):
    """A run through every stage tells its facts in order."""

    def body():
        raise OSError

    f = colour.decorate(
        body,
        cache=CacheConfig(),
        fallback=FallbackConfig("x"),
        retry=RetryConfig(max_attempts=3, delay=1, jitter=None),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=2),
        bulkhead=BulkheadConfig(),
        clock=clock,
        listeners=[events],
    )
    assert colour.call(f) == "x"
    assert events.types == [
        EventType.CACHE_MISS,
        EventType.RETRY,
        EventType.CIRCUIT_OPEN,
        EventType.RETRY,
        EventType.CIRCUIT_REJECTED,
        EventType.FALLBACK_USED,
        EventType.SUCCESS,
    ]


def test_listeners_change_nothing_else(colour, clock):
    """With and without listeners a call ends the same way."""
    answers = []
    for listeners in ([], [lambda event: None]):
        f = colour.decorate(lambda: 1, **EVERYTHING, clock=FakeClock(), listeners=listeners)
        answers.append((colour.call(f), names(f)))
    assert answers[0] == answers[1]


def test_a_pipeline_may_order_stages_freely(colour, clock):
    """A pipeline made by hand stands in the order it was given, and shows no error of its own making."""
    tries = []

    def body():
        tries.append(1)
        raise OSError

    pipeline = Pipeline(
        RetryConfig(max_attempts=3, delay=2, jitter=None), TimeoutConfig(1, per_attempt=False), clock=clock
    )
    try:
        colour.call(pipeline(colour.dye(body)))
    except Exception as error:
        assert isinstance(error, (OSError, TimeoutError))
    except BaseException as error:
        pytest.fail(f"{type(error).__name__} was let out")
    assert tries
