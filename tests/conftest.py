"""One test, three colours: the same behaviour in sync code, in asyncio and in trio."""

from __future__ import annotations

import functools
import gc
import inspect
import signal
import subprocess
import sys
import textwrap
import threading
import time

import anyio
import pytest
from hypothesis import HealthCheck, settings

from pyresilience import resilient
from pyresilience.testing import EventRecorder, FakeClock

PATIENCE = 20.0
"""Seconds after which something that must happen is taken to hang."""

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell has it ignored

settings.load_profile("unhurried")  # no test is about speed by the clock, least of all on a busy machine


def _drive(coroutine):
    """Run a coroutine that never suspends, as those of the sync colour do: what they await blocks instead."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("synchronous code was suspended")


class _SyncEvent:
    def __init__(self):
        self._event = threading.Event()
        self.set, self.is_set = self._event.set, self._event.is_set

    async def wait(self):
        assert self._event.wait(PATIENCE), "nobody set the event"


class Colour:
    """How a test calls functions of one colour.

    Tests and bodies are written once, plain or async; the sync colour drives async ones without an event loop.
    """

    def __init__(self, name):
        self.name = name
        self.is_sync = name == "sync"

    def __repr__(self):
        return self.name

    def dye(self, body):
        """A function of this colour that does what *body*, plain or async, does."""
        is_async = inspect.iscoroutinefunction(body)
        if self.is_sync:

            def dyed(*args, **kwargs):
                return _drive(body(*args, **kwargs)) if is_async else body(*args, **kwargs)
        else:

            async def dyed(*args, **kwargs):
                return await body(*args, **kwargs) if is_async else body(*args, **kwargs)

        functools.update_wrapper(dyed, body)
        return dyed

    def decorate(self, body, **settings):
        """*body* in this colour, made resilient with *settings*."""
        return resilient(**settings)(self.dye(body))

    def run(self, scenario, *args):
        """Run an async *scenario*: driven, or in an event loop of its own."""
        if self.is_sync:
            return _drive(scenario(*args))
        return anyio.run(scenario, *args, backend=self.name)

    def call(self, function, *args, **kwargs):
        """Call *function* of this colour from plain code, in an event loop of its own if need be."""
        return self.run(functools.partial(self.go, function, *args, **kwargs))

    def outcome(self, function, *args, **kwargs):
        """What the call returned, or the exception that it raised."""
        return self.run(functools.partial(self.end_of, function, *args, **kwargs))

    async def go(self, function, *args, **kwargs):
        """Call *function* of this colour inside a scenario."""
        return function(*args, **kwargs) if self.is_sync else await function(*args, **kwargs)

    async def end_of(self, function, *args, **kwargs):
        """What the call returned, or the exception that it raised, inside a scenario."""
        try:
            return await self.go(function, *args, **kwargs)
        except Exception as error:
            return error

    async def gather(self, *thunks):
        """Run async functions at once, in threads or tasks; what each returned or raised, in order."""
        ends = [None] * len(thunks)

        async def end(place, thunk):
            try:
                ends[place] = await thunk()
            except Exception as error:
                ends[place] = error

        if self.is_sync:
            threads = [
                threading.Thread(target=lambda e=each: _drive(end(*e)), daemon=True) for each in enumerate(thunks)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
                assert not thread.is_alive(), "a caller hangs"
        else:
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as group:
                    for each in enumerate(thunks):
                        group.start_soon(end, *each)
        return ends

    def event(self):
        """An event to wait for in a scenario."""
        return _SyncEvent() if self.is_sync else anyio.Event()

    async def sleep(self, seconds):
        """Let *seconds* of the wall clock pass."""
        if self.is_sync:
            time.sleep(seconds)
        else:
            await anyio.sleep(seconds)

    async def until(self, condition):
        """Wait until *condition* holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it never came about"
            await self.sleep(0.001)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def colour(request):
    """The colour of this run."""
    return Colour(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run an async test in its colour."""
    if "colour" not in pyfuncitem.fixturenames or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.funcargs["colour"].run(functools.partial(pyfuncitem.obj, **wanted))
    return True


def pytest_collection_finish():
    """Thousands of tests are there for good: garbage collection need not look at them, over and over."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def clock():
    """A clock that moves when told to."""
    return FakeClock(1000.0)


@pytest.fixture
def events():
    """A record of every event."""
    return EventRecorder()


@pytest.fixture
def script():
    """Run lines of Python in a process of their own, where what is final or deadly may happen; returns its output."""

    def run(code, *, status=0):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout.split()

    return run
