"""Which calls are under way in this process, and the end of it all."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from ._call import Call
from ._forks import renew_in_child
from ._settings import span
from ._strays import strays
from ._typing import Duration
from .clock import SystemClock
from .errors import ResilienceError

POLL = 0.005
"""Seconds between two looks at whether the last call has ended."""


class Tally:
    """How many calls are under way."""

    __slots__ = ("running",)

    def __init__(self) -> None:
        self.running = 0


class Employer(Protocol):
    """What has calls made that nobody waits for."""

    def errands(self) -> object:
        """Those under way; such as can never end, as their event loop was closed under them, are given up."""
        ...


class Lifecycle:
    """The tally of this process, and whether new calls may begin.

    The entrances count themselves: one step of the interpreter up and one down, so that no lock is needed and no
    signal comes between.
    """

    __slots__ = ("__weakref__", "closed", "employers", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.closed = False
        self.employers: WeakSet[Employer] = WeakSet()
        """Who has calls made on its own account."""

    def renew(self) -> None:
        """In a forked child nothing runs but what forked, which goes on counting in its parent's tally."""
        self.tally = Tally()

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return self.tally.running

    def refusal(self, call: Call) -> ResilienceError:
        """What a call gets that comes too late."""
        return ResilienceError(f"{call.name}: pyresilience was shut down in this process, no call begins any more")


lifecycle = Lifecycle()
renew_in_child(lifecycle)


def shutdown(wait: bool = True, timeout: Duration = 30.0) -> bool:
    """Refuse new calls, and wait for those under way; abandoned ones that still run in their threads count too.

    It blocks the thread it is called in: in async code call it once your tasks are done, with `wait=False`, or in
    a thread. Cached results are still given out.

    Args:
        wait: Whether to wait for the calls under way.
        timeout: Seconds to wait at most.

    Returns:
        True: no call runs any more.

    Raises:
        TypeError: *timeout* is no duration.
        ValueError: *timeout* is negative or not a number.
    """
    limit = span("timeout", timeout)
    lifecycle.closed = True
    clock = SystemClock()
    deadline = clock.monotonic() + limit
    while _under_way() and wait and clock.monotonic() < deadline:
        clock.sleep(POLL)
    return not _under_way()


def _under_way() -> bool:
    for employer in list(lifecycle.employers):
        employer.errands()
    return lifecycle.running > 0 or strays() > 0
