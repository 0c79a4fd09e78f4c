"""The front door: a hit is answered here, before anything of the pipeline exists; a miss leads or follows."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

from .._call import Call
from .._wiring import Wiring
from ..events import CacheHit
from ..stages.base import AsyncHandler, Handler
from .keys import SHORT, KeyMaker, KeyOf, Scope
from .loader import Load, Loader
from .result_cache import ResultCache
from .valve import Find, Valve

if TYPE_CHECKING:
    from ..metrics.cache_metrics import CacheMetrics
    from .desk import Desk

NOTHING: Any = object()
"""Stands for the first argument of a call that has none."""


class Door:
    """The entrance of one function that has a cache.

    Args:
        cache: What it looks into.
        shared: Whether other functions do so as well.
        limit: Seconds a call may take as a whole, waiting for another caller included, or what tells so of a call;
            None: no limit.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        cache: ResultCache,
        wiring: Wiring,
        *,
        shared: bool,
        limit: float | Callable[[Call], float] | None,
    ) -> None:
        self.cache = cache
        self.scope = Scope(name) if shared else None
        self.metrics = cache.metrics_of(self.scope)
        self.loader = Loader(name, cache, wiring, self.metrics, limit)
        self.maker = KeyMaker(function, cache.config, self.scope)
        self.key_of = self.maker.key
        self.desk = _desk(name, self.loader, function, self.key_of)
        self.valve = Valve(cache.shelf.ledger)
        self._wiring = wiring
        self._bare = (int, str) if self.maker.bare else (None, None)
        """The types of a lone argument that is its own key."""

    def wrap(self, handler: Handler) -> Callable[..., Any]:  # noqa: C901 - a hit is one piece
        """The synchronous function in front of *handler*."""
        shelf, now, (number, text) = self.cache.shelf, self.cache.clock.monotonic, self._bare
        find: Find = shelf.rows.get
        touch, key_of, load = self._touch(), self.key_of, self._load(handler)
        metrics = self._recorder()

        def turn(*others: Any) -> None:
            nonlocal key_of, find, load
            key_of, find, load = others

        self.valve.connect(key_of, find, load, turn)

        def cached(first: Any = NOTHING, /, *rest: Any, **kwargs: Any) -> Any:
            key, asked, args = first, 0.0, None
            if rest or kwargs or ((kind := type(first)) is not number and (kind is not text or len(first) > SHORT)):
                if metrics is not None:
                    asked = now()
                args = () if first is NOTHING else (first, *rest)
                key = key_of(args, kwargs)
            row = find(key)
            if row is None or (moment := now()) >= row[1]:
                return load(key, (first,) if args is None else args, kwargs, asked)
            try:
                touch(key)
            except KeyError:
                pass
            shelf.hits += 1
            if metrics is not None:
                if metrics.skip > 0:
                    metrics.skip -= 1
                else:
                    metrics.hits += 1
                    if metrics.draw is not None:
                        metrics.skip = metrics.draw()
                    if moment >= metrics.turn:
                        metrics.time_hit(moment, now() - (asked or moment))
            return row[0]

        return cached

    def wrap_async(self, handler: AsyncHandler) -> Callable[..., Any]:  # noqa: C901 - a hit is one piece
        """The asynchronous function in front of *handler*."""
        shelf, now, (number, text) = self.cache.shelf, self.cache.clock.monotonic, self._bare
        find: Find = shelf.rows.get
        touch, key_of, load = self._touch(), self.key_of, self._load_async(handler)
        metrics = self._recorder()

        def turn(*others: Any) -> None:
            nonlocal key_of, find, load
            key_of, find, load = others

        self.valve.connect(key_of, find, load, turn)

        async def cached(first: Any = NOTHING, /, *rest: Any, **kwargs: Any) -> Any:
            key, asked, args = first, 0.0, None
            if rest or kwargs or ((kind := type(first)) is not number and (kind is not text or len(first) > SHORT)):
                if metrics is not None:
                    asked = now()
                args = () if first is NOTHING else (first, *rest)
                key = key_of(args, kwargs)
            row = find(key)
            if row is None or (moment := now()) >= row[1]:
                return await load(key, (first,) if args is None else args, kwargs, asked)
            try:
                touch(key)
            except KeyError:
                pass
            shelf.hits += 1
            if metrics is not None:
                if metrics.skip > 0:
                    metrics.skip -= 1
                else:
                    metrics.hits += 1
                    if metrics.draw is not None:
                        metrics.skip = metrics.draw()
                    if moment >= metrics.turn:
                        metrics.time_hit(moment, now() - (asked or moment))
            return row[0]

        return cached

    def _load(self, handler: Handler) -> Load:
        """What a miss does; it looks closer first where the settings ask for that."""
        if self.desk is None:
            self.load = self.loader.wrap(handler)
        else:
            self.load = self.desk.consult(self.loader.wrap(self.desk.wrap(handler)))
        return self.load

    def _load_async(self, handler: AsyncHandler) -> Load:
        """What a miss does; it looks closer first where the settings ask for that."""
        if self.desk is None:
            self.load = self.loader.wrap_async(handler)
        else:
            self.load = self.desk.consult_async(self.loader.wrap_async(self.desk.wrap_async(handler)))
        return self.load

    def tags_of(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> tuple[str, ...]:
        """What the result of a call is called."""
        return () if self.desk is None else self.desk.tags_of(args, kwargs, value)

    def _touch(self) -> Callable[[Hashable], None]:
        """What a hit does to its row; and to those who listen, if anybody does."""
        touch, tell = self.cache.shelf.touch, partial(self.loader.tell_hit, "fresh")
        if not self._wiring.audience(CacheHit):
            return touch

        def touch_and_tell(key: Hashable) -> None:
            try:
                touch(key)
            finally:
                tell()

        return touch_and_tell

    def _recorder(self) -> CacheMetrics | None:
        """Where hits are recorded; None: nowhere, or none of them."""
        return self.metrics if self.metrics is not None and self.metrics.sampling_rate else None


def _desk(name: str, loader: Loader, function: Callable[..., Any], key_of: KeyOf) -> Desk | None:
    """The closer look, where the settings of the cache ask for one."""
    options = loader.cache.options
    if options is None:
        return None
    from .desk import Desk

    return Desk(name, loader, options, function, key_of)
