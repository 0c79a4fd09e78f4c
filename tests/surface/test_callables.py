"""What can be decorated, and how the decorated function looks."""

import asyncio
import copy
import functools
import inspect
import pickle
from unittest import mock

import pytest

from pyresilience import (
    BulkheadFullError,
    CacheConfig,
    CacheKeyError,
    CircuitBreakerConfig,
    CircuitOpenError,
    RateLimitExceededError,
    RejectedError,
    ResilienceError,
    ResilienceTimeoutError,
    RetryConfig,
    resilient,
)


def plain(a: int, b: int = 2, *rest: int, key: str = "k") -> tuple[object, ...]:
    """Add nothing up."""
    return (a, b, rest, key)


plain.mark = "mine"


async def coroutine(a: int, b: int = 2, *rest: int, key: str = "k") -> tuple[object, ...]:
    """Wait for nothing."""
    return (a, b, rest, key)


class Callable:
    def __call__(self, a, b=2, *rest, key="k"):
        return (a, b, rest, key)


class AsyncCallable:
    async def __call__(self, a, b=2, *rest, key="k"):
        return (a, b, rest, key)


class Owner:
    def method(self, a, b=2, *rest, key="k"):
        return (a, b, rest, key)

    async def async_method(self, a, b=2, *rest, key="k"):
        return (a, b, rest, key)

    @classmethod
    def from_class(cls, a, b=2, *rest, key="k"):
        return (a, b, rest, key)

    @staticmethod
    def static(a, b=2, *rest, key="k"):
        return (a, b, rest, key)


SYNC = {
    "function": plain,
    "lambda": lambda a, b=2, *rest, key="k": (a, b, rest, key),
    "partial": functools.partial(plain),
    "partial of partial": functools.partial(functools.partial(plain)),
    "object": Callable(),
    "bound method": Owner().method,
    "bound classmethod": Owner.from_class,
    "staticmethod": Owner.static,
    "partial of object": functools.partial(Callable()),
    "lru_cache": functools.lru_cache(plain),
    "wrapped": functools.wraps(plain)(lambda *args, **kwargs: plain(*args, **kwargs)),
}
ASYNC = {
    "function": coroutine,
    "partial": functools.partial(coroutine),
    "object": AsyncCallable(),
    "bound method": Owner().async_method,
    "partial of object": functools.partial(AsyncCallable()),
}
SETTINGS = {"bare": {}, "retry": {"retry": RetryConfig()}, "cache": {"cache": CacheConfig()}}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("function", SYNC.values(), ids=SYNC)
def test_sync_callables(function, settings):
    """Any sync callable is called with its arguments and gives its result, and stays sync."""
    f = resilient(**settings)(function)
    assert f(1) == (1, 2, (), "k")
    assert f(1, 3, 4, key="x") == (1, 3, (4,), "x")
    assert not inspect.iscoroutinefunction(f)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("function", ASYNC.values(), ids=ASYNC)
def test_async_callables(function, settings):
    """Any async callable is awaited, and stays a coroutine function."""
    f = resilient(**settings)(function)
    assert inspect.iscoroutinefunction(f)
    assert asyncio.run(f(1, 3, 4, key="x")) == (1, 3, (4,), "x")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_builtins_and_classes(settings):
    """Built-in functions and classes can be decorated."""
    assert resilient(**settings)(len)("abc") == 3
    assert resilient(**settings)(int)("12") == 12
    assert resilient(**settings)("abc".upper)() == "ABC"


def test_mocks():
    """A mock can be decorated, sync or async."""
    assert resilient(mock.Mock(return_value=1))() == 1
    f = resilient(mock.AsyncMock(return_value=1))
    assert inspect.iscoroutinefunction(f)
    assert asyncio.run(f()) == 1


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_above_and_below_staticmethod_and_classmethod(settings):
    """The order of the decorators does not matter, on the class and on its instances."""
    guard = resilient(**settings)

    class Order:
        @guard
        @staticmethod
        def static_above(x):
            return x

        @staticmethod
        @guard
        def static_below(x):
            return x

        @guard
        @classmethod
        def class_above(cls, x):
            return cls, x

        @classmethod
        @guard
        def class_below(cls, x):
            return cls, x

        @guard
        def method(self, x):
            return self, x

    one = Order()
    for each in (Order, one):
        assert each.static_above(1) == each.static_below(1) == 1
        assert each.class_above(1) == each.class_below(1) == (Order, 1)
    assert one.method(1) == (one, 1)


def test_a_parameter_may_have_any_name():
    """Parameters named like ours are passed on."""

    @resilient(retry=RetryConfig(), cache=CacheConfig())
    def f(function, call, self, args, kwargs, key):
        return (function, call, self, args, kwargs, key)

    assert f(function=1, call=2, self=3, args=4, kwargs=5, key=6) == (1, 2, 3, 4, 5, 6)


def generator():
    yield 1


async def async_generator():
    yield 1


class GeneratorObject:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(
    "function",
    [generator, async_generator, functools.partial(generator), GeneratorObject(), staticmethod(generator)],
    ids=["generator", "async generator", "partial", "object", "staticmethod"],
)
def test_generator_functions_are_refused(function):
    """What runs after the call has ended cannot be guarded: refused at decoration."""
    with pytest.raises(TypeError, match="generator"):
        resilient(retry=RetryConfig())(function)


@pytest.mark.parametrize("thing", [3, "f", None, pytest.param([plain], id="list")], ids=repr)
def test_only_callables_can_be_decorated(thing):
    """What cannot be called is refused."""
    with pytest.raises(TypeError, match="callable"):
        resilient(retry=RetryConfig())(thing)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("function", [plain, coroutine])
def test_it_looks_like_the_function(function, settings):
    """Name, module, doc, signature, annotations and own attributes are the function's."""
    f = resilient(**settings)(function)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(f, name) == getattr(function, name)
    assert inspect.signature(f) == inspect.signature(function)
    assert f.__wrapped__ is function
    assert inspect.isfunction(f)
    if function is plain:
        assert f.mark == "mine"


def test_an_object_without_a_name_gets_its_classs():
    """Callable objects and partials are called what they are made of."""
    assert resilient(Callable()).__name__ == "Callable"
    assert resilient(functools.partial(plain)).__name__ == "plain"


@resilient(retry=RetryConfig(), cache=CacheConfig())
def importable(x):
    return x


def test_it_pickles_by_reference():
    """A decorated module-level function survives pickling and copying as itself."""
    assert pickle.loads(pickle.dumps(importable)) is importable
    assert copy.deepcopy(importable) is importable


def test_handles_without_stages():
    """Every handle is there; what has nothing to show is None or empty."""
    f = resilient(plain)
    assert (f.cache, f.circuit_breaker, f.metrics) == (None, None, None)
    assert f.cache_info().hits == 0
    assert f.cache_clear() is None
    assert f.pipeline.stages == ()


def test_handles_with_stages():
    """Handles lead to the cache and the breaker."""
    f = resilient(cache=CacheConfig(), circuit_breaker=CircuitBreakerConfig())(lambda x: x)
    f(1)
    f(1)
    assert f.circuit_breaker.state.value == "closed"
    assert (f.cache_info().hits, f.cache.stats["size"]) == (1, 1)
    f.cache_clear()
    assert f.cache.stats["size"] == 0


def test_decorating_twice_nests():
    """A decorated function can be decorated again."""
    calls = []

    def body():
        calls.append(1)
        raise OSError

    f = resilient(retry=RetryConfig(max_attempts=2, delay=0))(
        resilient(retry=RetryConfig(max_attempts=3, delay=0))(body)
    )
    with pytest.raises(OSError):
        f()
    assert len(calls) == 6


@pytest.mark.parametrize(
    "error",
    [
        RejectedError("f", 1.5, ValueError("x"), "because"),
        CircuitOpenError("f", 1.5, None),
        RateLimitExceededError("f"),
        BulkheadFullError(),
        ResilienceTimeoutError("late", name="f", seconds=3.0),
        CacheKeyError("no key"),
        ResilienceError("any"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling_and_copying(error):
    """An error that crosses a process keeps its text and what a handler needs."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        for name in ("name", "retry_after", "seconds"):
            assert getattr(twin, name, None) == getattr(error, name, None)


def test_the_error_family():
    """Who catches the general catches the special."""
    for kind in (CircuitOpenError, RateLimitExceededError, BulkheadFullError):
        assert issubclass(kind, RejectedError)
    for kind in (RejectedError, ResilienceTimeoutError, CacheKeyError):
        assert issubclass(kind, ResilienceError)
    assert issubclass(ResilienceTimeoutError, TimeoutError)
    assert issubclass(CacheKeyError, TypeError)
