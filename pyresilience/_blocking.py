"""The blocking hand: how a synchronous call waits.

The same names stand in `_async.py`. Only this module sleeps and makes threads.
"""

from __future__ import annotations

import contextvars
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._forks import renew_in_child
from ._log import log
from ._outcome import Crowded, Error, Expired, Outcome, Value
from ._testing_mode import mode

if TYPE_CHECKING:
    from ._call import Call
    from .clock import Clock


def pause(seconds: float) -> None:
    """Let *seconds* pass; more than the system can count is as much as it can."""
    time.sleep(min(seconds, threading.TIMEOUT_MAX))


PARKED = 16
"""How many idle threads are kept for the next bounded call."""
LINGER = 30.0
"""Seconds an idle thread is kept."""


def home() -> Callable[[], Any] | None:
    """What tells where a call lives: nothing, as a thread cannot vanish under a call the way a loop can."""
    return None


vanished: Callable[[Any], bool] | None = None
"""What tells that the place where a call lives is gone: nothing, see `home`."""


class Signal:
    """Wakes the one thread that waits for it; setting it twice is setting it once."""

    __slots__ = ("_lock",)

    home = None
    """No event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the waiting thread; callable from anywhere."""
        try:
            self._lock.release()
        except RuntimeError:  # it was set already
            return

    def wait(self, clock: Clock, seconds: float | None = None) -> None:
        """Return when set, or when *seconds* have passed; look at what you waited for to know which."""
        cancel = None if seconds is None else clock.alarm(seconds, self.set)
        try:
            self.hold(None if cancel is not None else seconds)
        finally:
            if cancel is not None:
                cancel()

    def hold(self, seconds: float | None) -> None:
        """Return when set, or when *seconds* of the system's time have passed."""
        self._lock.acquire(timeout=-1 if seconds is None else min(max(seconds, 0.0), threading.TIMEOUT_MAX))


def sleep(clock: Clock, seconds: float, call: Call) -> None:
    """Let *seconds* pass, but not past the deadline of the whole call.

    Raises:
        Expired: The deadline came first.
    """
    if mode.attempts is not None:
        return
    if call.deadline is not None and (left := call.deadline - clock.monotonic()) <= seconds:
        clock.sleep(max(left, 0.0))
        raise Expired
    clock.sleep(seconds)


class _Job:
    """One call handed to another thread."""

    __slots__ = ("abandoned", "begun", "call", "clock", "deadline", "done", "inner", "outcome", "strays")

    def __init__(self, inner: Callable[[Call], Any], call: Call, clock: Clock, seconds: float, strays: Strays) -> None:
        self.inner = inner
        self.call = call
        self.clock = clock
        self.deadline = clock.monotonic() + seconds
        self.strays = strays
        self.done = Signal()
        self.outcome: Outcome | None = None
        self.begun = self.abandoned = False

    def run(self) -> None:
        """Run it, on the worker's thread; not if the caller is gone already."""
        if not self.strays.begin(self):
            return
        if self.strays.take(self, self._end()):
            self.done.set()

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

    def begin(self, job: _Job) -> bool:
        """*job* begins; False: nobody waits for it any more."""
        with self._lock:
            job.begun = not job.abandoned
            return job.begun

    def lose(self, job: _Job) -> bool:
        """The caller gives up on *job*; False: it has just ended after all."""
        with self._lock:
            if job.outcome is not None:
                return False
            if not job.abandoned:
                job.abandoned = True
                self.count += job.begun
            return True

    def take(self, job: _Job, outcome: Outcome) -> bool:
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


class _Worker(threading.Thread):
    """A daemon thread that runs one job after another and parks in between."""

    def __init__(self, job: Callable[[], None]) -> None:
        super().__init__(name="pyresilience", daemon=True)
        self._job: Callable[[], None] | None = job
        self._wake = threading.Lock()
        self._wake.acquire()

    def give(self, job: Callable[[], None]) -> None:
        """Hand a job to this parked worker."""
        self._job = job
        self._wake.release()

    def run(self) -> None:
        """Work until there has been nothing to do for a while."""
        while self._job is not None:
            self._job()
            self._job = None
            if len(_parked) >= PARKED:
                return
            _parked.append(self)
            if not self._wake.acquire(timeout=LINGER):
                try:
                    _parked.remove(self)
                except ValueError:  # chosen in this moment: the job is on its way
                    self._wake.acquire()


_parked: list[_Worker] = []


class _Yard:
    """Forgets the parked workers in a forked child, which has none."""

    def renew(self) -> None:
        _parked.clear()


_yard = _Yard()
renew_in_child(_yard)


def _start(job: _Job, context: contextvars.Context) -> None:
    """Run *job* in *context* on a parked worker, the last one parked first, or on a new one."""

    def run() -> None:
        context.run(job.run)

    try:
        _parked.pop().give(run)
        return
    except IndexError:
        worker = _Worker(run)
    try:
        worker.start()
    except RuntimeError as error:
        raise Crowded(f"no thread can be started ({error})") from error


def within(clock: Clock, seconds: float, inner: Callable[[Call], Any], call: Call, strays: Strays) -> Any:
    """Run *inner* on a worker thread, in a copy of the caller's context.

    When time is up (or the wait is interrupted) the thread is abandoned, never interrupted.

    Raises:
        Expired: *seconds* have passed.
        Crowded: Too many abandoned calls still run, or the system refuses another thread.
    """
    if strays.count >= strays.limit:
        raise Crowded(f"{strays.count} calls past their limit still run")
    job = _Job(inner, call, clock, seconds, strays)
    cancel = clock.alarm(seconds, job.done.set)
    try:
        _start(job, contextvars.copy_context())
        job.done.hold(seconds if cancel is None else None)
    except BaseException:
        strays.lose(job)
        raise
    finally:
        if cancel is not None:
            cancel()
    if strays.lose(job):
        raise Expired
    outcome, job.outcome = job.outcome, None
    assert outcome is not None
    try:
        return outcome.unwrap()
    finally:
        del outcome


Thread = threading.Thread


def in_background(function: Callable[[], object], name: str) -> Thread:
    """Run *function* in a daemon thread of its own, from now on."""
    thread = Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def elsewhere(function: Callable[[], Any], stop: Callable[[], object]) -> Any:
    """What the blocking *function* returns; when the wait for it is interrupted, *stop* it.

    Then it is called once more, so that nothing of it remains when the interrupt goes on.
    """
    try:
        return function()
    except BaseException:
        stop()
        function()
        raise
