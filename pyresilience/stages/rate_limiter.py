"""No more calls in a period than the other side allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._call import Call
from .._forks import renew_in_child
from .._settings import require, seconds
from .._typing import Duration
from .._wiring import Wiring
from ..errors import RateLimitExceededError
from ..events import RateLimited
from ..policies.ring import AdmissionRing, Reservation
from .gate import Gate


@dataclass(frozen=True, slots=True)
class RateLimiterConfig:
    """How many calls may begin in a period.

    Args:
        max_calls: Calls that may begin in any window of one period, retries included.
        period: The length of that window, in seconds.
        max_wait: Seconds a call may wait for its permit; 0: it is refused at once.
    """

    max_calls: int = 10
    period: Duration = 1.0
    max_wait: Duration = 0.0

    def __post_init__(self) -> None:
        require(self, "max_calls", whole=True, at_least=1)
        require(self, "period", duration=True, above=0)
        require(self, "max_wait", duration=True, at_least=0, infinite=True)

    def build(self, wiring: Wiring) -> RateLimiter:
        """Make the stage."""
        return RateLimiter(self, wiring)


class RateLimiter(Gate):
    """Reserves a time for each call, in order; who cannot have one within `max_wait` is refused at once."""

    waits = True

    def __init__(self, config: RateLimiterConfig, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._max_wait = seconds(config.max_wait)
        self._ring = AdmissionRing(calls=config.max_calls, period=seconds(config.period))
        self._lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child keeps to the same limit, with a lock of its own."""
        self._lock = threading.RLock()

    def admit(self, call: Call, home: Callable[[], Any] | None) -> Reservation:
        """Reserve a time to begin, or raise `RateLimitExceededError`."""
        reservation = call.reservation = Reservation()
        with self._lock:
            now = self._clock.monotonic()
            if self._ring.reserve(reservation, now, self._max_wait):
                call.pause = reservation.at - now
                return reservation
        retry_after = reservation.at - now
        self._wiring.tell(RateLimited, call, retry_after=retry_after)
        raise RateLimitExceededError(call.name, retry_after, call.last_error) from call.last_error

    def failed(self, call: Call, permit: Reservation | None, error: BaseException) -> None:
        """Give the reservation back if the function was not called after all."""
        if not call.reached:
            with self._lock:
                self._ring.give_back(call.reservation if permit is None else permit)

    def health(self) -> dict[str, Any]:
        """Permits at hand."""
        with self._lock:
            return {"available": self._ring.free(self._clock.monotonic())}
