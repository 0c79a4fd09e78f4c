"""What kind of callable is being decorated, and what it is called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from inspect import CO_COROUTINE, isasyncgenfunction, iscoroutinefunction, isfunction, isgeneratorfunction
from typing import Any, Self


def check(function: object) -> None:
    """Refuse what a pipeline cannot guard.

    Raises:
        TypeError: It is not callable, or a generator function.
    """
    if not callable(function):
        raise TypeError(
            f"only a callable can be made resilient, got {function!r}; "
            "settings are given by keyword, as in @resilient(retry=RetryConfig())"
        )
    if any(isgeneratorfunction(each) or isasyncgenfunction(each) for each in _bodies(function)):
        raise TypeError(
            f"{name_of(function)} is a generator function: what it yields comes after the call has ended, out of "
            "reach of retry, timeout and cache; decorate the function that fetches one item, or return a list"
        )


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: also for partials, objects with an async `__call__`, and AsyncMock."""
    if any(iscoroutinefunction(each) for each in _bodies(function)):
        return True
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return isinstance(flags, int) and bool(flags & CO_COROUTINE)


def _bodies(function: Any) -> tuple[Any, ...]:
    """What may be said to run when it is called: itself, and for an object the `__call__` of its class."""
    while isinstance(function, partial):
        function = function.func
    return (function,) if isfunction(function) else (function, getattr(type(function), "__call__", None))  # noqa: B004


def name_of(function: Any) -> str:
    """`__qualname__` without what stands before `<locals>.`; the class's for an object, the function's for a partial."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


class FunctionName(str):
    """The name of a function in events and errors; *label*, which adds the module, is its name in metrics."""

    __slots__ = ("label",)

    label: str

    def __new__(cls, name: str, label: str) -> Self:
        self = super().__new__(cls, name)
        self.label = label
        return self


def label_of(function: Any) -> str:
    """The module and the name, whatever name its events bear: what tells functions apart in metrics."""
    body = function
    while isinstance(body, partial):
        body = body.func
    module = getattr(body, "__module__", None) or type(body).__module__
    return f"{module}.{name_of(function)}"


def dress(wrapper: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Give *wrapper* the looks of *function*: name, module, doc, signature."""
    if isfunction(function):
        update_wrapper(wrapper, function)
    else:  # the attributes of an object are its own
        update_wrapper(wrapper, function, updated=())
        if not hasattr(function, "__name__"):
            wrapper.__name__ = name_of(function).rpartition(".")[2]
            wrapper.__qualname__ = name_of(function)
            wrapper.__module__ = getattr(function, "__module__", None) or type(function).__module__
