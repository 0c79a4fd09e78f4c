"""Results of one name, which are invalidated at once."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import pyresilience
from pyresilience import CacheConfig, EventType, ResultCache, resilient
from pyresilience.cache.tags import tagger

HOME = str(Path(pyresilience.__file__).parent)


@dataclass(frozen=True)
class User:
    """Somebody."""

    id: int
    roles: tuple[str, ...] = ("guest",)


def fetch(user_id, locale="en", *rest, detail=False, **more):
    """A function with parameters of every kind."""


# Names.

TEMPLATES = [
    (("users",), (1,), {}, ("users",)),
    (("user:{user_id}",), (42,), {}, ("user:42",)),
    (("user:{user_id}",), (), {"user_id": "42"}, ("user:42",)),
    (("{user_id}:{locale}:{detail}",), (1,), {}, ("1:en:False",)),
    (("{user_id}:{locale}",), (1, "de"), {}, ("1:de",)),
    (("{rest}", "{rest[1]}", "{more}"), (1, "en", 2, 3), {"x": 4}, ("(2, 3)", "3", "{'x': 4}")),
    (("{user_id.id}", "{user_id.roles[0]}"), (User(7),), {}, ("7", "guest")),
    (("{user_id[name]}",), ({"name": "Ada"},), {}, ("Ada",)),
    (("{user_id:05d}", "{user_id!r}"), (42,), {}, ("00042", "42")),
    (("{user_id:{locale}}",), (42, "4"), {}, ("  42",)),
    (("{{braces}}", "{{{user_id}}}"), (1,), {}, ("{braces}", "{1}")),
    ((), (1,), {}, ()),
    ([], (1,), {}, ()),
    (["users"], (1,), {}, ("users",)),
]


@pytest.mark.parametrize(("templates", "args", "kwargs", "names"), TEMPLATES)
def test_placeholders_stand_for_arguments(templates, args, kwargs, names):
    """However an argument is given, or is a default, and for what is in it."""
    config = CacheConfig(tags=templates)
    assert tagger(config.tags, fetch, "fetch")(args, kwargs, None) == names


@pytest.mark.parametrize("template", ["{user}", "{user.id}", "{}", "{0}", "{user_id:{user}}", "{locale}{USER_ID}"])
def test_a_placeholder_that_is_no_parameter(colour, template):
    """It is refused at decoration, in words that say which, and what there is."""
    f = colour.dye(fetch)
    with pytest.raises(
        ValueError, match=r"tags must name parameters of fetch\(user_id, locale, rest.*\), got "
    ) as caught:
        resilient(cache=CacheConfig(tags=("users", template)))(f)
    assert repr(template) in str(caught.value)


@pytest.mark.parametrize("template", ["user:{user_id", "user_id}", "{user_id!}"])
def test_a_template_that_is_none(template):
    """Braces that have no partner are refused at decoration."""
    with pytest.raises(ValueError, match="tags must have their braces in pairs, got "):
        resilient(cache=CacheConfig(tags=(template,)))(fetch)


def test_a_function_that_does_not_tell_its_parameters():
    """It may have names without placeholders, and no others."""
    f = resilient(cache=CacheConfig(tags=("all",)))(max)
    assert f(1, 2) == 2
    assert f.cache.entry(1, 2).tags == ("all",)
    with pytest.raises(ValueError, match="max, which does not tell them"):
        resilient(cache=CacheConfig(tags=("{x}",)))(max)


def test_names_from_arguments_and_result(colour):
    """A function takes the call's arguments as they are given, and the result."""

    def tags(user_id, *, result):
        return ["users", f"user:{user_id}", *(f"team:{team}" for team in result["teams"])]

    f = colour.decorate(lambda user_id: {"teams": [user_id, 7]}, cache=CacheConfig(tags=tags))
    colour.call(f, 1)
    colour.call(f, 2)
    assert f.cache.entry(1).tags == ("users", "user:1", "team:1", "team:7")
    f.cache.invalidate_tag("team:2")
    assert (f.cache.contains(1), f.cache.contains(2)) == (True, False)
    f.cache.invalidate_tag("team:7")
    assert not f.cache.contains(1)


@pytest.mark.parametrize("bad", ["users", None, 3, [1], (name for name in "ab")])
def test_names_that_are_none(colour, bad):
    """What is no sequence of text is refused; nothing is kept."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(tags=lambda x, result: bad))
    with pytest.raises(TypeError, match="tags must be a sequence of names, got"):
        colour.call(f, 1)
    assert f.cache_info().currsize == 0


def test_sets_of_names(colour):
    """A set will do."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(tags=lambda x, result: {"a", f"{x}"}))
    colour.call(f, 1)
    assert set(f.cache.entry(1).tags) == {"a", "1"}


@pytest.mark.parametrize("tag", [None, 3, ("users",), b"users"])
def test_a_tag_is_text(tag):
    """`invalidate_tag` takes nothing else."""
    f = resilient(cache=CacheConfig(tags=("users",)))(fetch)
    with pytest.raises(TypeError, match="^tag must be text, got "):
        f.cache.invalidate_tag(tag)


def test_a_cache_without_tags():
    """There is nothing to invalidate where nothing has a name: that is said, not passed over."""
    f = resilient(cache=CacheConfig())(fetch)
    with pytest.raises(ValueError, match=r"give CacheConfig\(tags=\.\.\.\)"):
        f.cache.invalidate_tag("users")
    cache = ResultCache(CacheConfig(ttl=5))
    with pytest.raises(ValueError, match=r"give CacheConfig\(tags=\.\.\.\)"):
        cache.put("key", 1, tags=("users",))


# Invalidation.


def tagged(colour, **settings):
    """A function whose results have the names `users` and `user:{id}`, and say how often it ran."""
    runs = []

    def body(user_id):
        runs.append(user_id)
        return len(runs)

    config = {name: settings.pop(name) for name in [*settings] if name not in ("listeners", "clock")}
    return colour.decorate(body, cache=CacheConfig(tags=("users", "user:{user_id}"), **config), **settings)


def test_all_of_one_name_are_gone(colour, events):
    """Those that have the name, whichever they are; the others stay; what comes after is not concerned."""
    f = tagged(colour, listeners=[events])
    for user_id in (1, 2, 3):
        colour.call(f, user_id)
    f.cache.invalidate_tag("user:2")
    assert [f.cache.contains(user_id) for user_id in (1, 2, 3)] == [True, False, True]
    assert [colour.call(f, user_id) for user_id in (1, 2, 3)] == [1, 4, 3]
    assert events.of(EventType.CACHE_MISS)[-1].reason == "invalidated"
    f.cache.invalidate_tag("users")
    f.cache.invalidate_tag("nobody")
    assert [colour.call(f, user_id) for user_id in (1, 2, 3)] == [5, 6, 7]
    assert [colour.call(f, user_id) for user_id in (1, 2, 3)] == [5, 6, 7]


def test_what_is_put_has_its_names_too(colour):
    """By its arguments on a function; by hand in a `ResultCache`, which any name may be invalidated of."""
    f = tagged(colour)
    f.cache.put("put", 5)
    assert f.cache.entry(5).tags == ("users", "user:5")
    f.cache.invalidate_tag("user:5")
    assert colour.call(f, 5) == 1
    cache = ResultCache(CacheConfig(tags=()))
    cache.put("key", 1, tags=["mine"])
    cache.put("other", 2)
    cache.invalidate_tag("mine")
    assert (cache.get("key"), cache.get("other")) == (None, 2)


def test_a_shared_cache(colour):
    """Functions that share a cache share its names, as its config says: all that have one are invalidated."""
    cache = ResultCache(CacheConfig(tags=("user:{user_id}",)))
    one = colour.decorate(lambda user_id: user_id, cache=cache)
    other = colour.decorate(lambda tenant, user_id=1: user_id, cache=cache)
    with pytest.raises(ValueError, match="tags must name parameters"):
        resilient(cache=cache)(lambda x: x)
    for f, args in ((one, (1,)), (one, (2,)), (other, ("a",)), (other, ("a", 2))):
        colour.call(f, *args)
    one.cache.invalidate_tag("user:1")
    assert (one.cache.contains(1), one.cache.contains(2)) == (False, True)
    assert (other.cache.contains("a"), other.cache.contains("a", 2)) == (False, True)


@pytest.mark.parametrize(
    ("settings", "served", "state"),
    [
        ({}, None, "gone"),
        ({"stale_while_revalidate": 60}, 1, "stale"),
        ({"stale_if_error": 60}, None, "spare"),
        ({"stale_while_revalidate": 30, "stale_if_error": 60}, 1, "stale"),
    ],
)
@pytest.mark.parametrize("ttl", [0, 300])
def test_softly(colour, clock, events, settings, served, state, ttl):
    """It is stale from now on: handed out and reloaded, or a spare, or gone, as the settings say; then new for its TTL."""
    f = tagged(colour, ttl=ttl, **settings, clock=clock, listeners=[events])

    async def scenario():
        assert await colour.go(f, 1) == 1
        clock.advance(10)
        f.cache.invalidate_tag("user:1", soft=True)
        assert f.cache.entry(1).state == state
        assert f.cache.peek(1) is None
        assert await colour.go(f, 1) == (served or 2)
        await colour.until(lambda: f.cache.info().reloading == 0)
        assert await colour.go(f, 1) == 2
        assert f.cache.entry(1).state == "fresh"

    colour.run(scenario)
    hits = [each.source for each in events.of(EventType.CACHE_HIT)]
    assert hits == (["stale", "fresh"] if served else ["fresh"])
    if not served:
        assert [each.reason for each in events.of(EventType.CACHE_MISS)] == ["cold", "invalidated"]


@pytest.mark.parametrize("looked", [True, False])
def test_softly_and_for_how_long(colour, clock, looked):
    """The seconds in which it is still of use are counted from the invalidation, not put off by a second one."""
    f = tagged(colour, ttl=0, stale_if_error=60, clock=clock)
    colour.call(f, 1)
    clock.advance(1000)
    f.cache.invalidate_tag("users", soft=True)
    clock.advance(59)
    if looked:
        assert f.cache.entry(1).state == "spare"
    f.cache.invalidate_tag("user:1", soft=True)
    assert f.cache.entry(1).state == "spare"
    clock.advance(1)
    assert f.cache.entry(1).state == "gone"


def test_hard_after_soft(colour, clock):
    """What was stale may not even stand in any more."""
    f = tagged(colour, stale_while_revalidate=60, clock=clock)
    colour.call(f, 1)
    f.cache.invalidate_tag("users", soft=True)
    f.cache.invalidate_tag("users")
    assert f.cache.entry(1).state == "gone"
    assert colour.call(f, 1) == 2


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("by_result", [False, True])
async def test_what_is_being_computed(colour, clock, soft, by_result):
    """A run that began before the invalidation is covered by it: handed to its caller, and used no more."""
    started, go, runs = colour.event(), colour.event(), []

    async def body(user_id):
        runs.append(user_id)
        number = len(runs)
        if number == 1:
            started.set()
            await go.wait()
        return number

    tags = (lambda user_id, result: [f"user:{user_id}"]) if by_result else ("user:{user_id}",)
    f = colour.decorate(body, cache=CacheConfig(tags=tags), clock=clock)

    async def invalidate():
        await started.wait()
        f.cache.invalidate_tag("user:1", soft=soft)
        go.set()

    assert await colour.gather(lambda: colour.go(f, 1), invalidate) == [1, None]
    assert await colour.go(f, 1) == 2
    assert await colour.go(f, 1) == 2


def test_an_error_that_is_kept(colour):
    """An error that is a result has the names of its call: what was not there may be there now."""
    answers = [KeyError("no such user"), "there"]

    def body(user_id):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    f = colour.decorate(body, cache=CacheConfig(tags=("user:{user_id}",), cache_exceptions=KeyError))
    assert [type(colour.outcome(f, 1)) for _ in range(2)] == [KeyError] * 2
    assert f.cache.entry(1).tags == ("user:1",)
    f.cache.invalidate_tag("user:1")
    assert colour.call(f, 1) == "there"


def steps(call):
    """How many lines of ours are run."""
    count = 0

    def watch(frame, event, _):
        nonlocal count
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        count += event == "line"
        return watch

    sys.settrace(watch)
    try:
        call()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("soft", [False, True])
def test_it_takes_as_long_however_many_there_are(soft):
    """It takes as many steps with 10 entries as with 10,000, whatever their number of tags."""
    taken = set()
    for entries in (0, 10, 10_000):
        f = resilient(cache=CacheConfig(max_size=10_000, tags=("all", "{x}", "more")))(lambda x: x)
        for x in range(entries):
            f(x)
        taken.add(steps(lambda f=f: f.cache.invalidate_tag("all", soft=soft)))
    assert len(taken) == 1


def test_it_does_not_pile_up():
    """However many names were invalidated, what is remembered of them is bounded by what is there."""
    f = resilient(cache=CacheConfig(max_size=10, tags=("{x}",)))(lambda x: x)
    for x in range(20_000):
        f(x)
        f.cache.invalidate_tag(str(x), soft=x % 2 == 0)
    assert len(f.cache._cache.options._barriers._barriers) < 2000
    f(1)
    assert f.cache.contains(1)


def test_those_who_read_it_after_a_long_time(colour):
    """An entry that nobody looked at since is covered, however many other names were invalidated meanwhile."""
    f = tagged(colour, max_size=10)
    for user_id in (1, 2):
        colour.call(f, user_id)
    f.cache.invalidate_tag("user:1")
    for x in range(5000):
        f.cache.invalidate_tag(f"other:{x}", soft=x % 2 == 0)
    assert (f.cache.contains(1), f.cache.contains(2)) == (False, True)
