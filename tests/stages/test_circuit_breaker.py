"""Not calling what keeps failing."""

import pytest

from pyresilience import (
    BulkheadConfig,
    BulkheadFullError,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CircuitState,
    EventType,
    Pipeline,
    RateLimiterConfig,
    RateLimitExceededError,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience._wiring import Wiring

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
CIRCUIT = (
    EventType.CIRCUIT_OPEN,
    EventType.CIRCUIT_HALF_OPEN,
    EventType.CIRCUIT_CLOSED,
    EventType.CIRCUIT_REJECTED,
)


class Upstream:
    """Does what it is told: `error` is raised, `took` seconds pass, `answer` is returned."""

    def __init__(self, clock):
        self.clock, self.error, self.took, self.answer, self.calls = clock, None, 0.0, "done", 0

    def body(self):
        self.calls += 1
        self.clock.advance(self.took)
        if self.error is not None:
            raise self.error
        return self.answer


@pytest.fixture
def upstream(clock):
    return Upstream(clock)


def guarded(colour, upstream, retry=None, listeners=(), **settings):
    settings = {"failure_threshold": 2, "recovery_timeout": 10, "success_threshold": 1, **settings}
    return colour.decorate(
        upstream.body,
        circuit_breaker=CircuitBreakerConfig(**settings),
        retry=retry,
        listeners=listeners,
        clock=upstream.clock,
    )


def fail(colour, upstream, f, times=1):
    upstream.error = OSError("down")
    ends = [colour.outcome(f) for _ in range(times)]
    upstream.error = None
    return ends


def test_it_opens_after_failures_in_a_row(colour, upstream):
    """The threshold opens it, then nothing reaches the function."""
    f = guarded(colour, upstream)
    fail(colour, upstream, f, 2)
    assert f.circuit_breaker.state is OPEN
    assert isinstance(colour.outcome(f), CircuitOpenError)
    assert upstream.calls == 2


def test_a_success_between_failures_keeps_it_closed(colour, upstream):
    """Only failures in a row count."""
    f = guarded(colour, upstream)
    for _ in range(5):
        fail(colour, upstream, f)
        colour.call(f)
    assert f.circuit_breaker.state is CLOSED


def test_the_refusal_carries_what_a_handler_needs(colour, upstream):
    """Name, seconds to wait, and the failure that opened it, which it is chained from."""
    f = guarded(colour, upstream)
    opener = fail(colour, upstream, f, 2)[-1]
    upstream.clock.advance(4)
    refused = colour.outcome(f)
    assert (refused.name, refused.retry_after) == ("Upstream.body", 6.0)
    assert refused.last_error is refused.__cause__ is opener


def test_it_recovers(colour, upstream, events):
    """After recovery_timeout probes are let through, and enough good ones close it; each transition is told once."""
    f = guarded(colour, upstream, success_threshold=2, listeners=[events])
    fail(colour, upstream, f, 2)
    colour.outcome(f)
    upstream.clock.advance(10)
    assert f.circuit_breaker.state is HALF_OPEN
    states = []
    for _ in range(3):
        colour.call(f)
        states.append(f.circuit_breaker.state)
    assert states == [HALF_OPEN, CLOSED, CLOSED]
    assert [event.event_type for event in events.of(*CIRCUIT)] == [
        EventType.CIRCUIT_OPEN,
        EventType.CIRCUIT_REJECTED,
        EventType.CIRCUIT_HALF_OPEN,
        EventType.CIRCUIT_CLOSED,
    ]


def test_a_failed_probe_opens_it_anew(colour, upstream):
    """One failure while half-open means another full recovery_timeout."""
    f = guarded(colour, upstream)
    fail(colour, upstream, f, 2)
    upstream.clock.advance(10)
    fail(colour, upstream, f)
    upstream.clock.advance(9)
    assert isinstance(colour.outcome(f), CircuitOpenError)
    upstream.clock.advance(1)
    assert colour.call(f) == "done"


@pytest.mark.parametrize(("settings", "limit"), [({"success_threshold": 3}, 3), ({"half_open_max_calls": 2}, 2)])
async def test_half_open_admits_only_so_many_probes_at_once(colour, clock, settings, limit):
    """The others are refused while the probes are under way."""
    inside, go, down = [], colour.event(), [True]

    async def body():
        if down[0]:
            raise OSError
        inside.append(1)
        await go.wait()

    config = CircuitBreakerConfig(**{"failure_threshold": 1, "recovery_timeout": 10, **settings})
    f = colour.decorate(body, circuit_breaker=config, clock=clock)
    await colour.end_of(f)
    down[0] = False
    clock.advance(10)
    refused = []

    async def caller():
        try:
            await colour.go(f)
        except CircuitOpenError:
            refused.append(1)

    async def release():
        await colour.until(lambda: len(inside) + len(refused) == 8)
        seen.append((len(inside), len(refused)))
        go.set()

    seen = []
    await colour.gather(release, *[caller] * 8)
    assert seen == [(limit, 8 - limit)]


@pytest.mark.parametrize("ending", ["ignored", "not minded"])
def test_an_ending_without_a_verdict_gives_the_probe_back(colour, upstream, ending):
    """An ignored error, or one that is no failure, neither opens nor closes a half-open circuit."""
    settings = {"ignore_on": KeyError} if ending == "ignored" else {"error_types": OSError}
    f = guarded(colour, upstream, **settings)
    fail(colour, upstream, f, 2)
    upstream.clock.advance(10)
    upstream.error = KeyError()
    for _ in range(3):
        assert isinstance(colour.outcome(f), KeyError)
        assert f.circuit_breaker.state is HALF_OPEN
    upstream.error = None
    colour.call(f)
    assert f.circuit_breaker.state is CLOSED


def test_errors_that_do_not_count_leave_the_count_alone(colour, upstream):
    """An ignored error is neither a failure nor a success: the failures around it are still in a row."""
    f = guarded(colour, upstream, ignore_on=KeyError)
    fail(colour, upstream, f)
    upstream.error = KeyError()
    colour.outcome(f)
    fail(colour, upstream, f)
    assert f.circuit_breaker.state is OPEN


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_is_no_failure(colour, upstream, kind):
    """Ctrl-C and the like say nothing about the other side, and give the probe back."""
    f = guarded(colour, upstream, failure_threshold=1)
    fail(colour, upstream, f)
    upstream.clock.advance(10)
    upstream.error = kind()
    for _ in range(3):
        with pytest.raises(kind):
            colour.call(f)
    upstream.error = None
    assert colour.call(f) == "done"


def test_every_attempt_is_asked_and_counted(colour, upstream):
    """It stands inside retry: the attempts of one call can open it."""
    f = guarded(colour, upstream, retry=RetryConfig(max_attempts=5, delay=1, jitter=None))
    fail(colour, upstream, f)
    assert upstream.calls == 2


def test_opening_between_attempts_ends_the_call_without_a_sleep(colour, upstream):
    """The caller gets CircuitOpenError chained from its own last error, and no backoff is slept before it."""
    f = guarded(colour, upstream, retry=RetryConfig(max_attempts=5, delay=60, jitter=None), failure_threshold=2)
    (raised,) = fail(colour, upstream, f)
    assert isinstance(raised, CircuitOpenError)
    assert isinstance(raised.__cause__, OSError)
    assert upstream.clock.sleeps == [60.0]


def test_a_named_refusal_is_retried_after_retry_after(colour, upstream):
    """Where retry names CircuitOpenError, it waits until the circuit lets a probe through, and recovers."""
    retry = RetryConfig(max_attempts=4, delay=1, jitter=None, retry_on=(OSError, CircuitOpenError))
    answers = [OSError(), "done"]

    def body():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    breaker = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=30)
    f = colour.decorate(body, circuit_breaker=breaker, retry=retry, clock=upstream.clock)
    assert colour.call(f) == "done"
    assert upstream.clock.sleeps == [30.0]


class Hostile(Exception):
    """An error that is neither true nor false."""

    def __bool__(self):
        raise RuntimeError("bool")


def test_a_hostile_error_opens_it_like_any_other(colour, upstream):
    """The refusal carries the error that opened the circuit, whatever that error thinks of itself."""
    f = guarded(colour, upstream, retry=RetryConfig(), failure_threshold=1)
    upstream.error = Hostile()
    refused = colour.outcome(f)
    assert isinstance(refused, CircuitOpenError)
    assert refused.last_error is refused.__cause__ is upstream.error


async def test_a_result_of_another_generation_changes_nothing(colour, clock):
    """A call that began before the circuit opened and succeeds while it is half-open is no probe."""
    go, down = colour.event(), [False]

    async def body(slow):
        if slow:
            started.append(1)
            await go.wait()
        elif down[0]:
            raise OSError

    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=10, success_threshold=1)
    f = colour.decorate(body, circuit_breaker=config, clock=clock)
    started = []

    async def straggler():
        await colour.go(f, True)

    async def others():
        await colour.until(lambda: started)
        down[0] = True
        await colour.end_of(f, False)
        clock.advance(10)
        go.set()

    await colour.gather(straggler, others)
    assert f.circuit_breaker.state is HALF_OPEN


def test_what_an_inner_stage_refuses_is_no_failure(colour, upstream):
    """A refusal of the limiter or the bulkhead says nothing about the other side."""
    f = colour.decorate(
        upstream.body,
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1),
        rate_limiter=RateLimiterConfig(max_calls=1, period=60),
        clock=upstream.clock,
    )
    colour.call(f)
    assert isinstance(colour.outcome(f), RateLimitExceededError)
    assert f.circuit_breaker.state is CLOSED


async def test_a_full_bulkhead_is_no_failure(colour):
    """A refusal for want of a slot leaves the circuit closed."""
    go, inside = colour.event(), []

    async def body():
        inside.append(1)
        await go.wait()

    f = colour.decorate(
        body,
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1),
        bulkhead=BulkheadConfig(max_concurrent=1),
    )

    async def second():
        await colour.until(lambda: inside)
        end = await colour.end_of(f)
        go.set()
        return end

    _, refused = await colour.gather(lambda: colour.go(f), second)
    assert isinstance(refused, BulkheadFullError)
    assert f.circuit_breaker.state is CLOSED


def test_a_timeout_is_a_failure(colour, clock):
    """An attempt that ran past its limit counts."""

    async def body():
        clock.advance(10)
        if not colour.is_sync:
            await colour.event().wait()

    f = colour.decorate(
        body, circuit_breaker=CircuitBreakerConfig(failure_threshold=1), timeout=TimeoutConfig(5), clock=clock
    )
    assert isinstance(colour.outcome(f), TimeoutError)
    assert f.circuit_breaker.state is OPEN


def test_failure_if_judges_results(colour, upstream):
    """A result that the predicate condemns counts as a failure and is still returned."""
    upstream.answer = 503
    f = guarded(colour, upstream, failure_if=lambda result: result >= 500)
    assert [colour.call(f) for _ in range(2)] == [503, 503]
    assert f.circuit_breaker.state is OPEN
    refused = colour.outcome(f)
    assert (type(refused), refused.last_error) == (CircuitOpenError, None)


def test_a_rate_over_the_last_calls_opens_it(colour, upstream):
    """With a window of calls the share of failures decides, once the window is full."""
    f = guarded(colour, upstream, sliding_window_size=4, failure_rate_threshold=0.5)
    fail(colour, upstream, f, 2)
    colour.call(f)
    assert f.circuit_breaker.state is CLOSED
    colour.call(f)
    assert f.circuit_breaker.state is OPEN


def test_minimum_calls_judges_earlier(colour, upstream):
    """With minimum_calls the rate counts before the window is full."""
    f = guarded(colour, upstream, sliding_window_size=100, minimum_calls=3, failure_rate_threshold=0.6)
    colour.call(f)
    fail(colour, upstream, f)
    assert f.circuit_breaker.state is CLOSED
    fail(colour, upstream, f)
    assert f.circuit_breaker.state is OPEN


def test_a_rate_over_the_last_seconds_opens_it(colour, upstream):
    """With a window of time, old failures are forgotten."""
    f = guarded(colour, upstream, window_seconds=20, minimum_calls=3, failure_rate_threshold=1.0)
    fail(colour, upstream, f, 2)
    upstream.clock.advance(21)
    fail(colour, upstream, f, 2)
    assert f.circuit_breaker.state is CLOSED
    fail(colour, upstream, f)
    assert f.circuit_breaker.state is OPEN


def test_a_slow_call_is_told(colour, upstream, events):
    """SLOW_CALL carries the duration, from slow_call_duration on; without a window it is only told."""
    f = guarded(colour, upstream, slow_call_duration=2, listeners=[events])
    for upstream.took in (1.9, 2.0, 5.0):
        colour.call(f)
    assert [event.duration for event in events.of(EventType.SLOW_CALL)] == [pytest.approx(2.0), pytest.approx(5.0)]
    assert f.circuit_breaker.state is CLOSED


def test_slow_calls_open_it(colour, upstream):
    """With a window, a share of slow calls opens it although they succeed."""
    f = guarded(
        colour, upstream, slow_call_duration=2, slow_call_rate_threshold=0.5, sliding_window_size=4, minimum_calls=4
    )
    for upstream.took in (0, 0, 3, 3):
        colour.call(f)
    assert f.circuit_breaker.state is OPEN


def test_forced_open_stays_open(colour, upstream):
    """No time ends it, the refusal knows no retry_after, and a reset lets calls through again."""
    f = guarded(colour, upstream)
    f.circuit_breaker.force_open()
    upstream.clock.advance(1e6)
    assert colour.outcome(f).retry_after is None
    assert (f.circuit_breaker.state, upstream.calls) == (OPEN, 0)
    f.circuit_breaker.reset()
    assert colour.call(f) == "done"


async def test_a_late_result_does_not_end_what_was_forced(colour):
    """A call under way when the circuit is forced open does not close it."""
    go, started = colour.event(), []

    async def body():
        started.append(1)
        await go.wait()

    f = colour.decorate(body, circuit_breaker=CircuitBreakerConfig(success_threshold=1))

    async def force():
        await colour.until(lambda: started)
        f.circuit_breaker.force_open()
        go.set()

    await colour.gather(lambda: colour.go(f), force)
    assert f.circuit_breaker.state is OPEN


def test_one_circuit_serves_all_functions_of_its_pipeline(colour, upstream):
    """Failures of one function open the circuit of the other, sync or async."""
    pipeline = Pipeline(CircuitBreakerConfig(failure_threshold=1), clock=upstream.clock)
    f, g = pipeline(colour.dye(upstream.body)), pipeline(lambda: "other")
    fail(colour, upstream, f)
    with pytest.raises(CircuitOpenError):
        g()
    assert f.circuit_breaker is g.circuit_breaker


def test_the_event_of_opening_says_when_to_come_back(colour, upstream, events):
    """CIRCUIT_OPEN carries the error and retry_after."""
    f = guarded(colour, upstream, listeners=[events])
    fail(colour, upstream, f, 2)
    (opened,) = events.of(EventType.CIRCUIT_OPEN)
    assert (str(opened.error), opened.retry_after) == ("down", 10.0)


# By hand.


def by_hand(clock, **settings):
    settings = {"failure_threshold": 2, "recovery_timeout": 10, "success_threshold": 2, **settings}
    return CircuitBreaker(CircuitBreakerConfig(**settings), Wiring(clock))


def test_by_hand_it_opens_and_recovers(clock):
    """Asking and reporting by hand walks through all states."""
    breaker = by_hand(clock)
    for _ in range(2):
        assert breaker.allow_request()
        breaker.record_failure()
    assert (breaker.allow_request(), breaker.state) == (False, OPEN)
    clock.advance(10)
    for _ in range(2):
        assert breaker.allow_request()
        breaker.record_success()
    assert breaker.state is CLOSED


def test_by_hand_half_open_admits_only_so_many(clock):
    """Probes that are not reported on yet take up the places."""
    breaker = by_hand(clock, half_open_max_calls=2)
    breaker.record_failure()
    breaker.record_failure()
    clock.advance(10)
    assert [breaker.allow_request() for _ in range(4)] == [True, True, False, False]
    breaker.record_success()
    assert breaker.allow_request()


def test_by_hand_a_forgotten_probe_comes_back(clock):
    """A permit that is never reported on is free again after recovery_timeout."""
    breaker = by_hand(clock, half_open_max_calls=1)
    breaker.record_failure()
    breaker.record_failure()
    clock.advance(10)
    assert (breaker.allow_request(), breaker.allow_request()) == (True, False)
    clock.advance(10)
    assert breaker.allow_request()


def test_by_hand_a_late_report_does_not_extend_the_time_open(clock):
    """A failure reported while it is open changes nothing."""
    breaker = by_hand(clock)
    breaker.record_failure()
    breaker.record_failure()
    clock.advance(9)
    breaker.record_failure()
    clock.advance(1)
    assert breaker.allow_request()


def test_by_hand_a_slow_success_counts(clock):
    """The reported duration decides whether a call was slow."""
    breaker = by_hand(clock, sliding_window_size=2, slow_call_duration=1, slow_call_rate_threshold=1.0)
    breaker.record_success(duration=0.5)
    breaker.record_success(duration=1.0)
    assert breaker.state is CLOSED
    breaker.record_success(duration=1.5)
    assert breaker.state is OPEN


def test_metrics_tell_counts_and_rates(clock):
    """What the circuit has in view."""
    breaker = by_hand(clock, sliding_window_size=4, failure_rate_threshold=0.9)
    for failed in (True, False, True, False):
        breaker.record_failure() if failed else breaker.record_success()
    assert breaker.metrics == {
        "state": "closed",
        "failure_count": 2,
        "total_calls": 4,
        "failure_rate": 0.5,
        "slow_call_rate": 0.0,
    }


@pytest.mark.parametrize("method", ["reset", "force_close"])
def test_closing_by_hand_forgets(clock, method):
    """Both close the circuit, forced or not, and forget the failures so far."""
    breaker = by_hand(clock)
    breaker.force_open()
    getattr(breaker, method)()
    breaker.record_failure()
    assert breaker.state is CLOSED
    getattr(breaker, method)()
    breaker.record_failure()
    assert breaker.state is CLOSED


def test_it_works_without_a_config():
    """A breaker with the defaults can be used at once."""
    breaker = CircuitBreaker()
    for _ in range(5):
        assert breaker.allow_request()
        breaker.record_failure()
    assert not breaker.allow_request()


def test_by_hand_with_no_recovery_time_probes_are_bounded_all_the_same(clock):
    """With `recovery_timeout=0` no more probes are let through at once than `half_open_max_calls`."""
    breaker = resilient(
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0, half_open_max_calls=2),
        clock=clock,
    )(lambda: 1).circuit_breaker
    breaker.record_failure()
    assert [breaker.allow_request() for _ in range(4)] == [True, True, False, False]
    clock.advance(1)
    assert breaker.allow_request()


def test_a_window_too_short_to_count_in_is_refused():
    """A window shorter than a clock can tell apart is refused when the config is made."""
    with pytest.raises(ValueError, match="window_seconds"):
        CircuitBreakerConfig(window_seconds=1e-320)
