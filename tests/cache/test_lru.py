"""What is kept, for how long, and what goes first."""

from __future__ import annotations

import functools
import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.testing import FakeClock


def cached(function, *, clock=None, **settings):
    return resilient(cache=CacheConfig(**settings), clock=clock)(function)


@given(st.lists(st.integers(0, 12), max_size=200), st.integers(1, 8))
def test_the_hit_sequence_is_that_of_lru_cache(trace, size):
    """On any trace, exactly those calls hit that hit in `functools.lru_cache` of the same size."""
    ours = cached(lambda x: x, max_size=size)
    theirs = functools.lru_cache(maxsize=size)(lambda x: x)
    for each in trace:
        assert ours(each) == theirs(each)
        assert ours.cache_info() == theirs.cache_info()


@given(st.lists(st.tuples(st.sampled_from("gpid"), st.integers(0, 6), st.integers(0, 7)), max_size=120))
def test_the_cache_agrees_with_a_plain_model(steps):
    """Reads, writes, invalidations and the passing of time agree with a list of (key, value, deadline)."""
    clock = FakeClock()
    cache = ResultCache(CacheConfig(max_size=4, ttl=5), clock=clock)
    model = []
    for what, key, amount in steps:
        if what == "g":
            row = next((row for row in model if row[0] == key and row[2] > clock.monotonic()), None)
            assert cache.get(key, "nothing") == (row[1] if row else "nothing")
            if row:
                model.remove(row)
                model.append(row)
        elif what == "p":
            cache.put(key, amount)
            model = [*(row for row in model if row[0] != key), (key, amount, clock.monotonic() + 5)][-4:]
        elif what == "i":
            assert cache.invalidate(key) == any(row[0] == key for row in model)
            model = [row for row in model if row[0] != key]
        else:
            clock.advance(amount)
        assert len(cache) == len(model)


def test_an_entry_lives_for_its_ttl_and_not_longer():
    """At the end of its TTL an entry is gone."""
    clock = FakeClock()
    runs = []
    f = cached(runs.append, ttl=10, clock=clock)
    f(1)
    clock.advance(9.999)
    f(1)
    assert runs == [1]
    clock.advance(0.001)
    f(1)
    assert runs == [1, 1]


def test_a_hit_does_not_prolong_an_entry():
    """The TTL counts from the computation, however often the entry is read."""
    clock = FakeClock()
    runs = []
    f = cached(runs.append, ttl=10, clock=clock)
    for _ in range(5):
        f(1)
        clock.advance(3)
    assert runs == [1, 1]


@pytest.mark.parametrize("ttl", [0, 0.0, "0s", timedelta(0)])
def test_ttl_zero_means_never(ttl):
    """With `ttl=0` an entry never expires."""
    clock = FakeClock()
    runs = []
    f = cached(runs.append, ttl=ttl, clock=clock)
    f(1)
    clock.advance(1e9)
    f(1)
    assert runs == [1]


@pytest.mark.parametrize("value", [None, False, 0, "", (), [], float("nan")])
def test_falsy_and_odd_results_are_results(value):
    """None, falsy values and NaN are kept like any other result, and come back as the same object."""
    runs = []

    def compute():
        runs.append(1)
        return value

    f = cached(compute)
    assert f() is value
    assert f() is value
    assert runs == [1]


def test_direct_use_counts_and_clears():
    """get, put, invalidate, stats, clear, `in` and `len` do what they say."""
    cache = ResultCache(CacheConfig(max_size=100, ttl=60))
    key = ResultCache.make_key("user", 42)
    assert cache.get(key) is None
    cache.put(key, {"name": "Alice"})
    assert cache.get(key) == {"name": "Alice"}
    assert key in cache
    assert len(cache) == cache.size == 1
    assert cache.stats == {"hits": 1, "misses": 1, "hit_rate": 0.5, "size": 1, "max_size": 100}
    assert cache.invalidate(key) is True
    assert cache.invalidate(key) is False
    assert key not in cache
    cache.clear()
    assert cache.stats == {"hits": 0, "misses": 0, "hit_rate": 0.0, "size": 0, "max_size": 100}
    assert cache


def test_put_takes_a_ttl_of_its_own():
    """`put(..., ttl=)` overrides the configured one for that entry; 0 keeps it for ever."""
    clock = FakeClock()
    cache = ResultCache(CacheConfig(ttl=10), clock=clock)
    cache.put("short", 1, ttl="1s")
    cache.put("usual", 2)
    cache.put("ever", 3, ttl=0)
    clock.advance(1)
    assert [cache.get(each) for each in ("short", "usual", "ever")] == [None, 2, 3]
    clock.advance(100)
    assert [cache.get(each) for each in ("short", "usual", "ever")] == [None, None, 3]


@pytest.mark.parametrize("ttl", [-1, float("nan"), "soon", True])
def test_put_refuses_a_ttl_that_makes_no_sense(ttl):
    """A TTL that is negative, not a number or not a duration is refused, and nothing is kept."""
    cache = ResultCache()
    with pytest.raises((ValueError, TypeError)):
        cache.put("key", 1, ttl=ttl)
    assert "key" not in cache


def test_putting_again_replaces_and_renews():
    """A second put replaces the value and makes the entry the most recently used."""
    cache = ResultCache(CacheConfig(max_size=2))
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert [cache.get(each) for each in "abc"] == [3, None, 4]


def test_functions_that_share_a_cache_do_not_share_entries():
    """One `ResultCache` for two functions keeps their entries apart, even if they have one name."""
    shared = ResultCache(CacheConfig(max_size=10))
    first = resilient(cache=shared)(lambda x: ("first", x))
    second = resilient(cache=shared)(lambda x: ("second", x))
    assert [first(1), second(1), first(1)] == [("first", 1), ("second", 1), ("first", 1)]
    assert shared.size == 2
    first.cache_clear()
    assert shared.size == 1
    assert second.cache.invalidate(1) is True


def test_one_pipeline_gives_each_function_a_cache_of_its_own():
    """A config makes one cache per decorated function, so their counts are apart as well."""
    guard = resilient(cache=CacheConfig())
    one, two = guard(lambda x: 1), guard(lambda x: 2)
    assert [one(5), two(5)] == [1, 2]
    assert one.cache_info().misses == two.cache_info().misses == 1


def test_the_handles_look_like_functools():
    """`cache_info()` and `cache_clear()` are those of `functools.lru_cache`; without a cache they are empty."""
    f = cached(lambda x: x, max_size=7)
    f(1), f(1)
    assert f.cache_info() == (1, 1, 7, 1)
    assert f.cache_info()._fields == functools.lru_cache(lambda: 0).cache_info()._fields
    f.cache_clear()
    assert f.cache_info() == (0, 0, 7, 0)
    bare = resilient(lambda x: x)
    assert bare.cache is None
    assert bare.cache_info() == (0, 0, 0, 0)
    bare.cache_clear()


def test_invalidate_takes_the_call_as_it_is_made():
    """`f.cache.invalidate` is called with the function's own arguments, however they are spelt."""
    runs = []
    f = cached(lambda x, y=2: runs.append((x, y)))
    f(1)
    assert f.cache.invalidate(x=1, y=2) is True
    f(1)
    assert runs == [(1, 2), (1, 2)]


def test_threads_never_see_a_wrong_value_and_the_size_holds():
    """Under eight threads, evictions and expiry, every answer is right and the bound holds."""
    f = cached(lambda k: k * 3, max_size=16, ttl=0.005)
    wrong = []

    def work(seed):
        for step in range(3000):
            k = (seed * 7919 + step * 31) % 60
            if f(k) != k * 3:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    info = f.cache_info()
    assert not wrong
    assert info.currsize <= 16
    assert info.hits + info.misses == 8 * 3000


@pytest.mark.parametrize(
    "make", [lambda: (each for each in (1, 2)), lambda: iter([1, 2]), lambda: map(str, (1, 2)), lambda: zip((1, 2))]
)
def test_what_can_be_used_once_is_not_kept(make):
    """A generator or another iterator is never kept: the second caller gets one of its own, whole."""
    f = cached(make)
    assert list(f()) == list(f()) != []
    assert f.cache_info().currsize == 0
