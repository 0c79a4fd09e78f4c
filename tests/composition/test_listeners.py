"""Listeners of every temper are never felt by the call."""

import contextvars
import threading
from collections import Counter

import pytest

from pyresilience import (
    CacheConfig,
    CircuitBreakerConfig,
    EventType,
    FallbackConfig,
    MetricsCollector,
    RetryConfig,
    resilience_context,
    resilient,
)

SETTINGS = {
    "cache": CacheConfig(),
    "fallback": FallbackConfig("x"),
    "retry": RetryConfig(max_attempts=2, delay=0),
    "circuit_breaker": CircuitBreakerConfig(failure_threshold=2),
}


def broken(*args):
    raise OSError


def test_one_that_raises_is_not_felt(colour, events, caplog):
    """The call ends as ever, the other listeners hear everything, and the failures are counted and logged once."""

    def bad(event):
        raise RuntimeError("bad listener")

    f = colour.decorate(broken, **SETTINGS, listeners=[bad, events])
    assert [colour.call(f) for _ in range(3)] == ["x"] * 3
    assert f.pipeline.listener_errors == len(events) > 5
    assert len(caplog.records) == 1


def test_one_that_calls_the_function_again(colour, clock):
    """A listener runs outside of every lock: it may call the function whose event it hears."""
    depth = []

    def again(event):
        if len(depth) < 3:
            depth.append(event.event_type)
            sync()

    sync = resilient(**SETTINGS, listeners=[again], clock=clock)(broken)
    assert sync() == "x"
    assert len(depth) == 3


def test_one_that_operates_the_breaker():
    """A listener may close the circuit that has just opened."""

    def close(event):
        if event.event_type is EventType.CIRCUIT_OPEN:
            f.circuit_breaker.reset()

    f = resilient(circuit_breaker=CircuitBreakerConfig(failure_threshold=1), listeners=[close])(broken)
    for _ in range(3):
        with pytest.raises(OSError):
            f()


def test_one_that_changes_the_context(colour):
    """An event's context is a read-only copy: neither the caller nor the next listener sees a change."""
    seen = []

    def changes(event):
        event.context["tenant"] = "other"

    f = colour.decorate(lambda: 1, listeners=[changes, lambda event: seen.append(dict(event.context))])

    async def scenario():
        token = resilience_context.set({"tenant": "acme"})
        try:
            await colour.go(f)
            return resilience_context.get()
        finally:
            resilience_context.reset(token)

    assert colour.run(scenario) == {"tenant": "acme"}
    assert seen == [{"tenant": "acme"}]


def test_an_event_keeps_the_context_of_its_moment(colour, events):
    """What is changed in the context afterwards does not reach into past events."""
    facts = {"step": 1}
    f = colour.decorate(lambda: 1, listeners=[events])

    async def scenario():
        resilience_context.set(facts)
        await colour.go(f)
        facts["step"] = 2
        await colour.go(f)

    contextvars.copy_context().run(colour.run, scenario)
    assert [event.context["step"] for event in events] == [1, 2]


def test_an_exit_is_not_swallowed():
    """Ctrl-C in a listener ends the call like anywhere else."""

    def stop(event):
        raise KeyboardInterrupt

    f = resilient(listeners=[stop])(lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        f()


@pytest.mark.parametrize("bad", [None, 3, "print"])
def test_what_cannot_be_called_is_refused(bad):
    """A listener that is not callable is refused at decoration."""
    with pytest.raises(TypeError, match="listener"):
        resilient(listeners=[bad])


async def async_listener(event):
    return None


class AsyncListener:
    async def __call__(self, event):
        return None


@pytest.mark.parametrize("bad", [async_listener, AsyncListener(), AsyncListener().__call__])
def test_an_async_listener_is_refused(bad):
    """A listener whose result nobody would await is refused at decoration."""
    with pytest.raises(TypeError, match="async"):
        resilient(listeners=[bad])


@pytest.mark.parametrize("bad", [print, "listeners", 3, {print}])
def test_listeners_are_a_sequence(bad):
    """What is no sequence of callables is refused at decoration."""
    with pytest.raises(TypeError, match="listener"):
        resilient(listeners=bad)


def test_counts_from_many_threads_add_up():
    """Eight threads that hammer one function: the collector has counted every event of every call."""
    collector = MetricsCollector()
    threads, rounds = 8, 300

    @resilient(retry=RetryConfig(max_attempts=2, delay=0), listeners=[collector])
    def f(number):
        if number % 3 == 0:
            raise OSError
        return number

    def hammer():
        for number in range(rounds):
            try:
                f(number)
            except OSError:
                pass

    crew = [threading.Thread(target=hammer, daemon=True) for _ in range(threads)]
    for each in crew:
        each.start()
    for each in crew:
        each.join(30)
    (counts,) = collector.get_counts().values()
    failing = threads * rounds // 3
    assert Counter(counts) == Counter(
        {"success": threads * rounds - failing, "failure": failing, "retry": failing, "retry_exhausted": failing}
    )
