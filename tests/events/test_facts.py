"""What events look like, and which of them a call tells."""

import dataclasses

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    EventType,
    FallbackConfig,
    RateLimiterConfig,
    ResilienceEvent,
    RetryConfig,
    TimeoutConfig,
    resilience_context,
    resilient,
)
from pyresilience import events as catalogue
from pyresilience.testing import EventRecorder

KINDS = [
    each
    for each in vars(catalogue).values()
    if isinstance(each, type) and issubclass(each, ResilienceEvent) and each is not ResilienceEvent
]


def test_the_value_of_a_type_is_its_name_in_lower_case():
    """Values can be told from names, and are text."""
    assert all(each.value == each.name.lower() and isinstance(each, str) for each in EventType)


def test_every_type_has_a_class_of_its_own():
    """Fifteen facts, fifteen classes."""
    assert sorted(kind(function_name="f").event_type for kind in KINDS) == sorted(EventType)


@pytest.mark.parametrize("kind", KINDS)
def test_events_are_frozen(kind):
    """No listener can change what the next one sees."""
    event = kind(function_name="f")
    for field in dataclasses.fields(event):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            setattr(event, field.name, None)


def test_the_base_event_has_the_contracted_fields():
    """Names, order and defaults of the fields every event has."""
    event = ResilienceEvent(EventType.RETRY, "f")
    assert [field.name for field in dataclasses.fields(event)] == [
        "event_type",
        "function_name",
        "attempt",
        "error",
        "detail",
        "context",
        "duration",
    ]
    assert (event.attempt, event.error, event.detail, event.context, event.duration) == (0, None, "", None, None)


def test_a_run_ends_in_one_event(colour, clock, events):
    """SUCCESS or FAILURE, with the last attempt and the time of the whole run."""
    answers = [OSError(), "done"]

    def body():
        clock.advance(2)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    retry = RetryConfig(delay=3, jitter=None)
    colour.call(colour.decorate(body, retry=retry, clock=clock, listeners=[events]))
    (success,) = events.of(EventType.SUCCESS, EventType.FAILURE)
    assert (success.event_type, success.attempt, success.duration) == (EventType.SUCCESS, 2, 7.0)


def test_a_cache_hit_is_no_run(colour, events):
    """A hit tells CACHE_HIT and nothing else, attempt 0."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(), listeners=[events])
    colour.call(f, 1)
    colour.call(f, 1)
    assert events.types == [EventType.CACHE_MISS, EventType.SUCCESS, EventType.CACHE_HIT]
    assert (events.events[-1].attempt, events.events[-1].source) == (0, "fresh")


def test_a_cancelled_run_is_neither_success_nor_failure(colour, events):
    """What was stopped from outside says nothing of the function."""

    def body():
        raise KeyboardInterrupt

    f = colour.decorate(body, retry=RetryConfig(), circuit_breaker=CircuitBreakerConfig(), listeners=[events])
    with pytest.raises(KeyboardInterrupt):
        colour.call(f)
    assert events.types == []


def test_the_name_is_the_qualified_name(events):
    """What stands before `<locals>.` is left out, and `name=` wins."""

    class Client:
        @resilient(listeners=[events])
        def fetch(self):
            """Fetch."""

    def local():
        pass

    Client().fetch()
    resilient(listeners=[events])(local)()
    resilient(listeners=[events], name="payments")(local)()
    assert [event.function_name for event in events] == ["Client.fetch", "local", "payments"]


def test_the_context_travels_with_every_event(colour, events):
    """What `resilience_context` holds stands in every event of the call, worker threads included."""

    def body(x):
        raise OSError

    f = colour.decorate(
        body,
        cache=CacheConfig(),
        fallback=FallbackConfig("x"),
        retry=RetryConfig(max_attempts=2, delay=0),
        timeout=TimeoutConfig(15, per_attempt=False),
        listeners=[events],
    )

    async def scenario():
        token = resilience_context.set({"request": "r1"})
        await colour.go(f, 1)
        resilience_context.reset(token)
        await colour.go(f, 2)

    colour.run(scenario)
    half = len(events) // 2
    assert [event.context for event in events] == [{"request": "r1"}] * half + [None] * half
    assert half == 5


@pytest.mark.parametrize("put", [True, False])
def test_arguments_never_stand_in_events_or_messages(colour, events, put):
    """A secret passed as an argument appears in no event and no message of ours."""
    secret = "hunter2"
    f = colour.decorate(
        lambda password, x=None: None,
        cache=CacheConfig() if put else None,
        circuit_breaker=CircuitBreakerConfig(),
        rate_limiter=RateLimiterConfig(max_calls=1, period=60),
        bulkhead=BulkheadConfig(),
        listeners=[events],
    )
    colour.call(f, secret)
    refused = colour.outcome(f, secret, x=1)
    f.circuit_breaker.force_open()
    rejected = colour.outcome(f, secret, x=2)
    assert len(events) >= 5
    assert all(secret not in text for text in [repr(events.events), str(refused), repr(refused), str(rejected)])


def test_without_listeners_no_event_is_made(colour, monkeypatch):
    """Where nobody listens nothing is told."""
    made = []
    monkeypatch.setattr(ResilienceEvent, "__post_init__", lambda self: made.append(self), raising=False)
    f = colour.decorate(lambda x: x, cache=CacheConfig(), retry=RetryConfig())
    colour.call(f, 1)
    colour.call(f, 1)
    assert made == []


@pytest.mark.parametrize("odd", ["text", 5, [1, 2]])
def test_a_context_that_is_no_mapping_is_not_felt_by_the_call(odd):
    """What a user has put into `resilience_context` by mistake breaks no call; the event goes without."""
    recorder = EventRecorder()
    f = resilient(listeners=[recorder])(lambda: 1)
    token = resilience_context.set(odd)
    try:
        assert f() == 1
    finally:
        resilience_context.reset(token)
    assert [event.context for event in recorder] == [None]
