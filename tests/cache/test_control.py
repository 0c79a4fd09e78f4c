"""What can be done by hand with the cache of a function, by the function's own arguments."""

from __future__ import annotations

import inspect

import pytest
from crowds import waiting

from pyresilience import CacheConfig, CacheKeyError, EventType, ResultCache, resilient
from pyresilience._functions import name_of

KINDS = [{}, {"enable_metrics": True}, {"tags": ()}, {"stale_if_error": 60}, {"policy": "sieve"}]
"""A plain cache, one that keeps account, and some with machines of their own."""

kinds = pytest.mark.parametrize("settings", KINDS, ids=str)


class Unhashable:
    """Cannot be part of a key."""

    __hash__ = None

    def __eq__(self, other):
        return self is other


def counting(colour, **settings):
    """A function of two arguments that says how often it ran, and its clock stands at 1000."""
    runs = []

    def body(a, b=0, *, c=0):
        runs.append((a, b, c))
        return len(runs)

    return colour.decorate(body, **settings)


@kinds
def test_get_is_a_call_that_runs_nothing(colour, clock, settings):
    """It finds what a call would find, is counted, and says None where the function would run."""
    f = counting(colour, cache=CacheConfig(ttl=60, **settings), clock=clock)
    assert f.cache.get(1) is None
    assert colour.call(f, 1) == 1
    assert f.cache.get(1, b=0, c=0) == 1
    assert f.cache_info()[:2] == (1, 2)
    clock.advance(60)
    assert f.cache.get(1) is None
    assert f.cache_info()[:2] == (1, 3)


@kinds
def test_get_keeps_an_entry_in_use(colour, settings):
    """What was got is not the first to leave; what was only looked at is."""
    f = counting(colour, cache=CacheConfig(max_size=2, **settings))
    colour.call(f, 1)
    colour.call(f, 2)
    f.cache.get(1)
    f.cache.peek(2)
    f.cache.entry(2)
    colour.call(f, 3)
    if settings.get("policy") is None:
        assert [f.cache.contains(x) for x in (1, 2, 3)] == [True, False, True]
    assert f.cache_info().currsize == 2


@kinds
def test_looking_leaves_no_trace(colour, clock, settings, events):
    """`peek`, `contains`, `entry`, `explain`, `key` and `info` change no count and tell no event."""
    f = counting(colour, cache=CacheConfig(ttl=60, **settings), clock=clock, listeners=[events])
    colour.call(f, 1)
    before, told = f.cache_info(), len(events)
    for x in (1, 2):
        for look in ("peek", "contains", "entry", "explain", "key"):
            getattr(f.cache, look)(x)
    assert f.cache.info()[:4] == before == f.cache_info()
    assert (f.cache.peek(1), f.cache.contains(1)) == (1, True)
    assert (f.cache.peek(2), f.cache.contains(2), f.cache.entry(2)) == (None, False, None)
    clock.advance(60)
    assert (f.cache.peek(1), f.cache.contains(1)) == (None, False)
    assert len(events) == told


@kinds
def test_falsy_results_are_results(colour, settings):
    """None, 0 and the like are kept; `contains` tells a kept None from nothing."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(**settings))
    for value in (None, 0, "", ()):
        assert not f.cache.contains(value)
        colour.call(f, value)
        assert f.cache.contains(value)
        assert f.cache.get(value) == f.cache.peek(value) == value


@kinds
def test_put_is_found_by_calls(colour, clock, settings):
    """What was put is the result of that call, in whatever form its arguments are given, and wins over what was there."""
    f = counting(colour, cache=CacheConfig(ttl=60, **settings), clock=clock)
    colour.call(f, 1, 2, c=3)
    assert f.cache.put("mine", 1, c=3, b=2) is True
    assert colour.call(f, 1, 2, c=3) == "mine"
    assert f.cache.put("more", 1, 2, c=3)
    assert colour.call(f, a=1, b=2, c=3) == "more"
    clock.advance(60)
    assert colour.call(f, 1, 2, c=3) == 2


async def test_put_wins_over_what_is_being_computed(colour):
    """Those who waited for the run get its result; what was put stays."""
    started, go = colour.event(), colour.event()

    async def body(x):
        started.set()
        await go.wait()
        return "computed"

    f = colour.decorate(body, cache=CacheConfig())

    async def put():
        await started.wait()
        f.cache.put("put", 1)
        go.set()
        return await colour.go(f, 1)

    assert await colour.gather(lambda: colour.go(f, 1), put) == ["computed", "put"]
    assert await colour.go(f, 1) == "put"


@kinds
def test_refresh_runs_the_function_now(colour, settings, events):
    """Whatever is kept: the new result is returned and kept, and told as a miss of its own kind."""
    f = counting(colour, cache=CacheConfig(**settings), listeners=[events])
    assert colour.call(f.cache.refresh, 1) == 1
    assert colour.call(f.cache.refresh, 1, b=0) == 2
    assert colour.call(f, 1) == 2
    assert [each.reason for each in events.of(EventType.CACHE_MISS)] == ["cold", "refreshed"]
    assert f.cache_info() == (1, 2, 256, 1)


def test_refresh_is_awaited_where_the_function_is(colour):
    """On an async function it is a coroutine that does nothing until it is awaited; on others the result itself."""
    f = counting(colour, cache=CacheConfig())
    colour.call(f, 1)
    pending = f.cache.refresh(1)
    if colour.is_sync:
        assert pending == 2
        return
    assert inspect.iscoroutine(pending)
    assert f.cache.peek(1) == 1
    pending.close()
    assert colour.call(f, 1) == 1


@kinds
def test_a_refresh_that_fails_changes_nothing(colour, settings):
    """Its error is raised, even where an old result may stand in, and what was kept is kept."""
    answers = [1, OSError("down"), 3]

    def body():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    f = colour.decorate(body, cache=CacheConfig(**settings))
    assert colour.call(f) == 1
    assert isinstance(colour.outcome(f.cache.refresh), OSError)
    assert colour.call(f) == 1
    assert colour.call(f.cache.refresh) == 3
    assert colour.call(f) == 3


@pytest.mark.parametrize("settings", KINDS[:3], ids=str)
async def test_others_meanwhile_get_what_is_kept(colour, clock, settings):
    """While a refresh runs, a fresh entry answers at once; once that has expired, callers wait for the refresh."""
    started, go, runs = colour.event(), colour.event(), []

    async def body(x):
        runs.append(x)
        if len(runs) == 2:
            started.set()
            await go.wait()
        return len(runs)

    f = colour.decorate(body, cache=CacheConfig(ttl=60, **settings), clock=clock)
    assert await colour.go(f, 1) == 1

    async def other():
        await started.wait()
        early = await colour.go(f, 1)
        clock.advance(60)
        return early, await colour.go(f, 1)

    async def release():
        await started.wait()
        await colour.until(lambda: waiting(f))
        go.set()

    ends = await colour.gather(lambda: colour.go(f.cache.refresh, 1), other, release)
    assert ends == [2, (1, 2), None]
    assert await colour.go(f, 1) == 2
    assert len(runs) == 2


async def test_a_refresh_wins_over_what_is_being_computed(colour):
    """What began before it is handed to those who waited, and not kept."""
    started, go, runs = colour.event(), colour.event(), []

    async def body(x):
        runs.append(x)
        number = len(runs)
        if number == 1:
            started.set()
            await go.wait()
        return number

    f = colour.decorate(body, cache=CacheConfig())

    async def refresh():
        await started.wait()
        try:
            return await colour.go(f.cache.refresh, 1)
        finally:
            go.set()

    assert await colour.gather(lambda: colour.go(f, 1), refresh) == [1, 2]
    assert await colour.go(f, 1) == 2


@kinds
def test_invalidate_forgets_one_call(colour, settings, events):
    """The next call runs the function, others do not; it says whether anything was kept."""
    f = counting(colour, cache=CacheConfig(**settings), listeners=[events])
    colour.call(f, 1)
    colour.call(f, 2)
    assert f.cache.invalidate(1, c=0) is True
    assert f.cache.invalidate(1) is False
    assert colour.call(f, 2) == 2
    assert colour.call(f, 1) == 3
    assert events.of(EventType.CACHE_MISS)[-1].reason == "invalidated"


@kinds
def test_an_entry_as_it_is(colour, clock, settings):
    """`entry` shows the value, its age where that is known, what is left of its time, and its state."""
    f = counting(colour, cache=CacheConfig(ttl=60, **settings), clock=clock)
    colour.call(f, 1)
    clock.advance(20)
    entry = f.cache.entry(1)
    assert (entry.value, entry.error, entry.state, entry.expires_in, entry.tags) == (1, None, "fresh", 40, ())
    assert entry.age in (20, None)
    clock.advance(40)
    state = "spare" if "stale_if_error" in settings else "gone"
    assert f.cache.entry(1).state == state
    assert f.cache.entry(1).expires_in == 0


def test_info_is_the_counts_and_more(colour):
    """It unpacks as `functools.lru_cache` has it, and shows the weight and what runs in the background."""
    f = counting(colour, cache=CacheConfig(max_size=7, max_weight="1kB", weigher=lambda _: 5, stale_if_error=60))
    colour.call(f, 1)
    colour.call(f, 1)
    hits, misses, maxsize, currsize = f.cache.info()
    assert (hits, misses, maxsize, currsize) == (1, 1, 7, 1)
    info = f.cache.info()
    assert (info.weight, info.max_weight, info.reloading, info.reload_failures) == (5, 1000, 0, 0)
    assert repr(info) == (
        "CacheState(hits=1, misses=1, maxsize=7, currsize=1, weight=5, max_weight=1000.0, reloading=0, reload_failures=0)"
    )
    assert f.cache_info() == f.cache.counts() == (1, 1, 7, 1)
    assert f.cache.stats == {"hits": 1, "misses": 1, "hit_rate": 0.5, "size": 1, "max_size": 7}
    plain = counting(colour, cache=CacheConfig())
    assert (plain.cache.info().weight, plain.cache.info().max_weight) == (0, None)


@kinds
def test_clear_forgets_all(colour, settings):
    """Nothing is kept and nothing counted."""
    f = counting(colour, cache=CacheConfig(**settings))
    for x in range(3):
        colour.call(f, x)
    f.cache.clear()
    assert f.cache.info()[:4] == (0, 0, 256, 0)
    assert colour.call(f, 0) == 4


@kinds
def test_a_key_is_what_calls_are_known_by(colour, settings):
    """Calls that bind alike have one key, by which a `ResultCache` knows them."""
    cache = ResultCache(CacheConfig(**settings))
    f = counting(colour, cache=cache)
    assert f.cache.key(1, c=2) == f.cache.key(a=1, b=0, c=2) != f.cache.key(1)
    colour.call(f, 1)
    assert cache.get(f.cache.key(1)) == 1


def test_two_functions_in_one_cache(colour):
    """Each sees and clears its own entries; the counts and `info` are of both."""
    cache = ResultCache(CacheConfig())
    f, g = (counting(colour, cache=cache) for _ in range(2))
    f.cache.put("f", 1)
    g.cache.put("g", 1)
    assert (f.cache.get(1), g.cache.get(1)) == ("f", "g")
    assert (colour.call(f, 1), colour.call(g, 1)) == ("f", "g")
    assert f.cache.info()[:4] == g.cache.info()[:4] == (4, 0, 256, 2)
    f.cache.clear()
    assert (f.cache.peek(1), g.cache.peek(1)) == (None, "g")
    assert g.cache.invalidate(1)
    assert len(cache) == 0


def test_methods(colour):
    """The handles are the function's, so the object is an argument; each object has entries of its own."""

    class Client:
        def __init__(self, name):
            self.name = name

        def get(self, x):
            return f"{self.name}{x}"

    Client.get = colour.decorate(Client.get, cache=CacheConfig())
    one, other = Client("a"), Client("b")
    colour.call(one.get, 1)
    assert one.get.cache is other.get.cache is Client.get.cache
    assert one.get.cache.get(one, 1) == "a1"
    assert one.get.cache.get(other, 1) is None
    assert one.get.cache.put("put", other, 1)
    assert colour.call(other.get, 1) == "put"
    assert colour.call(one.get.cache.refresh, other, 1) == "b1"
    assert one.get.cache.explain(one, 2).differs == "x"
    assert one.get.cache.invalidate(one, 1)
    assert other.get.cache.contains(other, 1)
    assert not other.get.cache.contains(one, 1)


@pytest.mark.parametrize("action", ["get", "peek", "contains", "entry", "explain", "refresh", "invalidate", "key"])
@pytest.mark.parametrize("settings", [{}, {"on_unhashable": "bypass"}, {"tags": ("{a}",)}], ids=str)
def test_arguments_that_do_not_fit(colour, action, settings):
    """They are refused as the function would refuse them, by its name, and nothing runs."""
    f = counting(colour, cache=CacheConfig(**settings))
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"d": 4}), ((1,), {"a": 1})):
        with pytest.raises(TypeError, match=rf"^{name_of(f)}\(\)"):
            getattr(f.cache, action)(*args, **kwargs)
    with pytest.raises(TypeError, match=rf"^{name_of(f)}\(\)"):
        f.cache.put("value")
    assert f.cache_info() == (0, 0, 256, 0)


@pytest.mark.parametrize(
    "action", ["get", "peek", "contains", "entry", "explain", "refresh", "invalidate", "key", "put"]
)
def test_an_argument_that_cannot_be_part_of_a_key(colour, action):
    """It is named, as by a call."""
    f = counting(colour, cache=CacheConfig())
    value = ["value"] if action == "put" else []
    with pytest.raises(CacheKeyError, match="argument 'b'"):
        getattr(f.cache, action)(*value, 1, Unhashable())


def test_calls_without_a_key(colour):
    """Where such calls go past the cache, nothing is found or kept of them, `key` is None, and refresh runs them."""
    f = counting(colour, cache=CacheConfig(on_unhashable="bypass"))
    odd = Unhashable()
    assert colour.call(f, odd) == 1
    assert (f.cache.key(odd), f.cache.get(odd), f.cache.peek(odd), f.cache.entry(odd)) == (None,) * 4
    assert f.cache.contains(odd) is f.cache.invalidate(odd) is f.cache.put("value", odd) is False
    assert colour.call(f.cache.refresh, odd) == 2
    assert colour.call(f, odd) == 3
    assert f.cache.explain(odd).reason == "bypassed"


def test_without_a_cache_there_is_nothing_to_control(colour):
    """`f.cache` is None, and the counts are 0."""
    f = resilient(colour.dye(lambda: 1))
    assert f.cache is None
    assert f.cache_info() == (0, 0, 0, 0)
    f.cache_clear()


def test_a_parameter_of_any_name(colour):
    """A function may have parameters that are called as ours are."""

    def body(self, value, key, ttl, args=0, kwargs=0):
        return value

    f = colour.decorate(body, cache=CacheConfig())
    given = {"self": 1, "value": 2, "key": 3, "ttl": 4, "args": 5, "kwargs": 6}
    assert colour.call(lambda: f(**given)) == 2
    assert f.cache.get(**given) == f.cache.peek(**given) == 2
    assert f.cache.put("put", **given)
    assert colour.call(lambda: f(**given)) == "put"
    assert colour.call(lambda: f.cache.refresh(**given)) == 2
    assert f.cache.explain(**given).reason == "cold"
    assert f.cache.entry(**given).value == 2
    assert f.cache.contains(**given)
    assert f.cache.key(**given) == (1, 2, 3, 4, 5, 6)
    assert f.cache.invalidate(**given)


@pytest.mark.parametrize("options", [{}, {"tti": 5}])
@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (-1, ValueError, "must be >= 0, got -1"),
        (float("nan"), ValueError, "must be >= 0, got nan"),
        ("soon", ValueError, "must be a duration such as .*, got 'soon'"),
        ([1], TypeError, r"must be a number of seconds, .*, got \[1\]"),
    ],
)
def test_what_is_no_duration(colour, options, wrong, kind, message):
    """A wrong `ttl` or `timeout` is refused by its name, whatever the cache can do."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(**options))
    with pytest.raises(kind, match="^ttl " + message):
        f.cache.put(1, 1, ttl=wrong)
    with pytest.raises(kind, match="^timeout " + message):
        f.cache.close(wrong)
    assert isinstance(colour.call(f, 1), int)


def test_no_ttl_at_all():
    """Who means for ever by None is told what to write."""
    with pytest.raises(TypeError, match=r"^CacheConfig: ttl must be .*\(0: without end\).*, got None"):
        CacheConfig(ttl=None)
