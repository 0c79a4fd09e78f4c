"""How many bytes a value takes, about. Pure, and never felt by the call: what cannot be asked counts as a bare object."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from inspect import ismemberdescriptor
from itertools import chain, islice
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

MOST = 500
"""Parts of a value that are looked at."""

SAMPLE = 20
"""Items of one container that are looked at; the others are taken to be like them."""

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""What belongs to the program, not to a result."""

_ATOMS = (int, float, bool, str, bytes, type(None))
"""What is made of nothing else."""

_ORDERED: tuple[Any, ...] = (list, tuple)
_OTHERS: tuple[Any, ...] = (set, frozenset, deque)

_BARE = sys.getsizeof(object())


def weight_of(value: Any) -> int:
    """The bytes of *value* and of what it is made of: exact for small values, estimated from a sample for large ones.

    What says its size itself (`__sizeof__`), as arrays do, is believed.
    """
    if type(value) in _ATOMS:
        return sys.getsizeof(value)
    seen: set[int] = set()
    total, looked = 0.0, 0
    todo: deque[tuple[Any, float]] = deque([(value, 1.0)])
    while todo and looked < MOST:
        part, times = todo.popleft()
        if id(part) in seen or issubclass(type(part), _SHARED):
            continue
        seen.add(id(part))
        looked += 1
        total += times * _own_size(part)
        try:
            parts, count = _parts(part)
        except Exception:  # noqa: BLE001, S112 - it changes while we look, or its class is odd
            continue
        if parts:
            todo.extend((each, times * count / len(parts)) for each in parts)
    return int(total + sum(times * _own_size(part) for part, times in todo))


def _own_size(part: Any) -> int:
    try:
        return sys.getsizeof(part, _BARE)
    except Exception:  # noqa: BLE001 - its own __sizeof__ raises
        return _BARE


def _parts(part: Any) -> tuple[Sequence[Any], int]:
    """What *part* is made of, or some of it, and of how many it is."""
    kind = type(part)
    if kind in _ATOMS:
        return (), 0
    inside, count = _items(part)
    attributes = [] if kind.__module__ == "builtins" else _attributes(part, kind)
    return [*attributes, *inside], count + len(attributes)


def _items(part: Any) -> tuple[Sequence[Any], int]:
    """The items of a container, by the container's own methods whatever a subclass makes of them."""
    for kind in _ORDERED:
        if isinstance(part, kind):
            count = kind.__len__(part)
            return kind.__getitem__(part, slice(None, None, max(1, count // SAMPLE))), count
    if isinstance(part, BaseException):
        return _items(part.args)
    if isinstance(part, dict):
        return list(chain.from_iterable(_some(dict.items(part)))), 2 * dict.__len__(part)
    for kind in _OTHERS:
        if isinstance(part, kind):
            return _some(kind.__iter__(part)), kind.__len__(part)
    return (), 0


def _some(items: Iterable[Any]) -> list[Any]:
    return list(islice(items, SAMPLE))


def _attributes(part: Any, kind: type) -> list[Any]:
    """What an object holds by name; no code of its own is run."""
    found = []
    for base in kind.__mro__:
        own = vars(base)
        members = [each for each in own.values() if ismemberdescriptor(each)]
        holders = [own["__dict__"]] if "__dict__" in own and not isinstance(own["__dict__"], property) else []
        for holder in (*members, *holders):
            try:
                found.append(holder.__get__(part, kind))
            except AttributeError:  # that slot is empty
                continue
    return found
