"""What a pipeline may raise that the wrapped function did not.

::

    ResilienceError
    ├─ RejectedError                 the function was not called
    │  ├─ CircuitOpenError           its circuit breaker is open
    │  ├─ RateLimitExceededError     its rate limiter has no permit in time
    │  └─ BulkheadFullError          its bulkhead has no slot in time
    ├─ ResilienceTimeoutError        it ran past its limit; also a TimeoutError
    └─ CacheKeyError                 no cache key can be made; also a TypeError
"""

from __future__ import annotations

from typing import ClassVar


class ResilienceError(Exception):
    """Base of every error that a pipeline itself raises."""


class RejectedError(ResilienceError):
    """The call was turned away before the function ran.

    Args:
        name: The function that was not called.
        retry_after: Seconds until another try may succeed; None: unknown.
        last_error: The failure that led to the refusal, where there is one.
        reason: What refused, in words.
    """

    reason: ClassVar[str] = "the call was refused"

    def __init__(
        self,
        name: str = "",
        retry_after: float | None = None,
        last_error: BaseException | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(name, retry_after, last_error, reason)
        self.name = name
        self.retry_after = retry_after
        self.last_error = last_error
        self._reason = reason or self.reason

    def __str__(self) -> str:
        text = f"{self.name}: {self._reason}" if self.name else self._reason
        return text if self.retry_after is None else f"{text}; try again in {self.retry_after:.3g} s"


class CircuitOpenError(RejectedError):
    """The circuit breaker is open, or half-open with all its probes under way."""

    reason = "the circuit breaker is open"


class RateLimitExceededError(RejectedError):
    """The rate limiter has no permit within `max_wait`."""

    reason = "the rate limit is reached"


class BulkheadFullError(RejectedError):
    """No slot of the bulkhead came free within `max_wait`."""

    reason = "the bulkhead is full"


class ResilienceTimeoutError(ResilienceError, TimeoutError):
    """The call ran past its limit.

    Args:
        message: What was bounded.
        name: The function that took too long.
        seconds: The limit, in seconds.
    """

    def __init__(self, message: str = "", *, name: str = "", seconds: float | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.seconds = seconds


class CacheKeyError(ResilienceError, TypeError):
    """An argument cannot become part of a cache key."""
