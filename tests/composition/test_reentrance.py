"""Garbage collection and signals run code anywhere, also where a lock is held: nothing waits for itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pyresilience

DROPPED = """
import asyncio, faulthandler, gc
faulthandler.dump_traceback_later(20, exit=True)
from pyresilience import BulkheadConfig, CacheConfig, CircuitBreakerConfig, RateLimiterConfig, resilient

hold = True

@resilient(
    cache=CacheConfig(),
    circuit_breaker=CircuitBreakerConfig(),
    rate_limiter=RateLimiterConfig(max_calls=10**6),
    bulkhead=BulkheadConfig(max_concurrent=10**6),
)
async def fetch(key):
    if hold:
        await asyncio.sleep(30)
    await asyncio.sleep(0)
    return key

def leave_behind():
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(fetch(1)) for _ in range(4)]
    loop.run_until_complete(asyncio.sleep(0.001))
    loop._ready.clear(), loop._scheduled.clear()
    loop.set_exception_handler(lambda *_: None)
    for task in tasks:
        task._log_destroy_pending = False
    loop.close()

async def again():
    return await asyncio.gather(*(fetch(1) for _ in range(4)))

for threshold in range(1, 120):
    hold = True
    gc.disable()
    leave_behind()
    hold = False
    gc.set_threshold(threshold)
    gc.enable()
    assert asyncio.run(again()) == [1, 1, 1, 1]
    gc.set_threshold(700)
    fetch.cache_clear()
print("done")
"""


def test_calls_dropped_in_a_closed_loop_are_collected_anywhere(script):
    """However early the collector finds them, the calls that come after get their results."""
    assert script(DROPPED) == ["done"]


SIGNALLED = """
import faulthandler, signal, threading
faulthandler.dump_traceback_later(20, exit=True)
from pyresilience import CacheConfig, CircuitBreakerConfig, MetricsCollector, RateLimiterConfig, RetryBudgetConfig
from pyresilience import RetryConfig, resilient

@resilient(
    cache=CacheConfig(max_size=10, enable_metrics=True),
    retry=RetryConfig(delay=0, max_attempts=2),
    retry_budget=RetryBudgetConfig(max_retries=10**6),
    circuit_breaker=CircuitBreakerConfig(failure_threshold=10**6),
    rate_limiter=RateLimiterConfig(max_calls=10**6, max_wait=1),
    listeners=[MetricsCollector()],
)
def flaky(number):
    if number % 3 == 0:
        raise ValueError
    return number

seen = 0

def interrupted(*_):
    global seen
    seen += 1
    for number in (-1, -2, -3):
        try:
            flaky(number)
        except ValueError:
            pass
    flaky.cache.invalidate(-1)
    flaky.metrics.get_stats()
    signal.setitimer(signal.ITIMER_REAL, 0.0002)  # however long this took

signal.signal(signal.SIGALRM, interrupted)
signal.setitimer(signal.ITIMER_REAL, 0.0002)
number = 0
while seen < 500:
    number += 1
    try:
        flaky(number)
    except ValueError:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
print("done")
"""


def test_a_signal_handler_may_call_what_it_interrupted(script):
    """A handler that runs in the middle of a call makes calls of its own, to the same function."""
    assert script(SIGNALLED) == ["done"]


HOUSE = Path(pyresilience.__file__).parent
PLAIN = {"_blocking": 2}
"""Where plain locks stand, and how many: as signals that one thread sets for another."""


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_locks_can_be_taken_again(path):
    """No state is guarded by a lock that its own holder would wait for."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    plain = [call for call in calls if ast.unparse(call.func) in ("threading.Lock", "Lock")]
    assert len(plain) <= PLAIN.get(path.relative_to(HOUSE).with_suffix("").as_posix(), 0)
