"""How long a result is good for: by what it says itself, by hand, at random, and by use."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience import CacheConfig, EventType, ResultCache, resilient
from pyresilience.testing import FakeClock


@dataclass
class Response:
    """As HTTP gives it."""

    headers: dict[str, str]

    @property
    def max_age(self):
        """What Cache-Control allows; None: nothing."""
        for directive in self.headers.get("Cache-Control", "").split(","):
            name, _, value = directive.strip().partition("=")
            if name in ("no-store", "no-cache"):
                return None
            if name == "max-age":
                return int(value)
        return 60


def lifetime(colour, clock, config, value=0):
    """Seconds a result is found by calls, up to 1000; by bisection, each time with a cache of its own."""

    def runs_after(seconds):
        runs = []
        f = colour.decorate(lambda: runs.append(1) or value, cache=config, clock=clock)
        colour.call(f)
        clock.advance(seconds)
        colour.call(f)
        return len(runs)

    low, high = 0, 1000
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if runs_after(middle) == 1 else (low, middle - 1)
    return low


@pytest.mark.parametrize(
    ("says", "lives"),
    [
        (3600, 1000),
        (90, 89),
        ("5m", 299),
        (timedelta(minutes=1), 59),
        (0.5, 0),
        (0, 0),
        (-1, 0),
        (None, 0),
        (inf, 1000),
    ],
)
def test_a_token_says_when_it_expires(colour, clock, says, lives):
    """The TTL may be a function of the result; 0, less or None: it is not kept."""
    config = CacheConfig(ttl=lambda token: token["expires_in"])
    assert lifetime(colour, clock, config, {"expires_in": says}) == lives


@pytest.mark.parametrize(
    ("header", "lives"),
    [("max-age=30", 29), ("public, max-age=120", 119), ("no-store", 0), ("private, no-cache", 0), ("", 59)],
)
def test_a_response_says_how_long_it_is_good_for(colour, clock, header, lives):
    """What HTTP says of a response is followed, result by result."""
    config = CacheConfig(ttl=lambda response: response.max_age)
    assert lifetime(colour, clock, config, Response({"Cache-Control": header})) == lives


def test_what_is_not_kept_is_still_the_answer(colour, events):
    """A result with no time to live is returned, and the next call runs the function; `explain` knows."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(ttl=lambda x: x), listeners=[events])
    assert [colour.call(f, 0), colour.call(f, 0)] == [0, 0]
    assert events.count(EventType.CACHE_MISS) == 2
    why = f.cache.explain(0)
    assert (why.reason, why.detail, why.cached) == ("not stored", "ttl gave it no time to live", False)
    assert f.cache.ttl is None


@pytest.mark.parametrize(
    ("told", "kind", "got"), [("soon", ValueError, "'soon'"), (nan, ValueError, "nan"), ([], TypeError, r"\[\]")]
)
def test_a_lifetime_that_is_none(colour, told, kind, got):
    """What is no duration is refused in words that say whose it is; nothing is kept, and nobody waits."""
    f = colour.decorate(lambda: 1, cache=CacheConfig(ttl=lambda _: told))
    for _ in range(2):
        with pytest.raises(kind, match=f"what ttl returned must be .*{got}"):
            colour.call(f)
    with pytest.raises(kind, match="what ttl returned"):
        f.cache.put(1)
    assert f.cache_info() == (0, 2, 256, 0)


def test_a_lifetime_function_that_fails(colour):
    """Its error is the call's, and the next call tries again."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(ttl=lambda token: token["expires_in"]))
    for _ in range(2):
        with pytest.raises(TypeError, match="not subscriptable"):
            colour.call(f, 1)


PUTS = [(5, 5), ("5s", 5), (timedelta(seconds=5), 5), (0.25, 0.25), (1000, 1000), (0, None), (None, 60)]
SETTINGS = [{}, {"tags": ()}, {"ttl": lambda _: 60}, {"max_weight": "1MB"}, {"enable_metrics": True}]
"""A plain cache, and others that keep more than a value and its end."""


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("ttl", "lives"), PUTS)
def test_what_is_put_by_hand_may_have_a_ttl_of_its_own(colour, clock, settings, ttl, lives):
    """`put(ttl=)` is for that entry: seconds, text or a timedelta; 0 is for ever, None as configured."""
    config = CacheConfig(**{"ttl": 60, **settings})
    f = colour.decorate(lambda x: "ran", cache=config, clock=clock)
    cache = ResultCache(config, clock=clock)
    assert f.cache.put("put", 1, ttl=ttl)
    assert cache.put("key", "put", ttl)
    assert f.cache.entry(1).expires_in == lives
    if lives is None:
        clock.advance("1000d")
        assert colour.call(f, 1) == "put"
        assert cache.get("key") == "put"
        return
    clock.advance(lives - 0.125)
    assert (colour.call(f, 1), cache.get("key")) == ("put", "put")
    clock.advance(0.125)
    assert (f.cache.peek(1), cache.get("key")) == (None, None)
    assert colour.call(f, 1) == "ran"


@pytest.mark.parametrize("ttl", [-1, nan, "-5s", "soon", True, []])
@pytest.mark.parametrize("settings", [{}, {"tags": ()}])
def test_a_ttl_that_is_none(settings, ttl):
    """A wrong TTL is refused, and what was kept stays."""
    f = resilient(cache=CacheConfig(**settings))(lambda x: x)
    f.cache.put("kept", 1)
    with pytest.raises((ValueError, TypeError), match="must be"):
        f.cache.put("other", 1, ttl=ttl)
    assert f(1) == "kept"


def test_a_parameter_called_ttl(colour, clock):
    """A function's own parameter of that name is meant by it; its entries can be put into a `ResultCache` by key."""
    f = colour.decorate(lambda x, ttl=1: "ran", cache=CacheConfig(ttl=60), clock=clock)
    f.cache.put("put", 1, ttl=5)
    assert f.cache.entry(1, 5).expires_in == 60
    assert not f.cache.contains(1)
    assert colour.call(f, 1, ttl=5) == "put"


def lives_of(jitter, ttl, clock, count=200):
    """The lives of *count* entries."""
    f = resilient(cache=CacheConfig(max_size=count, ttl=ttl, jitter=jitter), clock=clock)(lambda x: x)
    for x in range(count):
        f(x)
    return [f.cache.entry(x).expires_in for x in range(count)]


@pytest.mark.parametrize(
    ("jitter", "most"),
    [(0.1, 6), (1, 60), (1.0, 60), (1.5, 1.5), (30, 30), ("500ms", 0.5), ("2m", 120), (timedelta(seconds=0.5), 0.5)],
)
@pytest.mark.parametrize("ttl", [60, lambda _: 60])
def test_jitter_is_added(clock, jitter, most, ttl):
    """The TTL is a floor; the jitter is a fraction of it, or a time, and is spread over all of its range."""
    random.seed(5)
    extra = [life - 60 for life in lives_of(jitter, ttl, clock)]
    assert min(extra) >= 0
    assert max(extra) <= most
    assert max(extra) > 0.9 * most
    assert min(extra) < 0.1 * most
    assert 0.4 * most < sum(extra) / len(extra) < 0.6 * most


@pytest.mark.parametrize("ttl", [0, lambda _: inf])
def test_jitter_of_for_ever(clock, ttl):
    """What never expires is not made to."""
    assert set(lives_of(0.5, ttl, clock, 20)) == {None}


def test_jitter_is_not_added_to_what_is_said_by_hand(clock):
    """`put(ttl=)` says exactly how long; `put` without it is as configured."""
    f = resilient(cache=CacheConfig(ttl=60, jitter="1h"), clock=clock)(lambda x: x)
    f.cache.put(0, 1, ttl=5)
    f.cache.put(0, 2)
    assert f.cache.entry(1).expires_in == 5
    assert 60 < f.cache.entry(2).expires_in < 3660


def test_jitter_does_not_lengthen_what_is_not_kept(colour):
    """No time to live is none, however much may be added."""
    f = colour.decorate(lambda: 1, cache=CacheConfig(ttl=lambda _: 0, jitter="1h"))
    colour.call(f)
    assert not f.cache.contains()


@given(ttl=st.floats(0.001, 1e6), jitter=st.floats(0, 1e6), seed=st.integers(0, 1000))
def test_an_entry_is_there_for_its_ttl_whatever_the_jitter(ttl, jitter, seed):
    """It is found until the TTL is over, and not any more when the most that may be added has passed as well."""
    random.seed(seed)
    clock, runs = FakeClock(), []
    f = resilient(cache=CacheConfig(ttl=ttl, jitter=jitter), clock=clock)(lambda: runs.append(1))
    f()
    clock.advance(ttl * (1 - 1e-9))
    f()
    assert len(runs) == 1
    clock.advance(ttl * 1e-8 + (jitter * ttl if jitter <= 1 else jitter))
    f()
    assert len(runs) == 2


@pytest.mark.parametrize("use", ["call", "get", "peek", "contains", "entry", "explain"])
def test_an_entry_expires_when_nobody_asks_for_it(colour, clock, use):
    """With `tti`, each call or `get` keeps it alive for as long again; looking without a trace does not."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(ttl=0, tti=10), clock=clock)
    colour.call(f, 1)
    for _ in range(5):
        clock.advance(6)
        colour.call(f, 1) if use == "call" else getattr(f.cache, use)(1)
    used = use in ("call", "get")
    assert f.cache.contains(1) is used
    assert f.cache_info()[:2] == ((5, 1) if used else (0, 1))
    clock.advance(10)
    assert f.cache.peek(1) is None
    assert colour.call(f, 1) == 1
    assert f.cache_info().misses == 2
    assert f.cache.explain(1).reason == "expired"


def test_a_shared_cache_counts_every_use(clock):
    """What is read by key is used, too."""
    cache = ResultCache(CacheConfig(ttl=0, tti=10), clock=clock)
    cache.put("key", 1)
    for _ in range(5):
        clock.advance(6)
        assert cache.get("key") == 1
    clock.advance(10)
    assert cache.get("key") is None


def test_use_does_not_lengthen_the_ttl(colour, clock):
    """However often it is used, it is over when its TTL is."""
    f = colour.decorate(lambda: 1, cache=CacheConfig(ttl=25, tti=10), clock=clock)
    for _ in range(5):
        colour.call(f)
        clock.advance(6)
    assert f.cache_info()[:2] == (4, 1)
    colour.call(f)
    assert f.cache_info()[:2] == (4, 2)


def test_idle_entries_leave_first(clock):
    """What nobody asked for in time makes room before what is in use, though that is older."""
    f = resilient(cache=CacheConfig(max_size=2, ttl=0, tti=10, enable_metrics=True), clock=clock)(lambda x: x)
    f(1)
    f(2)
    clock.advance(6)
    f(1)
    clock.advance(6)
    f(3)
    assert [f.cache.contains(x) for x in (1, 2, 3)] == [True, False, True]
    assert f.cache.explain(2).reason == "expired"


def test_an_idle_entry_may_be_stale(colour, clock, events):
    """What is over for want of use is over as at the end of its TTL: its zones begin there."""
    config = CacheConfig(ttl=0, tti=10, stale_if_error=60)
    upstream = iter([1, OSError()])

    def body():
        answer = next(upstream)
        if isinstance(answer, Exception):
            raise answer
        return answer

    f = colour.decorate(body, cache=config, clock=clock, listeners=[events])
    assert colour.call(f) == 1
    clock.advance(11)
    assert f.cache.entry().state == "spare"
    assert colour.call(f) == 1
    assert events.of(EventType.CACHE_MISS)[-1].reason == "expired"
    clock.advance(60)
    assert f.cache.peek() is None
