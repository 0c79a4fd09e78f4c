"""XFetch: an entry is reloaded before its time, at random, the sooner the longer it took to compute."""

from math import exp

import pytest
from gated_upstream import cached, reloaded, told

DRAWS = [
    (0.0, 99.999, 0),
    (1 - exp(-1), 97.999, 0),
    (1 - exp(-1), 98.001, 1),
    (1 - 2**-53, 26.5, 0),
    (1 - 2**-53, 26.6, 1),
]


@pytest.mark.parametrize(("die", "age", "runs"), DRAWS)
async def test_early_refresh_by_a_draw(colour, clock, events, monkeypatch, die, age, runs):
    """XFetch: the end comes nearer by -took * beta * log(draw); nobody waits, and the value is still fresh."""
    monkeypatch.setattr("pyresilience.cache.options.roll", lambda: die)
    f, upstream = cached(colour, clock, events, ttl=100, early_beta=1.0)
    upstream.seen = lambda *args: clock.advance(2)
    await colour.go(f, 1)
    upstream.seen = None
    clock.advance(age)
    events.clear()
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert (upstream.runs, told(events)) == (1 + runs, [("cache_hit", "fresh")])


async def test_early_refresh_grows_with_beta_and_ends_with_the_ttl(colour, clock, events, monkeypatch):
    """Twice the eagerness is twice as early; what took no time is never early; after the TTL callers wait as ever."""
    monkeypatch.setattr("pyresilience.cache.options.roll", lambda: 1 - exp(-1))
    f, upstream = cached(colour, clock, events, ttl=100, early_beta=2.0)
    await colour.go(f, "took no time")
    upstream.seen = lambda *args: clock.advance(2)
    await colour.go(f, 1)
    upstream.seen = None
    clock.advance(97)
    assert await colour.go(f, "took no time") == 1
    assert await colour.go(f, 1) == 2
    await reloaded(colour, f)
    assert upstream.runs == 3
    clock.advance(100)
    assert await colour.go(f, 1) == 4
