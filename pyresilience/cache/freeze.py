"""What stands for a value in a key: hashable, typed at every depth, and holding nothing alive that identity compares."""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from types import MethodType
from typing import Any

from ..errors import CacheKeyError
from .digest import digest

SHORT = 512
"""Text and bytes up to this length stand in the key as they are; longer ones as a digest."""
WIDE = 256
"""An argument with more parts than this becomes a digest, if it is built of plain values alone."""
DEEP = 64
"""Containers may be nested this deep."""

_PLAIN = frozenset({int, str, type(None)})
"""Types whose values are never equal across types, so that they need no tag."""


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
        return kind, Held(value)
    except TypeError:
        raise CacheKeyError(f"a {kind.__module__}.{kind.__qualname__} is not hashable") from None


class Held:
    """An object, or a weak reference to one, under the hash that it has now: should that change, it is found all the same.

    Raises:
        TypeError: It has no hash.
    """

    __slots__ = ("_hash", "_value")

    def __init__(self, value: Any) -> None:
        self._hash = hash(value)
        self._value = value

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self._hash == other._hash and bool(self._value == other._value)


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
