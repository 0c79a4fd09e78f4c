"""Which calls are under way in this process, and the end of it all."""

from __future__ import annotations

from typing import Any

from . import _blocking
from ._call import Call
from ._forks import renew_in_child
from ._settings import seconds
from ._typing import Duration
from .clock import SystemClock
from .errors import ResilienceError
from .stages.base import AsyncHandler, Handler, Stage

POLL = 0.005
"""Seconds between two looks at whether the last call has ended."""


class Lifecycle(Stage):
    """The outermost stage of every pipeline, one for the process: it counts the calls, and turns them away at the end.

    Counting is one step of the interpreter each, so it needs no lock and no signal comes between.
    """

    def __init__(self) -> None:
        self.running = 0
        self.closed = False

    def renew(self) -> None:
        """In a forked child nothing runs."""
        self.running = 0

    def wrap(self, inner: Handler) -> Handler:
        """Count *inner* for as long as it runs."""

        def counted(call: Call) -> Any:
            if self.closed:
                raise _refusal(call)
            self.running += 1
            try:
                return inner(call)
            finally:
                self.running -= 1

        return counted

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Count *inner* for as long as it runs."""

        async def counted(call: Call) -> Any:
            if self.closed:
                raise _refusal(call)
            self.running += 1
            try:
                return await inner(call)
            finally:
                self.running -= 1

        return counted


def _refusal(call: Call) -> ResilienceError:
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
    """
    limit = seconds(timeout)
    if not limit >= 0:
        raise ValueError(f"timeout must be >= 0, got {timeout!r}")
    lifecycle.closed = True
    clock = SystemClock()
    deadline = clock.monotonic() + limit
    while _under_way() and wait and clock.monotonic() < deadline:
        clock.sleep(POLL)
    return not _under_way()


def _under_way() -> bool:
    return lifecycle.running > 0 or _blocking.strays() > 0
