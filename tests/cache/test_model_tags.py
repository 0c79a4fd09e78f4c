"""Tags, against a model that marks each entry, and each computation under way, at every invalidation."""

from __future__ import annotations

import random
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience import CacheConfig, EventType, resilient
from pyresilience.cache.barriers import FEW
from pyresilience.testing import EventRecorder, FakeClock

TTL = 20.0
KEYS = st.integers(0, 4)
TAGS = st.sampled_from("abcdef")

MARKS = st.tuples(st.sampled_from(["hard", "soft"]), TAGS, st.none())
"""What can be done while a result is being computed: marking by a tag."""

STEP = st.one_of(
    st.tuples(st.just("call"), KEYS, st.lists(MARKS, max_size=2)),
    st.tuples(st.just("call"), KEYS, st.just([])),
    st.tuples(st.sampled_from(["refresh", "put"]), KEYS, st.just([])),
    MARKS,
    MARKS,
    st.tuples(st.just("invalidate"), KEYS, st.none()),
    st.tuples(st.just("wait"), st.none(), st.sampled_from([1.0, 4.0, 12.0])),
)

STEPS = st.lists(STEP, max_size=15) | st.lists(STEP, min_size=26, max_size=40)

NAMES = st.lists(st.frozensets(TAGS, max_size=3), min_size=1, max_size=6)
"""What the results are called, in turn."""


class Marked:
    """A result, or a computation of one, with what has been done to it."""

    def __init__(self):
        self.revoked, self.softened = set(), {}
        self.tags, self.value, self.until = None, None, inf

    def mark(self, kind, tag, now):
        """Remember an invalidation of *tag*, whatever the result will be called."""
        if self.tags is not None and tag not in self.tags:
            return
        if kind == "hard":
            self.revoked.add(tag)
        else:
            self.softened.setdefault(tag, now)

    def land(self, value, tags, until):
        """The result is there: what was done to its tags meanwhile counts."""
        self.value, self.tags, self.until = value, tags, until
        self.revoked &= tags
        self.softened = {tag: since for tag, since in self.softened.items() if tag in tags}
        return self

    @property
    def end(self):
        """When it is fresh no longer."""
        return min(self.until, *self.softened.values(), inf)


class World:
    """A cached function and the model of it, which take the same steps."""

    def __init__(self, names, config):
        self.clock, self.events, self.names = FakeClock(), EventRecorder(), names
        self.stale, self.spare = config.get("stale_while_revalidate", 0.0), config.get("stale_if_error", 0.0)
        self.runs = self.reads = 0
        self.meanwhile, self.under_way = [], []
        self.rows, self.invalidated = {}, set()
        cache = CacheConfig(ttl=TTL, tags=lambda key, result: self.names_of(result), **config)
        self.f = resilient(cache=cache, clock=self.clock, listeners=[self.events])(self.compute)

    @property
    def now(self):
        return self.clock.monotonic()

    def names_of(self, number):
        return self.names[number % len(self.names)]

    def compute(self, key):
        """The function: marks are set while it runs."""
        self.runs += 1
        value = self.runs
        computation = Marked()
        self.under_way.append(computation)
        for kind, tag, _ in self.meanwhile:
            self.invalidate_tag(kind, tag)
        self.under_way.remove(computation)
        self.land(key, computation, value)
        return value

    # The model.

    def land(self, key, marked, value):
        self.rows[key] = marked.land(value, self.names_of(value), self.now + TTL)

    def zone(self, key):
        row = self.rows.get(key)
        if row is None or row.revoked:
            return None
        past = self.now - row.end
        zones = (("fresh", 0.0), ("stale", self.stale), ("spare", max(self.stale, self.spare)))
        return next((zone for zone, width in zones if past < width), None)

    def reasons(self, key):
        """Why the key is a miss: either of two, if both came about."""
        row = self.rows.get(key)
        if row is None:
            return {"invalidated" if key in self.invalidated else "cold"}
        reasons = {"invalidated"} if row.revoked or row.end < row.until else set()
        return reasons | ({"expired"} if self.now >= row.until else set())

    # The steps.

    def call(self, key, meanwhile):
        zone, old, before = self.zone(key), self.rows.get(key), self.runs
        reasons, self.meanwhile = self.reasons(key), meanwhile
        self.events.clear()
        got = self.f(key)
        while self.f.cache.info().reloading:
            pass
        self.meanwhile = []
        [event] = self.events.of(EventType.CACHE_HIT, EventType.CACHE_MISS)
        if zone in ("fresh", "stale"):
            assert got == old.value
            assert (event.event_type.value, event.source) == ("cache_hit", zone)
            assert self.runs == before + (zone == "stale")
        else:
            assert got == self.runs == before + 1
            assert event.event_type.value == "cache_miss"
            assert event.reason in reasons
        if self.runs > before:
            self.invalidated.discard(key)

    def invalidate_tag(self, kind, tag):
        self.f.cache.invalidate_tag(tag, soft=kind == "soft")
        for each in (*self.rows.values(), *self.under_way):
            each.mark(kind, tag, self.now)

    def refresh(self, key):
        assert self.f.cache.refresh(key) == self.runs
        self.invalidated.discard(key)

    def put(self, key):
        self.runs += 1
        assert self.f.cache.put(self.runs, key) is True
        self.land(key, Marked(), self.runs)
        self.invalidated.discard(key)

    def invalidate(self, key):
        assert self.f.cache.invalidate(key) is (key in self.rows)
        if self.rows.pop(key, None) is not None:
            self.invalidated.add(key)

    def compare(self, key):
        """What can be seen of *key* is what the model knows."""
        zone, entry = self.zone(key), self.f.cache.entry(key)
        assert self.f.cache.contains(key) is (zone == "fresh")
        assert self.f.cache.peek(key) == (self.rows[key].value if zone == "fresh" else None)
        assert (None if entry is None or entry.state == "gone" else entry.state) == zone
        if zone is not None:
            assert frozenset(entry.tags) == self.rows[key].tags


@settings(derandomize=True, max_examples=500)
@given(NAMES, st.sampled_from([0.0, 8.0]), st.sampled_from([0.0, 15.0]), STEPS, st.booleans())
def test_an_invalidated_tag_marks_every_entry_of_that_name(names, stale, spare, steps, looked_at):
    """Hard or soft, before or during its computation: each result is exactly as good as if it had been marked itself."""
    world = World(names, {"stale_while_revalidate": stale, "stale_if_error": spare})
    for what, which, amount in steps:
        if what == "call":
            world.call(which, amount)
        elif what in ("hard", "soft"):
            world.invalidate_tag(what, which)
        elif what == "wait":
            world.clock.advance(amount)
        else:
            getattr(world, what)(which)
        if looked_at:
            for key in range(5):
                world.compare(key)
    for key in range(5):
        world.compare(key)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_tags_are_thinned_out(seed):
    """Far more tags than entries, invalidated before and while results are computed: all is right, and little is kept."""
    dice, clock = random.Random(seed), FakeClock()
    marked, meanwhile = {}, []

    def compute(key):
        for tag in meanwhile:
            f.cache.invalidate_tag(tag)
        return key

    config = CacheConfig(max_size=64, tags=lambda key, result: ("all", f"tag {key}", f"tag {key + 1}"))
    f = resilient(cache=config, clock=clock)(compute)
    barriers = f.cache._door.cache.options.terms.barriers
    for step in range(6000):
        key = dice.randrange(50)
        tag = dice.choice([f"tag {dice.randrange(60)}", f"user {step}", f"user {dice.randrange(6000)}"])
        meanwhile = [] if f.cache.contains(key) else [f"tag {dice.randrange(60)}", f"passing {step}"]
        f(key)
        marked[key] = False if meanwhile else marked[key]
        f.cache.invalidate_tag(tag)
        for each in [int(hit.split()[1]) for hit in (*meanwhile, tag) if hit.startswith("tag")]:
            marked.update(dict.fromkeys({each - 1, each} & marked.keys(), True))
        assert all(f.cache.contains(each) is not revoked for each, revoked in marked.items())
        assert len(barriers._barriers) <= 2 * (FEW + 2 * 64)


def test_a_load_of_long_keeps_what_it_must_know():
    """A result that is being computed while thousands of tags are invalidated is revoked by the first of them."""
    clock = FakeClock()

    def compute(key):
        f.cache.invalidate_tag(f"tag {key}" if key else "tag of nobody")
        for number in range(3 * FEW):
            f.cache.invalidate_tag(f"user {number}")
        return key

    f = resilient(cache=CacheConfig(tags=("tag {key}",)), clock=clock)(compute)
    assert [f(0), f(1)] == [0, 1]
    assert (f.cache.contains(0), f.cache.contains(1)) == (True, False)
    for number in range(5 * FEW):
        f.cache.invalidate_tag(f"later {number}")
    assert f.cache.contains(0)
    assert len(f.cache._door.cache.options.terms.barriers._barriers) <= 2 * FEW


def test_invalidating_a_tag_costs_the_same_whatever_there_is():
    """Entries with many tags of their own, all invalidated, and loads under way, make no invalidation look at all."""
    looked_at = 0

    class Counted(tuple):
        __slots__ = ()

        def __iter__(self):
            nonlocal looked_at
            looked_at += len(self)
            return super().__iter__()

    def compute(key):
        for number in range(2 * FEW if key < 0 else 0):
            f.cache.invalidate_tag(f"user {number}")
        return key

    f = resilient(cache=CacheConfig(max_size=500, tags=("{key} 1", "{key} 2", "{key} 3", "{key} 4")))(compute)
    for key in range(499):
        f(key)
    for row in f.cache._door.cache.shelf.rows.values():
        row[3].tags = Counted(row[3].tags)
    for key in range(499):
        for number in range(1, 5):
            f.cache.invalidate_tag(f"{key} {number}")
    f(-1)
    assert looked_at <= 20 * (2000 + 2 * FEW)
