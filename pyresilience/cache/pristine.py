"""A fresh copy of an error that is kept, to be raised again: it pins no frames, and nobody else has it."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isgetsetdescriptor, ismemberdescriptor
from types import BuiltinFunctionType, FrameType, TracebackType
from typing import Any, TypeVar, cast

E = TypeVar("E", bound=BaseException)

DEEP = 32
"""Causes of causes that are copied, and errors within errors; what is deeper is left out."""

_OWN: dict[str, Any] = dict(vars(BaseException))
"""What every exception has, whatever its class puts before it."""

_GROUP: dict[str, Any] = dict(vars(BaseExceptionGroup))

_NOTHING: Any = object()


def pristine(error: E) -> E:
    """A copy of *error* as it was before it was raised.

    It has the same type, arguments, attributes and notes, and causes that are copies, too. It has no traceback and no
    context, nor have the exceptions among its arguments, its attributes and the members of a group, so it keeps no
    frame alive; tracebacks and frames among them are left out. No code of its class runs. Other values are shared.

    What cannot be copied, an exception of an extension module that is made in a way of its own, is returned itself,
    without its traceback and its context. This never raises.
    """
    try:
        return cast("E", _Copies().of(error))
    except Exception:  # noqa: BLE001 - its class is odd; an old error is better than a new one
        return _stripped(error)


class _Copies:
    """The copies of one error and of all that belong to it: one of each, however they refer to each other."""

    def __init__(self) -> None:
        self._made: dict[int, BaseException] = {}
        self._todo: list[tuple[BaseException, BaseException, int]] = []

    def of(self, error: BaseException) -> BaseException | None:
        """The copy of *error*."""
        copy = self._make(error, 0)
        for original, blank, depth in self._todo:  # which grows meanwhile, and holds what is known by its id
            self._fill(original, blank, depth)
        return copy

    def _make(self, error: BaseException, depth: int) -> BaseException | None:
        """The copy of *error*, to be filled; None: it is too deep."""
        if id(error) in self._made:
            return self._made[id(error)]
        if depth > DEEP:
            return None
        kind = type(error)
        arguments: tuple[Any, ...] = ()
        if issubclass(kind, BaseExceptionGroup):  # a group is born with its members
            members = [self._make(each, depth) for each in _GROUP["exceptions"].__get__(error)]
            arguments = (_GROUP["message"].__get__(error), members)
        try:
            copy = _maker_of(kind)(kind, *arguments)
        except Exception:  # noqa: BLE001 - it insists on something we do not know
            copy = _stripped(error)
        else:
            self._todo.append((error, copy, depth))
        self._made[id(error)] = copy
        return copy

    def _fill(self, error: BaseException, copy: BaseException, depth: int) -> None:
        """Give *copy* what *error* has."""

        def clean(value: Any) -> Any:
            kind = type(value)
            if kind is list or kind is tuple:
                return kind(map(bare, value))
            return {key: bare(each) for key, each in [*value.items()]} if kind is dict else bare(value)

        def bare(value: Any) -> Any:
            kind = type(value)
            if issubclass(kind, BaseException):
                return self._make(value, depth + 1)
            return None if kind is TracebackType or kind is FrameType else value

        _OWN["args"].__set__(copy, tuple(map(clean, _OWN["args"].__get__(error))))
        attributes = _OWN["__dict__"].__get__(error)
        if attributes:
            _OWN["__dict__"].__get__(copy).update({name: clean(value) for name, value in [*attributes.items()]})
        for member in _members(type(error)):
            value = _read(member, error)
            if value is not _NOTHING and value is not _read(member, copy):
                _write(member, copy, clean(value))
        cause = _OWN["__cause__"].__get__(error)
        if cause is not None:
            _OWN["__cause__"].__set__(copy, self._make(cause, depth + 1))
        _OWN["__suppress_context__"].__set__(copy, _OWN["__suppress_context__"].__get__(error))


def _maker_of(kind: type) -> Callable[..., BaseException]:
    """The `__new__` that makes the bare object, below all that classes written in Python put before it."""
    base: type | None = kind
    while base is not None:
        made_by = vars(base).get("__new__")
        if isinstance(made_by, BuiltinFunctionType):
            return made_by
        base = base.__base__
    raise TypeError("no class without a base")  # pragma: no cover - there is `object`


def _members(kind: type) -> list[Any]:
    """The attributes of the objects of *kind* that do not stand in their `__dict__`: slots, and those of C classes."""
    return [
        member
        for base in kind.__mro__
        if base is not BaseException and base is not object
        for name, member in vars(base).items()
        if (ismemberdescriptor(member) or isgetsetdescriptor(member)) and name != "__dict__"
    ]


def _read(member: Any, error: BaseException) -> Any:
    try:
        return member.__get__(error)
    except Exception:  # noqa: BLE001 - it is not set
        return _NOTHING


def _write(member: Any, error: BaseException, value: Any) -> None:
    try:
        member.__set__(error, value)
    except Exception:  # noqa: BLE001, S110 - it is read only, and was given at birth
        pass


def _stripped(error: E) -> E:
    """*error* itself, without what it was raised from."""
    _OWN["__traceback__"].__set__(error, None)
    _OWN["__context__"].__set__(error, None)
    return error
