"""An answer in time, or an error in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import _async, _blocking
from .._call import Call
from .._outcome import Crowded, Expired
from .._settings import require, seconds
from .._strays import Strays
from .._typing import Duration
from .._wiring import Wiring
from ..clock import Clock
from ..context import deadline_around
from ..errors import RejectedError, ResilienceTimeoutError
from ..events import BulkheadRejected, TimedOut
from .base import AsyncHandler, Handler, Stage

ABANDONED = 256
"""How many calls may run on abandoned, unless `pool_size` says otherwise."""


@dataclass(frozen=True, slots=True)
class TimeoutConfig:
    """How long a call may take.

    Args:
        seconds: The limit, in seconds.
        per_attempt: True: each attempt has this long. False: the whole call has, waiting and retrying included.
        pool_size: How many abandoned calls may run on in their threads before new ones are refused (sync
            functions only); None: 256.
    """

    seconds: Duration = 30.0
    per_attempt: bool = True
    pool_size: int | None = None

    def __post_init__(self) -> None:
        require(self, "seconds", duration=True, above=0)
        if not isinstance(self.per_attempt, bool):
            raise TypeError(f"TimeoutConfig: per_attempt must be True or False, got {self.per_attempt!r}")
        if self.pool_size is not None:
            require(self, "pool_size", whole=True, at_least=1)

    def build(self, wiring: Wiring) -> Timeout:
        """Make the stage."""
        return Timeout(self, wiring)


class Timeout(Stage):
    """Bounds what stands inside it: one attempt, or the whole call."""

    def __init__(self, config: TimeoutConfig, wiring: Wiring) -> None:
        self._wiring = wiring
        self._clock = wiring.clock
        self._seconds = seconds(config.seconds)
        self._per_attempt = config.per_attempt
        self._strays = Strays(config.pool_size or ABANDONED)
        self.call_limit = None if config.per_attempt else self._seconds

    def wrap(self, inner: Handler) -> Handler:
        """Run *inner* for as long as it may."""
        begin, expired, crowded, whole = self._begin, self._expired, self._crowded, not self._per_attempt
        clock, strays, within, bounds = self._clock, self._strays, _blocking.within, deadline_around

        def timed(call: Call) -> Any:
            around = bounds.get()
            try:
                left = begin(call, around)
                return within(clock, left, inner, call, strays)
            except Expired as signal:
                raise expired(call) from call.last_error if signal.__cause__ is None else signal.__cause__
            except Crowded as signal:
                raise crowded(call, signal) from signal.__cause__
            finally:
                if whole:
                    call.deadline = call.last_error = None
                bounds.set(around)

        return timed

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Run *inner* for as long as it may."""
        begin, expired, crowded, whole = self._begin, self._expired, self._crowded, not self._per_attempt
        clock, strays, within, bounds = self._clock, self._strays, _async.within, deadline_around

        async def timed(call: Call) -> Any:
            around = bounds.get()
            try:
                left = begin(call, around)
                return await within(clock, left, inner, call, strays)
            except Expired as signal:
                raise expired(call) from call.last_error if signal.__cause__ is None else signal.__cause__
            except Crowded as signal:
                raise crowded(call, signal) from signal.__cause__
            finally:
                if whole:
                    call.deadline = call.last_error = None
                bounds.set(around)

        return timed

    def _begin(self, call: Call, around: tuple[float, Clock] | None) -> float:
        """Set the deadline, for ourselves and for `remaining()`; return the seconds left until then."""
        now = self._clock.monotonic()
        deadline = now + self._seconds
        if not self._per_attempt:
            deadline = call.deadline = deadline if call.deadline is None else call.deadline
            if deadline <= now:
                raise Expired
        nearer = around is not None and around[1] is self._clock and around[0] < deadline
        deadline_around.set(around if nearer else (deadline, self._clock))
        return deadline - now

    def _expired(self, call: Call) -> ResilienceTimeoutError:
        self._wiring.tell(TimedOut, call, seconds=self._seconds, per_attempt=self._per_attempt)
        what = "attempt" if self._per_attempt else "call"
        message = f"{call.name}: the {what} took longer than {self._seconds:g} s"
        return ResilienceTimeoutError(message, name=call.name, seconds=self._seconds)

    def _crowded(self, call: Call, signal: Crowded) -> RejectedError:
        self._wiring.tell(BulkheadRejected, call, stage="timeout")
        return RejectedError(call.name, None, call.last_error, str(signal))

    def health(self) -> dict[str, Any]:
        """Abandoned calls that still run, and how many may."""
        return {"abandoned": self._strays.count, "pool_size": self._strays.limit}
