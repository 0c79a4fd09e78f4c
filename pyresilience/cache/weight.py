"""How many bytes a value takes, about. Pure."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from itertools import chain, islice
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

MOST = 500
"""Parts of a value that are looked at; the rest is taken to be like them."""

SAMPLE = 100
"""Items of one container that are looked at."""

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""What belongs to the program, not to a result."""

_ATOMS = (int, float, bool, str, bytes, type(None))
"""What is made of nothing else."""

_BARE = sys.getsizeof(object())


def weight_of(value: Any) -> int:
    """The bytes of *value* and of what it is made of: exact for small values, estimated from a sample for large ones.

    What says its size itself (`__sizeof__`), as arrays do, is believed. What cannot be asked counts as a bare object.
    """
    if type(value) in _ATOMS:
        return sys.getsizeof(value)
    seen: set[int] = set()
    total = looked = 0.0
    todo: deque[tuple[Any, float]] = deque([(value, 1.0)])
    while todo and looked < MOST:
        part, times = todo.popleft()
        if id(part) in seen or issubclass(type(part), _SHARED):
            continue
        seen.add(id(part))
        looked += times
        total += times * _own_size(part)
        parts, count = _parts(part)
        if count:
            times *= count / len(parts)
            todo.extend((each, times) for each in parts)
    unseen = sum(times for _, times in todo)
    return int(total + unseen * total / looked) if looked else 0


def _own_size(part: Any) -> int:
    try:
        return sys.getsizeof(part, _BARE)
    except Exception:  # noqa: BLE001 - its own __sizeof__ raises
        return _BARE


def _parts(part: Any) -> tuple[Sequence[Any], int]:
    """What *part* is made of, or some of it, and of how many it is."""
    kind = type(part)
    if kind is list or kind is tuple:
        return part[:: max(1, len(part) // SAMPLE)], len(part)
    if kind is dict:
        return list(chain.from_iterable(islice(part.items(), SAMPLE))), 2 * len(part)
    if kind in (set, frozenset, deque):
        return list(islice(part, SAMPLE)), len(part)
    if kind.__module__ == "builtins":
        return (), 0
    parts = _attributes(part, kind)
    return parts, len(parts)


def _attributes(part: Any, kind: type) -> list[Any]:
    found = []
    for name in ("__dict__", *chain.from_iterable(_slots(base) for base in kind.__mro__)):
        try:
            found.append(object.__getattribute__(part, name))
        except (AttributeError, TypeError):
            continue
    return found


def _slots(base: type) -> Sequence[str]:
    slots = vars(base).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
