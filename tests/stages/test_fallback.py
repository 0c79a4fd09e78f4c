"""Standing in for an error."""

from functools import partial

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    EventType,
    FallbackConfig,
    RateLimiterConfig,
    RateLimitExceededError,
    resilient,
)


def broken():
    raise OSError("down")


@pytest.mark.parametrize("value", ["stand-in", 0, "", [], False])
def test_a_value_stands_in(colour, value):
    """A handler that is not callable is the answer itself, falsy ones included."""
    assert colour.call(colour.decorate(broken, fallback=FallbackConfig(value))) is value


def test_a_function_makes_the_answer(colour):
    """A function gets the exception and its result is the answer."""
    f = colour.decorate(broken, fallback=FallbackConfig(lambda error: f"instead of {error}"))
    assert colour.call(f) == "instead of down"


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
def test_an_async_function_makes_the_answer(colour):
    """On async functions the handler may be async."""

    async def handler(error):
        await colour.sleep(0)
        return f"instead of {error}"

    assert colour.call(colour.decorate(broken, fallback=FallbackConfig(handler))) == "instead of down"


class AsyncHandler:
    async def __call__(self, error):
        return "stand-in"


async def handler(error):
    return "stand-in"


@pytest.mark.parametrize("each", [handler, partial(handler), AsyncHandler(), AsyncHandler().__call__])
def test_an_async_handler_on_a_sync_function_is_refused(each):
    """What would answer with a coroutine is refused at decoration, whatever makes it async."""
    with pytest.raises(TypeError, match="async"):
        resilient(fallback=FallbackConfig(each))(broken)


@pytest.mark.parametrize("colour", ["asyncio", "trio"], indirect=True)
def test_an_object_with_an_async_call_is_awaited(colour):
    """An object with an async `__call__` is an async handler."""
    assert colour.call(colour.decorate(broken, fallback=FallbackConfig(AsyncHandler()))) == "stand-in"


def test_without_a_handler_there_is_no_fallback(colour, events):
    """FallbackConfig() disables it."""
    assert isinstance(colour.outcome(colour.decorate(broken, fallback=FallbackConfig(), listeners=[events])), OSError)
    assert events.types == [EventType.FAILURE]


def test_fallback_on_names_the_errors(colour):
    """An error that is not named reaches the caller."""
    f = colour.decorate(broken, fallback=FallbackConfig("x", fallback_on=(KeyError, ConnectionError)))
    assert isinstance(colour.outcome(f), OSError)
    assert colour.call(colour.decorate(broken, fallback=FallbackConfig("x", fallback_on=OSError))) == "x"


def test_fallback_on_may_be_a_predicate(colour):
    """A function of the error decides."""
    for word, stands_in in (("down", True), ("up", False)):
        f = colour.decorate(
            broken, fallback=FallbackConfig("x", fallback_on=lambda error, word=word: word in str(error))
        )
        assert (colour.outcome(f) == "x") is stands_in


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ({"circuit_breaker": CircuitBreakerConfig()}, CircuitOpenError),
        ({"rate_limiter": RateLimiterConfig(max_calls=1, period=60)}, RateLimitExceededError),
    ],
)
def test_rejections_are_obeyed_like_errors(colour, stage, error):
    """A refusal of an inner stage is stood in for if, and only if, fallback_on says so."""

    def ends(fallback_on):
        f = colour.decorate(lambda: "real", fallback=FallbackConfig("x", fallback_on=fallback_on), **stage)
        if f.circuit_breaker:
            f.circuit_breaker.force_open()
        else:
            colour.call(f)
        return colour.outcome(f)

    assert ends((Exception,)) == "x"
    assert ends(error) == "x"
    assert isinstance(ends(KeyError), error)


def test_a_handler_that_raises_is_felt(colour):
    """The error of a handler reaches the caller, with what it was to stand in for as its context."""

    def bad(error):
        raise KeyError("handler")

    raised = colour.outcome(colour.decorate(broken, fallback=FallbackConfig(bad)))
    assert isinstance(raised, KeyError)
    assert isinstance(raised.__context__, OSError)


def test_a_fallback_is_told(colour, events):
    """FALLBACK_USED carries the error, and the run's SUCCESS says that it was stood in for."""
    colour.call(colour.decorate(broken, fallback=FallbackConfig("x"), listeners=[events]))
    used, success = events
    assert (used.event_type, str(used.error)) == (EventType.FALLBACK_USED, "down")
    assert (success.event_type, success.stood_in) == (EventType.SUCCESS, True)


def test_a_fallback_is_never_cached(colour):
    """The next call runs the function again."""
    answers = [OSError(), "real"]

    def body():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    f = colour.decorate(body, cache=CacheConfig(), fallback=FallbackConfig("x"))
    assert [colour.call(f) for _ in range(3)] == ["x", "real", "real"]


def test_a_success_is_left_alone(colour, events):
    """A handler is not called where nothing fails."""
    f = colour.decorate(lambda: "real", fallback=FallbackConfig(lambda error: 1 / 0), bulkhead=BulkheadConfig())
    assert colour.call(f) == "real"
