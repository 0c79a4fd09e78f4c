"""Entries, bytes and evictions are kept as the cache goes, and always equal to what is really there."""

from __future__ import annotations

import gc
import random
import sys
import threading
import tracemalloc
import weakref
from collections import OrderedDict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.cache.keys import scope_of
from pyresilience.cache.weight import weight_of
from pyresilience.metrics import CacheMetrics
from pyresilience.testing import FakeClock

ROOM, LIFE = 4, 10.0
keys = st.integers(0, 6)


def recount(f):
    """Entries and bytes of the function of a shared cache, or of all, as they are."""
    shelf, scope = f.cache._cache.shelf, f.cache._door.scope
    mine = [row for key, row in list(shelf.rows.items()) if scope is None or scope_of(key) is scope]
    return len(mine), sum(weight_of(row[0]) for row in mine)


class Contents(RuleBasedStateMachine):
    """A cache that two functions and a direct user share, against a plain list of what they did."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock(1000.0)
        self.cache = ResultCache(CacheConfig(max_size=ROOM, ttl=LIFE, enable_metrics=True), clock=self.clock)
        self.size = 0
        self.functions = {
            name: resilient(cache=self.cache, clock=self.clock)(lambda x, name=name: "x" * self.size) for name in "fg"
        }
        self.rows = OrderedDict()
        self.counts = {owner: dict.fromkeys(FACTS, 0) for owner in ("f", "g", "all")}
        self.gone = {owner: {"size": 0, "expired": 0, "invalidated": 0} for owner in ("f", "g", "mine")}

    def leave(self, key, cause):
        del self.rows[key]
        if cause is not None:
            self.gone[key[0]][cause] += 1

    def store(self, key, life):
        if key in self.rows:
            self.leave(key, None)
        self.rows[key] = (self.clock.monotonic() + life if life else float("inf"), weight_of("x" * self.size))
        if len(self.rows) > ROOM:
            over = {each: until for each, (until, _) in self.rows.items() if until <= self.clock.monotonic()}
            if over:
                (gone,) = [each for each in over if not self.is_there(each)]
                assert over[gone] == min(over.values())
                self.leave(gone, "expired")
            else:
                self.leave(next(iter(self.rows)), "size")

    def is_there(self, place):
        owner, key = place
        if owner == "mine":
            return place in self.cache.shelf.rows
        return self.functions[owner].cache.entry(key) is not None

    def fresh(self, key):
        return key in self.rows and self.clock.monotonic() < self.rows[key][0]

    @rule(size=st.integers(0, 300))
    def results_change(self, size):
        self.size = size

    @rule(name=st.sampled_from("fg"), key=keys)
    def call(self, name, key):
        self.functions[name](key)
        counts, place = self.counts[name], (name, key)
        if self.fresh(place):
            counts["hits"] += 1
            self.rows.move_to_end(place)
            return
        counts["misses"] += 1
        counts["recalculations"] += 1
        if place in self.rows:
            counts["stale_hits"] += 1
            self.leave(place, "expired")
        self.store(place, LIFE)

    @rule(key=keys)
    def get(self, key):
        self.cache.get(("mine", key))
        counts, place = self.counts["all"], ("mine", key)
        if self.fresh(place):
            counts["hits"] += 1
            self.rows.move_to_end(place)
        else:
            counts["misses"] += 1
            counts["stale_hits"] += place in self.rows

    @rule(key=keys, life=st.sampled_from([None, 0, 1, 20]))
    def put(self, key, life):
        self.cache.put(("mine", key), "x" * self.size, life)
        self.store(("mine", key), LIFE if life is None else life)

    @rule(name=st.sampled_from("fg"), key=keys)
    def invalidate(self, name, key):
        assert self.functions[name].cache.invalidate(key) is ((name, key) in self.rows)
        if (name, key) in self.rows:
            self.leave((name, key), "invalidated")

    @rule(key=keys)
    def invalidate_directly(self, key):
        assert self.cache.invalidate(("mine", key)) is (("mine", key) in self.rows)
        if ("mine", key) in self.rows:
            self.leave(("mine", key), "invalidated")

    @rule(name=st.sampled_from("fg"))
    def clear(self, name):
        self.functions[name].cache.clear()
        for key in [key for key in self.rows if key[0] == name]:
            self.leave(key, "invalidated")

    @rule()
    def clear_all(self):
        self.cache.clear()
        for key in list(self.rows):
            self.leave(key, "invalidated")

    @rule(pause=st.sampled_from([0.5, 1.0, 5.0, 10.0, 21.0]))
    def wait(self, pause):
        self.clock.advance(pause)

    @rule(name=st.sampled_from("fg"))
    def reset(self, name):
        self.functions[name].metrics.reset()
        self.counts[name] = dict.fromkeys(FACTS, 0)
        self.gone[name] = dict.fromkeys(self.gone[name], 0)

    @invariant()
    def the_account_is_true(self):
        for name, f in self.functions.items():
            stats = f.metrics.get_stats()
            mine = [weight for key, (_, weight) in self.rows.items() if key[0] == name]
            assert (stats.entry_count, stats.total_size_bytes) == (len(mine), sum(mine)) == recount(f)
            assert {fact: getattr(stats, fact) for fact in FACTS} == self.counts[name]
            assert {cause: getattr(stats.evictions, cause) for cause in CAUSES} == self.gone[name]
            assert stats.max_entries == ROOM
            assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)

    @invariant()
    def the_whole_is_true(self):
        stats = self.cache.metrics.get_stats()
        assert stats.entry_count == len(self.cache) == len(self.rows)
        assert stats.total_size_bytes == sum(weight for _, weight in self.rows.values())
        assert {fact: getattr(stats, fact) for fact in FACTS} == self.counts["all"]


FACTS = ("hits", "misses", "stale_hits", "recalculations")
CAUSES = ("size", "expired", "invalidated")
TestContents = Contents.TestCase
TestContents.__doc__ = "Random calls, writes, clearings and pauses: counts and contents agree with a model of them."
TestContents.settings = settings(max_examples=40, stateful_step_count=25)


def test_threads_leave_a_true_account():
    """Calls, writes, invalidations and clearings from many threads: what is counted in the end is what is there."""
    cache = ResultCache(CacheConfig(max_size=20, ttl=0, enable_metrics=True))
    f, g = (resilient(cache=cache)(lambda x, name=name: name * (x + 1)) for name in "fg")
    stop, errors = threading.Event(), []

    def work(seed):
        die = random.Random(seed)
        acts = [
            lambda: f(die.randrange(40)),
            lambda: g(die.randrange(40)),
            lambda: cache.put(die.randrange(9), "x" * die.randrange(99)),
            lambda: f.cache.invalidate(die.randrange(40)),
            lambda: cache.invalidate(die.randrange(9)),
            lambda: g.cache.clear() if die.random() < 0.1 else None,
            lambda: cache.clear() if die.random() < 0.05 else None,
        ]
        try:
            while not stop.is_set():
                die.choice(acts)()
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(60):
            for stats in (f.metrics.get_stats(), g.metrics.get_stats(), cache.metrics.get_stats()):
                assert 0 <= stats.entry_count <= 21  # for a moment there is one too many
                assert stats.total_calls == stats.hit_latency.count + stats.load_latency.count
            stop.wait(0.005)
        stop.set()
        for thread in threads:
            thread.join(20)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
    assert errors == []
    for each in (f, g):
        stats = each.metrics.get_stats()
        assert (stats.entry_count, stats.total_size_bytes) == recount(each)
    rows = list(cache.shelf.rows.values())
    whole = cache.metrics.get_stats()
    assert (whole.entry_count, whole.total_size_bytes) == (len(rows), sum(weight_of(row[0]) for row in rows))


def test_one_function_of_a_shared_cache_is_cleared_amid_hits():
    """Clearing while other threads hit, which moves entries without a lock, takes exactly the function's own."""
    cache = ResultCache(CacheConfig(max_size=2000))
    f, g = resilient(cache=cache)(lambda x: x), resilient(cache=cache)(lambda x: x)
    stop, errors = threading.Event(), []

    def hit():
        try:
            while not stop.is_set():
                for x in range(500):
                    g(x)
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=hit) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(20):
            for x in range(20):
                f(x)
            f.cache.clear()
            assert not f.cache.invalidate(1)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join(20)
    assert errors == []
    assert len(cache) == 500


def test_a_shared_cache_forgets_the_metrics_of_functions_that_are_gone():
    """A cache outlives functions that used it: their metrics go with them, and a write tells nobody that is gone."""
    cache, told = ResultCache(CacheConfig(max_size=4, enable_metrics=True)), []
    for _ in range(50):
        f = resilient(cache=cache)(lambda x: x)
        f(1)
        told.append(weakref.ref(f.metrics))
    gc.collect()
    assert [each() is None for each in told] == [True] * 49 + [False]
    assert len(cache._observers) <= 3  # its own, the last one's, and one that was there when that came
    assert f.metrics.get_stats().misses == 1
    cache.put(2, 2)
    assert cache.metrics.get_stats().entry_count == 4


@pytest.mark.parametrize("measured", [False, True])
def test_who_comes_while_a_result_is_stored(measured):
    """A caller that comes in the moment in which a result is being stored gets it, and computes nothing."""
    runs, ends = [], []
    f = resilient(cache=CacheConfig(enable_metrics=measured))(lambda x: runs.append(x) or len(runs))
    shelf = f.cache._cache.shelf

    class Meddling(type(shelf)):
        __slots__ = ()

        def put(self, *row):
            threads.append(threading.Thread(target=lambda: ends.append(f(1))))
            threads[0].start()
            threads[0].join(0.03)
            super().put(*row)

    threads = []
    shelf.__class__ = Meddling
    assert f(1) == 1
    threads[0].join(20)
    assert (runs, ends) == ([1], [1])


@pytest.mark.parametrize("by_hand", [False, True])
def test_memory_of_one_object(by_hand):
    """After a long life of all kinds of calls at all times one object takes 64 KB at most."""
    clock, die = FakeClock(1000.0), random.Random(1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        metrics = CacheMetrics(clock=clock)
        for _ in range(3000):
            clock.advance(die.choice([0, 1e-5, 0.1, 4, 60, 230, 5401]))
            if by_hand:
                getattr(metrics, die.choice(["record_hit", "record_miss", "record_stale_hit"]))()
                metrics.record_latency(10 ** die.uniform(-8, 3))
            else:
                hit = die.random() < 0.5
                metrics.record_call(10 ** die.uniform(-8, 3), hit=hit, coalesced=hit, stale=not hit, runs=not hit)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 10_000 < taken <= 64 * 1024


def test_reading_costs_the_same_whatever_is_cached():
    """Reading the metrics looks at no entry: it runs as many steps for a full cache as for an empty one."""

    def steps(entries):
        f = resilient(cache=CacheConfig(max_size=5000, enable_metrics=True), clock=FakeClock(1000.0))(lambda x: x)
        for x in range(entries):
            f(x)
        f.metrics.get_stats()
        count = 0

        def watch(frame, event, arg):
            nonlocal count
            count += event in ("call", "c_call")

        gc.disable()  # somebody may listen to it
        sys.setprofile(watch)
        try:
            f.metrics.get_stats()
        finally:
            sys.setprofile(None)
            gc.enable()
        return count

    assert steps(10) == steps(5000) < 400


def test_writing_costs_the_same_whatever_is_cached():
    """A write to a full cache runs as many steps as one to a cache of ten entries."""

    def steps(room):
        f = resilient(cache=CacheConfig(max_size=room, enable_metrics=True), clock=FakeClock(1000.0))(lambda x: x)
        for x in range(room + 1):
            f(x)
        count = 0

        def watch(frame, event, arg):
            nonlocal count
            count += event in ("call", "c_call")

        gc.disable()  # somebody may listen to it
        sys.setprofile(watch)
        try:
            f(-1)
        finally:
            sys.setprofile(None)
            gc.enable()
        return count

    assert steps(10) == steps(2000)


def test_metrics_given_to_a_cache_with_another_clock():
    """Durations are of the cache's clock, and windows of the metrics' own: neither goes mad."""
    clock = FakeClock(1e9)
    metrics = CacheMetrics(clock=FakeClock(5.0))

    @resilient(cache=ResultCache(CacheConfig(), clock=clock, metrics=metrics), clock=clock)
    def f(x):
        clock.advance(2)
        return x

    for _ in range(3):
        f(1)
    stats = metrics.get_stats()
    assert (stats.hit_latency.total, stats.load_latency.total) == (0.0, 2.0)
    assert metrics.get_stats(60).total_calls == 3


def test_what_is_no_metrics():
    """A cache takes a CacheMetrics or nothing."""
    with pytest.raises(TypeError, match=r"metrics must be a CacheMetrics"):
        ResultCache(CacheConfig(), metrics=object())


def test_get_and_put_alone(clock):
    """A cache used directly records its reads: hits, misses and expired entries, but no run of any function."""
    cache = ResultCache(CacheConfig(max_size=2, ttl=10), clock=clock, metrics=CacheMetrics(clock=clock))
    assert cache.get("a", "default") == "default"
    cache.put("a", text := "x" * 100)
    assert cache.get("a") is text
    clock.advance(10)
    assert cache.get("a") is None
    stats = cache.metrics.get_stats()
    assert (stats.hits, stats.misses, stats.stale_hits, stats.recalculations, stats.coalesced) == (1, 2, 1, 0, 0)
    assert (stats.entry_count, stats.total_size_bytes) == (1, sys.getsizeof(text))
    assert (stats.hit_latency.count, stats.load_latency.count) == (1, 2)
    with pytest.raises(TypeError):
        cache.get([])
    assert cache.metrics.get_stats().total_calls == 3
