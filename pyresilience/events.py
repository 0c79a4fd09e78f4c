"""Every fact a pipeline reports. A listener is a plain callable that takes one event.

Events are frozen; `context` is a read-only copy of what `resilience_context` held at the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, Protocol


class EventType(StrEnum):
    """What happened. The value is the lower-case name."""

    CACHE_HIT = "cache_hit"
    CACHE_MISS = "cache_miss"
    RETRY = "retry"
    RETRY_EXHAUSTED = "retry_exhausted"
    TIMEOUT = "timeout"
    CIRCUIT_OPEN = "circuit_open"
    CIRCUIT_HALF_OPEN = "circuit_half_open"
    CIRCUIT_CLOSED = "circuit_closed"
    CIRCUIT_REJECTED = "circuit_rejected"
    RATE_LIMITED = "rate_limited"
    BULKHEAD_REJECTED = "bulkhead_rejected"
    SLOW_CALL = "slow_call"
    FALLBACK_USED = "fallback_used"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResilienceEvent:
    """One fact about one call.

    Args:
        event_type: What happened.
        function_name: The decorated function, as `__qualname__` names it.
        attempt: Which attempt, counted from 1; 0 where there is none yet.
        error: What was raised, where something was.
        detail: A remark for a human reader; nothing to parse.
        context: What `resilience_context` held, read-only; None if it held nothing.
        duration: Seconds that it took, where something was timed.
    """

    event_type: EventType
    function_name: str
    attempt: int = 0
    error: BaseException | None = None
    detail: str = ""
    context: Mapping[str, Any] | None = None
    duration: float | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.event_type, self.function_name, self.attempt))

    def __repr__(self) -> str:
        facts = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.init)
        return f"{type(self).__name__}({', '.join(facts)})"

    def _values(self) -> list[Any]:
        return [getattr(self, each.name) for each in fields(self)]


_fact = dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
"""What makes the class of one fact; it compares and prints as every event does, which saves a third of its making."""


def _is(kind: EventType) -> Any:
    return field(default=kind, init=False)


@_fact
class CacheHit(ResilienceEvent):
    """A cached result was returned; *source*: it was fresh, or another caller was computing it."""

    event_type: EventType = _is(EventType.CACHE_HIT)
    source: Literal["fresh", "coalesced", "stale"] = "fresh"


@_fact
class CacheMissed(ResilienceEvent):
    """Nothing usable was cached and the function runs; *reason* says why."""

    event_type: EventType = _is(EventType.CACHE_MISS)
    reason: Literal["cold", "expired", "invalidated", "refreshed", "bypassed", "wait_timeout"] = "cold"


@_fact
class Retrying(ResilienceEvent):
    """Attempt number *attempt* failed and another follows after *delay* seconds."""

    event_type: EventType = _is(EventType.RETRY)
    delay: float = 0.0


@_fact
class RetryExhausted(ResilienceEvent):
    """An attempt failed as retry expects, and no other follows; *reason* says what ran out."""

    event_type: EventType = _is(EventType.RETRY_EXHAUSTED)
    reason: Literal["attempts", "stop", "budget"] = "attempts"


@_fact
class TimedOut(ResilienceEvent):
    """The limit of *seconds* passed; *per_attempt*: of this attempt, otherwise of the whole call."""

    event_type: EventType = _is(EventType.TIMEOUT)
    seconds: float = 0.0
    per_attempt: bool = True


@_fact
class CircuitOpened(ResilienceEvent):
    """The circuit breaker opened; it will let probes through after *retry_after* seconds."""

    event_type: EventType = _is(EventType.CIRCUIT_OPEN)
    retry_after: float | None = None


@_fact
class CircuitHalfOpened(ResilienceEvent):
    """The circuit breaker lets probes through."""

    event_type: EventType = _is(EventType.CIRCUIT_HALF_OPEN)


@_fact
class CircuitClosed(ResilienceEvent):
    """The circuit breaker closed."""

    event_type: EventType = _is(EventType.CIRCUIT_CLOSED)


@_fact
class CircuitRejected(ResilienceEvent):
    """The circuit breaker refused a call; *retry_after* seconds until it may not."""

    event_type: EventType = _is(EventType.CIRCUIT_REJECTED)
    stage: str = "circuit_breaker"
    retry_after: float | None = None


@_fact
class RateLimited(ResilienceEvent):
    """The rate limiter refused a call; *retry_after* seconds until it has a permit."""

    event_type: EventType = _is(EventType.RATE_LIMITED)
    stage: str = "rate_limiter"
    retry_after: float | None = None


@_fact
class BulkheadRejected(ResilienceEvent):
    """No room: the bulkhead (or, as *stage* says, the threads of the timeout) refused a call."""

    event_type: EventType = _is(EventType.BULKHEAD_REJECTED)
    stage: str = "bulkhead"
    retry_after: float | None = None


@_fact
class SlowCall(ResilienceEvent):
    """An attempt took *duration* seconds, `slow_call_duration` or more."""

    event_type: EventType = _is(EventType.SLOW_CALL)


@_fact
class FallbackUsed(ResilienceEvent):
    """A stand-in was returned for *error*."""

    event_type: EventType = _is(EventType.FALLBACK_USED)


@_fact
class Succeeded(ResilienceEvent):
    """The run returned after *duration* seconds; *stood_in*: what it returned is a fallback's."""

    event_type: EventType = _is(EventType.SUCCESS)
    stood_in: bool = False


@_fact
class Failed(ResilienceEvent):
    """The run raised *error* after *duration* seconds."""

    event_type: EventType = _is(EventType.FAILURE)


class ResilienceListener(Protocol):
    """What may stand in `listeners=`: any callable that takes one event and returns at once.

    One that has an attribute `wants`, a set, tuple or list of event types, hears no others, and others cost nothing.
    """

    def __call__(self, event: ResilienceEvent, /) -> object:
        """Take one event. It runs in the caller's thread or task, outside of every lock."""
        ...
