"""Why a call was a miss, as far as that is remembered."""

from __future__ import annotations

import contextvars
import gc
import sys
import weakref

import pytest

from pyresilience import CacheConfig, CacheKeyError, EventType, FallbackConfig, ResultCache, RetryConfig, resilient
from pyresilience.cache.explain import NEAR
from pyresilience.cache.ledger import LINES

TENANT = contextvars.ContextVar("tenant", default="none")


def why(f, *args):
    """Reason and presence, and nothing that differs."""
    found = f.cache.explain(*args)
    assert found.differs is None
    return found.reason, found.cached


def test_cold(colour):
    """What was never called is not remembered; once it was, the first miss was cold."""
    f = colour.decorate(lambda x: x, cache=CacheConfig())
    assert why(f, 1) == ("cold", False)
    colour.call(f, 1)
    assert why(f, 1) == ("cold", True)
    colour.call(f, 1)
    assert why(f, 1) == ("cold", True)


KINDS = [{}, {"enable_metrics": True}, {"tags": ()}, {"stale_if_error": 5}, {"policy": "tinylfu"}, {"tti": 60}]
kinds = pytest.mark.parametrize("settings", KINDS, ids=str)


@kinds
def test_expired(colour, clock, settings, events):
    """Its time was over when it was called again; the reason is that of the event."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(ttl=60, **settings), clock=clock, listeners=[events])
    colour.call(f, 1)
    clock.advance(60)
    assert why(f, 1) == ("cold", False)
    colour.call(f, 1)
    assert why(f, 1) == ("expired", True)
    assert events.of(EventType.CACHE_MISS)[-1].reason == "expired"


@kinds
def test_expired_and_gone_to_make_room(colour, clock, settings):
    """An entry whose time was over when another needed its place had expired."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(max_size=1, ttl=60, **settings), clock=clock)
    colour.call(f, 1)
    clock.advance(65)
    colour.call(f, 2)
    assert why(f, 1) == ("expired", False)
    colour.call(f, 1)
    assert why(f, 1) == ("expired", True)


@kinds
def test_evicted(colour, settings):
    """There was no room for it."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(max_size=1, **settings))
    colour.call(f, 1)
    colour.call(f, 2)
    assert why(f, 1) == ("evicted", False)
    colour.call(f, 1)
    assert why(f, 1) == ("evicted", True)


@kinds
@pytest.mark.parametrize("act", ["invalidate", "clear", "invalidate_tag"])
def test_invalidated(colour, settings, act):
    """Somebody asked for it: of this call, of all, or of all of one name."""
    if act == "invalidate_tag":
        settings = {**settings, "tags": ("all",)}
    f = colour.decorate(lambda x: x, cache=CacheConfig(**settings))
    colour.call(f, 1)
    {"invalidate": lambda: f.cache.invalidate(1), "clear": f.cache.clear}.get(
        act, lambda: f.cache.invalidate_tag("all")
    )()
    colour.call(f, 1)
    assert why(f, 1) == ("invalidated", True)


def test_invalidated_softly(colour, clock):
    """What was called stale, and had to be computed, was invalidated as well."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(tags=("all",), stale_if_error=60), clock=clock)
    colour.call(f, 1)
    f.cache.invalidate_tag("all", soft=True)
    colour.call(f, 1)
    assert why(f, 1) == ("invalidated", True)


@pytest.mark.parametrize("block", ["bypass", "disabled"])
def test_bypassed(colour, block):
    """The call was made in a block that lets it past."""
    f = colour.decorate(lambda x: x, cache=CacheConfig())

    async def scenario():
        with getattr(f.cache, block)():
            await colour.go(f, 1)

    colour.run(scenario)
    assert why(f, 1) == ("bypassed", False)
    colour.call(f, 1)
    assert why(f, 1) == ("bypassed", True)


def test_no_key(colour):
    """A call that has no key goes past the cache always; where it must have one, asking why is refused like the call."""
    odd = weakref.WeakValueDictionary()
    f = colour.decorate(lambda x: 1, cache=CacheConfig(on_unhashable="bypass"))
    assert why(f, odd) == ("bypassed", False)
    assert "on_unhashable" in f.cache.explain(odd).detail
    strict = colour.decorate(lambda x: 1, cache=CacheConfig())
    with pytest.raises(CacheKeyError, match="argument 'x'"):
        strict.cache.explain(odd)


def fail():
    raise OSError("secret")


NOT_STORED = {
    "an error": (fail, {}, "the call raised OSError"),
    "cache_if": (lambda: 0, {"cache": CacheConfig(cache_if=bool)}, "cache_if said no"),
    "ttl": (lambda: 0, {"cache": CacheConfig(ttl=lambda _: 0)}, "ttl gave it no time to live"),
    "weight": (
        lambda: "*" * 99,
        {"cache": CacheConfig(max_entry_weight=9, weigher=len)},
        "it weighs more than max_entry_weight or max_weight",
    ),
    "an iterator": (lambda: iter([]), {}, "it can be used only once"),
    "a fallback": (
        fail,
        {"fallback": FallbackConfig(handler=1)},
        "it is a stand-in, or retry_on_result rejects it",
    ),
    "retry_on_result": (
        lambda: 1,
        {"retry": RetryConfig(max_attempts=1, retry_on_result=bool)},
        "it is a stand-in, or retry_on_result rejects it",
    ),
}


@pytest.mark.parametrize("case", NOT_STORED)
@pytest.mark.parametrize("more", [{}, {"tags": ()}], ids=str)
def test_not_stored(colour, case, more):
    """The result of the last call was not kept, and why; of an error its type alone."""
    body, settings, detail = NOT_STORED[case]
    config = settings.get("cache", CacheConfig())
    plain = {name: getattr(config, name) for name in ("ttl", "cache_if", "max_entry_weight", "weigher")}
    f = colour.decorate(body, **{**settings, "cache": CacheConfig(**plain, **more)})
    for _ in range(2):
        colour.outcome(f)
    found = f.cache.explain()
    assert (found.reason, found.detail, found.cached) == ("not stored", detail, False)
    assert str(found) == f"not stored: {detail}"


async def test_not_stored_as_it_was_invalidated_meanwhile(colour):
    """A result that was on its way when its key was invalidated was invalidated."""
    started, go = colour.event(), colour.event()

    async def body(x):
        started.set()
        await go.wait()

    f = colour.decorate(body, cache=CacheConfig())

    async def invalidate():
        await started.wait()
        f.cache.invalidate(1)
        go.set()

    await colour.gather(lambda: colour.go(f, 1), invalidate)
    assert why(f, 1) == ("invalidated", False)


def test_the_latest_counts(colour, clock):
    """Of several misses the last is explained."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(max_size=1, ttl=60), clock=clock)
    colour.call(f, 1)
    colour.call(f, 2)
    colour.call(f, 1)
    clock.advance(60)
    colour.call(f, 1)
    assert why(f, 1) == ("expired", True)
    f.cache.invalidate(1)
    colour.call(f, 1)
    assert why(f, 1) == ("invalidated", True)


# What differs.


@pytest.mark.parametrize("settings", [{}, {"tags": ()}], ids=str)
@pytest.mark.parametrize(
    ("args", "differs"),
    [
        ((1, 2, 4), "c"),
        ((1, 3, 3), "b"),
        ((-2, 2, 3), "a"),
        ((-1, 2, 3), "a"),
        ((True, 2, 3), "a"),
        ((1, 2, 3.0), "c"),
        ((1, "x" * 5000, 3), "b"),
        ((1, 3, 4), None),
        ((1, 2, 3), None),
    ],
)
def test_the_only_argument_that_differs(colour, settings, args, differs):
    """Where a call with a result differs in one argument alone, that is named."""
    f = colour.decorate(lambda a, b, c=3: a, cache=CacheConfig(**settings))
    colour.call(f, 1, 2)
    found = f.cache.explain(*args)
    assert (found.reason, found.differs) == ("cold", differs)
    assert ("differs in" in str(found)) is (differs is not None)


def test_equal_hashes_are_not_equal_arguments(colour):
    """-1 and -2 have one hash: they differ all the same."""
    f = colour.decorate(lambda a, b: a, cache=CacheConfig())
    colour.call(f, -1, 1)
    assert f.cache.explain(-2, 1).differs == "a"
    assert f.cache.explain(-2, 9).differs is None


@pytest.mark.parametrize("settings", [{}, {"stale_if_error": 50}], ids=str)
def test_what_is_over_is_no_near_one(colour, clock, settings):
    """Only a result that is there, and fresh, is worth the hint."""
    f = colour.decorate(lambda a, b: a, cache=CacheConfig(ttl=60, **settings), clock=clock)
    colour.call(f, 1, 1)
    clock.advance(59)
    assert f.cache.explain(1, 2).differs == "b"
    clock.advance(1)
    assert f.cache.explain(1, 2).differs is None


def test_what_else_a_key_consists_of(colour):
    """A context variable, a function to vary by and the version are named like arguments."""
    locale = ["en"]
    f = colour.decorate(lambda x: x, cache=CacheConfig(vary=(TENANT, lambda: locale[0])))
    colour.call(f, 1)
    assert f.cache.explain(2).differs == "x"
    context = contextvars.copy_context()
    context.run(TENANT.set, "other")
    assert context.run(f.cache.explain, 1).differs == "tenant"
    locale[0] = "de"
    assert f.cache.explain(1).differs == "vary[1]"
    assert f.cache.explain(2).differs is None


def test_one_part_has_no_near_ones(colour):
    """A function of one argument, or one key for all, has nothing that could differ alone."""
    f = colour.decorate(lambda x: x, cache=CacheConfig())
    colour.call(f, 1)
    assert f.cache.explain(2).differs is None


def test_only_the_own_entries_are_near(colour):
    """In a shared cache those of other functions are not compared."""
    cache = ResultCache(CacheConfig())
    f, g = (colour.decorate(lambda a, b: a, cache=cache) for _ in range(2))
    colour.call(f, 1, 1)
    assert f.cache.explain(1, 2).differs == "b"
    assert g.cache.explain(1, 2).differs is None


def test_only_so_many_are_compared(colour):
    """The latest entries are, and no more than a fixed number, however many there are."""
    f = colour.decorate(lambda a, b: a, cache=CacheConfig(max_size=2 * NEAR))
    colour.call(f, -5, -5)
    for x in range(NEAR):
        colour.call(f, x, x)
    assert f.cache.explain(-5, -6).differs is None
    assert f.cache.explain(0, -6).differs == "b"


# What is remembered.


def test_it_is_forgotten_in_time(colour):
    """The ring holds so many misses, and then forgets the oldest."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(max_size=1))
    for x in range(LINES + 1):
        colour.call(f, x)
    assert f.cache.explain(0).reason == "evicted"
    colour.call(f, -1)
    assert f.cache.explain(0).reason == "cold"
    assert f.cache.explain(1).reason == "evicted"


@pytest.mark.parametrize("settings", [{}, {"enable_metrics": True}, {"tags": ()}], ids=str)
def test_its_size_is_bounded(settings):
    """However many calls there were, what is remembered takes no more than so many bytes."""
    f = resilient(cache=CacheConfig(max_size=1, **settings))(lambda x: x)
    for x in range(5 * LINES):
        f(x)
        f.cache.invalidate(x)
    lines = f.cache._cache.shelf.ledger._lines
    assert len(lines) == LINES
    assert sum(map(sys.getsizeof, lines)) + sys.getsizeof(lines) < 200 * LINES


class Thing:
    """An argument whose death can be seen."""

    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Thing) and self.name == other.name

    def __hash__(self):
        return hash(self.name)


@pytest.mark.parametrize("reason", ["evicted", "invalidated", "expired", "not stored", "bypassed", "asked"])
def test_no_argument_is_kept_alive(colour, clock, reason):
    """What is remembered of a call is a number; once the cache is empty, its arguments are gone."""
    config = CacheConfig(max_size=1, ttl=60, cache_if=lambda _: reason != "not stored")
    f = colour.decorate(lambda x, y=0: None, cache=config, clock=clock)

    async def scenario():
        thing = Thing("a")
        if reason == "bypassed":
            with f.cache.bypass():
                await colour.go(f, thing)
        elif reason != "asked":
            await colour.go(f, thing)
        if reason == "evicted":
            await colour.go(f, Thing("b"))
        elif reason == "invalidated":
            f.cache.invalidate(thing)
            await colour.go(f, thing)
        elif reason == "expired":
            clock.advance(60)
            await colour.go(f, thing)
        assert f.cache.explain(thing).reason == ("cold" if reason == "asked" else reason)
        return weakref.ref(thing)

    watch = colour.run(scenario)
    f.cache.clear()
    gc.collect()
    assert watch() is None
    assert f.cache.explain(Thing("a")).reason != "cold" or reason == "asked"


def test_while_others_write(colour):
    """It can be asked while other threads call."""
    f = colour.decorate(lambda a, b: a, cache=CacheConfig(max_size=3))

    async def write():
        for x in range(300):
            await colour.go(f, x % 7, x % 5)

    async def ask():
        return [f.cache.explain(x % 7, x % 5).reason for x in range(300)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        ends = colour.run(lambda: colour.gather(write, ask, write))
    finally:
        sys.setswitchinterval(before)
    assert set(ends[1]) <= {"cold", "evicted"}
