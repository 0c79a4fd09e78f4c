"""Two threads, or event loops, at once, one of them stopped at every point of the library: whatever the order, it holds."""

import asyncio
import threading

import pytest
from crowds import waiting
from gated_upstream import is_clean
from interleaving import interleavings
from interrupting import eventually

from pyresilience import CacheConfig, resilient
from pyresilience.testing import FakeClock

TTL = {"ttl": 10, "tags": ("all", "one:{x}")}
SPARE = {**TTL, "stale_if_error": 50, "reload_cooldown": 3}
SOFT = {**SPARE, "soft_timeout": 2}
STALE = {**SPARE, "refresh_ahead": 0.8, "stale_while_revalidate": 20}


class World:
    """A function behind a cache: its result is its argument, and the version of what that is made of.

    Args:
        hand: `"sync"`, or `"asyncio"`.
        settings: Of the cache.
        age: Of the entries that are there; None: there are none.
        error: What the function raises from now on; None: it returns.
        keys: Of the entries.
    """

    def __init__(self, hand, settings, age=None, error=None, keys=(1,)):
        self.clock, self.version, self.floor, self.calls, self.gate, self.error = FakeClock(), 1, 1, 0, None, None
        self._is_sync = hand == "sync"
        self._lock = threading.Lock()
        self.runs = 0

        def upstream(x):
            with self._lock:
                self.runs += 1
            result = x, self.version
            if self.gate is not None:
                assert self.gate.wait(20)
            if self.error is not None:
                raise self.error
            return result

        async def upstream_async(x):
            await asyncio.sleep(0)
            return upstream(x)

        cache = CacheConfig(enable_metrics=True, **settings)
        self.f = resilient(cache=cache, clock=self.clock)(upstream if self._is_sync else upstream_async)
        if age is not None:
            for key in keys:
                self.call(key)
            self.clock.advance(age)
        self.error, self.runs = error, 0

    @property
    def waits(self):
        """Whether a caller waits for another, as it looks without the lock, which who is stopped may hold."""
        return any(flight.followers for flight in [*self.f.cache._cache.flights._flying.values()])

    def call(self, x=1, function=None):
        """Call the function, in an event loop of its own if it is async."""
        with self._lock:
            self.calls += 1
        result = (function or self.f)(x)
        return result if self._is_sync else asyncio.run(result)

    def refresh(self):
        """Compute anew."""
        return self.call(function=self.f.cache.refresh)

    def change(self, how):
        """Let there be a new version, and tell the cache: from then on there is no older one."""
        self.version += 1
        how(self)
        self.floor = self.version

    def close(self):
        """Reload nothing any more."""
        return self.f.cache.close()

    def settle(self):
        """Nothing is left under way, and all calls are counted."""
        assert eventually(lambda: is_clean(self.f))
        info, stats = self.f.cache.info(), self.f.metrics.get_stats()
        assert info.hits + info.misses == stats.hits + stats.misses == self.calls


@pytest.fixture(params=["sync", "asyncio"])
def hand(request):
    """In threads, or in event loops that run in threads of their own."""
    return request.param


COMPUTED = {
    "cold": (TTL, None, None, 1),
    "cold and it fails": (TTL, None, OSError(), 2),
    "expired": (TTL, 10, None, 1),
    "idle": ({**TTL, "tti": 5}, 5, None, 1),
    "spare": (SPARE, 10, None, 1),
    "spare and it fails": (SPARE, 10, OSError(), 1),
    "spare and it fails without excuse": ({**SPARE, "stale_on": (KeyError,)}, 10, OSError(), 2),
    "an error that is a result": ({**TTL, "cache_exceptions": (OSError,)}, None, OSError(), 1),
}
RELOADED = {
    "ahead": (STALE, 8, None, 1),
    "stale": (STALE, 10, None, 1),
    "stale and it fails": (STALE, 10, OSError(), 1),
    "soft": (SOFT, 10, None, 1),
    "soft and it fails": (SOFT, 10, OSError(), 1),
    "soft and it fails without cool-down": ({**SOFT, "reload_cooldown": 0}, 10, OSError(), 2),
    "soft and it fails without excuse": ({**SOFT, "stale_on": (KeyError,)}, 10, OSError(), 2),
    "soft and an error that is a result": ({**SOFT, "cache_exceptions": (OSError,)}, 10, OSError(), 1),
}


def both_call(hand, settings, age, error, runs):
    """Two calls with the same arguments have *runs* at most, and the result of one of these."""
    for world, *ends in interleavings(lambda: World(hand, settings, age, error), World.call, World.call):
        assert all(end == (1, 1) or repr(end) == repr(error) for end in ends)
        world.settle()
        assert 1 <= world.runs <= runs


@pytest.mark.parametrize("case", COMPUTED)
def test_one_of_two_computes(hand, case):
    """The other waits for it, or comes later and finds what is kept; what failed before it came is tried again."""
    both_call(hand, *COMPUTED[case])


@pytest.mark.parametrize("case", RELOADED)
def test_one_of_two_has_it_reloaded(case):
    """No call has more than one reload run, and one that waits hears what became of it, however soon it ends."""
    both_call("sync", *RELOADED[case])


def test_two_wait_for_a_slow_reload_as_long_as_they_may():
    """Neither takes the old value before, whichever of them has the reload run."""

    def make():
        world = World("sync", SOFT, 10)
        world.gate = threading.Event()
        return world

    def then(world):
        assert eventually(lambda: waiting(world.f) == 2)
        world.clock.advance(2)

    for world, *ends in interleavings(make, World.call, World.call, then):
        assert ends == [(1, 1), (1, 1)]
        world.gate.set()
        world.settle()
        assert world.runs == 1


def test_two_wait_for_a_result_that_is_not_kept():
    """It is for both, or each has its own: no call has more run than one."""

    def make():
        world = World("sync", {**SOFT, "cache_if": lambda result: result[1] == 1}, 10)
        world.version = 2
        return world

    for world, *ends in interleavings(make, World.call, World.call):
        assert ends == [(1, 2), (1, 2)]
        world.settle()
        assert 1 <= world.runs <= 2


WAYS = {
    "invalidate": lambda world: world.f.cache.invalidate(1),
    "tag": lambda world: world.f.cache.invalidate_tag("one:1"),
    "put": lambda world: world.f.cache.put((1, world.version), 1),
}


@pytest.mark.parametrize("first", ["caller", "way"])
@pytest.mark.parametrize("act", ["call", "refresh"])
@pytest.mark.parametrize("settings,age", [(TTL, None), (SPARE, 10), (STALE, 10)])
@pytest.mark.parametrize("way", WAYS)
def test_whoever_changes_something_is_obeyed(hand, way, settings, age, act, first):
    """Whatever is under way then, from then on nobody is given anything older."""
    sides = [getattr(World, act), lambda world: world.change(WAYS[way])]
    for world, *_ in interleavings(lambda: World(hand, settings, age), *(sides if first == "caller" else sides[::-1])):
        for _ in range(2):
            assert world.call() >= (1, world.floor)
            world.settle()


FULL = {
    **{policy: {"max_size": 2, "policy": policy} for policy in ("lru", "s3fifo", "sieve", "tinylfu")},
    "weight": {"max_weight": 5, "weigher": lambda _: 2},
    "expiring": {"max_size": 2, "ttl": 10, "tti": 5},
}
OTHERS = {
    "another": lambda world: world.call(4),
    "a hit": lambda world: world.call(1),
    "invalidation": lambda world: world.f.cache.invalidate(1),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("room", FULL)
def test_no_more_is_kept_than_there_is_room_for(room, other, turned):
    """An entry comes into a full cache while another comes, is asked for or leaves: nothing is lost, or weighs twice."""
    sides = [lambda world: world.call(3), OTHERS[other]]
    for world, *_ in interleavings(
        lambda: World("sync", FULL[room], 4, keys=(1, 2)), *(sides[::-1] if turned else sides)
    ):
        info, kept = world.f.cache.info(), [key for key in (1, 2, 3, 4) if world.f.cache.contains(key)]
        assert info.currsize == len(kept) <= 2
        assert info.weight == (2 * len(kept) if room == "weight" else 0) or room != "weight"
        assert [world.call(key) for key in (1, 2, 3, 4)] == [(key, 1) for key in (1, 2, 3, 4)]
        world.settle()


@pytest.mark.parametrize("sides", [(World.call, World.close), (World.close, World.call)], ids=["call", "close"])
@pytest.mark.parametrize("settings", [STALE, SOFT], ids=["stale", "soft"])
def test_a_cache_is_closed_while_it_is_asked(settings, sides):
    """Then no reload runs, and whoever asked has been answered; callers are served as ever."""
    for world, *ends in interleavings(lambda: World("sync", settings, 10), *sides):
        assert (1, 1) in ends
        world.settle()
        assert world.call() == (1, 1)
        world.settle()
