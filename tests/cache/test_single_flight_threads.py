"""Single flight among threads: one computation per key, however many callers wait."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from contextlib import suppress

import pytest
from interrupting import interrupt

from pyresilience import (
    CacheConfig,
    EventType,
    FallbackConfig,
    ResilienceTimeoutError,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.cache.flight import Flight
from pyresilience.testing import EventRecorder, FakeClock

GUARD = 20
"""Seconds after which a test that hangs is over."""


class Crowd:
    """Callers in threads of their own, and what became of each."""

    def __init__(self):
        self.threads = []
        self.outcomes = {}

    def call(self, name, function, *args):
        def body():
            try:
                self.outcomes[name] = function(*args)
            except BaseException as error:
                self.outcomes[name] = error

        thread = threading.Thread(target=body, daemon=True)
        self.threads.append(thread)
        thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(GUARD)
        assert not [thread for thread in self.threads if thread.is_alive()], "a caller hangs"
        return self.outcomes


@pytest.fixture
def crowd():
    return Crowd()


def flying(f):
    return f.cache._cache.flights._flying


def wait_for_followers(f, count):
    """Return once *count* callers wait for the one flight of *f*."""
    for _ in range(GUARD * 1000):
        if sum(len(flight.followers) for flight in list(flying(f).values())) >= count:
            return
        threading.Event().wait(0.001)
    raise AssertionError("nobody came to wait")


def test_one_runs_and_all_get_the_value(crowd):
    """64 threads on one cold key run the function once; one misses, the others hit, coalesced."""
    recorder = EventRecorder()
    gate = threading.Event()
    runs = []

    @resilient(cache=CacheConfig(), listeners=[recorder])
    def f(k):
        runs.append(k)
        assert gate.wait(GUARD)
        return [k]

    for each in range(64):
        crowd.call(each, f, 7)
    wait_for_followers(f, 63)
    gate.set()
    values = crowd.join()
    assert runs == [7]
    assert all(value is values[0] for value in values.values())
    assert recorder.count(EventType.CACHE_MISS) == 1
    assert [event.source for event in recorder.of(EventType.CACHE_HIT)] == ["coalesced"] * 63
    assert f.cache_info()[:2] == (63, 1)
    assert not flying(f)


def test_the_leaders_error_goes_to_those_waiting_and_is_not_kept(crowd):
    """Who waits gets the error; the next caller computes anew."""
    gate = threading.Event()
    runs = []

    @resilient(cache=CacheConfig())
    def f(k):
        runs.append(k)
        assert gate.wait(GUARD)
        if len(runs) == 1:
            raise ValueError("first")
        return k

    for each in range(9):
        crowd.call(each, f, 1)
    wait_for_followers(f, 8)
    gate.set()
    outcomes = crowd.join()
    assert [type(each) for each in outcomes.values()] == [ValueError] * 9
    assert f(1) == 1
    assert len(runs) == 2
    assert not flying(f)


def test_raising_in_many_places_grows_no_traceback_and_leaves_no_cycle(crowd):
    """The error that 20 callers share ends with a short traceback, and dies with them by reference count."""
    gate = threading.Event()

    class Marked(Exception):
        pass

    @resilient(cache=CacheConfig())
    def f(k):
        assert gate.wait(GUARD)
        raise Marked

    lengths = []

    def call():
        try:
            f(1)
        except Marked as error:
            length, step = 0, error.__traceback__
            while step is not None:
                length, step = length + 1, step.tb_next
            lengths.append(length)
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    interval = sys.getswitchinterval()
    try:
        for each in range(20):
            crowd.call(each, call)
        wait_for_followers(f, 19)
        sys.setswitchinterval(GUARD)  # one after the other: in the same moment they would see steps of each other
        gate.set()
        refs = list(crowd.join().values())
        assert max(lengths) <= 10
        assert [ref() for ref in refs] == [None] * 20
    finally:
        sys.setswitchinterval(interval)
        gc.enable()


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_cancelled_leader_hands_over(crowd, ending):
    """If the leader is interrupted, one follower computes, and the others never notice."""
    gate = threading.Event()
    runs = []

    @resilient(cache=CacheConfig())
    def f(k):
        runs.append(threading.get_ident())
        if len(runs) == 1:
            assert gate.wait(GUARD)
            raise ending
        return k

    for each in range(6):
        crowd.call(each, f, 1)
    wait_for_followers(f, 5)
    gate.set()
    outcomes = list(crowd.join().values())
    assert sum(isinstance(each, ending) for each in outcomes) == 1
    assert outcomes.count(1) == 5
    assert len(runs) == 2
    assert f.cache_info().currsize == 1
    assert not flying(f)


def test_leaders_cancelled_one_after_the_other_leave_the_last_a_value(crowd):
    """However many leaders in a row are interrupted, the last caller gets the value."""
    gate = threading.Event()
    runs = []

    @resilient(cache=CacheConfig())
    def f(k):
        runs.append(k)
        if len(runs) < 5:
            assert gate.wait(GUARD)
            raise KeyboardInterrupt
        return k

    for each in range(5):
        crowd.call(each, f, 1)
    wait_for_followers(f, 4)
    gate.set()
    outcomes = list(crowd.join().values())
    assert sum(isinstance(each, KeyboardInterrupt) for each in outcomes) == 4
    assert outcomes.count(1) == 1


def test_invalidate_fences_the_flight(crowd):
    """What was being computed when the key was invalidated goes to those who waited, and is not kept."""
    gate, second = threading.Event(), threading.Event()
    runs = []

    @resilient(cache=CacheConfig())
    def f(k):
        runs.append(k)
        number = len(runs)
        assert (gate if number == 1 else second).wait(GUARD)
        return number

    crowd.call("leader", f, 1)
    while not runs:
        threading.Event().wait(0.001)
    crowd.call("follower", f, 1)
    wait_for_followers(f, 1)
    assert f.cache.invalidate(1) is False
    crowd.call("later", f, 1)
    while len(runs) < 2:
        threading.Event().wait(0.001)
    gate.set()
    second.set()
    assert crowd.join() == {"leader": 1, "follower": 1, "later": 2}
    assert f(1) == 2


@pytest.mark.parametrize("how", ["clear", "put"])
def test_clear_and_put_fence_flights_too(crowd, how):
    """A flight that began before `clear()` or a direct `put()` does not overwrite what came after."""
    gate, begun = threading.Event(), threading.Event()

    @resilient(cache=CacheConfig())
    def f(k):
        begun.set()
        assert gate.wait(GUARD)
        return "old"

    crowd.call("leader", f, 1)
    assert begun.wait(GUARD)
    cache = f.cache._cache
    if how == "clear":
        f.cache_clear()
    else:
        cache.put(1, "new")
    gate.set()
    assert crowd.join() == {"leader": "old"}
    assert cache.get(1, "nothing") == ("nothing" if how == "clear" else "new")


def test_who_would_wait_for_itself_computes():
    """A function that calls itself with its own key computes instead of waiting for ever."""
    depth = []

    @resilient(cache=CacheConfig())
    def f(k):
        depth.append(k)
        return 1 if len(depth) > 3 else f(k) + 1

    assert f("k") == 4
    assert f("k") == 4
    assert len(depth) == 4


def test_who_would_wait_for_itself_through_a_worker_thread_computes():
    """The same behind a timeout, where the function runs on another thread."""
    depth = []

    @resilient(cache=CacheConfig(), timeout=TimeoutConfig(seconds=GUARD))
    def f(k):
        depth.append(k)
        return 1 if len(depth) > 1 else f(k) + 1

    assert f("k") == 2


def test_a_ring_of_keys_does_not_deadlock(crowd):
    """Three threads that compute a → b → c → a through two caches all end with a value."""
    barrier = threading.Barrier(3)
    local = threading.local()

    def body(k):
        if getattr(local, "deep", False):
            return k
        local.deep = True
        barrier.wait(GUARD)
        following = {"a": g, "b": f, "c": f}[k]
        return k + following({"a": "b", "b": "c", "c": "a"}[k])

    f = resilient(cache=CacheConfig())(body)
    g = resilient(cache=CacheConfig())(body)
    crowd.call("a", f, "a"), crowd.call("b", g, "b"), crowd.call("c", f, "c")
    outcomes = crowd.join()
    assert all(str(outcomes[k]).startswith(k) for k in "abc"), outcomes


def test_ten_thousand_failing_keys_leave_nothing():
    """After many failing keys there is no flight, no entry and no lock left."""

    @resilient(cache=CacheConfig())
    def f(k):
        raise KeyError(k)

    for k in range(10_000):
        with pytest.raises(KeyError):
            f(k)
    assert not flying(f)
    assert f.cache_info().currsize == 0


def test_a_slow_key_delays_no_other(crowd):
    """While one key is being computed, hits and misses of others go on."""
    gate, begun = threading.Event(), threading.Event()

    @resilient(cache=CacheConfig())
    def f(k):
        if k == "slow":
            begun.set()
            assert gate.wait(GUARD)
        return k

    crowd.call("slow", f, "slow")
    assert begun.wait(GUARD)
    crowd.call("cold", f, "cold")
    for _ in range(GUARD * 1000):
        if "cold" in crowd.outcomes:
            break
        threading.Event().wait(0.001)
    assert crowd.outcomes == {"cold": "cold"}
    gate.set()
    crowd.join()


def test_a_fallback_goes_to_those_waiting_and_is_not_kept(crowd):
    """Followers get the stand-in as well; the next call asks the function again."""
    gate = threading.Event()
    runs = []

    @resilient(cache=CacheConfig(), fallback=FallbackConfig(handler="degraded"))
    def f(k):
        runs.append(k)
        assert gate.wait(GUARD)
        if len(runs) == 1:
            raise ConnectionError
        return "fresh"

    for each in range(3):
        crowd.call(each, f, 1)
    wait_for_followers(f, 2)
    gate.set()
    assert set(crowd.join().values()) == {"degraded"}
    assert f(1) == "fresh"


def test_a_rejected_result_is_not_kept():
    """What `retry_on_result` still rejects at the end is returned and not kept."""
    answers = ["busy", "busy", "good"]
    retry = RetryConfig(max_attempts=2, delay=0, retry_on_result=lambda answer: answer == "busy")
    f = resilient(cache=CacheConfig(), retry=retry)(lambda: answers.pop(0))
    assert [f(), f(), f()] == ["busy", "good", "good"]


def test_waiting_counts_against_the_deadline_of_the_call(crowd):
    """With a limit of the whole call, a follower of a slow leader is answered by its own limit."""
    gate, begun = threading.Event(), threading.Event()
    recorder, clock = EventRecorder(), FakeClock()
    runs = []
    limit = TimeoutConfig(seconds=5, per_attempt=False)

    @resilient(cache=CacheConfig(), timeout=limit, clock=clock, listeners=[recorder])
    def f(k):
        runs.append(k)
        begun.set()
        gate.wait(GUARD)
        return k

    crowd.call("leader", f, 1)
    assert begun.wait(GUARD)
    crowd.call("follower", f, 1)
    wait_for_followers(f, 1)
    clock.advance(5)
    outcomes = crowd.join()
    gate.set()
    assert [type(each) for each in outcomes.values()] == [ResilienceTimeoutError] * 2
    assert recorder.count(EventType.CACHE_MISS) == len(runs)
    assert recorder.count(EventType.CACHE_MISS) + recorder.count(EventType.CACHE_HIT) == 2


def test_a_coroutine_is_not_shared(crowd):
    """A plain function that returns a coroutine gives each caller one of its own."""
    gate = threading.Event()

    async def inner():
        return 1

    @resilient(cache=CacheConfig())
    def f(k):
        gate.wait(GUARD)
        return inner()

    for each in range(4):
        crowd.call(each, f, 1)
    wait_for_followers(f, 3)
    gate.set()
    coroutines = list(crowd.join().values())
    assert len({id(each) for each in coroutines}) == 4
    for each in coroutines:
        each.close()


def test_a_listener_may_call_the_function_again():
    """No listener runs under a lock: it may call, invalidate and clear."""

    def listener(event):
        if event.event_type is EventType.CACHE_MISS:
            f.cache.invalidate(99)
            f.cache.clear()
        if event.event_type is EventType.SUCCESS and not deep:
            deep.append(1)
            f(2)

    deep = []
    f = resilient(cache=CacheConfig(), listeners=[listener])(lambda k: k)
    assert f(1) == 1


def leader_with_two_followers(error):
    """A cached function whose first run ends once two others wait for it; its runs, and the others."""
    crowd, runs = Crowd(), []

    @resilient(cache=CacheConfig())
    def f(k):
        runs.append(k)
        if len(runs) == 1:
            for name in range(2):
                crowd.call(name, f, k)
            wait_for_followers(f, 2)
            if error is not None:
                raise error
        return k

    return f, runs, crowd


@pytest.mark.parametrize("error", [None, ValueError, SystemExit])
def test_ctrl_c_anywhere_leaves_nobody_waiting(error):
    """A leader interrupted at any point, however its function ends, leaves no flight and no follower behind."""
    n, place = 0, ""
    while place is not None:
        n += 1
        f, runs, crowd = leader_with_two_followers(error)

        def lead(f=f):
            with suppress(ValueError, SystemExit):
                f(1)

        place = interrupt(n, lead)
        outcomes = crowd.join()
        assert set(map(str, outcomes.values())) <= {"1", ""}, (n, outcomes)
        runs.append("the next run is not the first")
        assert f(1) == 1, n
        assert not flying(f), n
    assert n > 10


def test_a_leader_interrupted_while_it_tells_the_others(monkeypatch):
    """Who has been told already, and is gone, does not inherit the key: the next in line does."""
    f, _, crowd = leader_with_two_followers(None)
    tell = Flight.tell

    def tell_one(self, outcome):
        monkeypatch.setattr(Flight, "tell", tell)
        tell(self, outcome)
        while not crowd.outcomes:
            threading.Event().wait(0.001)
        raise KeyboardInterrupt

    monkeypatch.setattr(Flight, "tell", tell_one)
    with pytest.raises(KeyboardInterrupt):
        f(1)
    assert [*crowd.join().values()] == [1, 1]
    assert not flying(f)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_threads(crowd):
    """A child forked while a thread computes a key computes it itself, and can use every lock."""
    gate, begun = threading.Event(), threading.Event()
    parent = os.getpid()

    @resilient(cache=CacheConfig(), timeout=TimeoutConfig(seconds=GUARD))
    def f(k):
        if os.getpid() == parent and k == 1:
            begun.set()
            assert gate.wait(GUARD)
        return k

    f(0)
    crowd.call("leader", f, 1)
    assert begun.wait(GUARD)
    lock = f.cache._cache.flights.lock
    with lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if f(1) == 1 and f(0) == 0 and f(2) == 2 else 1)
    _, status = os.waitpid(child, 0)
    gate.set()
    assert os.waitstatus_to_exitcode(status) == 0
    assert crowd.join() == {"leader": 1}


def test_a_handler_in_a_thread_that_waits(script):
    """A signal handler that asks for what its own thread waits for computes it: the line could never wake it there."""
    script(
        """
        import signal, threading
        from pyresilience import CacheConfig, resilient

        started, go, runs, got = threading.Event(), threading.Event(), [], []

        @resilient(cache=CacheConfig())
        def f(key):
            runs.append(threading.current_thread().name)
            if len(runs) == 1:
                started.set()
                go.wait()
                raise SystemExit
            return key

        def handle(*_):
            got.append(f(1))
            go.set()

        threading.Thread(target=lambda: f(1), name="leader").start()
        started.wait()
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert f(1) == 1
        assert (got, runs[:2]) == ([1], ["leader", "MainThread"])
        """
    )
