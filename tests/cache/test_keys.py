"""From a call to a key."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import gc
import sys
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience import CacheConfig, CacheKeyError, ResultCache, resilient
from pyresilience.cache.keys import SHORT, freeze

plain = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0, 1.5]) | st.sampled_from("ab")
values = st.recursive(
    plain | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.sampled_from("xy"), inner),
    max_leaves=6,
)


def same(one, other):
    """Equality that looks at types, at every depth, and at the sign of zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return repr(one) == repr(other)


@given(values, values)
def test_two_values_have_one_key_if_they_are_the_same(one, other):
    """Keys are equal exactly if the values are equal and of equal types at every depth."""
    assert (freeze(one) == freeze(other)) == same(one, other)
    if same(one, other):
        assert hash(freeze(one)) == hash(freeze(other))


@given(values)
def test_a_stand_in_is_no_values_stand_in(value):
    """What stands for a value in a key is never taken for what stands for another value."""
    frozen = freeze(value)
    if isinstance(frozen, tuple):
        assert freeze(frozen) != frozen


def counted(signature_function, **settings):
    runs = []

    @resilient(cache=CacheConfig(**settings))
    @functools.wraps(signature_function)
    def f(*args, **kwargs):
        runs.append((args, kwargs))
        return len(runs)

    return f, runs


def test_all_spellings_of_a_call_are_one_entry():
    """Positional, by keyword, with a default given or left out: one call, one key."""
    f, runs = counted(lambda a, b=2, *rest, c=3, **more: None)
    f(1), f(a=1), f(1, 2), f(1, b=2), f(b=2, a=1, c=3), f(1, c=3)
    assert len(runs) == 1
    f(1, 2, 3), f(1, 2, c=4), f(1, z=3)
    assert len(runs) == 4
    f(1, z=3, c=3)
    assert len(runs) == 4


def test_positional_only_and_keyword_of_one_name_are_apart():
    """`def f(a, /, **kw)` may be called with `a` both ways; the two values do not mix."""
    f, runs = counted(lambda a, /, **kw: None)
    f(1, a=2), f(2, a=1)
    assert len(runs) == 2


def test_defaults_that_are_mutable_count_by_content():
    """A mutable default is compared by what it holds."""
    f, runs = counted(lambda a, b=[1]: None)  # noqa: B006
    f(0), f(0, [1]), f(0, b=[1])
    assert len(runs) == 1
    f(0, [2])
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (b"a", bytearray(b"a")),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ([1], [True]),
        ({"a": 1}, {"a": 1.0}),
        ((1, (2,)), (1, [2])),
        (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
        (collections.OrderedDict(a=1), {"a": 1}),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        ("1", 1),
        (None, "None"),
        ((), ""),
        (1j, 1),
        (
            dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC),
            dt.datetime(2026, 1, 1, 13, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        ),
    ],
)
def test_equal_is_not_enough(one, other):
    """Arguments that are equal, or look alike, but are not the same thing do not answer for each other."""
    f = resilient(cache=CacheConfig())(lambda x: (type(x), repr(x)))
    assert f(one) == (type(one), repr(one))
    assert f(other) == (type(other), repr(other))


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, [2, {3}]],
        lambda: {"a": [1], "b": {"c": (1, 2)}},
        lambda: {1, 2, 3},
        lambda: collections.deque([1, 2]),
        lambda: collections.defaultdict(list, a=[1]),
        lambda: collections.Counter("abca"),
        lambda: bytearray(b"xyz"),
        lambda: dt.datetime(2026, 1, 2),  # noqa: DTZ001
        lambda: decimal.Decimal("1.5"),
        lambda: float("inf"),
        lambda: "x" * 10_000,
        lambda: b"x" * 10_000,
        lambda: list(range(10_000)),
        lambda: {str(each): [each] for each in range(1000)},
        lambda: {frozenset({each, "a"}) for each in range(1000)},
        lambda: 10**5000,
    ],
)
def test_containers_count_by_content(make):
    """Builtin containers, however large and mutable, are one key if what they hold is the same."""
    f, runs = counted(lambda x: None)
    f(make()), f(make())
    assert len(runs) == 1


@dataclasses.dataclass
class Query:
    words: list[str]
    page: int = 1
    cost: float = dataclasses.field(default=0.0, compare=False)


def test_dataclasses_count_by_their_fields():
    """A dataclass counts by the fields it compares, typed, hashable or not."""
    f, runs = counted(lambda q: None)
    f(Query(["a"])), f(Query(["a"], 1, cost=9.0))
    assert len(runs) == 1
    f(Query(["a"], True)), f(Query(["b"]))
    assert len(runs) == 3


class Colour(enum.IntEnum):
    RED = 1


def test_enum_members_are_not_their_values():
    """A member of an IntEnum and its value are two arguments."""
    f = resilient(cache=CacheConfig())(lambda x: repr(x))
    assert f(Colour.RED) != f(1)


def test_a_key_holds_nothing_alive_that_identity_compares():
    """Objects without an equality of their own are held weakly, also in containers and as bound methods."""

    class Thing:
        @resilient(cache=CacheConfig())
        def method(self, other, group, call):
            return 1

        def call(self):
            return None

    thing, other = Thing(), Thing()
    thing.method(other, [other, {"k": other}], other.call)
    refs = [weakref.ref(thing), weakref.ref(other)]
    del thing, other
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_a_new_object_never_meets_the_entry_of_a_dead_one():
    """An object that gets the address of a dead one does not get its answer."""

    class Thing:
        pass

    f = resilient(cache=CacheConfig(max_size=10_000))(lambda thing: thing.name)
    for name in range(2000):
        thing = Thing()
        thing.name = name
        assert f(thing) == name


def test_objects_that_cannot_be_held_weakly_are_held():
    """Without weak references an object is told apart by identity, and held so that its identity stays its own."""
    f = resilient(cache=CacheConfig(max_size=1000))(lambda thing: id(thing))
    for _ in range(200):
        thing = object()
        assert f(thing) == id(thing)


def test_large_arguments_are_not_kept_in_the_key():
    """A key of a large argument is small."""
    for large in ("x" * 10**6, b"x" * 10**6, list(range(10**5)), {str(each): each for each in range(10**4)}):
        key = ResultCache.make_key(large)
        del large
        gc.collect()
        assert deep_size(key) < 2000


def deep_size(thing):
    inside = sum(map(deep_size, thing)) if isinstance(thing, (tuple, frozenset)) else 0
    return inside if isinstance(thing, type) else sys.getsizeof(thing) + inside


@pytest.mark.parametrize("length", [SHORT - 1, SHORT, SHORT + 1, 16, 32])
def test_digests_and_short_values_do_not_mix(length):
    """A text or bytes as long as a digest, or around the limit, is told from all others."""
    texts = ["a" * length, "a" * (length - 1) + "b", "b" * length]
    keys = {ResultCache.make_key(each) for each in [*texts, *(each.encode() for each in texts)]}
    assert len(keys) == 6
    long = ResultCache.make_key(b"x" * 10_000)
    parts = [long]
    while parts:
        part = parts.pop()
        if isinstance(part, bytes):
            assert ResultCache.make_key(part) != long
        elif isinstance(part, tuple):
            parts.extend(part)


def test_what_cannot_be_a_key_is_named():
    """The error names the parameter and the type, never the value, and says what to do."""

    class Opaque:
        __hash__ = None

        def __eq__(self, other):
            return True

        def __repr__(self):
            return "SECRET"

    f = resilient(cache=CacheConfig())(lambda user, session=None: 1)
    with pytest.raises(CacheKeyError) as caught:
        f(1, session=Opaque())
    message = str(caught.value)
    assert "'session'" in message
    assert "Opaque" in message
    assert "key=" in message
    assert "bypass" in message
    assert "SECRET" not in message
    assert isinstance(caught.value, TypeError)


def test_bypass_calls_through():
    """With `on_unhashable="bypass"` such a call runs each time, uncached, and other calls are cached as ever."""
    runs = []
    f = resilient(cache=CacheConfig(on_unhashable="bypass"))(lambda x: runs.append(x))
    odd = [[]]
    odd[0].append(odd)
    f(odd), f(odd), f(1), f(1)
    assert len(runs) == 3
    assert f.cache.invalidate(odd) is False


def test_a_key_function_decides():
    """`key=` makes the key from the call's arguments; what it returns is typed and frozen like an argument."""
    runs = []
    f = resilient(cache=CacheConfig(key=lambda session, user: [user]))(lambda session, user: runs.append(user))
    f(object(), 1), f(object(), 1)
    assert runs == [1]
    f(object(), True)
    assert runs == [1, True]
    assert f.cache.invalidate(None, 1) is True


def test_arguments_that_do_not_fit_are_the_functions_to_refuse():
    """A call with wrong arguments raises the function's own TypeError."""

    @resilient(cache=CacheConfig())
    def f(a, *, b=1):
        return a

    for call in (lambda: f(), lambda: f(1, 2), lambda: f(1, c=2)):
        with pytest.raises(TypeError, match=r"f\(\)"):
            call()


def test_builtins_without_a_signature_are_cached_too():
    """A builtin that tells no signature is keyed by what it is called with."""
    f = resilient(cache=CacheConfig())(max)
    assert [f(1, 2), f(1, 2), f([3, 4])] == [2, 2, 4]
    assert f.cache_info().hits == 1


def test_too_deep_is_refused_not_crashed():
    """A self-containing or 100 000 levels deep argument is refused with an error that says so."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    loop = {}
    loop["me"] = loop
    f = resilient(cache=CacheConfig())(lambda x: 1)
    for odd in (deep, loop):
        with pytest.raises(CacheKeyError, match="nested deeper"):
            f(odd)
    while deep:
        deep = deep[0]


def test_hash_and_eq_that_raise_fail_that_call_alone():
    """An argument whose `__hash__` raises fails its own call with its own error, and wedges nothing."""

    class Odd:
        def __eq__(self, other):
            return self is other

        def __hash__(self):
            raise RuntimeError("no hash today")

    f = resilient(cache=CacheConfig())(lambda x: 1)
    with pytest.raises(RuntimeError, match="no hash today"):
        f(Odd())
    assert f(1) == 1
