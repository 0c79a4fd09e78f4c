"""Forks, signals, closed loops and several loops: what holds beyond one thread of one process."""

import asyncio
import threading

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    RateLimiterConfig,
    RetryConfig,
    TimeoutConfig,
    resilient,
)

SETTINGS = {
    "cache": CacheConfig(),
    "retry": RetryConfig(delay=0.001),
    "circuit_breaker": CircuitBreakerConfig(),
    "rate_limiter": RateLimiterConfig(max_calls=1000),
    "bulkhead": BulkheadConfig(max_concurrent=1, max_wait=15),
    "timeout": TimeoutConfig(15),
}

FORK = """
import os, threading
from pyresilience import *

def in_child(check):
    '''Fork, run *check* in the child, and print what it returned there.'''
    pid = os.fork()
    if pid == 0:
        try:
            print(check(), flush=True)
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

inside, go = threading.Event(), threading.Event()
"""


def forked(script, lines):
    return script(FORK + lines)


def test_slots_held_by_the_parents_threads_are_free_in_a_child(script):
    """A child that was forked while another thread held the only slot gets it, and the parent keeps its own."""
    assert forked(
        script,
        """
@resilient(bulkhead=BulkheadConfig(max_concurrent=1))
def f(wait):
    if wait:
        inside.set(); go.wait(30)
    return "in"

thread = threading.Thread(target=f, args=(True,)); thread.start(); inside.wait(30)
in_child(lambda: f(False))
try:
    f(False)
except BulkheadFullError:
    print("full")
go.set(); thread.join()
print(f(False))
""",
    ) == ["in", "full", "in"]


def test_a_slot_held_across_a_fork_counts_once(script):
    """A function that forks goes on in both processes, and each has all its slots afterwards."""
    assert forked(
        script,
        """
@resilient(bulkhead=BulkheadConfig(max_concurrent=2))
def f():
    return os.fork()

pid = f()
(bulkhead,) = f.pipeline.stages
free = 2 - bulkhead.health()["in_use"]
if pid == 0:
    os._exit(free)
print(free, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    ) == ["2", "2"]


def test_a_key_computed_by_a_thread_of_the_parent_is_computed_anew_in_a_child(script):
    """A child does not wait for a flight that its parent's thread leads."""
    assert forked(
        script,
        """
@resilient(cache=CacheConfig())
def f(x):
    if threading.current_thread() is not threading.main_thread():
        inside.set(); go.wait(30)
    return "value"

thread = threading.Thread(target=f, args=(1,)); thread.start(); inside.wait(30)
in_child(lambda: f(1))
go.set(); thread.join()
print(f(1), f.cache_info().misses)
""",
    ) == ["value", "value", "1"]


def test_time_limits_work_in_a_child(script):
    """Parked threads of the parent do not exist in a child: it starts its own."""
    assert forked(
        script,
        """
f = resilient(timeout=TimeoutConfig(15))(lambda: "in time")
print(f())
in_child(f)
""",
    ) == ["in", "time", "in", "time"]


def test_a_probe_under_way_in_the_parent_does_not_block_a_child(script):
    """The child's half-open circuit has its own places for probes."""
    assert forked(
        script,
        """
from pyresilience.testing import FakeClock
clock = FakeClock()
@resilient(circuit_breaker=CircuitBreakerConfig(recovery_timeout=1, half_open_max_calls=1), clock=clock)
def f():
    if threading.current_thread() is not threading.main_thread():
        inside.set(); go.wait(30)
    return "probed"

for _ in range(5):
    f.circuit_breaker.record_failure()
clock.advance(1)
thread = threading.Thread(target=f); thread.start(); inside.wait(30)
in_child(f)
go.set(); thread.join()
""",
    ) == ["probed"]


def test_locks_held_in_the_moment_of_a_fork_are_free_in_a_child(script):
    """Forking while other threads hammer the same function never leaves a child hanging."""
    assert forked(
        script,
        """
import signal, time
collector = MetricsCollector()
@resilient(circuit_breaker=CircuitBreakerConfig(sliding_window_size=9), rate_limiter=RateLimiterConfig(max_calls=10**6),
           bulkhead=BulkheadConfig(), cache=CacheConfig(max_size=1), listeners=[collector])
def f(x):
    return x

stop = []
def hammer():
    x = 0
    while not stop:
        x += 1
        f(x)

threads = [threading.Thread(target=hammer, daemon=True) for _ in range(3)]
for thread in threads: thread.start()
hung = 0
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        f(-1)
        os._exit(0)
    hung += os.waitpid(pid, 0)[1] != 0
stop.append(1)
print(hung)
""",
    ) == ["0"]


def test_calls_are_counted_right_after_a_fork_inside_one(script):
    """`shutdown` in a child that was forked inside a call still knows of the calls that run there."""
    assert forked(
        script,
        """
@resilient
def forks():
    return os.fork()

@resilient
def runs():
    inside.set(); go.wait(30)

pid = forks()
if pid == 0:
    threading.Thread(target=runs, daemon=True).start(); inside.wait(30)
    print(shutdown(wait=False), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
""",
    ) == ["False"]


@pytest.mark.parametrize("stage", ["bulkhead", "cache", "rate_limiter", "retry", "timeout", "function"])
def test_ctrl_c_ends_a_call_that_waits(script, stage):
    """A signal ends a waiting call as KeyboardInterrupt, and the next call works."""
    assert script(f"""
import os, signal, threading, time
from pyresilience import *
from pyresilience.clock import SystemClock

stage = {stage!r}
inside, go, calls = threading.Event(), threading.Event(), []
class Clock(SystemClock):
    ahead = 0
    def monotonic(self):
        return super().monotonic() + self.ahead

clock = Clock()
settings = dict(
    bulkhead=dict(bulkhead=BulkheadConfig(max_concurrent=1, max_wait=30)),
    cache=dict(cache=CacheConfig()),
    rate_limiter=dict(rate_limiter=RateLimiterConfig(max_calls=1, period=30, max_wait=30), clock=clock),
    retry=dict(retry=RetryConfig(delay=30, jitter=None)),
    timeout=dict(timeout=TimeoutConfig(30)),
    function=dict(retry=RetryConfig()),
)[stage]

@resilient(**settings)
def f(x=0):
    calls.append(1)
    if stage == "retry" and len(calls) == 1:
        raise OSError
    if threading.current_thread() is not threading.main_thread() and len(calls) == 1 or stage == "function" and len(calls) == 1:
        inside.set(); go.wait(30)
    return "done"

first = threading.Thread(target=f, daemon=True)
if stage in ("bulkhead", "cache"):
    first.start(); inside.wait(30)
if stage == "rate_limiter":
    f()
began = time.monotonic()
try:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    f()
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 25)
go.set()
clock.ahead = 30
print(f())
""") == ["interrupted", "True", "done"]


def test_ctrl_c_ends_an_asyncio_program(script):
    """Ctrl-C while tasks wait in every stage ends `asyncio.run` as KeyboardInterrupt, and the next run works."""
    assert script("""
import asyncio, os, signal, threading
from pyresilience import *

calls = []
@resilient(cache=CacheConfig(), retry=RetryConfig(), bulkhead=BulkheadConfig(max_concurrent=1, max_wait=30),
           timeout=TimeoutConfig(30))
async def f(x):
    calls.append(x)
    if len(calls) == 1:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(30)
    return x

async def main(*xs):
    return await asyncio.gather(*map(f, xs))

try:
    asyncio.run(main(1, 1, 2, 3))
except KeyboardInterrupt:
    print("interrupted")
print(*asyncio.run(main(1, 1, 2)))
print(f.pipeline.stages[1].health()["in_use"])
""") == ["interrupted", "1", "1", "2", "0"]


def test_a_process_ends_although_an_abandoned_call_runs(script):
    """A hung call keeps nobody from leaving."""
    assert script("""
import time
from pyresilience import *
try:
    resilient(timeout=TimeoutConfig(0.01))(lambda: time.sleep(300))()
except TimeoutError:
    print("timed-out")
""") == ["timed-out"]


def test_loops_one_after_another():
    """A pipeline works in one event loop after another, whatever the one before left behind."""

    @resilient(**SETTINGS)
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main(n):
        return await asyncio.gather(*[f((n, i % 3)) for i in range(6)])

    for n in range(5):
        assert asyncio.run(main(n)) == [(n, i % 3) for i in range(6)]


def test_a_loop_closed_with_calls_inside_gives_back_what_they_held():
    """Calls left behind in a closed loop hold neither slot, nor probe, nor key."""

    @resilient(
        cache=CacheConfig(),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.0, half_open_max_calls=1),
        bulkhead=BulkheadConfig(max_concurrent=1),
    )
    async def f(x):
        if not inside:
            inside.append(1)
            await asyncio.sleep(3600)
        return x

    for _ in range(3):
        inside = []
        f.cache.clear()
        f.circuit_breaker.record_failure()
        loop = asyncio.new_event_loop()
        left = loop.create_task(f(1))
        while not inside:
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert asyncio.run(f(1)) == 1
        left._log_destroy_pending = False
        left.get_coro().close()


def test_two_loops_in_two_threads():
    """Two event loops at once share one pipeline: limit, keys and hand-over work across them."""
    inside, most, computed = [0], [0], []
    lock = threading.Lock()

    @resilient(**SETTINGS)
    async def f(x):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            computed.append(x)
        await asyncio.sleep(0.002)
        with lock:
            inside[0] -= 1
        return x

    async def main():
        return await asyncio.wait_for(asyncio.gather(*[f(i % 5) for i in range(20)]), 20)

    ends = [None, None]

    def run(place):
        ends[place] = asyncio.run(main())

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)
    assert ends == [[i % 5 for i in range(20)]] * 2
    assert (most[0], sorted(computed)) == (1, [0, 1, 2, 3, 4])
