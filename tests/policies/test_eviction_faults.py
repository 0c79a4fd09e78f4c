"""Eviction orders when something comes in between: Ctrl-C, a signal handler that uses them, keys that fail."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

import pytest
from interrupting import SIGNAL_POINTS

from pyresilience.policies import eviction

HOME = str(Path(eviction.__file__).parent)


@pytest.fixture
def used(cache_of):
    """What makes a cache with a past: something in every queue, hits, ghosts, notes."""

    def used():
        cache = cache_of(8)
        cache.get(*Random(5).choices(range(16), weights=range(1, 17), k=300))
        return cache

    return used


def work(cache):
    """A little of everything."""
    cache.get(3, 15, 15, 20, 14, 3, 21)
    cache.drop(15)
    cache.get(22, 14, 15, 3, 20)


def agree(cache):
    """What cache and order do not both know is dropped: the cache does so when it finds out."""
    known = cache.known
    cache.held &= known
    for key in known - cache.held:
        cache.order.discard(key)


def still_works(cache):
    """It goes on as ever, and gives back each of those it knows once."""
    for key in (*range(30, 50), 14, 3, 14, 3, *range(50, 55)):
        cache.get(key)
        assert len(cache.order) == len(cache.held) <= 8
    assert cache.placed <= len(cache.order) + 1
    assert sorted(cache.victims()) == sorted(cache.held)
    assert cache.placed == 0


def interrupted(point, action, *, opcodes=False):
    """Run *action* with an interrupt at the *point*-th line, or opcode, of ours; whether it has as many."""
    seen, hit, tracer = 0, False, sys.gettrace()

    def watch(frame, event, arg):
        nonlocal seen, hit
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        frame.f_trace_opcodes = opcodes
        if event == ("opcode" if opcodes else "line"):
            seen += 1
            if seen == point:
                sys.settrace(None)
                hit = True
                raise KeyboardInterrupt
        return watch

    sys.settrace(watch)
    try:
        action()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(tracer)
    return hit


@pytest.mark.parametrize("opcodes", [False, True], ids=["lines", "opcodes"])
def test_an_interrupt_anywhere_does_no_harm(used, opcodes):
    """After Ctrl-C at any line, and at every eleventh opcode, no key is lost but perhaps the one that it was about."""
    for point in count(1, 11 if opcodes else 1):
        cache = used()
        reached = interrupted(point, lambda: work(cache), opcodes=opcodes)
        if not reached and point > 1:  # the first time, Python 3.12.1 tells of no opcode
            assert point > 100
            return
        assert len(cache.known ^ cache.held) <= 1
        agree(cache)
        still_works(cache)


def test_many_interrupts_do_not_add_up(used):
    """One interrupt after the other, at changing places, leaves the order as small and as sound as one."""
    cache, dice = used(), Random(3)
    for _ in range(300):
        keys = dice.choices(range(40), k=3)
        interrupted(dice.randrange(1, 60), lambda: cache.get(*keys))
        agree(cache)
        while len(cache.held) > cache.size:
            cache.evict()
    assert cache.placed <= len(cache.order) + 10
    still_works(cache)


def handler(cache, what, number):
    """What a signal handler, or a finalizer, may do with the same cache."""
    if what == "put":
        cache.get(1000 + number, 14)
    elif what == "evict":
        with suppress(KeyError):
            cache.held.discard(cache.order.victim())
    elif what == "clear":
        cache.clear()
    else:
        for key in (3, 14, 15, 20):
            with suppress(KeyError):
                cache.order.touch(key)


@pytest.mark.parametrize("what", ["put", "evict", "clear", "touch"])
def test_a_signal_handler_may_use_it(used, what):
    """A handler that uses the same order, wherever one can run, makes nobody raise and loses no key."""
    for point in count(1):
        cache, seen = used(), 0

        def watch(frame, event, arg, cache=cache, point=point):
            nonlocal seen
            if event in SIGNAL_POINTS and frame.f_code.co_filename.startswith(HOME):
                seen += 1
                if seen == point:
                    sys.setprofile(None)
                    handler(cache, what, point)

        for key in (20, 14, 21, 3, 22):
            sys.setprofile(watch)
            try:
                put(cache, key)
            finally:
                sys.setprofile(None)
        agree(cache)
        still_works(cache)
        if seen < point:
            assert point > 30
            return


def put(cache, key):
    """As the cache does it, which finds rows gone, or nobody to evict, when a handler was there before."""
    if key in cache.held:
        with suppress(KeyError):
            cache.order.touch(key)
        return
    cache.held.add(key)
    cache.order.add(key)
    while len(cache.held) > cache.size:
        try:
            cache.held.discard(cache.order.victim())
        except KeyError:
            assert len(cache.order) == 0
            return


class Grudging:
    """A key whose hash, or whose comparison, fails at the chosen time."""

    uses, fails_at = 0, 0

    def __init__(self, name):
        self.name = name

    def _used(self):
        Grudging.uses += 1
        if Grudging.uses == Grudging.fails_at:
            raise OSError

    def __hash__(self):
        self._used()
        return self.name % 5

    def __eq__(self, other):
        self._used()
        return self.name == other.name

    def __lt__(self, other):
        return self.name < other.name


def test_a_key_that_raises_does_no_harm(cache_of):
    """Whenever a hash or a comparison of a key fails, the caller hears of it, and the order stays sound."""
    for fails_at in count(1):
        Grudging.fails_at = 0
        cache, keys = cache_of(8), [Grudging(name) for name in range(14)]
        for key in keys[:8]:
            cache.order.add(key)
        Grudging.uses, Grudging.fails_at = 0, fails_at
        failed = 0
        for action, key in (("add", 8), ("victim", 0), ("touch", 7), ("add", 9), ("discard", 6), ("victim", 0)):
            try:
                cache.order.victim() if action == "victim" else getattr(cache.order, action)(keys[key])
            except KeyError:
                assert action == "touch"
            except OSError:
                failed += 1
        missed, Grudging.fails_at = Grudging.uses < fails_at, 0
        assert failed == (not missed)
        cache.order.add(keys[10])
        known = sorted(cache.known)
        assert sorted(cache.victims()) == known
        assert len(cache.order) == cache.placed == 0
        if missed:
            assert fails_at > 12
            return


def test_a_key_that_changes_its_hash_stops_nobody(cache_of):
    """A key that cannot be found any more is passed over: the others leave as ever, and asking comes to an end."""

    class Changing:
        number = 1

        def __hash__(self):
            return self.number

    cache, key = cache_of(10), Changing()
    cache.order.add(key)
    for number in range(100, 109):
        cache.order.add(number)
    key.number = 2
    victims = []
    for number in range(200, 400):
        cache.order.add(number)
        victims.append(cache.order.victim())
    assert len(victims) == len({*victims})
    assert len(cache.victims()) <= 10
    with pytest.raises(KeyError):
        cache.order.victim()
