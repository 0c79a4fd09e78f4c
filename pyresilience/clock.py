"""Where a pipeline reads the time, and how it lets time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from . import _async, _blocking


@runtime_checkable
class Clock(Protocol):
    """What a pipeline needs of a clock. All times are seconds on a scale that never goes back."""

    def monotonic(self) -> float:
        """Now."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Let *seconds* pass, blocking the thread."""
        ...

    async def sleep_async(self, seconds: float, /) -> None:
        """Let *seconds* pass, leaving the event loop to others."""
        ...

    def alarm(self, seconds: float, ring: Callable[[], object], /) -> Callable[[], None] | None:
        """Call *ring* once *seconds* have passed, and return what cancels that.

        None: this clock runs by itself, at the pace of the system's timers, which serve better.
        """
        ...


class SystemClock:
    """The machine's monotonic clock: wall-clock jumps do not touch it."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(_blocking.pause)
    sleep_async = staticmethod(_async.pause)

    def alarm(self, seconds: float, ring: Callable[[], object], /) -> None:
        """The system's own timers do it."""
