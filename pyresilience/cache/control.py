"""What a decorated function shows of its cache, as `f.cache`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from contextlib import AbstractContextManager
from inspect import signature
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from .._functions import name_of
from .._typing import Duration, P
from .door import Door
from .info import CacheInfo, CacheState
from .keeping import Failure
from .keys import UNKEYED
from .shelf import Row

if TYPE_CHECKING:
    from .views import CacheEntry, Explanation

V = TypeVar("V")
R_co = TypeVar("R_co", covariant=True)


class CacheControl(Generic[P, R_co]):
    """The cache of one function, addressed by the function's own arguments."""

    def __init__(self, function: Callable[P, R_co], door: Door) -> None:
        self._door = door
        self._cache = door.cache
        self.__wrapped__ = function

    # One call.

    def key(self, /, *args: P.args, **kwargs: P.kwargs) -> Hashable:
        """The key of this call; None: it has none, and goes past the cache (`on_unhashable="bypass"`).

        Raises:
            CacheKeyError: An argument cannot be part of a key.
            TypeError: The arguments do not fit the function.
        """
        key = self._key(args, kwargs)
        return None if key is UNKEYED else key

    @overload
    def get(self: CacheControl[P, Coroutine[Any, Any, V]], /, *args: P.args, **kwargs: P.kwargs) -> V | None: ...
    @overload
    def get(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co | None: ...
    def get(self, /, *args: Any, **kwargs: Any) -> Any:
        """The fresh result that is kept of this call, counted and used like that of a call; None: there is none."""
        return self._cache.get(self._key(args, kwargs))

    @overload
    def peek(self: CacheControl[P, Coroutine[Any, Any, V]], /, *args: P.args, **kwargs: P.kwargs) -> V | None: ...
    @overload
    def peek(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co | None: ...
    def peek(self, /, *args: Any, **kwargs: Any) -> Any:
        """The fresh result that is kept of this call, without a trace; None: there is none."""
        row = self._row(self._key(args, kwargs))
        if row is None or type(row[0]) is Failure or not self._cache.is_fresh(row, self._cache.now()):
            return None
        return self._cache.hand_out(row[0])

    def contains(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether this call would be answered without running the function, or waiting, by a fresh entry."""
        return self._key(args, kwargs) in self._cache

    def entry(self, /, *args: P.args, **kwargs: P.kwargs) -> CacheEntry | None:
        """What is kept of this call, fresh or not; None: nothing."""
        from .views import entry_of

        row = self._row(self._key(args, kwargs))
        if row is None:
            return None
        now = self._cache.now()
        return entry_of(row, self._state(row, now), now, self._cache.hand_out)

    def explain(self, /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Why the last call with these arguments was a miss, as far as that is remembered."""
        from .explain import explain

        return explain(self._cache, self._door.maker, self._key(args, kwargs))

    @overload
    def put(self: CacheControl[P, Coroutine[Any, Any, V]], value: V, /, *args: P.args, **kwargs: P.kwargs) -> bool: ...
    @overload
    def put(self: CacheControl[P, V], value: V, /, *args: P.args, **kwargs: P.kwargs) -> bool: ...
    @overload
    def put(
        self: CacheControl[P, Coroutine[Any, Any, V]], value: V, /, *args: Any, ttl: Duration, **kwargs: Any
    ) -> bool: ...
    @overload
    def put(self: CacheControl[P, V], value: V, /, *args: Any, ttl: Duration, **kwargs: Any) -> bool: ...
    def put(self, value: Any, /, *args: Any, **kwargs: Any) -> bool:
        """Keep *value* as the result of this call.

        False: it is not kept, as it weighs too much, its `ttl` gives it no time, it can be used only once, or the call
        has no key (`on_unhashable="bypass"`).

        Args:
            value: The result.
            *args: The arguments of the call.
            **kwargs: Likewise; and `ttl`, the seconds that this entry is good for (0: for ever), unless the function
                has a parameter of that name.

        Raises:
            CacheKeyError: An argument cannot be part of a key.
            TypeError: The arguments do not fit the function.
            ValueError: `ttl` is negative or not a number.
        """
        own = "ttl" in kwargs and "ttl" in signature(self.__wrapped__).parameters
        ttl = None if own else kwargs.pop("ttl", None)
        key = self._key(args, kwargs)
        return key is not UNKEYED and self._cache.put(key, value, ttl, tags=self._door.tags_of(args, kwargs, value))

    def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function now, keep its result and return it; on an async function, await it.

        What is kept is given out to others until then. What was being computed is not kept; a failure is raised, and
        changes nothing.
        """
        from .kinds import Refresh

        key = self._key(args, kwargs)
        self._cache.flights.fence(key)
        load: Callable[..., Any] = self._door.load
        return load(key, args, kwargs, 0.0, Refresh)  # type: ignore[no-any-return]

    def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of this call, and do not keep what is being computed for it now.

        False: nothing was kept.

        Raises:
            CacheKeyError: An argument cannot be part of a key.
            TypeError: The arguments do not fit the function.
        """
        return self._cache.invalidate(self._key(args, kwargs))

    # All of them.

    def invalidate_tag(self, tag: str, *, soft: bool = False) -> None:
        """Let no result of that name be used that was begun before now, however many there are.

        Args:
            tag: The name, its placeholders filled in: `"user:42"`.
            soft: They are only stale from now on: they are handed out, or stand in, as the settings say.

        Raises:
            ValueError: The cache was made without `tags`.
        """
        self._cache.invalidate_tag(tag, soft=soft)

    def clear(self) -> None:
        """Forget every result of this function and, unless others share the cache, its counts."""
        self._cache.clear(self._door.scope)

    def bypass(self) -> AbstractContextManager[None]:
        """In this block, calls from this thread or task run the function, and neither find nor leave a result."""
        return self._door.valve.bypass()

    def disabled(self) -> AbstractContextManager[None]:
        """While this block runs, all calls run the function, whoever makes them, and neither find nor leave a result."""
        return self._door.valve.disabled()

    def info(self) -> CacheState:
        """The counts, and what is going on: of all functions together where several share the cache."""
        return self._cache.info()

    def counts(self) -> CacheInfo:
        """The counts alone, as `functools.lru_cache` has them."""
        return CacheInfo(*self._cache.info())

    def close(self, timeout: Duration = 30.0) -> bool:
        """Reload nothing in the background any more; ask what runs there to end, wait for it, and keep nothing of it.

        A thread cannot be asked: it is waited for. The cache goes on answering.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            True: nothing runs any more.

        Raises:
            TypeError: *timeout* is no duration.
            ValueError: *timeout* is negative or not a number.
        """
        return self._cache.close(timeout)

    async def aclose(self, timeout: Duration = 30.0) -> bool:  # noqa: ASYNC109 - it says whether, and raises nothing
        """What `close` does, leaving the event loop to others meanwhile."""
        return await self._cache.aclose(timeout)

    @property
    def ttl(self) -> float | None:
        """Seconds an entry is good for; 0: it never expires. None: that is a function of the result."""
        return self._cache.ttl

    @property
    def stats(self) -> dict[str, Any]:
        """`hits`, `misses`, `hit_rate` (0..1), `size` and `max_size`."""
        return self._cache.stats

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key of a call; UNKEYED: it is a call, and goes past the cache."""
        key = self._door.key_of(args, kwargs)
        if key is UNKEYED:
            try:
                signature(self.__wrapped__).bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{name_of(self.__wrapped__)}(): {error}") from None
        return key

    def _row(self, key: Hashable) -> Row | None:
        return self._cache.shelf.rows.get(key)

    def _state(self, row: Row, now: float) -> str:
        options = self._cache.options
        if options is None:
            return "fresh" if now < row[1] else "gone"
        return options.terms.zone(row[3], now).value
