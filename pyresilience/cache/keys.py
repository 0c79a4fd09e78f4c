"""From a call to a key: the bound arguments, typed at every depth, holding nothing alive that identity compares."""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from inspect import CO_VARARGS, CO_VARKEYWORDS, Parameter, Signature, isfunction, signature
from types import CodeType, MethodType
from typing import Any

from ..errors import CacheKeyError
from .config import CacheConfig
from .digest import digest

UNKEYED: Hashable = object()
"""The key of a call that has none: never kept, never shared."""

SHORT = 512
"""Text and bytes up to this length stand in the key as they are; longer ones as a digest."""
WIDE = 256
"""An argument with more parts than this becomes a digest, if it is built of plain values alone."""
DEEP = 64
"""Containers may be nested this deep."""

_PLAIN = frozenset({int, str, type(None)})
"""Types whose values are never equal across types, so that they need no tag."""


class KeyMaker:
    """Makes the keys of one function. Two calls have one key if they bind the same arguments.

    A function of exactly one parameter has its plain argument itself as the key; see `bare`.

    Args:
        function: Whose calls.
        config: How the cache wants it: a key function, and what to do with what cannot be part of a key.
        scope: Stands first in every key; None: nothing does.
    """

    __slots__ = ("_bind", "_config", "_function", "_lone", "_names", "_scope", "bare")

    def __init__(self, function: Callable[..., Any], config: CacheConfig, scope: Hashable | None) -> None:
        self._function = function
        self._config = config
        self._scope = scope
        simple = _takes_one(function)
        self._names: list[str] = []
        self._lone = simple or config.key is not None
        self.bare = simple and config.key is None and scope is None
        """Whether a call with one exact int or short str as its only argument has that as its key."""
        self._bind: Callable[..., tuple[Any, ...]] = self._bind_first

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key of the call; UNKEYED: it goes past the cache.

        Raises:
            CacheKeyError: An argument cannot be part of a key.
        """
        try:
            values = self._bind(*args, **kwargs)
        except TypeError:
            if self._config.key is not None:
                raise
            return UNKEYED  # the arguments do not fit the function: let it say so itself
        key: Hashable = values
        for value in values:
            kind = type(value)
            if kind is not int and value is not None and (kind is not str or len(value) > SHORT):
                key = self._frozen(values)
                if key is UNKEYED:
                    return key
                break
        if self._lone:
            key = key[0]  # type: ignore[index]
        return key if self._scope is None else (self._scope, key)

    def _frozen(self, values: tuple[Any, ...]) -> Hashable:
        """What stands for the values."""
        frozen: list[Hashable] = []
        try:
            for value in values:
                frozen.append(stand_in(value))  # noqa: PERF401 - how far it got names the argument
        except CacheKeyError as error:
            if self._config.on_unhashable == "bypass":
                return UNKEYED
            name = "what key= returned" if self._config.key else f"argument {self._names[len(frozen)]!r}"
            raise CacheKeyError(
                f"{name} cannot be part of a cache key: {error}; give CacheConfig(key=...), "
                'or on_unhashable="bypass" to call through'
            ) from None
        return tuple(frozen)

    def _bind_first(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Make what binds the arguments, at the first call that needs it, and bind them."""
        own = self._config.key
        if own is not None:
            self._bind = lambda *args, **kwargs: (own(*args, **kwargs),)
        else:
            parameters = _parameters(self._function)
            self._names = [each.name for each in parameters]
            self._bind = _binder(parameters)
        return self._bind(*args, **kwargs)


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether it is a plain function of exactly one parameter, which may be given by position."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return False
    rest = code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    return isfunction(function) and code.co_argcount == 1 and code.co_kwonlyargcount == 0 and not rest


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    try:
        return list(signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins have none
        return [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]


def _binder(parameters: list[Parameter]) -> Callable[..., tuple[Any, ...]]:
    """A function with these parameters that returns its arguments: the interpreter does the binding."""
    defaults = {f"_{place}": each.default for place, each in enumerate(parameters) if each.default is not each.empty}
    plain = [
        each.replace(annotation=each.empty, default=_Name(f"_{place}") if f"_{place}" in defaults else each.empty)
        for place, each in enumerate(parameters)
    ]
    names = "".join(f"{each.name}, " for each in parameters)
    text = str(Signature(plain, __validate_parameters__=False))[1:-1]
    bind: Callable[..., tuple[Any, ...]] = eval(f"lambda {text}: ({names})", defaults)  # noqa: S307 - names only
    return bind


class _Name:
    """Prints as a bare name where a signature shows a default."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def freeze(value: Any, depth: int = DEEP) -> Hashable:
    """A hashable stand-in for *value*: equal for equal values of equal types, and for no others.

    Plain values stand for themselves; everything else becomes a tuple that begins with its type, so that no value
    is taken for another's stand-in.

    Raises:
        CacheKeyError: It is mutable and not a container we know, or nested too deep, or contains itself.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value if kind is not str or len(value) <= SHORT else (str, len(value), digest(value))
    if kind is bool or kind is float or kind is complex:
        return kind, value or str(value)  # 0.0 and -0.0 are equal, and are not the same argument
    if kind is bytes or kind is bytearray:
        plain = bytes(value)
        return (kind, plain) if len(plain) <= SHORT else (kind, len(plain), digest(plain))
    if is_dataclass(kind) and kind.__dataclass_params__.eq:  # type: ignore[attr-defined]
        items = [getattr(value, field.name) for field in fields(kind) if field.compare]
        return kind, _freeze_items(items, depth)
    for base, freeze_container in _CONTAINERS:
        if issubclass(kind, base) and (kind.__eq__ is base.__eq__ or kind.__hash__ is None):  # type: ignore[comparison-overlap]
            return kind, freeze_container(value, depth)
    return _freeze_object(value, kind)


def _freeze_items(items: Iterable[Any], depth: int) -> tuple[Hashable, ...]:
    if depth <= 0:
        raise CacheKeyError(f"it is nested deeper than {DEEP} levels, or contains itself")
    return tuple([freeze(each, depth - 1) for each in items])


def _freeze_unordered(items: Iterable[Any], depth: int) -> Hashable:
    return frozenset(_freeze_items(items, depth))


_CONTAINERS: tuple[tuple[type, Callable[[Any, int], Hashable]], ...] = (
    (list, _freeze_items),
    (tuple, _freeze_items),
    (OrderedDict, lambda value, depth: _freeze_items(value.items(), depth)),
    (dict, lambda value, depth: _freeze_unordered(value.items(), depth)),
    (set, _freeze_unordered),
    (frozenset, _freeze_unordered),
    (deque, _freeze_items),
)


def _freeze_object(value: Any, kind: type) -> Hashable:
    """The stand-in of anything else: by its own equality where it has one, weakly by identity where not."""
    if kind is MethodType:
        return kind, freeze(value.__self__), value.__func__
    datetime: Any = sys.modules.get("datetime")
    if datetime is not None and isinstance(value, datetime.datetime):
        return kind, value, value.tzinfo, value.fold
    if kind.__module__ == "decimal":
        return kind, str(value)  # 1.0 and 1.00 are equal, and print differently
    if isinstance(value, (type, Enum)):
        return kind, value
    if kind.__eq__ is object.__eq__:  # type: ignore[comparison-overlap]
        with suppress(TypeError):  # it cannot be held weakly, and its id may be another's tomorrow: hold it
            value = weakref.ref(value)
    try:
        hash(value)
    except TypeError:
        raise CacheKeyError(f"a {kind.__module__}.{kind.__qualname__} is not hashable") from None
    return kind, value


def stand_in(value: Any) -> Hashable:
    """What stands for *value* in a key: its frozen form if that is small, or the digest of it if it has one.

    Raises:
        CacheKeyError: It cannot be part of a key.
    """
    frozen = freeze(value)
    stack, seen = [frozen], 0
    while stack:
        part = stack.pop()
        seen += 1
        if seen > WIDE:
            return digest(frozen) or frozen
        if type(part) in (tuple, frozenset):
            stack.extend(part)  # type: ignore[arg-type]
    return frozen


class Scope:
    """What keeps the entries of one function apart from those of others in the same cache."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<scope of {self._name}>"


def scope_of(key: Hashable) -> Scope | None:
    """The function that an entry of a shared cache belongs to; None: none of those that share it."""
    first = key[0] if isinstance(key, tuple) and key else None
    return first if type(first) is Scope else None
