"""W-TinyLFU: who gets in, who stays, and what its hits cost."""

from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.sketch import spread
from pyresilience.policies.tinylfu import DEFENCES, TOUCHES, TinyLfu

STEPS = st.lists(st.tuples(st.sampled_from("gggggggdvc"), st.integers(0, 30)), max_size=300)


class Cache:
    """Who holds a TinyLfu: its keys, and what was evicted."""

    def __init__(self, size):
        self.size, self.order, self.keys, self.evicted = size, TinyLfu(size), set(), []

    def get(self, *keys):
        for key in keys:
            if key in self.keys:
                self.order.touch(key)
            else:
                self.keys.add(key)
                self.order.add(key)
                while len(self.keys) > self.size:
                    self.evict()

    def evict(self):
        self.evicted.append(self.order.victim())
        self.keys.remove(self.evicted[-1])

    @property
    def segments(self):
        """Window, protected and probation, by their keys."""
        return [[entry.key for entry in segment] for segment in self.order._segments]


@given(size=st.integers(1, 25), steps=STEPS)
def test_each_key_leaves_once(size, steps):
    """Whoever leaves was there; it knows exactly the keys of the cache, each in one segment, and gives them all back."""
    cache = Cache(size)
    for step, key in steps:
        if step == "d":
            cache.order.discard(key)
            cache.keys.discard(key)
        elif step == "v" and cache.keys:
            cache.evict()
        elif step == "c" and key == 0:
            cache.order.clear()
            cache.keys.clear()
        else:
            cache.get(key)
        assert sorted(sum(cache.segments, [])) == sorted(cache.keys)
        assert len(cache.order) == len(cache.keys)
    while cache.keys:
        cache.evict()
    assert len(cache.order) == 0


@given(size=st.integers(2, 60), keys=st.lists(st.integers(0, 200), max_size=400))
def test_the_segments_have_their_shares(size, keys):
    """Protected are at most four fifths of the main part, once more than one are in it; the window has what it may."""
    cache = Cache(size)
    cache.get(*keys, *range(1000, 1000 + size))
    window, protected, probation = cache.segments
    assert len(protected) <= max(1, 0.8 * (len(protected) + len(probation)))
    assert len(window) <= max(1, cache.order._climber.share * (size + 1))


def test_a_newcomer_does_not_push_out_who_is_used_more():
    """Keys that come once leave again; those that are used often stay, whoever is the oldest."""
    cache = Cache(20)
    cache.get(*[*range(20)] * 4)
    cache.get(*range(100, 200))
    assert len(cache.keys & set(range(20))) >= 19


def test_who_is_used_more_gets_in():
    """A key that comes again and again is let in after some time, and then stays."""
    cache = Cache(20)
    cache.get(*range(20))
    for newcomer in range(100, 140):
        cache.get(-1, newcomer)
    assert -1 in cache.keys
    assert cache.evicted.count(-1) <= 4


def test_one_use_more_is_not_enough():
    """The candidate has been counted already, and who is due has not: an equal in a loop does not get in."""
    cache = Cache(20)
    for _ in range(6):
        cache.get(*range(40))
    before = cache.keys.copy()
    cache.get(*range(40))
    assert len(before & cache.keys) >= 19


def test_who_turned_away_many_goes_to_the_end():
    """A key of which the sketch thinks too much does not keep its place for ever: others have to defend theirs."""
    cache = Cache(50)
    cache.get(*range(50), *range(50))
    first = next(iter(cache.order._segments[2]))
    for _ in range(15):
        cache.order._sketch.count(first.mark)
    cache.get(*range(100, 100 + DEFENCES - 1))
    assert next(iter(cache.order._segments[2])) is first
    cache.get(*range(200, 210))
    assert next(iter(cache.order._segments[2])) is not first
    assert first.key in cache.keys


def test_one_contest_for_each_that_comes():
    """Where several must leave for one that came, as it is heavy, the others go by their age, used often or not."""
    order = TinyLfu(10)
    for key in range(10):
        order.add(key)
    for key, uses in ((9, 5), (1, 10)):
        for _ in range(uses):
            order._sketch.count(spread(hash(key)))
    order.add(10)
    assert [order.victim(), order.victim(), order.victim()] == [0, 1, 2]


def test_a_hit_makes_an_entry_the_newest():
    """In the window, and in the protected segment: there it is the one that was not hit for longest that must go."""
    cache = Cache(20)
    cache.order._climber.share = 0.5
    cache.get(*range(20))
    window = cache.segments[0]
    cache.get(window[0], 50)
    assert cache.segments[0] == [*window[2:], window[0], 50]
    cache.get(1, 2, 3, 1, 51)
    assert cache.segments[1] == [2, 3, 1]


def test_hits_have_their_effect_with_the_next_entry():
    """They are only noted at first: a hit changes no queue while others may look at it."""
    cache = Cache(10)
    cache.get(*range(10))
    before = cache.segments
    cache.get(3, 3, 4)
    assert cache.segments == before
    assert len(cache.order._touched) == 3
    cache.get(50)
    assert {3, 4} <= set(cache.segments[1])
    assert cache.order._sketch.frequency(spread(hash(3))) >= 3
    assert not cache.order._touched


def test_of_many_hits_the_last_are_remembered():
    """While nothing is put, the memory of hits is bounded, and holds no key that has left."""
    cache = Cache(10)
    cache.get(*range(10))
    cache.get(*[1] * 1000, *[2] * TOUCHES)
    assert [entry.key for entry in cache.order._touched] == [2] * TOUCHES
    cache.get(*range(10))
    cache.order.discard(2)
    cache.evict()
    assert {entry.key for entry in cache.order._touched} == {None, *cache.keys} - {2}


def test_the_window_follows_the_load():
    """Where who was used last is used next, the window grows; where a loop is larger than the cache, it shrinks."""
    cache, shares = Cache(50), []
    for new in range(10_000):
        cache.get(new, new - 7 * new % 25)
        shares.append(cache.order._climber.share)
    assert sum(shares[5000:]) / 5000 > 0.3
    for _ in range(300):
        cache.get(*range(100_000, 100_100))
    assert cache.order._climber.share < 0.1


def test_clearing_forgets_everything():
    """A cleared order does what a new one does."""
    used, new = Cache(10), Cache(10)
    used.get(*range(100), *range(95))
    used.order.clear()
    used.keys.clear()
    used.evicted.clear()
    judged = used.order._climber._misses
    for cache in (used, new):
        cache.get(*range(5), *range(10), *range(5))
        assert cache.order._climber._misses == (judged if cache is used else 0), "it is still filling"
        cache.get(*range(30), *range(5))
    assert used.evicted == new.evicted
