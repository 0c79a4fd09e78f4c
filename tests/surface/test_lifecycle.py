"""Importing does nothing, and shutting down is final: each test in a process of its own."""

START = """
import asyncio, threading, time
from pyresilience import *

inside, go = threading.Event(), threading.Event()

def hang(*args):
    inside.set(); go.wait(30)
    return "ended"

def end_of(function, *args):
    try:
        return function(*args)
    except BaseException as error:
        return type(error).__name__
"""


def started(script, lines):
    return script(START + lines)


def test_importing_starts_nothing(script):
    """No thread, no event loop, no socket, no optional package, no output."""
    assert script("""
import sys, threading
before = set(sys.modules)
import pyresilience
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(threading.active_count(), sorted(new & {"anyio", "asyncio", "trio", "tenacity", "socket", "ssl"}))
""") == ["1", "[]"]


def test_an_idle_shutdown_is_done_at_once(script):
    """Where nothing runs it returns True, however often."""
    assert started(script, "print(shutdown(), shutdown(wait=False), shutdown(timeout='1s'))") == ["True"] * 3


def test_new_calls_are_refused_afterwards(script):
    """Sync and async calls are refused with a ResilienceError that says why."""
    assert started(
        script,
        """
f = resilient(retry=RetryConfig())(lambda: 1)
@resilient
async def g(): return 1
c = resilient(cache=CacheConfig())(lambda x: x)
shutdown()
print(end_of(f), end_of(lambda: asyncio.run(g())), end_of(c, 1))
try:
    f()
except ResilienceError as error:
    print("shut" in str(error))
""",
    ) == ["ResilienceError", "ResilienceError", "ResilienceError", "True"]


def test_cached_results_are_still_given_out(script):
    """A hit begins no call."""
    assert started(
        script,
        """
f = resilient(cache=CacheConfig())(lambda x: x)
f("kept")
shutdown()
print(f("kept"), end_of(f, "new"))
""",
    ) == ["kept", "ResilienceError"]


def test_it_waits_for_calls_under_way(script):
    """It returns True once the last call has ended, and False where it must not or may not wait that long."""
    assert started(
        script,
        """
f = resilient(hang)
results = []
thread = threading.Thread(target=lambda: results.append(f())); thread.start(); inside.wait(30)
print(shutdown(wait=False), shutdown(timeout=0.02))
threading.Timer(0.05, go.set).start()
print(shutdown())
thread.join()
print(*results)
""",
    ) == ["False", "False", "True", "ended"]


def test_it_waits_for_async_calls_under_way(script):
    """A task inside counts, until its end or its cancellation."""
    assert started(
        script,
        """
@resilient(retry=RetryConfig(), cache=CacheConfig())
async def f(x):
    await asyncio.sleep(30)

async def main():
    task = asyncio.ensure_future(f(1))
    await asyncio.sleep(0.01)
    print(shutdown(wait=False))
    task.cancel()
    await asyncio.wait([task])
    print(shutdown(wait=False))

asyncio.run(main())
""",
    ) == ["False", "True"]


def test_it_waits_for_abandoned_calls(script):
    """A timed-out function that still runs in its thread counts as running."""
    assert started(
        script,
        """
from pyresilience.testing import FakeClock
clock = FakeClock()

@resilient(timeout=TimeoutConfig(5), clock=clock)
def f():
    clock.advance(10)
    hang()

print(end_of(f), shutdown(wait=False))
go.set()
print(shutdown())
""",
    ) == ["ResilienceTimeoutError", "False", "True"]


def test_a_call_under_way_may_go_on_trying(script):
    """A call that began before is not cut short: it makes its retries."""
    assert started(
        script,
        """
calls = []
@resilient(retry=RetryConfig(max_attempts=3, delay=0.001))
def f():
    calls.append(1)
    if len(calls) == 1:
        inside.set(); go.wait(30)
    raise OSError

thread = threading.Thread(target=end_of, args=(f,)); thread.start(); inside.wait(30)
shutdown(wait=False)
go.set()
print(shutdown(), len(calls))
""",
    ) == ["True", "3"]


def test_a_wrong_timeout_is_refused(script):
    """A negative or meaningless timeout is an error and shuts nothing down."""
    assert started(
        script,
        """
f = resilient(lambda: "works")
print(end_of(lambda: shutdown(timeout=-1)), end_of(lambda: shutdown(timeout="soon")), end_of(lambda: shutdown(timeout=None)))
print(f())
""",
    ) == ["ValueError", "ValueError", "TypeError", "works"]


def test_a_call_at_exit_works_or_says_why(script):
    """A bounded call made while the interpreter shuts down is answered or refused, and nothing hangs."""
    out = started(
        script,
        """
import atexit
f = resilient(timeout=TimeoutConfig(15))(lambda: "answered")
atexit.register(lambda: print(end_of(f)))
f()
""",
    )
    assert out in (["answered"], ["RejectedError"])
