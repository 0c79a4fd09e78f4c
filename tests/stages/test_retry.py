"""Trying again: how often, after what, and when."""

import logging

import pytest
import tenacity

from pyresilience import (
    CircuitOpenError,
    EventType,
    FallbackConfig,
    RateLimitExceededError,
    RejectedError,
    RetryConfig,
    resilient,
)


class Flaky:
    """Fails with the given errors, one after another, and then answers."""

    def __init__(self, *errors, answer="done"):
        self.errors, self.answer, self.calls = list(errors), answer, 0

    def __call__(self, *args):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.answer


def test_it_tries_until_it_succeeds(colour, clock):
    """A failure is tried again, and the first success is the answer."""
    body = Flaky(OSError(), OSError())
    assert colour.call(colour.decorate(body.__call__, retry=RetryConfig(), clock=clock)) == "done"
    assert body.calls == 3


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_max_attempts_counts_the_first_call(colour, clock, attempts):
    """So many attempts are made in all, and nothing is slept after the last."""
    body = Flaky(*[OSError() for _ in range(9)])
    retry = RetryConfig(max_attempts=attempts, delay=1, jitter=None, backoff_factor=1)
    assert isinstance(colour.outcome(colour.decorate(body.__call__, retry=retry, clock=clock)), OSError)
    assert (body.calls, clock.sleeps) == (attempts, [1.0] * (attempts - 1))


def test_the_last_error_is_raised_itself(colour, clock):
    """The caller gets the very exception of the last attempt, neither wrapped nor chained."""
    errors = [OSError("first"), OSError("second"), OSError("third")]
    f = colour.decorate(Flaky(*errors).__call__, retry=RetryConfig(), clock=clock)
    raised = colour.outcome(f)
    assert raised is errors[2]
    assert raised.__cause__ is None


def test_the_error_says_how_often_and_how_long_it_was_tried(colour, clock):
    """A note on the last error tells attempts and time."""
    f = colour.decorate(
        Flaky(*[OSError() for _ in range(3)]).__call__,
        retry=RetryConfig(delay=2, jitter=None, backoff_factor=1),
        name="fetch",
        clock=clock,
    )
    (note,) = colour.outcome(f).__notes__
    assert all(part in note for part in ("3 attempts", "4 s", "fetch"))


def test_one_error_object_raised_again_and_again_collects_one_note(colour, clock):
    """The note of an exception that is raised by many calls does not pile up; the notes of others stay."""
    error = OSError()
    error.add_note("mine")

    def body():
        raise error

    f = colour.decorate(body, retry=RetryConfig(max_attempts=2), clock=clock)
    for _ in range(5):
        colour.outcome(f)
    assert len(error.__notes__) == 2
    assert error.__notes__[0] == "mine"


def test_a_single_attempt_leaves_no_note(colour, clock):
    """Where nothing was tried again there is nothing to say."""
    raised = colour.outcome(colour.decorate(Flaky(OSError()).__call__, retry=RetryConfig(max_attempts=1), clock=clock))
    assert not getattr(raised, "__notes__", None)


def test_delays_grow_up_to_the_limit(colour, clock):
    """The pause is multiplied by the factor from attempt to attempt and never longer than max_delay."""
    retry = RetryConfig(max_attempts=6, delay=1, backoff_factor=3, max_delay=20, jitter=None)
    colour.outcome(colour.decorate(Flaky(*[OSError() for _ in range(9)]).__call__, retry=retry, clock=clock))
    assert clock.sleeps == [1, 3, 9, 20, 20]


@pytest.mark.parametrize("jitter", [True, "full", "equal"])
def test_jitter_stays_within_the_delay(colour, clock, jitter):
    """A jittered pause is never longer than the delay and never under a tenth of it."""
    retry = RetryConfig(max_attempts=40, delay=10, backoff_factor=1, jitter=jitter)
    colour.outcome(colour.decorate(Flaky(*[OSError() for _ in range(99)]).__call__, retry=retry, clock=clock))
    assert all(1.0 <= pause <= 10.0 for pause in clock.sleeps)
    assert len(set(clock.sleeps)) > 20


def test_decorrelated_jitter_stays_within_its_bounds(colour, clock):
    """Each pause lies between the first delay and three times the pause before, within max_delay."""
    retry = RetryConfig(max_attempts=40, delay=2, max_delay=30, jitter="decorrelated")
    colour.outcome(colour.decorate(Flaky(*[OSError() for _ in range(99)]).__call__, retry=retry, clock=clock))
    pauses = [2.0, *clock.sleeps]
    assert all(2.0 <= now <= min(30.0, 3 * before + 1e-9) for before, now in zip(pauses, pauses[1:], strict=False))


def test_no_delay_means_no_sleep(colour, clock):
    """With a delay of 0 nothing sleeps, not even for 0 seconds."""
    colour.outcome(colour.decorate(Flaky(OSError()).__call__, retry=RetryConfig(delay=0), clock=clock))
    assert clock.sleeps == []


def test_retry_on_names_the_errors(colour, clock):
    """An error that is not named is raised after one attempt."""
    body = Flaky(KeyError(), ValueError(), OSError())
    f = colour.decorate(
        body.__call__, retry=RetryConfig(max_attempts=9, retry_on=(LookupError, ValueError)), clock=clock
    )
    assert isinstance(colour.outcome(f), OSError)
    assert body.calls == 3


def test_retry_on_may_be_a_predicate(colour, clock):
    """A function of the error decides."""
    body = Flaky(OSError("busy"), OSError("busy"), OSError("gone"))
    retry = RetryConfig(max_attempts=9, retry_on=lambda error: "busy" in str(error))
    assert str(colour.outcome(colour.decorate(body.__call__, retry=retry, clock=clock))) == "gone"
    assert body.calls == 3


def test_ignore_on_wins_over_retry_on(colour, clock):
    """An ignored error is raised at once, though retry_on names it as well."""
    body = Flaky(KeyError())
    retry = RetryConfig(retry_on=(KeyError, LookupError), ignore_on=LookupError)
    assert isinstance(colour.outcome(colour.decorate(body.__call__, retry=retry, clock=clock)), KeyError)
    assert body.calls == 1


def test_ignore_on_skips_the_fallback(colour, clock):
    """An ignored error reaches the caller although a fallback would stand in for it."""
    body = Flaky(OSError(), KeyError())
    f = colour.decorate(
        body.__call__, retry=RetryConfig(ignore_on=KeyError), fallback=FallbackConfig("stand-in"), clock=clock
    )
    assert isinstance(colour.outcome(f), KeyError)


def test_retry_on_result_tries_again(colour, clock):
    """A result that the predicate rejects is tried again, and the last one is returned as it is."""
    answers = [None, None, "ready"]
    retry = RetryConfig(retry_on_result=lambda result: result is None)
    assert colour.call(colour.decorate(lambda: answers.pop(0), retry=retry, clock=clock)) == "ready"
    assert colour.call(colour.decorate(lambda: None, retry=retry, clock=clock)) is None
    assert len(clock.sleeps) == 4


def test_a_rejected_result_is_told_as_exhausted(colour, clock, events):
    """RETRY_EXHAUSTED also comes where results, not errors, were rejected."""
    retry = RetryConfig(max_attempts=2, retry_on_result=lambda result: True)
    colour.call(colour.decorate(lambda: 1, retry=retry, clock=clock, listeners=[events]))
    assert events.types == [EventType.RETRY, EventType.RETRY_EXHAUSTED, EventType.SUCCESS]


def test_delay_func_sets_the_delay(colour, clock):
    """It is asked with the attempt and the error, and clamped to [0, max_delay]; None means the usual delay."""
    asked, answers = [], [5, -3, 99, None]

    def delay(attempt, error):
        asked.append((attempt, type(error)))
        return answers.pop(0)

    retry = RetryConfig(max_attempts=5, delay=1, max_delay=10, backoff_factor=1, jitter=None, delay_func=delay)
    colour.outcome(colour.decorate(Flaky(*[OSError() for _ in range(9)]).__call__, retry=retry, clock=clock))
    assert clock.sleeps == [5, 10, 1]
    assert asked == [(1, OSError), (2, OSError), (3, OSError), (4, OSError)]


def test_delay_func_sees_the_rejected_result(colour, clock):
    """Where a result is the reason, delay_func gets the result."""
    seen = []
    retry = RetryConfig(
        max_attempts=2, retry_on_result=lambda result: True, delay_func=lambda attempt, result: seen.append(result)
    )
    colour.call(colour.decorate(lambda: "busy", retry=retry, clock=clock))
    assert seen == ["busy"]


@pytest.mark.parametrize("answer", ["5", [], float("nan"), True, 10**400], ids=["text", "list", "nan", "bool", "huge"])
def test_a_delay_that_makes_no_sense_does_not_hide_the_error(colour, clock, answer, caplog):
    """Whatever delay_func returns, the attempts go on within the limits and the function's own error is raised."""
    body = Flaky(*[OSError() for _ in range(9)])
    retry = RetryConfig(max_attempts=2, max_delay=3, delay=1, jitter=None, delay_func=lambda attempt, error: answer)
    with caplog.at_level(logging.CRITICAL, "pyresilience"):
        assert isinstance(colour.outcome(colour.decorate(body.__call__, retry=retry, clock=clock)), OSError)
    assert (body.calls, len(clock.sleeps)) == (2, 1)
    assert clock.sleeps[0] in (1.0, 3.0)


def test_a_delay_func_that_raises_does_not_hide_the_error(colour, clock, caplog):
    """Its failure is logged, and the usual delay is used."""
    retry = RetryConfig(max_attempts=2, delay=1, jitter=None, delay_func=lambda attempt, error: 1 / 0)
    f = colour.decorate(Flaky(OSError(), OSError()).__call__, retry=retry, clock=clock)
    assert isinstance(colour.outcome(f), OSError)
    assert clock.sleeps == [1.0]
    assert "delay_func" in caplog.text


def test_tenacity_waits(colour, clock):
    """A tenacity wait strategy says how long to pause."""
    retry = RetryConfig(max_attempts=4, wait=tenacity.wait_incrementing(start=1, increment=2), delay=99)
    colour.outcome(colour.decorate(Flaky(*[OSError() for _ in range(9)]).__call__, retry=retry, clock=clock))
    assert clock.sleeps == [1, 3, 5]


def test_tenacity_stops(colour, clock):
    """A tenacity stop strategy says when to give up, in place of max_attempts."""
    body = Flaky(*[OSError() for _ in range(99)])
    retry = RetryConfig(max_attempts=1, stop=tenacity.stop_after_attempt(7), delay=0)
    colour.outcome(colour.decorate(body.__call__, retry=retry, clock=clock))
    assert body.calls == 7


def test_tenacity_stops_by_the_pipelines_clock(colour, clock):
    """A stop by time counts on the clock of the pipeline."""
    body = Flaky(*[OSError() for _ in range(99)])
    retry = RetryConfig(stop=tenacity.stop_after_delay(10), delay=4, jitter=None, backoff_factor=1)
    colour.outcome(colour.decorate(body.__call__, retry=retry, clock=clock))
    assert (body.calls, clock.monotonic()) == (4, 1012)


def test_tenacity_judges_errors_and_results(colour, clock):
    """A tenacity retry strategy judges, in place of retry_on and retry_on_result."""
    answers = [KeyError(), None, ValueError()]

    def body():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    judge = tenacity.retry_if_exception_type(KeyError) | tenacity.retry_if_result(lambda result: result is None)
    retry = RetryConfig(max_attempts=9, delay=0, retry=judge)
    assert isinstance(colour.outcome(colour.decorate(body, retry=retry, clock=clock)), ValueError)
    assert answers == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_base_exception_is_never_retried(colour, clock, kind, events):
    """What is no Exception passes at once, whatever retry_on says, and is judged by nobody."""
    body = Flaky(kind("stop"))
    retry = RetryConfig(retry_on=(BaseException,))
    f = colour.decorate(body.__call__, retry=retry, fallback=FallbackConfig(1), listeners=[events], clock=clock)
    with pytest.raises(kind):
        colour.call(f)
    assert (body.calls, events.types) == (1, [])


def rejections(colour, clock, error, **settings):
    """How often a stage further in is asked that refuses with *error*, and what the caller gets."""
    body = Flaky(*[error for _ in range(9)])
    raised = colour.outcome(colour.decorate(body.__call__, retry=RetryConfig(jitter=None, **settings), clock=clock))
    return body.calls, raised


@pytest.mark.parametrize("kind", [CircuitOpenError, RateLimitExceededError, RejectedError])
@pytest.mark.parametrize(
    "retry_on", [(Exception,), (OSError, Exception), lambda error: True], ids=["one", "two", "any"]
)
def test_a_rejection_is_not_retried(colour, clock, kind, retry_on):
    """A refusal is raised at once unless it is named; Exception and a predicate do not name it."""
    calls, raised = rejections(colour, clock, kind("f"), retry_on=retry_on)
    assert (calls, type(raised), clock.sleeps) == (1, kind, [])


@pytest.mark.parametrize("retry_on", [RateLimitExceededError, RejectedError, (OSError, RateLimitExceededError)])
def test_a_rejection_is_retried_if_it_is_named(colour, clock, retry_on):
    """Naming its class, or RejectedError, in retry_on makes a refusal one to try again after."""
    calls, _ = rejections(colour, clock, RateLimitExceededError("f"), retry_on=retry_on)
    assert calls == 3


def test_naming_one_rejection_does_not_name_another(colour, clock):
    """CircuitOpenError stays final where RateLimitExceededError is named."""
    calls, _ = rejections(colour, clock, CircuitOpenError("f"), retry_on=(Exception, RateLimitExceededError))
    assert calls == 1


@pytest.mark.parametrize(("retry_after", "pauses"), [(7.0, [7, 7]), (0.5, [1, 2]), (None, [1, 2]), (100.0, [100, 100])])
def test_retry_after_lengthens_the_delay(colour, clock, retry_after, pauses):
    """The pause is no shorter than the refusal asks for."""
    rejections(colour, clock, RateLimitExceededError("f", retry_after), delay=1, retry_on=RateLimitExceededError)
    assert clock.sleeps == pauses


def test_events_tell_every_attempt(colour, clock, events):
    """RETRY carries attempt, error and delay, and RETRY_EXHAUSTED and FAILURE the last attempt and error."""
    errors = [OSError(), OSError(), OSError()]
    retry = RetryConfig(delay=2, jitter=None, backoff_factor=2)
    colour.outcome(colour.decorate(Flaky(*errors).__call__, retry=retry, clock=clock, listeners=[events]))
    first, second, spent, failed = events
    assert [(e.event_type, e.attempt, e.error) for e in (first, second)] == [
        (EventType.RETRY, 1, errors[0]),
        (EventType.RETRY, 2, errors[1]),
    ]
    assert (first.delay, second.delay) == (2.0, 4.0)
    assert (spent.event_type, spent.attempt, spent.reason) == (EventType.RETRY_EXHAUSTED, 3, "attempts")
    assert (failed.event_type, failed.attempt, failed.error, failed.duration) == (EventType.FAILURE, 3, errors[2], 6.0)


def test_an_error_that_is_not_retried_is_not_exhausted(colour, clock, events):
    """RETRY_EXHAUSTED is told only about an error that retry would have tried again."""
    f = colour.decorate(
        Flaky(OSError()).__call__, retry=RetryConfig(retry_on=KeyError), clock=clock, listeners=[events]
    )
    colour.outcome(f)
    assert events.types == [EventType.FAILURE]


class Hostile(Exception):
    """An error that is false, empty, equal to nothing and shows nothing."""

    def __bool__(self):
        raise RuntimeError("bool")

    def __len__(self):
        return 0

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = None

    def __str__(self):
        raise RuntimeError("str")

    __repr__ = __str__


def test_a_hostile_error_is_retried_like_any_other(colour, clock, events):
    """Whether an error is true, can be compared or shown does not matter."""
    body = Flaky(Hostile(), Hostile(), answer="done")
    assert colour.call(colour.decorate(body.__call__, retry=RetryConfig(), clock=clock, listeners=[events])) == "done"


def test_a_retry_in_a_function_that_raises_from_a_nested_pipeline(colour, clock):
    """The refusal of another pipeline inside is a refusal here too, and stays final."""
    inner = colour.decorate(Flaky(RejectedError("inner")).__call__, clock=clock)

    async def body():
        return await colour.go(inner)

    assert isinstance(colour.outcome(colour.decorate(body, retry=RetryConfig(), clock=clock)), RejectedError)
    assert clock.sleeps == []


def test_a_delay_longer_than_the_system_can_count_is_slept_as_long_as_it_can(monkeypatch):
    """A huge delay does not put an OverflowError in place of the function's error."""
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)

    @resilient(retry=RetryConfig(max_attempts=2, delay=1e12, max_delay=1e12, jitter=None))
    def f():
        raise OSError

    with pytest.raises(OSError):
        f()
    assert len(slept) == 1
    assert slept[0] < 1e12
