"""The zones of an entry's life, their borders, and what a caller gets in each."""

import pytest
from gated_upstream import ZONES, cached, counted, is_clean, reloaded, told

from pyresilience import CacheConfig, FallbackConfig

BORDERS = [
    (0, "fresh"),
    (7.9, "fresh"),
    (8, "ahead"),
    (9.9, "ahead"),
    (10, "stale"),
    (14.9, "stale"),
    (15, "spare"),
    (29.9, "spare"),
    (30, "gone"),
    (1e9, "gone"),
]


@pytest.mark.parametrize(("age", "state"), BORDERS)
async def test_each_zone_begins_at_its_border(colour, clock, events, age, state):
    """A zone begins exactly when the one before ends, and looking changes nothing."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    clock.advance(age)
    assert f.cache.entry(1).state == state
    assert f.cache.contains(1) == (state in ("fresh", "ahead"))
    assert (f.cache.peek(1), f.cache.get(1)) == ((1, 1) if state in ("fresh", "ahead") else (None, None))
    assert upstream.runs == 1


GOOD = [
    # age, the value, what is said, the metrics of the call, runs that follow
    (7.9, 1, ("cache_hit", "fresh"), (1, 0, 0, 0, 0), 0),
    (8, 1, ("cache_hit", "fresh"), (1, 0, 0, 1, 0), 1),
    (10, 1, ("cache_hit", "stale"), (0, 1, 1, 1, 0), 1),
    (14.9, 1, ("cache_hit", "stale"), (0, 1, 1, 1, 0), 1),
    (15, 2, ("cache_miss", "expired"), (0, 1, 1, 1, 0), 1),
    (29.9, 2, ("cache_miss", "expired"), (0, 1, 1, 1, 0), 1),
    (30, 2, ("cache_miss", "expired"), (0, 1, 1, 1, 0), 1),
]


@pytest.mark.parametrize(("age", "value", "fact", "counts", "runs"), GOOD)
async def test_what_a_caller_gets_in_each_zone(colour, clock, events, age, value, fact, counts, runs):
    """The value, the event, the metrics and the runs of one call at that age; afterwards the entry is fresh again."""
    f, upstream = cached(colour, clock, events, **ZONES, enable_metrics=True)
    await colour.go(f, 1)
    clock.advance(age)
    events.clear()
    f.metrics.reset()
    assert await colour.go(f, 1) == value
    await reloaded(colour, f)
    assert (told(events), counted(f), upstream.runs) == ([fact], counts, 1 + runs)
    assert f.cache.entry(1).state == "fresh"
    assert await colour.go(f, 1) == 1 + runs
    assert upstream.runs == 1 + runs
    assert is_clean(f)


BAD = [
    (7.9, "fresh", (1, 0, 0, 0, 0), 0),
    (8, "fresh", (1, 0, 0, 1, 0), 1),
    (10, "stale", (0, 1, 1, 1, 0), 1),
    (15, "expired", (0, 1, 1, 1, 0), 1),
    (29.9, "expired", (0, 1, 1, 1, 0), 1),
]


@pytest.mark.parametrize(("age", "word", "counts", "runs"), BAD)
async def test_what_a_caller_gets_while_the_upstream_is_down(colour, clock, events, age, word, counts, runs):
    """In every zone but the last the old value, without an error."""
    f, upstream = cached(colour, clock, events, **ZONES, enable_metrics=True)
    await colour.go(f, 1)
    upstream.error = OSError()
    clock.advance(age)
    events.clear()
    f.metrics.reset()
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert ([each for _, each in told(events)], counted(f), upstream.runs) == ([word], counts, 1 + runs)
    assert is_clean(f)


async def test_what_is_gone_stands_in_for_nothing(colour, clock, events):
    """At the end of the last zone a failure is a failure."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    clock.advance(30)
    upstream.error = OSError()
    assert await colour.end_of(f, 1) is upstream.error
    assert f.cache.entry(1) is None


async def test_an_old_value_that_is_gone_when_the_run_fails_does_not_stand_in(colour, clock, events):
    """What counts is how old the value is when it would be handed out."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    clock.advance(29.9)
    upstream.error, upstream.seen = OSError(), lambda *args: clock.advance(0.1)
    assert await colour.end_of(f, 1) is upstream.error


@pytest.mark.parametrize("age", [16, 29.9])
async def test_other_errors_are_raised(colour, clock, events, age):
    """An error that `stale_on` does not name is raised in the zone where callers wait, each time."""
    f, upstream = cached(colour, clock, events, **ZONES, stale_on=(OSError,))
    await colour.go(f, 1)
    clock.advance(age)
    upstream.error = KeyError()
    for runs in (2, 3):
        assert await colour.end_of(f, 1) is upstream.error
        assert upstream.runs == runs
    upstream.error = None
    assert await colour.go(f, 1) == 4


async def test_other_errors_do_not_reach_who_does_not_wait(colour, clock, events):
    """In the zone where nobody waits, an error that `stale_on` does not name is not felt, and cools down as well."""
    f, upstream = cached(colour, clock, events, **ZONES, stale_on=(OSError,))
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = KeyError()
    for _ in range(5):
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
    assert upstream.runs == 2


async def test_base_exceptions_are_never_excused(colour, clock, events):
    """Ctrl-C in the run that a caller waits for goes to that caller, and the old value stays."""
    f, upstream = cached(colour, clock, events, **ZONES, stale_on=(OSError,))
    await colour.go(f, 1)
    clock.advance(15)

    class Stop(BaseException):
        pass

    upstream.error = Stop()
    with pytest.raises(Stop):
        await colour.go(f, 1)
    assert is_clean(f)
    upstream.error = OSError()
    assert await colour.go(f, 1) == 1


@pytest.mark.parametrize(("revalidate", "if_error"), [(5, 0), (5, 3), (5, 5), (0, 5), (0, 0)])
async def test_the_longer_zone_says_when_it_is_gone(colour, clock, events, revalidate, if_error):
    """With either zone, both, or none, an entry is gone exactly at the end of the longer one."""
    f, _ = cached(
        colour, clock, events, ttl=10, stale_while_revalidate=revalidate, stale_if_error=if_error, refresh_ahead=0.5
    )
    await colour.go(f, 1)
    seen = []
    for _ in range(16):
        seen.append(f.cache.entry(1).state)
        clock.advance(1)
    spare = max(0, if_error - revalidate)
    wanted = ["fresh"] * 5 + ["ahead"] * 5 + ["stale"] * revalidate + ["spare"] * spare
    assert seen == wanted + ["gone"] * (16 - len(wanted))


async def test_what_never_expires_has_no_zones(colour, clock, events):
    """A TTL of 0 is for ever: neither stale nor ahead."""
    f, upstream = cached(colour, clock, events, **{**ZONES, "ttl": 0})
    await colour.go(f, 1)
    clock.advance(1e12)
    assert await colour.go(f, 1) == 1
    assert (upstream.runs, f.cache.entry(1).state) == (1, "fresh")


async def test_a_cool_down_begins_with_the_failure_and_ends_exactly(colour, clock, events):
    """Callers with an old value do not try again until the cool-down is over; then one does."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error, upstream.seen = OSError(), lambda *args: clock.advance(0.5)
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    upstream.seen = None
    for step, runs in ((0, 2), (2.5, 2), (0.25, 2), (0.25, 3), (0, 3)):
        clock.advance(step)
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
        assert upstream.runs == runs, step


async def test_in_the_cool_down_nobody_waits(colour, clock, events):
    """In the last zone the caller after a failed one has the old value without a run, and it is called a stale hit."""
    f, upstream = cached(colour, clock, events, **ZONES, enable_metrics=True)
    await colour.go(f, 1)
    clock.advance(20)
    upstream.error = OSError()
    await colour.go(f, 1)
    events.clear()
    f.metrics.reset()
    assert await colour.go(f, 1) == 1
    assert (told(events), counted(f), upstream.runs) == ([("cache_hit", "stale")], (0, 1, 1, 0, 0), 2)
    clock.advance(3)
    assert await colour.go(f, 1) == 1
    assert upstream.runs == 3


async def test_without_a_cool_down_each_caller_tries(colour, clock, events):
    """`reload_cooldown=0` turns it off."""
    f, upstream = cached(colour, clock, events, **{**ZONES, "reload_cooldown": 0})
    await colour.go(f, 1)
    clock.advance(20)
    upstream.error = OSError()
    assert [await colour.go(f, 1) for _ in range(3)] == [1, 1, 1]
    assert upstream.runs == 4


async def test_a_new_value_has_no_cool_down(colour, clock, events):
    """The cool-down belongs to the entry whose reload failed: what comes next is reloaded in its own time."""
    f, upstream = cached(colour, clock, events, **{**ZONES, "reload_cooldown": 1000})
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = OSError()
    await colour.go(f, 1)
    await reloaded(colour, f)
    upstream.error = None
    assert await colour.go(f.cache.refresh, 1) == 3
    clock.advance(8)
    assert await colour.go(f, 1) == 3
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 4


async def test_an_old_value_wins_over_a_fallback(colour, clock, events):
    """Where the error is in `stale_on`, an old result is better than a stand-in; where it is not, the stand-in is."""
    stages = {"fallback": FallbackConfig("stand-in")}
    f, upstream = cached(colour, clock, events, stages, **ZONES, stale_on=(OSError,))
    await colour.go(f, 1)
    clock.advance(15)
    upstream.error = OSError()
    assert await colour.go(f, 1) == 1
    clock.advance(3)
    upstream.error = KeyError()
    assert await colour.go(f, 1) == "stand-in"
    assert f.cache.entry(1).value == 1
    clock.advance(15)
    upstream.error = OSError()
    assert await colour.go(f, 1) == "stand-in"


async def test_counts_of_the_cache_agree_with_the_events(colour, clock, events):
    """Over a life through all zones, up and down, each call is one event and one count."""
    f, upstream = cached(colour, clock, events, **ZONES)
    for step in range(120):
        clock.advance(1.5 if step % 7 else 16)
        upstream.error = OSError() if step % 5 == 0 and step > 0 else None
        await colour.end_of(f, 1)
        await reloaded(colour, f)
    facts = told(events)
    hits = [fact for fact in facts if fact[0] == "cache_hit"]
    info = f.cache_info()
    assert (len(facts), info.hits, info.misses) == (120, len(hits), 120 - len(hits))
    assert {word for _, word in facts} == {"cold", "expired", "fresh", "stale"}


@pytest.mark.parametrize(
    "settings", [{"soft_timeout": 1}, {"refresh_ahead": 1}, {"refresh_ahead": 0}, {"max_reloads": 0}]
)
def test_settings_that_cannot_work_are_refused(settings):
    """A soft timeout without an old value, and fractions and bounds outside their range."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        CacheConfig(**settings)
