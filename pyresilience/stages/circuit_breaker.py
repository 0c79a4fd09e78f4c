"""Stop calling what keeps failing, and try again later."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import _async
from .._call import Call
from .._forks import renew_in_child
from .._settings import require, require_callable, require_errors, seconds
from .._typing import Duration, ErrorClasses
from .._wiring import Wiring
from ..errors import CircuitOpenError
from ..events import CircuitClosed, CircuitHalfOpened, CircuitOpened, CircuitRejected, SlowCall
from ..policies.circuit import Circuit, CircuitRules, CircuitState, Permit, Probe
from ..policies.handling import Handling
from ..policies.turns import Turns
from .base import Stage
from .gate import Gate

SHORTEST_WINDOW = 0.001
"""Seconds of the shortest window that a clock can tell apart."""
LEASE = 1.0
"""Seconds a probe taken by hand is held at least, where `recovery_timeout` is shorter."""


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """When to stop calling, for how long, and when to trust again.

    Args:
        failure_threshold: Failures in a row that open the circuit (when no window is set).
        recovery_timeout: Seconds the circuit stays open before it lets probes through.
        success_threshold: Successful probes that close it.
        error_types: Exception classes that count as failures.
        ignore_on: Exception classes that count neither as failure nor as success.
        sliding_window_size: Look at the rate over the last so many calls; 0: failures in a row.
        failure_rate_threshold: Share of failures (0..1) in the window that opens the circuit.
        minimum_calls: Calls that must be in the window before a rate counts; 0: a full window of calls, or
            `failure_threshold` calls in a time window.
        slow_call_duration: An attempt that takes this many seconds or more is slow; 0: none is.
        slow_call_rate_threshold: Share of slow calls (0..1) in the window that opens the circuit. Without a
            window, slow calls are only reported.
        half_open_max_calls: Probes let through at once; None: `success_threshold`.
        window_seconds: Look at the rate over the last so many seconds; 0: no time window.
        failure_if: A function of the result that says whether it counts as a failure.
    """

    failure_threshold: int = 5
    recovery_timeout: Duration = 30.0
    success_threshold: int = 2
    error_types: ErrorClasses = (Exception,)
    ignore_on: ErrorClasses = ()
    sliding_window_size: int = 0
    failure_rate_threshold: float = 0.5
    minimum_calls: int = 0
    slow_call_duration: Duration = 0.0
    slow_call_rate_threshold: float = 1.0
    half_open_max_calls: int | None = None
    window_seconds: Duration = 0.0
    failure_if: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        require(self, "failure_threshold", whole=True, at_least=1)
        require(self, "recovery_timeout", duration=True, at_least=0)
        require(self, "success_threshold", whole=True, at_least=1)
        require_errors(self, "error_types")
        require_errors(self, "ignore_on")
        require(self, "sliding_window_size", whole=True, at_least=0)
        require(self, "failure_rate_threshold", above=0, at_most=1)
        require(self, "minimum_calls", whole=True, at_least=0)
        require(self, "slow_call_duration", duration=True, at_least=0)
        require(self, "slow_call_rate_threshold", above=0, at_most=1)
        if self.half_open_max_calls is not None:
            require(self, "half_open_max_calls", whole=True, at_least=1)
        require(self, "window_seconds", duration=True, at_least=SHORTEST_WINDOW if self.window_seconds else 0)
        require_callable(self, "failure_if")
        if self.sliding_window_size and self.window_seconds:
            raise ValueError(
                "CircuitBreakerConfig: sliding_window_size and window_seconds exclude each other, "
                f"got {self.sliding_window_size} calls and {self.window_seconds} s"
            )
        if self.minimum_calls > self.sliding_window_size > 0:
            raise ValueError(
                "CircuitBreakerConfig: minimum_calls must be <= sliding_window_size "
                f"({self.sliding_window_size}), got {self.minimum_calls}"
            )

    def rules(self) -> CircuitRules:
        """The same as the circuit wants it."""
        return CircuitRules(
            failure_threshold=self.failure_threshold,
            recovery_timeout=seconds(self.recovery_timeout),
            success_threshold=self.success_threshold,
            probes=self.half_open_max_calls or self.success_threshold,
            window_calls=self.sliding_window_size,
            window_seconds=seconds(self.window_seconds),
            minimum_calls=self.minimum_calls or self.sliding_window_size or self.failure_threshold,
            failure_rate=self.failure_rate_threshold,
            slow_rate=self.slow_call_rate_threshold,
            slow=seconds(self.slow_call_duration) > 0,
        )

    def build(self, wiring: Wiring) -> CircuitBreaker:
        """Make the stage."""
        return CircuitBreaker(self, wiring)


class CircuitBreaker(Gate):
    """A circuit breaker: a stage of a pipeline, or used by hand around a call of your own.

    By hand: ask `allow_request()`, then report `record_success()` or `record_failure()`. A permit that is never
    reported on comes back after `recovery_timeout`, or one second if that is longer.
    """

    handle = "circuit_breaker"

    def __init__(self, config: CircuitBreakerConfig | None = None, wiring: Wiring | None = None) -> None:
        super().__init__(wiring or Wiring())
        self._config = config or CircuitBreakerConfig()
        self._slow = seconds(self._config.slow_call_duration)
        self._handling = Handling(tuple(self._config.error_types), tuple(self._config.ignore_on))  # type: ignore[arg-type]
        self._failure_if = self._config.failure_if
        self._circuit = Circuit(self._config.rules(), _async.vanished)
        self._last_error: BaseException | None = None
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child no probe is under way, and no transition has been yet."""
        self._lock = threading.RLock()
        self._lent: deque[tuple[Permit, float]] = deque()
        self.turns = Turns()
        self._circuit.recall()

    # The gate: what a pipeline uses.

    def admit(self, call: Call, home: Callable[[], Any] | None) -> Permit:
        """Let a call through, or raise `CircuitOpenError`."""
        circuit = self._circuit
        if self._slow:
            call.admitted = self._clock.monotonic()
        if circuit.closed:
            return circuit.generation
        now = self._clock.monotonic()
        permit = self._ask(call, now, home and home())
        if permit is not None:
            return permit
        retry_after = circuit.retry_after(now)
        last_error = self._last_error if call.last_error is None else call.last_error
        self._wiring.tell(CircuitRejected, call, error=last_error, retry_after=retry_after)
        raise CircuitOpenError(call.name, retry_after, last_error) from last_error

    def passed(self, call: Call, permit: Any, result: Any) -> None:
        """Count a success, unless `failure_if` sees it otherwise."""
        if self._failure_if is not None and self._failure_if(result):
            self._count(call, permit, failed=True, error=None)
        elif not self._circuit.calm:
            self._count(call, permit, failed=False, error=None)

    def failed(self, call: Call, permit: Any, error: BaseException) -> None:
        """Count a failure; what is ignored, cancelled or refused further in only gives its permit back."""
        if permit is None:
            return
        if call.reached and isinstance(error, Exception) and self._handling.minds(error):
            self._count(call, permit, failed=True, error=error)
        else:
            with self._lock:
                self._circuit.forget(permit)

    def _ask(self, call: Call, now: float, home: Any) -> Permit | None:
        with self._lock:
            before = self._circuit.state
            permit = self._circuit.admit(now, home)
            after = self._circuit.state
        self._tell(call, before, after, None)
        return permit

    def _count(self, call: Call, permit: Permit, *, failed: bool, error: Exception | None) -> None:
        now = self._clock.monotonic()
        slow = 0.0 < self._slow <= now - call.admitted
        if slow:
            self._wiring.tell(SlowCall, call, duration=now - call.admitted)
        call.open_circuit = self._record(call, permit, now, failed=failed, slow=slow, error=error)

    def _record(
        self, call: Call, permit: Permit, now: float, *, failed: bool, slow: bool, error: Exception | None
    ) -> bool:
        """Count an ending; return whether the circuit is open now."""
        count = self._circuit.fail if failed else self._circuit.succeed
        with self._lock:
            before = self._circuit.state
            count(permit, now, slow=slow)
            after = self._circuit.state
            if before is not after:
                self._last_error = error
        self._tell(call, before, after, error)
        return after is CircuitState.OPEN

    def _tell(self, call: Call, before: CircuitState, after: CircuitState, error: BaseException | None) -> None:
        if before is after:
            return
        self.turns.record(after, self._clock.monotonic())
        if after is CircuitState.OPEN:
            retry_after = self._circuit.retry_after(self._clock.monotonic())
            self._wiring.tell(CircuitOpened, call, error=error, retry_after=retry_after)
        else:
            self._wiring.tell(CircuitClosed if after is CircuitState.CLOSED else CircuitHalfOpened, call)

    # By hand.

    def allow_request(self) -> bool:
        """Whether a call may go on. If so, report how it ended."""
        now = self._clock.monotonic()
        with self._lock:
            while self._lent and self._lent[0][1] <= now:
                self._circuit.forget(self._lent.popleft()[0])
        permit = self._ask(_BY_HAND, now, None)
        if isinstance(permit, Probe):
            self._lent.append((permit, now + max(LEASE, seconds(self._config.recovery_timeout))))
        return permit is not None

    def record_success(self, duration: float = 0) -> None:
        """The call that was allowed went well and took *duration* seconds."""
        self._report(duration, failed=False)

    def record_failure(self, duration: float = 0) -> None:
        """The call that was allowed failed after *duration* seconds."""
        self._report(duration, failed=True)

    def _report(self, duration: float, *, failed: bool) -> None:
        try:
            permit = self._lent.popleft()[0]
        except IndexError:
            permit = self._circuit.generation
        slow = 0.0 < self._slow <= duration
        if slow:
            self._wiring.tell(SlowCall, _BY_HAND, duration=duration)
        self._record(_BY_HAND, permit, self._clock.monotonic(), failed=failed, slow=slow, error=None)

    @property
    def state(self) -> CircuitState:
        """What the next call would meet: once `recovery_timeout` is over, an open circuit is half-open."""
        return self._circuit.seen(self._clock.monotonic())

    @property
    def metrics(self) -> dict[str, Any]:
        """The state, and what the circuit has in view: counts, and rates between 0 and 1."""
        with self._lock:
            calls, failures, slow = self._circuit.rates(self._clock.monotonic())
        return {
            "state": self.state.value,
            "failure_count": failures,
            "total_calls": calls,
            "failure_rate": failures / calls if calls else 0.0,
            "slow_call_rate": slow / calls if calls else 0.0,
        }

    def reset(self) -> None:
        """Close the circuit and forget what was counted, whatever forced it open."""
        with self._lock:
            before = self._circuit.state
            self._circuit.close()
            self._last_error = None
            self._lent.clear()
        self._tell(_BY_HAND, before, CircuitState.CLOSED, None)

    force_close = reset

    def force_open(self) -> None:
        """Refuse every call until `reset()` or `force_close()`; no probe is let through."""
        with self._lock:
            before = self._circuit.state
            self._circuit.open(self._clock.monotonic(), forced=True)
        self._tell(_BY_HAND, before, CircuitState.OPEN, None)

    def adopt(self, former: Stage) -> None:
        """Go on in the state of the breaker that this one replaces, if both count the same kind of thing."""
        if isinstance(former, CircuitBreaker):
            with former._lock, self._lock:
                self._circuit.adopt(former._circuit)
                self._last_error, self.turns = former._last_error, former.turns

    def ages(self) -> list[tuple[float, CircuitState]]:
        """How many seconds ago it became what, the oldest first; the latest transitions only."""
        return self.turns.ages(self._clock.monotonic())

    def health(self) -> dict[str, Any]:
        """State and failures, for `health_check`."""
        return {"state": self.state.value, "failure_count": self._circuit.failures}


_BY_HAND = Call()
_BY_HAND.name = "circuit_breaker"
"""Stands for the call in events about a breaker used by hand."""
