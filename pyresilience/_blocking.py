"""The blocking hand: how a synchronous call waits.

The same names stand in `_async.py`. Only this module sleeps and makes threads.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from ._forks import renew_in_child
from ._outcome import Crowded, Expired
from ._strays import Job, Strays
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


REARMS = 3
"""How often an alarm is set for one wait, at most, as there are clocks that are never the same twice."""


def arm(clock: Clock, until: float, ring: Callable[[], object]) -> tuple[float, Callable[[], object]]:
    """Have *ring* called when it is *until* by *clock*: how long to wait for that at most, and what calls it off."""
    cancel = _nothing
    for _ in range(REARMS if until < inf else 0):
        cancel()
        now = clock.monotonic()
        alarm = clock.alarm(max(0.0, until - now), ring)
        if alarm is None:
            return until - now, _nothing
        cancel = alarm
        if clock.monotonic() == now:  # else it was moved on meanwhile, and would ring too late
            break
    return inf, cancel


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

    def wait(self, clock: Clock, until: float = inf, look: float = inf) -> None:
        """Return when set, when it is *until* by the clock, or in *look* seconds anyway; then look what it was."""
        left, cancel = arm(clock, until, self.set)
        try:
            self.hold(min(left, look))
        finally:
            cancel()

    def hold(self, seconds: float) -> None:
        """Return when set, or when *seconds* of the system's time have passed."""
        self._lock.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))


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


def _start(run: Callable[[], None]) -> None:
    """Run it on a parked worker, the last one parked first, or on a new one."""
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
    done = Signal()
    job = Job(inner, call, clock, seconds, strays, done.set)
    left, cancel = arm(clock, job.deadline, done.set)
    try:
        _start(partial(contextvars.copy_context().run, job.run))
        done.hold(left)
    except BaseException:
        strays.lose(job)
        raise
    finally:
        cancel()
    if strays.lose(job):
        raise Expired
    outcome, job.outcome = job.outcome, None
    assert outcome is not None
    try:
        return outcome.unwrap()
    finally:
        del outcome


class Task:
    """Something that runs on its own, and can be asked to end; first, something that is about to."""

    __slots__ = ("abandon", "beginner", "cancel", "home", "is_done", "thread")

    def __init__(self) -> None:
        self.home: Any = None
        """The event loop it lives in; None: a thread, or trio."""
        self.beginner = threading.get_ident()
        """The thread that is about to begin it; 0: it has begun."""
        self.thread = 0
        """The thread it runs in; 0: it has not come that far."""
        self.cancel: Callable[[], object] = _nothing
        """Asks it to end, callable from anywhere. A thread cannot be asked."""
        self.abandon: Callable[[], object] = _nothing
        """Ends it where it stands, once its event loop is closed."""
        self.is_done: Callable[[], object] = _nothing
        """Whether it has ended, even if nobody was told so."""


def _nothing() -> None:
    """What there is to cancel of a thread, or of a timer of the system's."""


def blocks(task: Task) -> bool:
    """Whether waiting for *task* here would keep it from ending."""
    return threading.get_ident() in (task.thread, task.beginner)


Ended: TypeAlias = Callable[[BaseException | None], object]
"""Is told how something ended: None, or with which error."""


def spawn(work: Callable[[], Any], context: contextvars.Context, ended: Ended, task: Task) -> None:
    """Do *work* in *context* as a *task* of its own, from now on; then say that it has *ended*, and with which error.

    Raises:
        Crowded: The system refuses another thread.
    """
    about_to = [task]

    def run() -> None:
        try:
            about_to.pop()
        except IndexError:  # an interrupt came first, and it was given up
            return
        task.beginner, task.thread = 0, threading.get_ident()
        error: BaseException | None = None
        try:
            context.run(work)
        except BaseException as raised:  # noqa: BLE001 - whoever spawned it is told
            error = raised
        try:
            ended(error)
        finally:
            del error

    try:
        _start(run)
    except BaseException:
        try:
            about_to.pop()
        except IndexError:  # it runs all the same, and says when it has ended
            task.beginner = 0
        raise


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
