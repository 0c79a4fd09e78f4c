"""How heavy values are: exact where small, near enough where large, bounded in work, and never felt by the call."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience import CacheConfig, resilient
from pyresilience.cache import keeper, weight
from pyresilience.cache.weight import MOST, weight_of

size = sys.getsizeof

Point = namedtuple("Point", "x y")


class Colour(Enum):
    RED = "red"


class Slotted:
    __slots__ = ("__hidden", "empty", "seen")

    def __init__(self, seen, hidden):
        self.seen, self.__hidden = seen, hidden


class Below(Slotted):
    __slots__ = ("more",)


class Attributed:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class MyList(list):
    pass


class MyDict(dict):
    def items(self):
        raise RuntimeError("not yours")

    def __iter__(self):
        raise RuntimeError("not yours")

    def __len__(self):
        raise RuntimeError("not yours")


@dataclass
class Record:
    name: str
    tags: list[str]


def text(character, length=1000):
    """A text that shares nothing with any other."""
    return character * length


@pytest.mark.parametrize(
    "value", [0, 10**100, 1.5, True, None, "word", "x" * 9999, b"bytes", bytearray(500), 1j, range(9), Decimal("1.5")]
)
def test_plain_values(value):
    """What is made of nothing else weighs what it says."""
    assert weight_of(value) == size(value)


def test_small_containers_are_exact():
    """A container weighs itself and what is in it, at every depth."""
    a, b, c = text("a"), text("b"), text("c")
    assert weight_of([a, b]) == size([a, b]) + size(a) + size(b)
    assert weight_of((a, (b, [c]))) == size((1, 2)) * 2 + size([c]) + size(a) + size(b) + size(c)
    assert weight_of({"key": a}) == size({"key": a}) + size("key") + size(a)
    assert weight_of({a, b}) == size({a, b}) + size(a) + size(b)
    assert weight_of(frozenset([a])) == size(frozenset([a])) + size(a)
    assert weight_of(deque([a, b])) == size(deque([a, b])) + size(a) + size(b)
    assert weight_of([]) == size([])
    assert weight_of({}) == size({})


def test_subclasses_of_containers_are_looked_into():
    """So are those of the standard library and one's own, whatever they make of their methods."""
    a, b = text("a"), text("b")
    assert weight_of(Point(a, b)) == size(Point(a, b)) + size(a) + size(b)
    for made in (OrderedDict(k=a), defaultdict(list, k=a), Counter({a: 1}), MyDict(k=a), MyList([a]), UserDict(k=a)):
        assert size(a) < weight_of(made) < size(a) + 2000, type(made)


def test_objects_weigh_their_attributes():
    """Attributes and slots count, inherited and private ones too; empty slots do not."""
    a, b, c = text("a"), text("b"), text("c")
    assert weight_of(Attributed(a=a)) >= size(a) + size(Attributed(a=a))
    below = Below(a, b)
    assert weight_of(below) == size(below) + size(a) + size(b)
    below.more = c
    assert weight_of(below) == size(below) + size(a) + size(b) + size(c)
    assert size(a) + size(b) < weight_of(Record(a, [b])) < size(a) + size(b) + 1000


def test_shared_parts_count_once():
    """A part that is there many times is one part; what belongs to the program weighs nothing beside its own."""
    a = text("a")
    assert weight_of([a] * 9) == size([a] * 9) + size(a)
    assert weight_of([int, len, sys, weight_of]) == size([1, 2, 3, 4])
    assert weight_of(Colour.RED) < 2000


def test_cycles_end():
    """What contains itself is weighed once."""
    a = text("a")
    ring = [a]
    ring.append(ring)
    assert weight_of(ring) == size(ring) + size(a)
    one, two = Attributed(name=a), Attributed()
    one.other, two.other = two, one
    assert size(a) < weight_of(one) < size(a) + 2000


def true_weight(value):
    """The exact weight of nested plain containers."""
    if isinstance(value, dict):
        return size(value) + sum(true_weight(key) + true_weight(each) for key, each in value.items())
    if isinstance(value, (list, tuple, set)):
        return size(value) + sum(map(true_weight, value))
    return size(value)


LARGE = {
    "numbers": lambda: list(range(1000, 101_000)),
    "a few": lambda: list(range(1000, 2000)),
    "texts": lambda: [str(number) * 10 for number in range(20_000)],
    "a dict": lambda: {number: str(number) * 5 for number in range(1000, 21_000)},
    "a set": lambda: {str(number) for number in range(20_000)},
    "a tuple of tuples": lambda: tuple((number, str(number)) for number in range(1000, 11_000)),
    "rows": lambda: [{"id": number, "name": f"name {number}", "tags": [str(number)]} for number in range(1000, 6000)],
    "a matrix": lambda: [[float(x * y) for x in range(100)] for y in range(1, 100)],
    "a tree": lambda: {a: {b: [a * b + 1000.5] * 1 for b in range(30)} for a in range(30)},
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_values_are_estimated(kind):
    """Even containers of many like parts are estimated within a third of what they are."""
    value = LARGE[kind]()
    assert weight_of(value) == pytest.approx(true_weight(value), rel=0.34)


@pytest.mark.parametrize("kind", LARGE)
def test_the_work_is_bounded(kind, monkeypatch):
    """However large a value is, no more than so many parts are looked at."""
    looked = []
    own_size = weight._own_size
    monkeypatch.setattr(weight, "_own_size", lambda part: looked.append(1) or own_size(part))
    weight_of(LARGE[kind]())
    assert 0 < len(looked) <= 40 * MOST


def test_deep_values():
    """Nesting of any depth is no recursion."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert weight_of(deep) > 0
    while deep:
        deep = deep.pop()


nested = st.recursive(
    st.integers() | st.floats() | st.text(max_size=5) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(nested)
def test_any_plain_value(value):
    """A weight is a whole number, at least that of the value's own shell and at most that of all its parts."""
    found = weight_of(value)
    assert type(found) is int
    assert size(value) <= found <= true_weight(value)


class Lying:
    def __init__(self, answer):
        self._answer = answer

    def __sizeof__(self):
        if isinstance(self._answer, type):
            raise self._answer
        return self._answer


class SlotBelowProperty:
    __slots__ = ("lazy",)


class PropertyAboveSlot(SlotBelowProperty):
    @property
    def lazy(self):
        raise RuntimeError("not yours")


class NoDict:
    @property
    def __dict__(self):
        raise RuntimeError("not yours")


class NoAttributes:
    def __getattribute__(self, name):
        raise RuntimeError("not yours")


class OtherClass:
    @property
    def __class__(self):
        raise RuntimeError("not yours")


class PretendsList:
    __class__ = list


class OddSlots:
    pass


OddSlots.__slots__ = 5


class OddModule:
    pass


OddModule.__module__ = None


def touchy():
    """An object whose class answers nothing. Made where it is used, as pytest looks at classes too."""

    class Touchy(type):
        def __instancecheck__(cls, instance):
            raise RuntimeError("not yours")

        def __subclasscheck__(cls, other):
            raise RuntimeError("not yours")

        def __getattribute__(cls, name):
            raise AttributeError if name == "__next__" else RuntimeError("not yours")

    return Touchy("OfTouchy", (), {})()


HOSTILE = {
    **{f"says {answer}": lambda answer=answer: Lying(answer) for answer in (-1, "much", 10**30, None, ValueError)},
    "a slot below a property": PropertyAboveSlot,
    "no __dict__": NoDict,
    "no attributes": NoAttributes,
    "another class": OtherClass,
    "pretends to be a list": PretendsList,
    "odd slots": OddSlots,
    "odd module": OddModule,
    "a dict with methods of its own": lambda: MyDict(a=1),
    "a touchy class": touchy,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values_are_not_felt(kind):
    """What cannot be asked is weighed somehow, alone or inside; a cached call returns it and hits."""
    value = HOSTILE[kind]()
    assert 0 <= weight_of(value) < 100_000
    assert weight_of([value, text("a")]) > 1000
    f = resilient(cache=CacheConfig(enable_metrics=True))(lambda: value)
    assert f() is value
    assert f() is value
    assert f.metrics.get_stats().hits == 1


def test_what_says_its_size_is_believed():
    """An array's own `__sizeof__` tells its bytes."""
    assert weight_of(Lying(10**6)) >= 10**6


@pytest.mark.parametrize("container", [{}, set(), deque(), []], ids=lambda made: type(made).__name__)
def test_containers_that_change_while_they_are_weighed(container):
    """Another thread may fill or empty a container at any moment of its weighing: the call does not feel it."""
    point, done = 0, False
    while not done:
        point += 1
        value, count = container.copy(), 0
        grow(value, 0)
        grow(value, 1)

        def watch(frame, event, arg):
            nonlocal count
            if event in ("call", "c_call", "c_return") and "cache/weight.py" in frame.f_code.co_filename:
                count += 1
                if count == point:
                    sys.setprofile(None)
                    if point % 2:
                        value.clear()
                    else:
                        for number in range(2, 99):
                            grow(value, number)

        sys.setprofile(watch)
        try:
            assert weight_of([value]) > 0
        finally:
            sys.setprofile(None)
        done = count < point
    assert point > 5


@pytest.mark.parametrize("container", [{}, set(), deque(), []], ids=lambda made: type(made).__name__)
def test_empty_containers_that_are_filled_while_they_are_weighed(container):
    """What was empty at the first look and is not at the second weighs something."""
    point, done = 0, False
    while not done:
        point += 1
        value, count = container.copy(), 0

        def watch(frame, event, arg):
            nonlocal count
            if event in ("call", "c_call", "c_return") and "cache/weight.py" in frame.f_code.co_filename:
                count += 1
                if count == point:
                    sys.setprofile(None)
                    grow(value, 1)

        sys.setprofile(watch)
        try:
            assert weight_of([value]) > 0
        finally:
            sys.setprofile(None)
        done = count < point
    assert point > 5


def grow(container, number):
    if isinstance(container, dict):
        container[number] = number
    elif isinstance(container, set):
        container.add(number)
    else:
        container.append(number)


def test_values_of_the_library():
    """Times, errors, functions and generators are weighed without being run."""

    def generator():
        yield from [text("a")]

    stream = generator()
    for value in (datetime.now(), ValueError(text("a")), lambda: 1, stream, iter([1]), object(), type):
        assert weight_of(value) >= 0
    assert next(stream) == text("a")


def test_a_call_weighs_once(monkeypatch):
    """A write weighs what is written and nothing else, however many entries there are."""
    weighed = []
    monkeypatch.setattr(keeper, "weight_of", lambda value: weighed.append(value) or weight_of(value))
    f = resilient(cache=CacheConfig(max_size=1000, enable_metrics=True))(lambda x: x)
    for x in range(1500):
        f(x)
        f(x)
        f.metrics.get_stats()
    assert weighed == list(range(1500))
