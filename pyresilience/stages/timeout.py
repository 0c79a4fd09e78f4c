"""An answer in time, or an error in time."""

from __future__ import annotations

from contextvars import Token
from dataclasses import dataclass
from typing import Any

from .. import _async, _blocking
from .._call import Call
from .._outcome import Expired
from .._settings import require, seconds
from .._typing import Duration
from .._wiring import Wiring
from ..context import _deadline
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
        self._pool_size = config.pool_size or ABANDONED
        self._strays = _blocking.Strays()
        self.call_limit = None if config.per_attempt else self._seconds

    def wrap(self, inner: Handler) -> Handler:
        """Run *inner* for as long as it may."""
        begin, end, expired = self._begin, self._end, self._expired
        clock, strays, within = self._clock, self._strays, _blocking.within

        def timed(call: Call) -> Any:
            left, outer = begin(call)
            try:
                return within(clock, left, inner, call, strays)
            except Expired:
                raise expired(call) from call.last_error
            finally:
                end(outer)

        return timed

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Run *inner* for as long as it may."""
        begin, end, expired = self._begin, self._end, self._expired
        clock, strays, within = self._clock, self._strays, _async.within

        async def timed(call: Call) -> Any:
            left, outer = begin(call)
            try:
                return await within(clock, left, inner, call, strays)
            except Expired:
                raise expired(call) from call.last_error
            finally:
                end(outer)

        return timed

    def _begin(self, call: Call) -> tuple[float, Token[Any]]:
        """Set the deadline, for ourselves and for `remaining()`; return the seconds left until then."""
        if self._strays.count >= self._pool_size:
            self._wiring.tell(BulkheadRejected, call, stage="timeout")
            raise RejectedError(call.name, reason=f"{self._strays.count} calls past their limit still run")
        now = self._clock.monotonic()
        deadline = now + self._seconds
        if not self._per_attempt:
            deadline = call.deadline = deadline if call.deadline is None else call.deadline
            if deadline <= now:
                raise self._expired(call)
        around = _deadline.get()
        nearest = deadline if around is None or around[1] is not self._clock else min(deadline, around[0])
        return deadline - now, _deadline.set((nearest, self._clock))

    def _end(self, outer: Token[Any]) -> None:
        """Whoever bounds us is in force again."""
        try:
            _deadline.reset(outer)
        except ValueError:  # an abandoned coroutine is closed in another context: nothing of ours is set there
            return

    def _expired(self, call: Call) -> ResilienceTimeoutError:
        self._wiring.tell(TimedOut, call, seconds=self._seconds, per_attempt=self._per_attempt)
        what = "attempt" if self._per_attempt else "call"
        message = f"{call.name}: the {what} took longer than {self._seconds:g} s"
        return ResilienceTimeoutError(message, name=call.name, seconds=self._seconds)

    def health(self) -> dict[str, Any]:
        """Abandoned calls that still run, and how many may."""
        return {"abandoned": self._strays.count, "pool_size": self._pool_size}
