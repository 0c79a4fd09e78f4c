"""What is kept: the results that `cache_if` likes, errors that are results, and only what fits."""

from __future__ import annotations

import gc
import sys
import weakref
from collections import OrderedDict

import pytest
from gated_upstream import reloaded
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupting import interrupt, meddle

from pyresilience import (
    CacheConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    EventType,
    FallbackConfig,
    ResilienceError,
    ResilienceTimeoutError,
    ResultCache,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.cache.keeping import REFUSED, TOO_HEAVY
from pyresilience.testing import FakeClock


class NotFound(Exception):
    """What cannot be found."""


class Local:
    """Something in a frame, to be seen dying."""


def upstream(*answers):
    """A function that gives these answers, one after another, the last for ever; an exception is raised."""
    left = list(answers)

    def answer(*args):
        value = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(value, Exception):
            raise value
        return value

    return answer


# What is not kept.


@pytest.mark.parametrize("refused", [None, 0, "", [], {"error": "busy"}])
def test_only_results_that_are_liked_are_kept(colour, refused):
    """What `cache_if` is false of is returned, and asked for again; `explain` says so."""
    f = colour.decorate(
        upstream(refused, "good"), cache=CacheConfig(cache_if=lambda result: bool(result) and "error" not in result)
    )
    assert colour.call(f) == refused
    assert f.cache.explain().detail == REFUSED == "cache_if said no"
    assert [colour.call(f) for _ in range(3)] == ["good"] * 3
    assert f.cache_info()[:2] == (2, 2)


def test_a_refused_result_is_given_to_those_who_waited(colour):
    """Whoever waits for it gets it, though it is not kept: the function runs once for all of them."""
    started, go, runs = colour.event(), colour.event(), []

    async def body():
        runs.append(1)
        started.set()
        await go.wait()
        return 0

    f = colour.decorate(body, cache=CacheConfig(cache_if=bool))

    async def release():
        await started.wait()
        await colour.until(lambda: f.cache._cache.flights._flying[()].followers)
        go.set()

    async def scenario():
        return await colour.gather(lambda: colour.go(f), lambda: colour.go(f), release)

    assert colour.run(scenario) == [0, 0, None]
    assert len(runs) == 1
    assert f.cache_info() == (1, 1, 256, 0)


def test_a_failing_cache_if(colour):
    """Its error is the call's."""
    f = colour.decorate(lambda: 1, cache=CacheConfig(cache_if=lambda result: result["x"]))
    with pytest.raises(TypeError):
        colour.call(f)


def test_a_refused_result_does_not_outlive_a_refresh(colour):
    """A refresh whose result is not liked leaves nothing of the old one, either: it is known to be out of date."""
    f = colour.decorate(upstream(1, 0), cache=CacheConfig(cache_if=bool))
    colour.call(f)
    assert colour.call(f.cache.refresh) == 0
    assert not f.cache.contains()


# Errors that are results.


def test_an_error_that_is_a_result(colour, clock, events):
    """It is raised again for `negative_ttl`, without running the function, told as a hit; then it is asked for again."""
    config = CacheConfig(cache_exceptions=NotFound, negative_ttl=5, ttl=60)
    f = colour.decorate(upstream(NotFound("42"), "there"), cache=config, clock=clock, listeners=[events])
    raised = [colour.outcome(f) for _ in range(3)]
    assert [(type(each), each.args) for each in raised] == [(NotFound, ("42",))] * 3
    assert len({id(each) for each in raised}) == 3
    assert (events.count(EventType.CACHE_MISS), events.count(EventType.CACHE_HIT)) == (1, 2)
    assert {each.source for each in events.of(EventType.CACHE_HIT)} == {"fresh"}
    clock.advance(4.875)
    assert f.cache.contains()
    clock.advance(0.125)
    assert not f.cache.contains()
    assert colour.call(f) == "there"
    assert f.cache_info()[:2] == (2, 2)


def test_other_errors_are_none(colour):
    """Only the errors that are named are kept."""
    f = colour.decorate(upstream(ValueError(), NotFound(), 1), cache=CacheConfig(cache_exceptions=[NotFound]))
    assert [type(colour.outcome(f)) for _ in range(4)] == [ValueError, NotFound, NotFound, NotFound]
    assert f.cache.explain().reason == "not stored"
    assert f.cache.explain().detail == "the call raised ValueError"


@pytest.mark.parametrize("named", [(Exception,), (OSError, LookupError), (CircuitOpenError,)], ids=repr)
def test_what_a_pipeline_raises_is_no_result(colour, clock, named):
    """An open circuit says nothing about what was asked: it is kept only if it is named as such."""
    f = colour.decorate(
        upstream(NotFound("it")),
        cache=CacheConfig(cache_exceptions=named, negative_ttl=60),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1, recovery_timeout=5),
        clock=clock,
    )
    colour.outcome(f, 1)
    assert isinstance(colour.outcome(f, 2), CircuitOpenError)
    clock.advance(5)
    assert isinstance(colour.outcome(f, 2), CircuitOpenError if CircuitOpenError in named else NotFound)


@pytest.mark.parametrize(
    "named", [(TimeoutError,), (Exception,), (ResilienceTimeoutError,), (ResilienceError,)], ids=repr
)
async def test_a_timeout_is_a_result_only_if_it_is_named_as_one(colour, clock, named):
    """It is a `TimeoutError` as well, but says how slow the function was, and not what it answers."""
    gate, runs = colour.event(), []

    async def body():
        runs.append(1)
        await gate.wait()

    config = CacheConfig(cache_exceptions=named, negative_ttl=60)
    f = colour.decorate(body, cache=config, timeout=TimeoutConfig(2), clock=clock)

    async def let_time_pass():
        await colour.until(lambda: runs)
        clock.advance(2)

    end, _ = await colour.gather(lambda: colour.go(f), let_time_pass)
    assert isinstance(end, ResilienceTimeoutError)
    gate.set()
    kept = issubclass(named[0], ResilienceError)
    assert isinstance(await colour.end_of(f), ResilienceTimeoutError) is kept
    assert len(runs) == 2 - kept


@pytest.mark.parametrize("named", [(), (Exception,)], ids=repr)
def test_an_old_result_stands_in_for_a_refusal(colour, clock, named):
    """Whatever errors are results: that one is none."""
    down = []

    def body():
        if down:
            raise ConnectionError
        return 1

    f = colour.decorate(
        body,
        cache=CacheConfig(ttl=10, stale_if_error=100, reload_cooldown=0, cache_exceptions=named, negative_ttl=1),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1, recovery_timeout=50),
        clock=clock,
    )
    colour.call(f)
    f.circuit_breaker.record_failure()
    clock.advance(10)
    assert colour.call(f) == 1


def test_what_is_seen_of_a_kept_error(colour):
    """`get` and `peek` have no result to give, `contains` is true, `entry` shows a copy of the error."""
    f = colour.decorate(upstream(NotFound("42")), cache=CacheConfig(cache_exceptions=NotFound, negative_ttl="1m"))
    colour.outcome(f)
    assert (f.cache.get(), f.cache.peek(), f.cache.contains()) == (None, None, True)
    entry = f.cache.entry()
    assert (entry.value, type(entry.error), entry.error.args) == (None, NotFound, ("42",))
    assert entry.state == "fresh"
    assert 0 < entry.expires_in <= 60
    assert f.cache.entry().error is not entry.error
    assert f.cache.invalidate()
    assert not f.cache.contains()


def test_it_pins_no_frames(colour):
    """Neither the frame that raised it nor those in which it is raised again live on in the cache."""
    watches = []

    def local():
        thing = Local()
        watches.append(weakref.ref(thing))
        return thing

    def body():
        thing = local()
        raise NotFound("42") from ValueError(type(thing))

    f = colour.decorate(body, cache=CacheConfig(cache_exceptions=NotFound))

    def caller(look):
        thing = local()
        try:
            look()
        except NotFound:
            return thing is None
        raise AssertionError("nothing was raised")

    def show():
        raise f.cache.entry().error

    for look in (lambda: colour.call(f), lambda: colour.call(f), show, lambda: colour.call(f)):
        caller(look)
    gc.collect()
    assert len(watches) == 5
    assert [watch() for watch in watches] == [None] * 5
    assert f.cache.contains()


def test_those_who_waited_get_the_error_of_the_one_who_ran(colour):
    """All who waited get the error itself; who comes later gets a copy."""
    started, go, runs = colour.event(), colour.event(), []

    async def body():
        runs.append(1)
        started.set()
        await go.wait()
        raise NotFound("42")

    f = colour.decorate(body, cache=CacheConfig(cache_exceptions=NotFound))

    async def release():
        await started.wait()
        await colour.until(lambda: len(f.cache._cache.flights._flying[()].followers) == 2)
        go.set()

    async def scenario():
        return await colour.gather(*[lambda: colour.end_of(f)] * 3, release)

    ends = colour.run(scenario)[:3]
    ends.append(colour.outcome(f))
    assert [(type(each), each.args) for each in ends] == [(NotFound, ("42",))] * 4
    assert ends[3] not in ends[:3]
    assert len(runs) == 1


@pytest.mark.parametrize("zone", ["stale_while_revalidate", "stale_if_error"])
def test_a_reload_that_ends_in_one(colour, clock, zone):
    """What was there and is there no more: the error takes the old result's place, which does not stand in for it."""
    config = CacheConfig(ttl=5, cache_exceptions=NotFound, negative_ttl=5, **{zone: 60})
    f = colour.decorate(upstream("there", NotFound("42")), cache=config, clock=clock)

    async def scenario():
        assert await colour.go(f) == "there"
        clock.advance(6)
        if zone == "stale_while_revalidate":
            assert await colour.go(f) == "there"
            await colour.until(lambda: f.cache.info().reloading == 0)
        for _ in range(2):
            assert type(await colour.end_of(f)) is NotFound
        assert type(f.cache.entry().error) is NotFound
        clock.advance(5)
        assert f.cache.entry().state == "gone"
        assert type(await colour.end_of(f)) is NotFound

    colour.run(scenario)


def test_the_last_error_of_a_retry(colour):
    """What is kept is how the whole call ended; a fallback's answer is no error, and is not kept."""
    retried = colour.decorate(
        upstream(NotFound(1), NotFound(2), "there"),
        cache=CacheConfig(cache_exceptions=NotFound),
        retry=RetryConfig(max_attempts=2, delay=0),
    )
    assert [colour.outcome(retried).args for _ in range(3)] == [(2,)] * 3
    stood_in = colour.decorate(
        upstream(NotFound(1), "there"),
        cache=CacheConfig(cache_exceptions=NotFound),
        fallback=FallbackConfig(handler="instead"),
    )
    assert [colour.call(stood_in) for _ in range(2)] == ["instead", "there"]


def test_an_error_that_was_invalidated_meanwhile(colour):
    """An error that was on its way when its key was invalidated is raised, and not kept."""

    def body():
        f.cache.invalidate()
        raise NotFound

    f = colour.decorate(body, cache=CacheConfig(cache_exceptions=NotFound))
    assert type(colour.outcome(f)) is NotFound
    assert not f.cache.contains()


# What fits.

SIZES = [
    (1000, 1000),
    (0.5, 0.5),
    ("64MB", 64_000_000),
    ("64 mb", 64_000_000),
    ("1.5KiB", 1536),
    ("1GiB", 2**30),
    ("10b", 10),
    ("7", 7),
    ("2TB", 2e12),
]


@pytest.mark.parametrize(("given", "bytes_"), SIZES)
@pytest.mark.parametrize("field", ["max_weight", "max_entry_weight"])
def test_sizes(field, given, bytes_):
    """A size is a number, or text with a unit: powers of 1000, or with an i of 1024."""
    assert getattr(CacheConfig(**{field: given}), field) == bytes_


def held(f, keys):
    return [key for key in keys if f.cache.contains(key)]


@pytest.mark.parametrize("policy", ["lru", "s3fifo", "sieve", "tinylfu"])
@pytest.mark.parametrize(
    "limits", [{"max_size": 2}, {"max_weight": 20, "weigher": lambda value: 10}], ids=["size", "weight"]
)
@pytest.mark.parametrize("measured", [True, False])
def test_nobody_sees_more_than_there_may_be(policy, limits, measured):
    """Not even who looks while one comes and another has not left yet."""
    f = resilient(cache=CacheConfig(policy=policy, enable_metrics=measured, **limits))(lambda x: x)
    seen, point = [], 0

    def look():
        state = f.cache.info()
        if "weigher" in limits:
            seen.append(state.weight / 10)
        else:
            seen.extend([state.currsize, f.cache_info().currsize, f.cache.stats["size"]])
        if measured:
            stats = f.metrics.get_stats()
            seen.append(stats.total_size_bytes / 10 if "weigher" in limits else stats.entry_count)

    f(0), f(1)
    while point == 0 or meddle(point, lambda: f(point), look):
        point += 1
    assert point > 10
    assert max(seen) == 2


def test_what_is_over_the_limit_of_all_makes_room(colour):
    """So many of the least recently used leave that the rest fits; `info` shows what it weighs."""
    config = CacheConfig(max_weight=10, weigher=lambda result: result, enable_metrics=True)
    f = colour.decorate(lambda x: x, cache=config)
    for x in (1, 2, 3, 4):
        colour.call(f, x)
    assert (f.cache.info().weight, f.cache.info().max_weight) == (10, 10)
    colour.call(f, 1)
    colour.call(f, 5)
    assert held(f, range(6)) == [1, 4, 5]
    assert f.cache.info().weight == 10
    assert f.cache.explain(2).reason == "evicted"
    assert f.metrics.get_stats().total_size_bytes == 10
    colour.call(f, 10)
    assert held(f, range(11)) == [10]


@pytest.mark.parametrize(
    "limit", [{"max_entry_weight": 5}, {"max_weight": 5}, {"max_weight": 9, "max_entry_weight": 5}]
)
def test_what_is_too_heavy_is_returned_and_not_kept(colour, limit):
    """It is counted as rejected, in the way of nobody else, and takes the place of nothing."""
    config = CacheConfig(weigher=len, enable_metrics=True, **limit)
    f = colour.decorate(lambda x: "*" * x, cache=config)
    assert [colour.call(f, x) for x in (5, 6, 6)] == ["*" * 5, "*" * 6, "*" * 6]
    assert held(f, range(7)) == [5]
    assert f.cache.explain(6).detail == TOO_HEAVY
    assert f.metrics.get_stats().size_limit_rejections == 2
    assert not f.cache.put("*" * 6, 5)
    assert f.metrics.get_stats().size_limit_rejections == 3
    assert f.cache_info().currsize == 0
    assert f.cache.info().weight == 0


def test_an_error_weighs_as_well(colour):
    """An error that is kept must fit, too, by its own bytes."""
    config = CacheConfig(cache_exceptions=NotFound, max_entry_weight="1kB", enable_metrics=True)
    f = colour.decorate(lambda x: (_ for _ in ()).throw(NotFound("*" * x)), cache=config)
    assert [type(colour.outcome(f, x)) for x in (100, 2000)] == [NotFound] * 2
    assert held(f, [100, 2000]) == [100]
    assert 100 < f.cache.info().weight < 1000
    assert f.metrics.get_stats().size_limit_rejections == 1


async def test_an_error_that_does_not_fit(colour, clock):
    """An error that is a result and too heavy to be kept still ends what was kept: the upstream has answered."""
    answer = upstream("old", NotFound("*" * 5000))
    config = CacheConfig(ttl=10, stale_while_revalidate=100, cache_exceptions=NotFound, max_entry_weight="2kB")
    f = colour.decorate(lambda: answer(), cache=config, clock=clock)
    await colour.go(f)
    clock.advance(11)
    assert await colour.go(f) == "old"
    await reloaded(colour, f)
    assert f.cache.entry() is None
    assert f.cache.explain().detail == TOO_HEAVY
    assert f.cache.info().reload_failures == 0
    assert isinstance(await colour.end_of(f), NotFound)


def _fails(*_, **__):
    raise NotFound("in the settings")


@pytest.mark.parametrize("setting", ["weigher", "cache_if", "ttl", "tags", "copy"])
def test_errors_of_the_settings_are_no_results(colour, setting):
    """What a function among the settings raises goes to the caller, and is not kept for what the upstream raised."""
    runs = []
    config = CacheConfig(**{"cache_exceptions": NotFound, setting: _fails})
    f = colour.decorate(lambda x: runs.append(x), cache=config)
    assert [type(colour.outcome(f, 1)) for _ in range(2)] == [NotFound] * 2
    assert (len(runs), f.cache_info().currsize) == (2, 0)


@pytest.mark.parametrize("options", [{}, {"enable_metrics": True}, {"tti": 5}])
def test_what_can_be_used_only_once_is_not_put(options):
    """Every kind of cache refuses an iterator."""
    cache = ResultCache(CacheConfig(**options))
    assert cache.put("letters", iter("abc")) is False
    assert cache.put("letters", "abc") is True


def test_bytes_are_weighed_where_nobody_says_how(colour):
    """Without a `weigher` a result weighs the bytes that it takes, and what it is made of."""
    f = colour.decorate(lambda x: ["*" * x], cache=CacheConfig(max_weight="100kB"))
    colour.call(f, 10_000)
    assert sys.getsizeof("*" * 10_000) < f.cache.info().weight < 11_000
    for x in range(20_000, 20_020):
        colour.call(f, x)
    assert 4 <= f.cache_info().currsize <= 5
    assert f.cache.info().weight <= 100_000


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "1kB", None, True])
def test_a_weight_that_is_none(colour, weight):
    """What is no weight is refused in words that say whose it is; nothing is kept."""
    f = colour.decorate(lambda: 1, cache=CacheConfig(weigher=lambda _: weight))
    with pytest.raises(ValueError, match="what weigher returned must be a finite number >= 0, got"):
        colour.call(f)
    assert f.cache_info().currsize == 0


steps = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "put", "invalidate", "clear", "wait"]),
        st.integers(0, 8),
        st.sampled_from([0, 1, 2, 3.5, 0.375, 11]),
    ),
    max_size=60,
)


@settings(max_examples=100)
@given(steps=steps)
def test_the_sum_is_that_of_the_entries(steps):
    """Whatever comes and goes, by a reference model: the same entries, and their weights add up to the total."""
    weights, model, now = {}, OrderedDict(), 0.0
    config = CacheConfig(max_size=5, max_weight=10, weigher=lambda key: weights[key], ttl=5)
    clock = FakeClock()
    cache = ResultCache(config, clock=clock)
    f = resilient(cache=cache)(lambda key: key)

    def keep(key):
        model.pop(key, None)
        if weights[key] > 10:
            return
        model[key] = (weights[key], now + 5)
        while len(model) > 5 or sum(weight for weight, _ in model.values()) > 10:
            due = [each for each, (_, until) in model.items() if until <= now]
            del model[min(due, key=lambda each: model[each][1]) if due else next(iter(model))]

    for action, key, weight in steps:
        now += 0.125  # no two entries are over at once, so that it is clear which leaves first
        clock.advance(0.125)
        if action == "wait":
            now += weight
            clock.advance(weight)
        elif action == "clear":
            f.cache.clear()
            model.clear()
        elif action == "invalidate":
            assert f.cache.invalidate(key) is (model.pop(key, None) is not None)
        else:
            weights.setdefault(key, weight)
            if action == "put":
                f.cache.put(key, key)
            else:
                f(key)
            if action == "call" and key in model and now < model[key][1]:
                model.move_to_end(key)
            else:
                keep(key)
        info = f.cache.info()
        assert {key for key in range(9) if f.cache.contains(key)} == {
            key for key, (_, until) in model.items() if now < until
        }
        assert info.currsize == len(model)
        assert info.weight == sum(weight for weight, _ in model.values())


@pytest.mark.parametrize("policy", ["lru", "s3fifo", "sieve", "tinylfu"])
def test_the_limits_hold_under_every_policy(colour, policy):
    """Neither the number nor the weight is ever over its limit, whoever chooses who leaves."""
    config = CacheConfig(max_size=20, max_weight=100, weigher=lambda result: result, policy=policy)
    f = colour.decorate(lambda x: x % 13, cache=config)

    async def scenario():
        for x in range(500):
            await colour.go(f, x * x % 97)
            info = f.cache.info()
            assert info.currsize <= 20
            assert info.weight <= 100
            assert info.weight == sum(f.cache._cache.values())

    colour.run(scenario)


async def _renewed_by_a_reload(colour, clock, f, x):
    clock.advance(11)
    await colour.go(f, x)
    await reloaded(colour, f)


async def _renewed_by_a_refresh(colour, clock, f, x):
    await colour.go(f.cache.refresh, x)


async def _renewed_by_hand(colour, clock, f, x):
    f.cache.put(x, x)


@pytest.mark.parametrize("renew", [_renewed_by_a_reload, _renewed_by_a_refresh, _renewed_by_hand])
@pytest.mark.parametrize("policy", ["s3fifo", "sieve", "tinylfu"])
async def test_a_renewed_entry_keeps_its_place(colour, clock, policy, renew):
    """What is in use stays through a scan, though it was renewed just before: it is no newcomer to the policy."""
    config = CacheConfig(max_size=100, ttl=10, stale_while_revalidate=1e6, policy=policy)
    f = colour.decorate(lambda x: x, cache=config, clock=clock)
    for _ in range(4):
        for x in range(20):
            await colour.go(f, x)
    for x in range(200, 300):  # those in use have proved worth it by now
        await colour.go(f, x)
    for x in range(20):
        await renew(colour, clock, f, x)
    assert f.cache.info().currsize == 100
    for x in range(400, 700):
        await colour.go(f, x)
    assert [x for x in range(20) if f.cache.entry(x) is None] == []


@pytest.mark.parametrize("policy", ["s3fifo", "sieve", "tinylfu"])
def test_what_is_replaced_by_nothing_leaves_the_policy(policy):
    """An entry whose next value is not kept takes no place in the order of those who may leave."""
    cache = ResultCache(CacheConfig(policy=policy, weigher=len, max_entry_weight=5))
    for text in ("short", "too long"):
        for key in range(9):
            cache.put(key, text)
    assert (len(cache), len(cache.shelf._order)) == (0, 0)


def test_fractions_add_up_to_nothing(colour):
    """Weights that floats cannot add exactly leave nothing behind when the last entry has left."""
    config = CacheConfig(max_weight="1kB", weigher=lambda result: result, enable_metrics=True)
    f = colour.decorate(lambda x: x, cache=ResultCache(config))
    for x in (100.1, 200.2, 300.3):
        colour.call(f, x)
    assert f.cache.info().weight == pytest.approx(600.6)
    f.cache.invalidate(300.3)
    assert f.cache.info().weight == pytest.approx(300.3)
    assert f.metrics.get_stats().total_size_bytes == pytest.approx(300.3, abs=1)
    f.cache.invalidate(100.1)
    f.cache.invalidate(200.2)
    assert f.cache.info().weight == 0
    assert f.metrics.get_stats().total_size_bytes == 0


@pytest.mark.parametrize("renewed", [False, True])
@pytest.mark.parametrize("policy", ["s3fifo", "sieve", "tinylfu"])
def test_no_entry_is_immortal(policy, renewed):
    """Wherever Ctrl-C comes while an entry is put: whoever chooses who leaves gets to know all that are there."""
    point, place = 0, ""
    while place is not None:
        point += 1
        cache = ResultCache(CacheConfig(max_size=3, ttl=0, policy=policy))
        if renewed:
            cache.put(0, "old")
        place = interrupt(point, lambda cache=cache: cache.put(0, 0))
        for x in range(1, 60):
            cache.put(x, x)
        assert len(cache.shelf._order) == len(cache) == 3, place
        assert all(key in cache.shelf._order for key in cache.shelf.rows), place
    assert point > 10


@pytest.mark.parametrize("policy", ["s3fifo", "sieve", "tinylfu"])
def test_a_finalizer_that_puts_what_leaves(policy):
    """What is put under the key that is being evicted, as the old value dies, is known to the policy as well."""
    put = []

    class Phoenix:
        def __del__(self):
            if not put:
                put.append(cache.put(0, "ashes"))

    cache = ResultCache(CacheConfig(max_size=3, ttl=0, policy=policy))
    cache.put(0, Phoenix())
    for x in range(1, 60):
        cache.put(x, x)
    assert put == [True]
    assert len(cache.shelf._order) == len(cache) == 3
    assert all(key in cache.shelf._order for key in cache.shelf.rows)
