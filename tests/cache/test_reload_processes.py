"""Reloads and the process: forks, its end, shutdown, and an event loop that begins tasks at once."""

import sys

import pytest

SETUP = """
import asyncio, os, threading, time
from pyresilience import CacheConfig, ResilienceError, resilient, shutdown
from pyresilience.testing import FakeClock

clock, gate, runs = FakeClock(1000.0), threading.Event(), []
STALE = dict(ttl=10, stale_while_revalidate=1000, max_reloads=2)

def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)

def in_child(check):
    pid = os.fork()
    if pid == 0:
        try:
            print(check(), flush=True)
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

@resilient(cache=CacheConfig(**STALE), clock=clock)
def f(x):
    runs.append(x)
    if hang:
        gate.wait(30)
    return len(runs)

@resilient(cache=CacheConfig(**STALE), clock=clock)
async def g(x):
    runs.append(x)
    if hang:
        await asyncio.Event().wait()
    return len(runs)

hang = []

def begin():
    '''Bring two reloads under way.'''
    f(1), f(2)
    clock.advance(10)
    hang.append(1)
    f(1), f(2)
    until(lambda: len(runs) == 4)
"""


@pytest.fixture
def process(script):
    """Run lines after those that set the scene."""

    def run(lines):
        return script(SETUP + lines)

    return run


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork")
def test_a_child_forked_during_reloads(process):
    """A child has none of its parent's reloads: there is room, the keys are free, and closing waits for nothing."""
    said = process(
        """
begin()

def check():
    before = f.cache.info().reloading
    hang.clear()
    first = f(1)
    until(lambda: f.cache.info().reloading == 0)
    return f"{before},{first},{f(1)},{f.cache.close(30)},{shutdown(timeout=30)}"

in_child(check)
gate.set()
until(lambda: f.cache.info().reloading == 0)
print(f(1) in (3, 4), f.cache.close())
"""
    )
    assert said == ["0,1,5,True,True", "True", "True"]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork")
def test_a_child_forked_inside_a_reload(process):
    """A reload that forks goes on in both; in the child its end is as good as any."""
    said = process(
        """
def fork(x):
    runs.append(x)
    if len(runs) == 2:
        in_child(lambda: "child")
    return len(runs)

h = resilient(cache=CacheConfig(**STALE), clock=clock)(fork)
h(1); clock.advance(10); h(1)
until(lambda: h.cache.info().reloading == 0)
print(h(1))
"""
    )
    assert said == ["child", "2"]


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "raise SystemExit", "asyncio.run(asyncio.sleep(0))"])
def test_a_process_ends_although_reloads_hang(process, end):
    """Threads that hang keep no process from ending, and its end says nothing."""
    assert process(f"import sys\nbegin()\nprint('ends')\n{end}\n") == ["ends"]


@pytest.mark.parametrize("closing", ["close", "aclose"])
def test_a_process_ends_after_a_close_that_was_not_enough(process, closing):
    """The same after `close()` has given up waiting for them."""
    call = "f.cache.close(0.01)" if closing == "close" else "asyncio.run(f.cache.aclose(0.01))"
    assert process(f"begin()\nprint({call})\n") == ["False"]


def test_shutdown_waits_for_reloads(process):
    """It says that something runs until the last reload has ended; then the old values are still given out."""
    said = process(
        """
begin()
print(shutdown(timeout=0.01))
threading.Timer(0.02, gate.set).start()
print(shutdown(timeout=30), f.cache.info().reloading)
"""
    )
    assert said == ["False", "True", "0"]


def test_none_begins_after_shutdown(process):
    """After shutdown what is stale is handed out without a reload, and what is gone is refused."""
    said = process(
        """
f(1)
print(shutdown())
clock.advance(10)
print(f(1), f.cache.info().reloading, len(runs), f.cache.info().reload_failures)
clock.advance(1000)
try:
    f(1)
except ResilienceError:
    print("refused")
"""
    )
    assert said == ["True", "1", "0", "1", "0", "refused"]


def test_shutdown_and_a_loop_that_is_gone(process):
    """A reload whose loop was closed without cancelling it is not waited for."""
    said = process(
        """
async def leave():
    await g(1)
    clock.advance(10)
    hang.append(1)
    await g(1)
    await asyncio.sleep(0)

loop = asyncio.new_event_loop()
loop.run_until_complete(leave())
loop.close()
print(shutdown(timeout=30))
"""
    )
    assert said == ["True"]


def test_shutdown_in_a_loop_with_a_reload(process):
    """`shutdown(wait=False)` in the loop says that it runs, and ending the loop ends it."""
    said = process(
        """
async def main():
    await g(1)
    clock.advance(10)
    hang.append(1)
    await g(1)
    await asyncio.sleep(0)
    print(shutdown(wait=False))

asyncio.run(main())
print(shutdown())
"""
    )
    assert said == ["False", "True"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")
def test_eager_tasks(process):
    """In a loop whose tasks begin at once a stale hit is a stale hit."""
    said = process(
        """
async def main():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    await g(1)
    clock.advance(10)
    print(await g(1), await g(1))
    await asyncio.sleep(0)
    print(g.cache.info().reloading)
    clock.advance(10)
    hang.append(1)
    print(await g(1), g.cache.info().reloading, await g.cache.aclose(), g.cache.info().reloading)

asyncio.run(main())
"""
    )
    assert said == ["1", "2", "0", "2", "1", "True", "0"]


def test_task_factories(process):
    """A task factory that makes tasks of its own kind, which keep no attribute they do not know, is good enough."""
    said = process(
        """
class Task(asyncio.Task):
    pass

def factory(loop, coroutine, **options):
    return Task(coroutine, loop=loop, **options)

async def main():
    asyncio.get_running_loop().set_task_factory(factory)
    await g(1)
    clock.advance(10)
    print(await g(1))
    while g.cache.info().reloading:
        await asyncio.sleep(0)
    print(await g(1))

asyncio.run(main())
"""
    )
    assert said == ["1", "2"]
