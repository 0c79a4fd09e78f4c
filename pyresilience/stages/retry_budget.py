"""So many retries and no more, for all the callers of a dependency together."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from .._forks import renew_in_child
from .._settings import require
from ..clock import Clock, SystemClock
from ..policies.bucket import TokenBucket


@dataclass(frozen=True, slots=True)
class RetryBudgetConfig:
    """How many retries may be spent.

    Args:
        max_retries: Retries that may be made in a burst.
        refill_rate: Retries gained back per second.
    """

    max_retries: int = 100
    refill_rate: float = 10.0

    def __post_init__(self) -> None:
        require(self, "max_retries", whole=True, at_least=1)
        require(self, "refill_rate", at_least=0)


class RetryBudget:
    """A token bucket that retries are paid from. Give one object to several functions to share it.

    Without it, a dependency that fails gets up to `max_attempts` times its usual load just when it can bear
    least (see "Addressing Cascading Failures", Site Reliability Engineering, 2016).
    """

    def __init__(self, config: RetryBudgetConfig | None = None, clock: Clock | None = None) -> None:
        config = config or RetryBudgetConfig()
        self._clock: Clock = clock or SystemClock()
        self._bucket = TokenBucket(rate=config.refill_rate, capacity=config.max_retries, now=self._clock.monotonic())
        self._lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own."""
        self._lock = threading.RLock()

    def acquire(self) -> bool:
        """Pay for one retry; False: the budget is spent."""
        with self._lock:
            return self._bucket.take(self._clock.monotonic())

    @property
    def available(self) -> float:
        """Retries that can be paid for now."""
        return self._bucket.available(self._clock.monotonic())

    def reset(self) -> None:
        """Fill the budget up."""
        with self._lock:
            self._bucket.fill(self._clock.monotonic())
