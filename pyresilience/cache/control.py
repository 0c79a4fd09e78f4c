"""What a decorated function shows of its cache, as `f.cache`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, Generic, NamedTuple

from .._settings import seconds
from .._typing import P
from .door import Door
from .keys import UNKEYED


class CacheInfo(NamedTuple):
    """The counts of a cache, named as `functools.lru_cache` names them."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


class CacheControl(Generic[P]):
    """The cache of one function, addressed by the function's own arguments."""

    def __init__(self, function: Callable[P, Any], door: Door) -> None:
        self._door = door
        self._cache = door.cache
        self.__wrapped__ = function

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of this call, and do not keep what is being computed for it now.

        False: nothing was kept.

        Raises:
            CacheKeyError: An argument cannot be part of a key.
            TypeError: The arguments do not fit the function.
        """
        key = self._door.key_of(args, kwargs)
        if key is UNKEYED:
            signature(self.__wrapped__).bind(*args, **kwargs)
            return False
        return self._cache.invalidate(key)

    def clear(self) -> None:
        """Forget every result of this function and, unless others share the cache, its counts."""
        self._cache.clear(self._door.scope)

    def info(self) -> CacheInfo:
        """The counts: of all functions together where several share the cache."""
        shelf = self._cache.shelf
        return CacheInfo(shelf.hits, shelf.misses, shelf.size, len(shelf.rows))

    @property
    def ttl(self) -> float:
        """Seconds an entry is good for; 0: it never expires."""
        return seconds(self._cache.config.ttl)

    @property
    def stats(self) -> dict[str, Any]:
        """`hits`, `misses`, `hit_rate` (0..1), `size` and `max_size`."""
        return self._cache.stats
