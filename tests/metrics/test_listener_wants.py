"""Listeners that say what they want to hear, and what is not made when nobody wants it."""

from __future__ import annotations

import sys
from unittest.mock import MagicMock, Mock

import pytest

from pyresilience import CacheConfig, CircuitBreakerConfig, EventType, FallbackConfig, RetryConfig, resilient
from pyresilience.events import CacheHit, ResilienceEvent
from pyresilience.testing import EventRecorder

SETTINGS = {
    "cache": CacheConfig(),
    "fallback": FallbackConfig("x"),
    "retry": RetryConfig(max_attempts=2, delay=0),
    "circuit_breaker": CircuitBreakerConfig(failure_threshold=2),
}


class Picky(EventRecorder):
    """A recorder that wants some events only."""

    def __init__(self, wants):
        super().__init__()
        self.wants = wants


def broken(*args):
    raise OSError


@pytest.mark.parametrize("collection", [frozenset, set, tuple, list])
@pytest.mark.parametrize("kind", [EventType.CACHE_MISS, EventType.RETRY, EventType.FALLBACK_USED, EventType.SUCCESS])
def test_it_hears_what_it_wants(colour, events, kind, collection):
    """A listener hears exactly those of the wanted types that all others hear."""
    picky = Picky(collection([kind]))
    f = colour.decorate(broken, **SETTINGS, listeners=[picky, events])
    for _ in range(2):
        colour.call(f, 1)
    assert picky.events == events.of(kind)
    assert len(picky) >= 1


def test_it_hears_the_hits_it_wants(colour, events):
    """Hits are told to those who want them, and not to others."""
    wants, does_not = Picky({EventType.CACHE_HIT}), Picky({EventType.CACHE_MISS})
    f = colour.decorate(lambda x: x, cache=CacheConfig(), listeners=[wants, does_not])
    for _ in range(3):
        colour.call(f, 1)
    assert (len(wants), len(does_not)) == (2, 1)


def test_wanting_nothing(colour):
    """An empty collection hears nothing."""
    deaf = Picky(())
    colour.call(colour.decorate(broken, **SETTINGS, listeners=[deaf]), 1)
    assert len(deaf) == 0


def test_wanting_by_value(colour):
    """The values of the types will do as well."""
    picky = Picky({"cache_miss"})
    colour.call(colour.decorate(broken, **SETTINGS, listeners=[picky]), 1)
    assert picky.types == [EventType.CACHE_MISS]


@pytest.mark.parametrize("wants", [None, "cache_hit", 5, object(), {}.keys, iter(())])
def test_what_is_no_collection_hears_all(colour, wants):
    """A `wants` that means something else is no wish: the listener hears everything, and the call feels nothing."""
    odd = Picky(wants)
    assert colour.call(colour.decorate(broken, **SETTINGS, listeners=[odd]), 1) == "x"
    assert {EventType.CACHE_MISS, EventType.RETRY, EventType.FALLBACK_USED, EventType.SUCCESS} <= set(odd.types)


@pytest.mark.parametrize("kind", [Mock, MagicMock])
def test_mocks_hear_all(colour, kind):
    """A mock, which has any attribute one asks for, is a listener like any other."""
    mock = kind()
    f = colour.decorate(lambda x: x, cache=CacheConfig(), listeners=[mock])
    for _ in range(2):
        colour.call(f, 1)
    heard = [call.args[0].event_type for call in mock.call_args_list]
    assert heard == [EventType.CACHE_MISS, EventType.SUCCESS, EventType.CACHE_HIT]


def made(function, *arguments):
    """The kinds of events that a call makes."""
    kinds = []

    def watch(frame, event, arg):
        if event == "call" and frame.f_code.co_name == "__init__":
            made = frame.f_locals.get("self")
            if isinstance(made, ResilienceEvent):
                kinds.append(type(made))

    sys.setprofile(watch)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return kinds


def test_hits_make_no_event_for_the_metrics():
    """With metrics alone a hit makes no event: they do not want to hear of it."""
    f = resilient(cache=CacheConfig(enable_metrics=True))(lambda x: x)
    assert [each.__name__ for each in made(f, 1)] == ["Succeeded"]
    assert made(f, 1) == []


def test_hits_make_one_event_for_a_listener():
    """Beside the metrics, one who listens to everything makes every hit an event."""
    f = resilient(cache=CacheConfig(enable_metrics=True), listeners=[EventRecorder()])(lambda x: x)
    f(1)
    assert made(f, 1) == [CacheHit]


def test_failures_are_counted_by_place(caplog):
    """A listener that raises is counted and logged once, also where another hears nothing of it."""

    def bad(event):
        raise RuntimeError

    deaf = Picky(())
    f = resilient(**SETTINGS, listeners=[deaf, bad])(broken)
    f(1), f(2)
    assert f.pipeline.listener_errors > 2
    assert len(caplog.records) == 1
