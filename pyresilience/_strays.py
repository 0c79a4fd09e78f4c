"""Bounded calls that run in another thread, and may run on although nobody waits for them any more."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._forks import renew_in_child
from ._log import log
from ._outcome import Error, Expired, Outcome, Value

if TYPE_CHECKING:
    from ._call import Call
    from .clock import Clock


class Job:
    """One call handed to another thread."""

    __slots__ = ("abandoned", "begun", "call", "clock", "deadline", "inner", "outcome", "strays", "wake")

    def __init__(
        self,
        inner: Callable[[Call], Any],
        call: Call,
        clock: Clock,
        seconds: float,
        strays: Strays,
        wake: Callable[[], None],
    ) -> None:
        self.inner = inner
        self.call = call
        self.clock = clock
        self.deadline = clock.monotonic() + seconds
        self.strays = strays
        self.wake = wake
        self.outcome: Outcome | None = None
        self.begun = self.abandoned = False

    def run(self) -> None:
        """Run it, on the worker's thread; not if the caller is gone already."""
        if not self.strays.begin(self):
            return
        if self.strays.take(self, self._end()):
            self.wake()

    def _end(self) -> Outcome:
        """How it ends, with no name for the error in a frame that its traceback holds."""
        try:
            return Value(self.inner(self.call))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the caller waits
            return Error(error)


class Strays:
    """How many calls of a pipeline run on although nobody waits for them any more."""

    __slots__ = ("__weakref__", "_lock", "count", "limit")

    def __init__(self, limit: int) -> None:
        self.count = 0
        self.limit = limit
        self._lock = threading.RLock()
        _all_strays.add(self)
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child no worker runs."""
        self._lock = threading.RLock()
        self.count = 0

    def begin(self, job: Job) -> bool:
        """*job* begins; False: nobody waits for it any more."""
        with self._lock:
            job.begun = not job.abandoned
            return job.begun

    def lose(self, job: Job) -> bool:
        """The caller gives up on *job*; False: it has just ended after all."""
        with self._lock:
            if job.outcome is not None:
                return False
            if not job.abandoned:
                job.abandoned = True
                self.count += job.begun
            return True

    def take(self, job: Job, outcome: Outcome) -> bool:
        """*job* ended; False: nobody waits for it any more. What comes after its deadline is late, whoever is slow."""
        late = job.clock.monotonic() > job.deadline
        with self._lock:
            if not job.abandoned:
                job.outcome = Error(Expired()) if late else outcome
                return True
            self.count -= 1
        if isinstance(outcome, Error):
            log().debug("%s: an abandoned call ended with %s", job.call.name, type(outcome.error).__name__)
        return False


_all_strays: weakref.WeakSet[Strays] = weakref.WeakSet()


def strays() -> int:
    """How many abandoned calls still run in this process."""
    return sum(each.count for each in list(_all_strays))
