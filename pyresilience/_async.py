"""The async hand: how an asynchronous call waits, in asyncio and trio.

The same names stand in `_blocking.py`. Only this module knows event loops, and loads them at their first use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from functools import cache, partial
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any

from ._blocking import Ended, Task, arm, in_background
from ._outcome import Error, Expired, Outcome, Value
from ._testing_mode import mode

if TYPE_CHECKING:
    from contextvars import Context

    from ._call import Call
    from ._strays import Strays
    from .clock import Clock


async def pause(seconds: float) -> None:
    """Let *seconds* pass on the event loop's own clock."""
    import anyio

    await anyio.sleep(seconds)


@cache
def _asyncio() -> Any:
    """asyncio, which takes long to import, from its first use on."""
    import asyncio

    return asyncio


def home() -> Callable[[], Any]:
    """What tells the asyncio loop a call lives in; it says None under trio, which never leaves a call behind."""
    return _asyncio()._get_running_loop  # type: ignore[no-any-return]


def vanished(home: Any) -> bool:
    """Whether the event loop *home* was closed with calls still inside."""
    return home is not None and home.is_closed()


def _runner(loop: Any) -> Callable[[Callable[[], object]], None]:
    """What runs a function in the event loop that runs now: at once inside, soon from elsewhere, never once it is gone."""
    if loop is None:
        return _trio_runner()

    def run(function: Callable[[], object]) -> None:
        if home()() is loop:
            function()
            return
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function)

    return run


def _trio_runner() -> Callable[[Callable[[], object]], None]:
    import trio  # type: ignore[import-not-found,unused-ignore]

    token, inside = trio.lowlevel.current_trio_token(), get_ident()

    def run(function: Callable[[], object]) -> None:
        if get_ident() == inside:
            function()
            return
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(function)

    return run


class Signal:
    """Wakes the one task that waits for it, from any thread; setting it twice is setting it once."""

    __slots__ = ("_run", "event", "home")

    def __init__(self) -> None:
        import anyio

        self.home = home()()
        self.event = anyio.Event()
        self._run = _runner(self.home)

    def set(self) -> None:
        """Wake the waiting task; callable from anywhere."""
        self._run(self.event.set)

    async def wait(self, clock: Clock, until: float = inf, look: float = inf) -> None:
        """Return when set, when it is *until* by the clock, or in *look* seconds anyway; then look what it was."""
        import anyio

        left, cancel = arm(clock, until, self.set)
        try:
            with anyio.move_on_after(left) if (left := min(left, look)) < inf else nullcontext():
                await self.event.wait()
        finally:
            cancel()
        self.event = anyio.Event()


async def sleep(clock: Clock, seconds: float, call: Call) -> None:
    """Let *seconds* pass, but not past the deadline of the whole call.

    Raises:
        Expired: The deadline came first.
    """
    if mode.attempts is not None:
        await pause(0)
        return
    if call.deadline is not None and (left := call.deadline - clock.monotonic()) <= seconds:
        await clock.sleep_async(max(left, 0.0))
        raise Expired
    await clock.sleep_async(seconds)


async def within(
    clock: Clock, seconds: float, inner: Callable[[Call], Awaitable[Any]], call: Call, strays: Strays
) -> Any:
    """Run *inner*, and cancel it when time is up; *strays* stay empty, as cancellation ends what is late.

    Raises:
        Expired: *seconds* have passed and *inner* was cancelled.
    """
    if (loop := home()()) is not None:
        return await _Limit(loop, clock).bound(seconds, inner, call)
    import anyio

    scope = anyio.CancelScope()
    cancel = clock.alarm(seconds, partial(_trio_runner(), scope.cancel))
    if cancel is None:
        scope.deadline = anyio.current_time() + seconds
    try:
        with scope:
            return await inner(call)
    finally:
        if cancel is not None:
            cancel()
    raise Expired


class _Limit:
    """A limit in asyncio: what `asyncio.timeout` does, at less cost and without an error of its own.

    Our request to cancel is taken back whatever came of it, so that a cancellation from outside stays visible,
    and wins.
    """

    __slots__ = ("_clock", "_late", "_loop", "_over", "_requests", "_task")

    def __init__(self, loop: Any, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._task: Any = _asyncio().current_task(loop)
        self._requests = self._task.cancelling()
        self._late = self._over = False

    async def bound(self, seconds: float, inner: Callable[[Call], Awaitable[Any]], call: Call) -> Any:
        """Run *inner* under the limit."""
        cancel = self._clock.alarm(seconds, self._ring) or self._loop.call_later(seconds, self._expire).cancel
        try:
            return await inner(call)
        except _asyncio().CancelledError:
            if self._late and self._task.cancelling() - 1 <= self._requests:
                raise Expired from None
            raise
        finally:
            self._over = True
            cancel()
            if self._late:
                self._task.uncancel()

    def _ring(self) -> None:
        """Expire soon: a task that is running now must not be cancelled for its next wait, which may be another's."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self._expire)

    def _expire(self) -> None:
        if not self._over:
            self._late = True
            self._task.cancel()


def spawn(work: Callable[[], Awaitable[Any]], context: Context, ended: Ended, task: Task) -> None:
    """Do *work* in *context* as a *task* of its own, from now on; then say that it has *ended*, and with which error."""
    loop, task.thread = home()(), get_ident()
    if loop is None:
        _spawn_in_trio(work, context, ended, task)
        return
    coroutine: Any = work()
    ours = context.run(loop.create_task, coroutine)  # not all task factories take a context
    with suppress(AttributeError):  # whoever closes the loop under it cannot know of it, and is not to be told off
        ours._log_destroy_pending = False
    task.home, task.cancel, task.abandon = loop, partial(_runner(loop), ours.cancel), coroutine.close
    task.is_done = ours.done

    def over(_: object) -> None:
        called_off = ours.cancelled() and ours.cancelling()  # else the function itself has raised CancelledError
        ended(None if called_off else _asyncio().CancelledError() if ours.cancelled() else ours.exception())

    ours.add_done_callback(over)


def _spawn_in_trio(work: Callable[[], Awaitable[Any]], context: Context, ended: Ended, task: Task) -> None:
    """Trio cancels its system tasks when the main one is done, so that none outlives the run."""
    import trio

    scope, errors = trio.CancelScope(), list[BaseException]()

    async def run() -> None:
        try:
            with scope:
                await work()
        except BaseException as error:  # whoever spawned it is told; trio would take it for its own
            if BaseExceptionGroup("", [error]).split(trio.Cancelled)[1] is None:
                raise
            errors.append(error)
        finally:
            ended(errors.pop() if errors else None)

    task.cancel = partial(_trio_runner(), scope.cancel)
    ours = trio.lowlevel.spawn_system_task(run, name="pyresilience", context=context)
    task.is_done = lambda: ours.coro.cr_frame is None


def blocks(task: Task) -> bool:
    """Whether waiting for *task* here would keep it from ending: never."""
    return False


async def elsewhere(function: Callable[[], Any], stop: Callable[[], object]) -> Any:
    """What the blocking *function* returns, which runs in a thread; when the wait is cancelled, *stop* it and see it end."""
    import anyio

    done = Signal()
    outcome: list[Outcome] = []

    def run() -> None:
        try:
            outcome.append(Value(function()))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.append(Error(error))
        finally:
            done.set()

    try:
        in_background(run, "pyresilience-elsewhere")
    except BaseException:
        stop()
        function()
        raise
    try:
        await done.event.wait()
    except GeneratorExit:  # the event loop was closed under it
        stop()
        raise
    except BaseException:
        stop()
        with anyio.CancelScope(shield=True):
            await done.event.wait()
        raise
    return outcome.pop().unwrap()


async def unless(gone: Callable[[], Awaitable[object]], inner: Callable[[], Awaitable[Any]]) -> Any:
    """Run *inner*, and cancel it as soon as *gone* returns; *gone* is cancelled once *inner* has ended.

    Raises:
        Expired: *gone* returned first.
    """
    import anyio

    outcome: Outcome | None = None

    async def watch() -> None:
        await gone()
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            outcome = Value(await inner())
        except Exception as error:  # noqa: BLE001 - it is raised again outside the group, which would wrap it
            outcome = Error(error)
        group.cancel_scope.cancel()
    if outcome is None:
        raise Expired
    try:
        return outcome.unwrap()
    finally:
        del outcome
