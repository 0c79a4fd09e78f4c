"""What is kept, and who leaves: the cache against a list that is looked through from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience import CacheConfig, ResultCache
from pyresilience.metrics import CacheMetrics
from pyresilience.testing import FakeClock

TTL = 10.0

LIMITS = st.fixed_dictionaries(
    {"max_size": st.integers(1, 6)},
    optional={
        "max_weight": st.sampled_from([5, 12, 30]),
        "max_entry_weight": st.sampled_from([4, 8]),
        "stale_while_revalidate": st.just(6.0),
        "tti": st.just(7.0),
    },
)

KEYS = st.integers(0, 9)

STEP = st.one_of(
    st.tuples(st.just("get"), KEYS, st.none()),
    st.tuples(st.just("put"), KEYS, st.tuples(st.integers(0, 9), st.sampled_from([None, None, 0, 2.5, 25.0]))),
    st.tuples(st.just("put"), KEYS, st.tuples(st.integers(0, 9), st.none())),
    st.tuples(st.just("invalidate"), KEYS, st.none()),
    st.tuples(st.just("wait"), st.none(), st.sampled_from([0.5, 1.0, 3.0, 7.0])),
    st.tuples(st.sampled_from(["look", "look", "clear"]), KEYS, st.none()),
)

STEPS = st.lists(STEP, max_size=15) | st.lists(STEP, min_size=46, max_size=70)


@dataclass(eq=False)
class Result:
    """A value of some weight, of which there is only one."""

    weight: int


@dataclass
class Line:
    """What is known of one key."""

    value: Result
    until: float
    used: float


class Model:
    """Entries in a list, the least recently used first; everything is decided by looking at all of them."""

    def __init__(self, limits):
        self.size = limits["max_size"]
        self.capacity = limits.get("max_weight", inf)
        self.heaviest = min(self.capacity, limits.get("max_entry_weight", inf))
        self.linger, self.idle = limits.get("stale_while_revalidate", 0.0), limits.get("tti", inf)
        self.now = 0.0
        self.lines = {}
        self.counts = {"hits": 0, "misses": 0, "rejected": 0, "size": 0, "expired": 0, "invalidated": 0}

    def ends(self, key):
        """When it is fresh no longer."""
        line = self.lines[key]
        return min(line.until, line.used + self.idle)

    def is_fresh(self, key):
        return key in self.lines and self.now < self.ends(key)

    def is_over(self, key):
        return self.now >= self.ends(key) + self.linger

    def get(self, key):
        if not self.is_fresh(key):
            self.counts["misses"] += 1
            return None
        self.counts["hits"] += 1
        line = self.lines[key] = self.lines.pop(key)
        line.used = self.now
        return line.value

    def put(self, key, value, ttl):
        self.lines.pop(key, None)
        if value.weight > self.heaviest:
            self.counts["rejected"] += 1
            return False
        life = TTL if ttl is None else ttl or inf
        self.lines[key] = Line(value, self.now + life, self.now)
        return True

    @property
    def weight(self):
        return sum(line.value.weight for line in self.lines.values())

    def make_room(self, left, *, exact):
        """Let those go that *left*, if that is right: expired ones, and live ones only when there are no others.

        With *exact*, of the live ones those that were not used longest. No more go than must.
        """
        over = [key for key in left if self.is_over(key)]
        live = [key for key in self.lines if key in left and key not in over]
        alive = [key for key in self.lines if not self.is_over(key)]
        last = live[-1:] if exact and live else live or over
        assert not left or any(self.is_full_without({*left} - {key}) for key in last), "one too many has left"
        assert not live or len(alive) + len(over) == len(self.lines), "an expired one was there"
        assert not exact or live == alive[: len(live)]
        for key in left:
            del self.lines[key]
            self.counts["expired" if key in over else "size"] += 1
        assert not self.is_full_without(()), "there is too much"

    def is_full_without(self, keys):
        """Whether there is too much, even when *keys* have left."""
        rest = [line for key, line in self.lines.items() if key not in keys]
        return len(rest) > self.size or sum(line.value.weight for line in rest) > self.capacity

    def invalidate(self, key):
        self.counts["invalidated"] += key in self.lines
        return self.lines.pop(key, None) is not None

    def clear(self):
        self.counts["invalidated"] += len(self.lines)
        self.lines.clear()


def compare(cache, model):
    """Rows, sums and counts are those of the model."""
    rows = cache.shelf.rows
    assert {key: row[0] for key, row in rows.items()} == {key: line.value for key, line in model.lines.items()}
    assert len(cache) == cache.size == len(model.lines) <= model.size
    assert cache.info().weight == model.weight <= model.capacity
    seen = cache.metrics.get_stats()
    assert (seen.entry_count, seen.total_size_bytes) == (len(model.lines), model.weight)
    assert model.counts == {
        "hits": seen.hits,
        "misses": seen.misses,
        "rejected": seen.size_limit_rejections,
        "size": seen.evictions.size,
        "expired": seen.evictions.expired,
        "invalidated": seen.evictions.invalidated,
    }


def run(limits, steps, policy):
    """Take the same steps with a cache and the model, and compare after each."""
    clock = FakeClock()
    config = CacheConfig(ttl=TTL, policy=policy, weigher=lambda value: value.weight, **limits)
    cache, model = ResultCache(config, clock=clock, metrics=CacheMetrics(clock=clock)), Model(limits)
    for what, key, amount in steps:
        if what == "get":
            assert cache.get(key) is model.get(key)
        elif what == "put":
            value = Result(amount[0])
            kept = model.put(key, value, amount[1])
            assert cache.put(key, value, amount[1]) is kept
            model.make_room([each for each in model.lines if each not in cache.shelf.rows], exact=policy == "lru")
        elif what == "invalidate":
            assert cache.invalidate(key) is model.invalidate(key)
        elif what == "look":
            assert (key in cache) is model.is_fresh(key)
        elif what == "clear":
            cache.clear()
            model.clear()
        else:
            clock.advance(amount)
            model.now = clock.monotonic()
        if policy == "lru":
            assert [*cache.shelf.rows] == [*model.lines]
        else:
            assert len(cache.shelf._order) == len(model.lines)
        compare(cache, model)


@settings(derandomize=True, max_examples=200)
@given(LIMITS, STEPS)
def test_an_lru_cache_is_what_a_list_would_be(limits, steps):
    """Who is there, in which order, who left and why, and the sums of it all are exactly those of a plain list."""
    run(limits, steps, "lru")


@pytest.mark.parametrize("policy", ["s3fifo", "sieve", "tinylfu"])
@settings(derandomize=True, max_examples=100)
@given(limits=LIMITS, steps=STEPS)
def test_any_policy_keeps_the_bounds(policy, limits, steps):
    """Whoever it lets go, no more leave than must, expired ones first; what is there is right, and all sums are."""
    run(limits, steps, policy)


@settings(derandomize=True, max_examples=100)
@given(st.integers(1, 6), STEPS)
def test_a_plain_cache_is_what_a_list_would_be(size, steps):
    """The shelf without weights and accounts lets the same ones go, expired ones first, then the least recently used."""
    clock = FakeClock()
    limits = {"max_size": size}
    cache, model = ResultCache(CacheConfig(ttl=TTL, **limits), clock=clock), Model(limits)
    for what, key, amount in steps:
        if what == "get":
            assert cache.get(key) is model.get(key)
        elif what == "put":
            value = Result(amount[0])
            model.put(key, value, amount[1])
            cache.put(key, value, amount[1])
            model.make_room([each for each in model.lines if each not in cache.shelf.rows], exact=True)
        elif what == "invalidate":
            assert cache.invalidate(key) is model.invalidate(key)
        elif what == "wait":
            clock.advance(amount)
            model.now = clock.monotonic()
        assert (key in cache) is model.is_fresh(key)
        assert [*cache.shelf.rows] == [*model.lines]
