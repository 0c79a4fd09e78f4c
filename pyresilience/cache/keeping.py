"""What can be kept of a result, what cannot and why; and the plain rows that most caches are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from types import AsyncGeneratorType, CoroutineType
from typing import Any, TypeAlias

from .._call import Call
from .._settings import seconds
from .config import CacheConfig
from .shelf import Row

RowMaker: TypeAlias = Callable[[Call, Any, float], "Row | None"]
"""Makes the row of a call's result, at that time; None: it is not kept, and the call knows why."""


class Failure:
    """An error that is kept, in the place of a value."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class NotKept(str):
    """Why a result is not kept."""

    __slots__ = ()


TOO_HEAVY = NotKept("it weighs more than max_entry_weight or max_weight")
REFUSED = NotKept("cache_if said no")
USED_UP = NotKept("it can be used only once")
NO_RESULT = NotKept("it is a stand-in, or retry_on_result rejects it")
NO_TIME = NotKept("ttl gave it no time to live")


class PlainKeeper:
    """Makes rows that are good for a TTL, and no more."""

    __slots__ = ("_life",)

    def __init__(self, config: CacheConfig) -> None:
        assert not callable(config.ttl)
        self._life = seconds(config.ttl) or inf

    def row_of(self, call: Call, value: Any, now: float) -> Row:
        """The row of a flight's result."""
        return value, now + self._life

    def row(self, value: Any, now: float, *, ttl: float | None = None, tags: Sequence[str] = ()) -> Row | NotKept:
        """The row of *value*, good for *ttl* seconds, or as configured, or why it is not kept; there are no tags here."""
        if only_once(value):
            return USED_UP
        return value, now + (self._life if ttl is None else ttl or inf)


PLAIN = frozenset({dict, list, tuple, str, bytes, int, float, bool, type(None)})
"""The usual results, which can be used any number of times."""


def only_once(value: Any) -> bool:
    """Whether *value* is used up by using it (a coroutine, a generator, an iterator): never kept, never shared."""
    kind = type(value)
    return issubclass(kind, (CoroutineType, AsyncGeneratorType)) or hasattr(kind, "__next__")
