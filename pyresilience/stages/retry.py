"""Try again what failed, a little later each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, cast

from .. import _async, _blocking
from .._call import Call
from .._log import log
from .._outcome import Expired
from .._settings import require, require_callable, require_errors, require_one_of, seconds
from .._testing_mode import mode
from .._typing import Duration, ErrorClasses, ErrorPredicate
from .._wiring import Wiring
from ..errors import RejectedError
from ..events import RetryExhausted, Retrying
from ..policies import backoff
from ..policies.handling import Handling
from .base import AsyncHandler, Handler, Stage
from .retry_budget import RetryBudget, RetryBudgetConfig

if TYPE_CHECKING:
    from tenacity import RetryCallState

_NOTE = "pyresilience: gave up after "


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """What to try again, how often and when.

    Args:
        max_attempts: Attempts in all, the first call included.
        delay: Seconds before the second attempt.
        backoff_factor: What the delay is multiplied by from one attempt to the next.
        max_delay: No delay is longer, in seconds.
        jitter: Spread of the delays: `"full"` (or True), `"equal"`, `"decorrelated"`, or None (or False).
        retry_on: Exception classes to try again after, or a function that says so of an exception.
        ignore_on: Exception classes that are never tried again, nor answered by a fallback; wins over `retry_on`.
        retry_on_result: A function of the result that says whether to try again.
        delay_func: A function of (attempt, error or result) that returns the delay in seconds, or None for the
            usual one; clamped to [0, max_delay].
        wait: A tenacity wait strategy, in place of delay, backoff_factor, max_delay and jitter.
        stop: A tenacity stop strategy, in place of max_attempts.
        retry: A tenacity retry strategy, in place of retry_on and retry_on_result.
    """

    max_attempts: int = 3
    delay: Duration = 1.0
    backoff_factor: float = 2.0
    max_delay: Duration = 60.0
    jitter: bool | str | None = True
    retry_on: ErrorClasses | ErrorPredicate = (Exception,)
    ignore_on: ErrorClasses = ()
    retry_on_result: Callable[[Any], bool] | None = None
    delay_func: Callable[[int, Any], float | None] | None = None
    wait: Callable[[RetryCallState], float] | None = None
    stop: Callable[[RetryCallState], bool] | None = None
    retry: Callable[[RetryCallState], bool] | None = None

    def __post_init__(self) -> None:
        require(self, "max_attempts", whole=True, at_least=1)
        require(self, "delay", duration=True, at_least=0)
        require(self, "backoff_factor", at_least=0)
        require(self, "max_delay", duration=True, at_least=0)
        require_one_of(self, "jitter", (True, False, None, "full", "equal", "decorrelated"))
        require_errors(self, "retry_on", predicate=True)
        require_errors(self, "ignore_on")
        for field in ("retry_on_result", "delay_func", "wait", "stop", "retry"):
            require_callable(self, field)

    def build(self, wiring: Wiring) -> Retry:
        """Make the stage."""
        return Retry(self, wiring)


class Budgeted:
    """A retry whose retries are paid from a budget of its own (a config) or a shared one."""

    def __init__(self, retry: RetryConfig, budget: RetryBudgetConfig | RetryBudget) -> None:
        self.retry = retry
        self.budget = budget

    def build(self, wiring: Wiring) -> Retry:
        """Make the stage."""
        shared = isinstance(self.budget, RetryBudget)
        budget = self.budget if shared else RetryBudget(cast("RetryBudgetConfig", self.budget), wiring.clock)
        return Retry(self.retry, wiring, cast("RetryBudget", budget))


class _Course:
    """What has happened to one call since its first failure."""

    __slots__ = ("began", "pause", "slept")

    def __init__(self, began: float) -> None:
        self.began = began
        self.pause: float | None = None
        self.slept = 0.0


class Retry(Stage):
    """Runs attempt after attempt. Nothing is made or asked before the first failure."""

    def __init__(self, config: RetryConfig, wiring: Wiring, budget: RetryBudget | None = None) -> None:
        self._config = config
        self._wiring = wiring
        self._budget = budget
        self._handling = Handling(cast("Any", config.retry_on), cast("Any", config.ignore_on))
        self._delay, self._max_delay = seconds(config.delay), seconds(config.max_delay)
        self._jitter = "full" if config.jitter is True else config.jitter or None
        self._judges = config.retry_on_result is not None or config.retry is not None

    def wrap(self, inner: Handler) -> Handler:
        """Run until an attempt is good enough or none is left."""
        now, clock, sleep = self._wiring.clock.monotonic, self._wiring.clock, _blocking.sleep
        after_error, after_result, judges = self._after_error, self._after_result, self._judges

        def retrying(call: Call) -> Any:
            began, course = now(), None
            try:
                while True:
                    try:
                        result = inner(call)
                    except Exception as error:
                        course = course or _Course(began)
                        pause = after_error(call, course, error)
                        if pause is None:
                            raise
                    else:
                        if not judges:
                            return result
                        course = course or _Course(began)
                        pause = after_result(call, course, result)
                        if pause is None:
                            return result
                    if pause > 0.0:
                        sleep(clock, pause, call)
                    call.attempt += 1
                    call.ran, call.reached = call.ran or call.reached, False
            finally:
                if course is not None and call.deadline is None:
                    call.last_error = None

        return retrying

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Run until an attempt is good enough or none is left."""
        now, clock, sleep = self._wiring.clock.monotonic, self._wiring.clock, _async.sleep
        after_error, after_result, judges = self._after_error, self._after_result, self._judges

        async def retrying(call: Call) -> Any:
            began, course = now(), None
            try:
                while True:
                    try:
                        result = await inner(call)
                    except Exception as error:
                        course = course or _Course(began)
                        pause = after_error(call, course, error)
                        if pause is None:
                            raise
                    else:
                        if not judges:
                            return result
                        course = course or _Course(began)
                        pause = after_result(call, course, result)
                        if pause is None:
                            return result
                    if pause > 0.0:
                        await sleep(clock, pause, call)
                    call.attempt += 1
                    call.ran, call.reached = call.ran or call.reached, False
            finally:
                if course is not None and call.deadline is None:
                    call.last_error = None

        return retrying

    def _after_error(self, call: Call, course: _Course, error: Exception) -> float | None:
        """Seconds to pause before the next attempt; None: there is none."""
        if self._handling.ignores(error):
            call.ignored = id(error)
            return None
        if not self._minds(call, course, error):
            return None
        pause = self._next(call, course, error=error)
        if pause is None and call.attempt > 1:
            self._note(call, course, error)
        call.last_error = error
        return pause

    def _after_result(self, call: Call, course: _Course, result: Any) -> float | None:
        """Seconds to pause before the next attempt; None: *result* is good enough, or the last."""
        config = self._config
        if config.retry is not None:
            again = config.retry(self._state(call, course, result=result))
        else:
            again = config.retry_on_result is not None and config.retry_on_result(result)
        if not again:
            return None
        pause = self._next(call, course, result=result)
        if pause is None:
            call.storable = False
        return pause

    def _minds(self, call: Call, course: _Course, error: Exception) -> bool:
        """Whether *error* is one to try again after. A rejection is so only if it is named as one."""
        if isinstance(error, RejectedError):
            return self._handling.names(error, RejectedError)
        if self._config.retry is not None:
            return bool(self._config.retry(self._state(call, course, error=error)))
        return self._handling.minds(error)

    def _next(self, call: Call, course: _Course, error: Exception | None = None, result: Any = None) -> float | None:
        """The pause before the next attempt, told to those who listen; None, told as well: no more attempts."""
        reason = self._spent(call, course, error, result)
        if reason is not None:
            self._wiring.tell(RetryExhausted, call, error=error, reason=reason)
            return None
        pause = self._pause(call, course, error, result)
        course.pause = pause
        course.slept += pause
        left = inf if call.deadline is None else call.deadline - self._wiring.clock.monotonic()
        if left <= 0.0:
            raise Expired from error
        if pause < left:
            self._wiring.tell(Retrying, call, error=error, delay=pause)
        return pause

    def _spent(self, call: Call, course: _Course, error: Exception | None, result: Any) -> str | None:
        """What has run out, if anything."""
        if mode.attempts is not None and call.attempt >= mode.attempts:
            return "attempts"
        if self._config.stop is not None:
            if self._config.stop(self._state(call, course, error=error, result=result)):
                return "stop"
        elif call.attempt >= self._config.max_attempts:
            return "attempts"
        return "budget" if self._budget is not None and not self._budget.acquire() else None

    def _pause(self, call: Call, course: _Course, error: Exception | None, result: Any) -> float:
        """How long to wait for the next attempt."""
        if call.open_circuit:
            call.open_circuit = False
            return 0.0
        pause = self._asked(call.attempt, result if error is None else error)
        if pause is None:
            pause = self._usual(call, course, error, result)
        return max(pause, error.retry_after or 0.0) if isinstance(error, RejectedError) else pause

    def _usual(self, call: Call, course: _Course, error: Exception | None, result: Any) -> float:
        config, first, limit = self._config, self._delay, self._max_delay
        if config.wait is not None:
            return backoff.clamp(config.wait(self._state(call, course, error=error, result=result)), inf) or 0.0
        plain = backoff.exponential(call.attempt, first=first, factor=config.backoff_factor, limit=limit)
        die = self._wiring.die()
        return backoff.scatter(plain, self._jitter, die, first=first, limit=limit, last=course.pause)

    def _asked(self, attempt: int, trigger: Any) -> float | None:
        """What `delay_func` says, where it says something that makes sense."""
        if self._config.delay_func is None:
            return None
        try:
            answer = self._config.delay_func(attempt, trigger)
        except Exception:  # noqa: BLE001 - it must not hide the error that is being retried
            log().exception("delay_func failed after attempt %d; the usual delay is used", attempt)
            return None
        if answer is None:
            return None
        pause = backoff.clamp(answer, self._max_delay)
        if pause is None:
            log().error(
                "delay_func must return seconds or None, got %s; the usual delay is used", type(answer).__name__
            )
        return pause

    def _state(self, call: Call, course: _Course, error: Exception | None = None, result: Any = None) -> RetryCallState:
        now = self._wiring.clock.monotonic()
        return backoff.state(call.attempt, course.began, now, course.slept, result, error)

    def _note(self, call: Call, course: _Course, error: Exception) -> None:
        """Write on *error* how often and how long it was tried; an error raised twice keeps the last note only."""
        took = self._wiring.clock.monotonic() - course.began
        try:
            notes = getattr(error, "__notes__", None) or []
            error.__notes__ = [note for note in notes if not str(note).startswith(_NOTE)]
            error.add_note(f"{_NOTE}{call.attempt} attempts in {took:.3g} s ({call.name})")
        except Exception:  # noqa: BLE001 - an error that takes no notes goes without
            return
