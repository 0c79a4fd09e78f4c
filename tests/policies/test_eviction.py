"""What is promised of every eviction order: it keeps to its bounds, whoever uses it at the same time."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from itertools import count
from pathlib import Path
from random import Random

import pytest

from pyresilience.policies import eviction
from pyresilience.policies.sketch import COUNTERS
from pyresilience.policies.tinylfu import TOUCHES

HOME = str(Path(eviction.__file__).parent)


def test_nobody_leaves_where_nobody_is(make):
    """Asked for a victim, an empty order says that there is none."""
    order = make(3)
    with pytest.raises(KeyError, match="no entry"):
        order.victim()
    order.add(1)
    assert order.victim() == 1
    assert len(order) == 0
    with pytest.raises(KeyError):
        order.victim()


def test_what_is_unknown_is_ignored_or_told(cache_of):
    """Discarding an unknown key does nothing; a hit on it raises KeyError, which the cache expects."""
    cache = cache_of(3)
    cache.order.discard("unknown")
    with pytest.raises(KeyError):
        cache.order.touch("unknown")
    cache.order.add(1)
    cache.order.discard(1)
    with pytest.raises(KeyError):
        cache.order.touch(1)
    assert cache.victims() == []


def test_clearing_leaves_nothing(cache_of):
    """A cleared order knows nobody and starts again."""
    cache = cache_of(5)
    cache.get(*range(20))
    cache.order.clear()
    assert len(cache.order) == 0
    assert cache.victims() == []
    cache.order.add("new")
    assert cache.victims() == ["new"]


def test_a_cache_of_one(cache_of):
    """The smallest cache holds what came last, or what it thinks more of, and never two."""
    cache = cache_of(1)
    for key in [1, 2, 2, 2, 3, 1, 1, 4, 4, 5] * 5:
        cache.get(key)
        assert len(cache.held) == len(cache.order) == 1


def test_its_size_may_be_unknown(cache_of):
    """A cache that is bounded by weight says how many entries it may have at most, and has far fewer: all parts fit."""
    cache = cache_of(10**9)
    for key in Random(1).choices(range(1000), k=20_000):
        cache.get(key)
        while len(cache.held) > 50 + key % 7:
            cache.evict()
    assert len(cache.order) == cache.placed == len(cache.held)
    assert cache.hits > 500
    assert len(getattr(cache.order, "_ghosts", ())) <= 57


def test_its_memory_is_bounded(cache_of):
    """After 100 000 keys it has kept no more than a cache of that size needs, and of who left no key at all."""

    class Key:
        __slots__ = ("__weakref__",)

    cache, alive = cache_of(100), weakref.WeakSet()
    for number in range(100_000):
        key = Key()
        alive.add(key)
        cache.get(key)
        if number % 3 == 0:
            cache.get(key)
        if number % 50 == 0:
            cache.drop(key)
    del key
    gc.collect()
    assert len(alive) == len(cache.held) == len(cache.order) == cache.placed
    assert len(getattr(cache.order, "_ghosts", ())) <= 100
    assert len(getattr(cache.order, "_touched", ())) <= TOUCHES
    if hasattr(cache.order, "_sketch"):
        assert len(cache.order._sketch._counts) <= 2 * COUNTERS * 101
    cache.get(*cache.held)
    cache.clear()
    gc.collect()
    assert not alive


@pytest.mark.parametrize("kind", ["popular", "new", "loop"])
def test_an_access_costs_a_constant(cache_of, kind):
    """However large the cache, an access takes as many steps on average: the lines that run are counted."""

    def lines(size):
        dice, cache, lines = Random(1), cache_of(size), 0
        next_key = {
            "popular": lambda: int(size * 10 ** dice.uniform(-1, 1)),
            "new": count().__next__,
            "loop": lambda numbers=count(): next(numbers) % (size * 3 // 2),
        }[kind]

        def watch(frame, event, arg):
            nonlocal lines
            lines += event == "line"
            return watch if frame.f_code.co_filename.startswith(HOME) else None

        cache.get(*(next_key() for _ in range(2 * size)))
        keys = [next_key() for _ in range(3000)]
        tracer = sys.gettrace()
        sys.settrace(watch)
        try:
            cache.get(*keys)
        finally:
            sys.settrace(tracer)
        return lines / len(keys)

    small, large = lines(50), lines(3000)
    assert large <= small * 1.25
    assert max(small, large) < 120


def test_threads_touch_while_others_write(cache_of):
    """Hits need no lock: whatever else happens at the time, nothing is raised and no key is lost."""
    cache, lock, errors, going = cache_of(50), threading.RLock(), [], True

    def touch(seed):
        dice = Random(seed)
        while going:
            try:
                cache.order.touch(dice.randrange(200))
            except KeyError:
                pass
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=touch, args=(seed,), daemon=True) for seed in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        dice = Random(9)
        for number in range(6000):
            with lock:
                if number % 10 == 0:
                    cache.drop(dice.randrange(200))
                if number % 1000 == 999:
                    cache.clear()
                cache.get(dice.randrange(200))
                assert len(cache.order) == cache.placed == len(cache.held)
    finally:
        going = False
        for thread in threads:
            thread.join(10)
        sys.setswitchinterval(interval)
    assert errors == []
    assert sorted(cache.victims()) == sorted(cache.held)
