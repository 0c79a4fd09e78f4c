"""Metrics in forked children, under signals, in finalizers, and in code that calls back."""

from __future__ import annotations

import sys
import threading

import pytest

from pyresilience import CacheConfig, ResultCache, resilient

PRELUDE = """
import faulthandler, gc, os, signal, sys, threading
from pyresilience import *
from pyresilience.errors import ResilienceError
from pyresilience.metrics import *
faulthandler.dump_traceback_later(30, exit=True)

def in_child(say):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            print(*say(), flush=True)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, status
"""


@pytest.fixture
def lines(script):
    """Run lines in a process of their own after the usual beginning."""
    return lambda code: script(PRELUDE + code)


def test_a_child_counts_its_own(lines):
    """A forked child begins at 0 in counts, windows and runs; entries and bytes are what it has; the parent goes on."""
    assert lines("""
f = resilient(cache=CacheConfig(enable_metrics=True, max_size=2))(lambda x: x)
for x in (1, 1, 2, 3): f(x)
def say():
    s, w = f.metrics.get_stats(), f.metrics.get_stats(60)
    yield from (s.hits, s.misses, s.evictions.size, s.entry_count, s.total_size_bytes == 2 * sys.getsizeof(1), w.misses)
    runs = f.pipeline.metrics
    yield sum(runs.get_stats(label).total for label in runs.functions)
    f(3); f(4)
    s = f.metrics.get_stats()
    yield from (s.hits, s.misses, s.evictions.size, s.entry_count, s.hit_latency.count, s.load_latency.count)
    yield runs.get_stats(*runs.functions).success
in_child(say)
f(3)
s = f.metrics.get_stats()
print(s.hits, s.misses, s.evictions.size)
""") == [*"0 0 0 2 True 0 0".split(), *"1 1 1 2 1 1 1".split(), *"2 3 1".split()]


def test_records_by_hand_in_a_child(lines):
    """So do metrics of one's own, in the middle of a block too; what was restored stays with the parent."""
    assert (
        lines("""
m = CacheMetrics()
m.restore(MetricSnapshot(hits=100))
m.update_size_metrics(7, 70)
with MetricsContext(m) as call:
    call.record_miss()
    def say():
        call.record_recalculation()
        s = m.get_stats()
        return s.hits, s.misses, s.recalculations, s.entry_count
    in_child(say)
s = m.get_stats()
print(s.hits, s.misses, s.recalculations)
""")
        == "0 0 1 7 100 1 0".split()
    )


def test_forks_amid_traffic(lines):
    """A child that is forked while other threads count never hangs on a lock of theirs."""
    assert lines("""
f = resilient(cache=CacheConfig(enable_metrics=True, max_size=2))(lambda x: x)
m, stop = CacheMetrics(), []
def hammer():
    x = 0
    while not stop:
        x += 1
        f(x % 5); m.record_hit(); f.metrics.get_stats()
threads = [threading.Thread(target=hammer, daemon=True) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(12):
    def say():
        f(1); f(1); m.record_hit()
        s = f.metrics.get_stats(60)
        assert s.total_calls == s.hit_latency.count + s.load_latency.count == 2, s
        assert m.get_stats().hits == 1
        return ()
    in_child(say)
stop.append(1)
for thread in threads: thread.join()
print("done")
""") == ["done"]


def test_nothing_starts_a_thread(lines):
    """Neither metrics nor reading them start a thread, load asyncio or open anything."""
    assert lines("""
before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
f = resilient(cache=CacheConfig(enable_metrics=True))(lambda x: x)
f(1); f(1); f.metrics.get_stats(60)
from pyresilience.metrics.roster import roster
from pyresilience.metrics.subject import read
from pyresilience.metrics.report import report
report(read(roster.subjects(), detailed=True))
after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
print(len(threading.enumerate()) - 1, "asyncio" in sys.modules, "socket" in sys.modules, after - before)
""") == ["0", "False", "False", "0"]


def test_the_import_alone_loads_no_metrics(script):
    """`import pyresilience` loads nothing of the metrics; a cache with metrics does."""
    assert script("""
import sys
import pyresilience
def loaded(): return any(name.startswith("pyresilience.metrics") for name in sys.modules)
print(loaded())
pyresilience.resilient(cache=pyresilience.CacheConfig())(len)
print(loaded())
pyresilience.resilient(cache=pyresilience.CacheConfig(enable_metrics=True))(len)
print(loaded())
""") == ["False", "False", "True"]


def test_a_signal_handler_may_read_and_call(lines):
    """A handler that interrupts counting anywhere may count, read and reset without waiting for itself."""
    assert (
        lines("""
f = resilient(cache=CacheConfig(enable_metrics=True, max_size=3))(lambda x: x)
m, handled = CacheMetrics(), [0]
def handler(*_):
    handled[0] += 1
    f(handled[0] % 5); m.record_hit(); m.record_latency(0.1)
    s = f.metrics.get_stats(60)
    if handled[0] % 10 == 0: m.reset()
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
calls = 0
while handled[0] < 200:
    f(calls % 5); m.record_miss(); m.record_latency(0.1); f.metrics.get_stats(); calls += 1
signal.setitimer(signal.ITIMER_REAL, 0)
s = f.metrics.get_stats()
print(s.total_calls == calls + handled[0], s.hit_latency.count == s.hits, s.load_latency.count == s.misses,
      s.entry_count == len(f.cache._cache))
""")
        == ["True"] * 4
    )


def test_a_follower_that_is_interrupted_is_not_counted(lines):
    """Ctrl-C while a call waits for another leaves no trace of it in the counts."""
    assert lines("""
import time
inside, go = threading.Event(), threading.Event()
@resilient(cache=CacheConfig(enable_metrics=True))
def f(x):
    inside.set(); go.wait(20); return x
leader = threading.Thread(target=f, args=(1,)); leader.start(); inside.wait(20)
def interrupt():
    flights = f.cache._cache.flights
    while not any(flight.followers for flight in list(flights._flying.values())): time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    f(1)
except KeyboardInterrupt:
    s = f.metrics.get_stats()
    print(s.hits, s.misses)
go.set(); leader.join()
f(1)
s = f.metrics.get_stats()
print(s.hits, s.misses, s.coalesced, s.recalculations)
""") == ["0", "0", "1", "1", "0", "1"]


def test_calls_after_the_shutdown(lines):
    """What is refused because the process shuts down is not counted; hits, which are still given out, are."""
    assert lines("""
f = resilient(cache=CacheConfig(enable_metrics=True))(lambda x: x)
f(1)
shutdown()
f(1)
try:
    f(2)
except ResilienceError:
    s = f.metrics.get_stats()
    print(s.hits, s.misses, s.total_calls)
""") == ["1", "1", "2"]


def test_a_finalizer_may_call_and_read():
    """What a value does when it leaves the cache may call the function and read its metrics."""
    seen = []

    class Value:
        def __init__(self, x):
            self.x = x

        def __del__(self):
            if len(seen) < 50:
                stats = f.metrics.get_stats()
                seen.append(stats.total_calls)
                f(-self.x)

    f = resilient(cache=CacheConfig(max_size=2, enable_metrics=True))(Value)
    done = threading.Event()

    def work():
        for x in range(1, 40):
            f(x)
        f.cache.clear()
        done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert done.wait(20), "a finalizer waits for its own thread"
    thread.join(20)
    assert len(seen) >= 39
    rows = f.cache._cache.shelf.rows
    stats = f.metrics.get_stats()
    assert stats.entry_count == len(rows) <= 3
    assert stats.total_calls == stats.load_latency.count + stats.hit_latency.count


def test_collectors_of_cycles_may_call_and_read(lines):
    """The same at any allocation at all, when the collector of cycles runs all the time.

    In a copy of the context: CPython 3.11 itself crashes when the collector runs inside of `ContextVar.set` and sets
    one in the same context.
    """
    assert (
        lines("""
import contextvars
collected = []
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        collected.append(1)
        contextvars.copy_context().run(lambda: (f.metrics.get_stats(60), f(len(collected) % 7)))
def body(x):
    if len(collected) < 300:
        Cycle()
    return [x]
f = resilient(cache=CacheConfig(max_size=3, enable_metrics=True))(body)
before = gc.get_threshold()
gc.set_threshold(1, 1, 1)
for x in range(150):
    f(x % 7)
    f.metrics.get_stats()
gc.set_threshold(*before)
gc.collect()
s = f.metrics.get_stats()
print(len(collected) > 50, s.total_calls == s.load_latency.count + s.hit_latency.count, s.recalculations == s.misses,
      s.entry_count == len(f.cache._cache) == 3)
""")
        == ["True"] * 4
    )


def test_a_size_that_calls_back():
    """A `__sizeof__` that calls the function, reads and clears is asked outside of every lock."""

    class Value:
        def __sizeof__(self):
            if not depth:
                depth.append(1)
                other = threading.Thread(target=lambda: (f(2), f.metrics.get_stats(), f.cache.invalidate(1)))
                other.start()
                other.join(20)
                assert not other.is_alive(), "it is asked under a lock"
            return 1000

    depth = []
    f = resilient(cache=CacheConfig(enable_metrics=True))(lambda x: Value())
    f(1)
    f(2)
    stats = f.metrics.get_stats()
    assert (stats.misses, stats.recalculations) == (2, 2)
    assert stats.entry_count == len(f.cache._cache)
    cache = ResultCache(CacheConfig(enable_metrics=True))
    depth.clear()
    cache.put("k", Value())
    assert cache.metrics.get_stats().total_size_bytes >= 1000


def test_a_listener_that_reads():
    """A listener may read, reset and call from another thread while it is being told: no lock is held then."""
    told = []

    def listener(event):
        if len(told) < 20:
            told.append(event.event_type)
            key = 100 + len(told)
            other = threading.Thread(target=lambda: (f.metrics.get_stats(60), f.pipeline.metrics.functions, f(key)))
            other.start()
            other.join(20)
            assert not other.is_alive(), "it is told under a lock"

    f = resilient(cache=CacheConfig(max_size=1, enable_metrics=True), listeners=[listener])(lambda x: x)
    for x in (1, 1, 2, 1):
        f(x)
    assert len(told) >= 8
    assert f.pipeline.listener_errors == 0


def test_a_switch_interval_of_nothing():
    """Whatever the interpreter switches between, two threads that hit one key are counted exactly."""
    f = resilient(cache=CacheConfig(enable_metrics=True))(lambda x: x)
    f(1)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [f(1) for _ in range(3000)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    finally:
        sys.setswitchinterval(before)
    stats = f.metrics.get_stats()
    assert (stats.hits, stats.misses, stats.hit_latency.count) == (9000, 1, 9000)
