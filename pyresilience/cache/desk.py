"""Where a call is sent whose row cannot simply be handed out: it looks closer, and behind it a failure is excused.

Only caches whose settings ask for it have one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from .. import _async, _blocking
from ..stages.base import AsyncHandler, Handler
from .flight import Flight, Home, Signal
from .keys import UNKEYED, KeyOf, scope_of
from .kinds import Reload, Waiting
from .loader import Load, Loader
from .options import Options
from .reloads import Errand, Spawn
from .shelf import Row
from .tags import tagger
from .terms import AHEAD, FRESH, GONE, SPARE, Zone


class Desk:
    """The closer look of one function.

    Args:
        name: The function, as events call it.
        loader: What it stands before.
        options: The machines of the cache.
        function: Whose calls.
        key_of: Makes their keys.

    Raises:
        ValueError: A tag names no parameter of *function*.
    """

    def __init__(
        self, name: str, loader: Loader, options: Options, function: Callable[..., Any], key_of: KeyOf
    ) -> None:
        config = loader.cache.config
        self._name = name
        self._key_of = key_of
        self._loader = loader
        self._cache = loader.cache
        self._flights = options.flights
        self._reloads = options.reloads
        self._terms = options.terms
        self.tags_of = tagger(config.tags or (), function, name)
        """Names a result."""
        self._by_result = callable(config.tags)
        self._soft = config.soft_timeout is not None

    def consult(self, load: Load) -> Load:
        """Look closer before the synchronous *load*."""
        look = self._looker(load, _blocking.home(), _blocking.Signal, _blocking.spawn)
        rows, named, hand_out = self._cache.shelf.rows, self._named, self._cache.hand_out

        def consulted(
            key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], asked: float = 0.0, kind: Any = Flight
        ) -> Any:
            row = rows.get(key)
            if row is not None and kind is Flight:
                kind = look(key, args, kwargs, asked, row)
                if kind is None:
                    return hand_out(row[0])
            return load(key, args, kwargs, asked, named(kind, key, args, kwargs))

        return consulted

    def consult_async(self, load: Load) -> Load:
        """Look closer before the asynchronous *load*."""
        look = self._looker(load, _async.home(), _async.Signal, _async.spawn)
        rows, named, hand_out = self._cache.shelf.rows, self._named, self._cache.hand_out

        async def consulted(
            key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], asked: float = 0.0, kind: Any = Flight
        ) -> Any:
            row = rows.get(key)
            if row is not None and kind is Flight:
                kind = look(key, args, kwargs, asked, row)
                if kind is None:
                    return hand_out(row[0])
            return await load(key, args, kwargs, asked, named(kind, key, args, kwargs))

        return consulted

    def wrap(self, handler: Handler) -> Handler:
        """Let an old result stand in where *handler* fails."""
        settle, excuses, hand_out = self._settle, self._excuses, self._cache.hand_out

        def guarded(flight: Any) -> Any:
            flight.vet()
            try:
                value = handler(flight)
            except Exception as error:
                if not excuses(flight, type(error)):
                    raise
                return hand_out(flight.old[0])
            return settle(flight, value)

        return guarded

    def wrap_async(self, handler: AsyncHandler) -> AsyncHandler:
        """Let an old result stand in where *handler* fails."""
        settle, excuses, hand_out = self._settle, self._excuses, self._cache.hand_out

        async def guarded(flight: Any) -> Any:
            flight.vet()
            try:
                value = await handler(flight)
            except Exception as error:
                if not excuses(flight, type(error)):
                    raise
                return hand_out(flight.old[0])
            return settle(flight, value)

        return guarded

    def _looker(
        self, load: Load, home: Home | None, signal: Signal, spawn: Spawn
    ) -> Callable[..., Callable[[], Flight] | None]:
        """What looks at a row: None, it is handed out; or the kind of flight that the call is to be."""
        now, zone_of, is_flying, reloads = self._cache.now, self._terms.zone, self._flights.is_flying, self._reloads
        ledger, rows = self._cache.shelf.ledger, self._cache.shelf.rows

        def reload(
            key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], row: Row, waiter: Waiting | None
        ) -> bool:
            flight = Reload(row, self._name, waiter, partial(self._makes, key, copy_context()))
            flight.tags = None if self._by_result else row[3].tags
            errand = Errand(
                scope_of(key),
                board=partial(self._flights.reserve, key, flight, home or _nowhere, signal),
                work=partial(load, key, args, kwargs, 0.0, lambda: flight),
                ended=partial(self._ended, key, flight),
                fence=partial(self._flights.take_off, key, flight),
            )
            begun = reloads.begin(errand, spawn)
            flight.begun()
            return begun

        def look(
            key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], asked: float, row: Row
        ) -> Callable[[], Flight] | None:
            moment, begun = now(), False
            zone = zone_of(row[3], moment)
            if zone is GONE:
                return Flight
            if zone is not FRESH and not row[3].is_cooling(zone, moment):
                if zone is SPARE and not self._soft:
                    return Flight
                idle = not is_flying(key)
                waiter = Waiting(row[3].reason) if zone is SPARE else None
                begun = idle and reload(key, args, kwargs, row, waiter)
                if waiter is not None and begun:
                    ledger.note(key, waiter.reason)
                    return lambda: waiter
                if zone is SPARE and (not idle or is_flying(key) or rows.get(key) is not row):
                    return Flight  # another reloads it, or has just done so
                if zone is not AHEAD and idle and not begun and reloads.closed:
                    return Flight
            self._serve(key, row, zone, moment, asked, begun)
            return None

        return look

    def _makes(self, key: Hashable, context: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether these arguments make that key in *context*."""
        try:
            return bool(context.run(self._key_of, args, kwargs) == key)
        except Exception:  # noqa: BLE001 - they make none any more
            return False

    def _named(self, kind: Any, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """That kind of flight, which knows what its result will be called."""
        if not self._cache.config.tags or key is UNKEYED:
            return kind
        flight = kind()
        flight.tags = None if self._by_result else self.tags_of(args, kwargs, None)
        return lambda: flight

    def _serve(self, key: Hashable, row: Row, zone: Zone, moment: float, asked: float, begun: bool) -> None:
        """*row* is handed out: count it, and say so."""
        fresh = zone in (FRESH, AHEAD)
        try:
            self._cache.shelf.touch(key)
        except KeyError:
            pass
        self._cache.shelf.hits += 1
        if fresh:
            self._terms.use(row[3], moment)
        self._loader.serve(asked or moment, fresh=fresh, begun=begun)

    def _ended(self, key: Hashable, flight: Reload, error: BaseException | None) -> None:
        """The reload is over, even if it never began: nobody is left waiting for it."""
        if error is not None and flight.old is not None:
            self._flights.cool(flight)
        if flight.in_vain:
            self._reloads.failures += 1
            if self._loader.metrics is not None:
                self._loader.metrics.record_reload_failure()
        flight.let_go()
        self._flights.end(key, flight)

    def _settle(self, flight: Any, value: Any) -> Any:
        """*value* is there: name it; or, if it is a stand-in for what cannot be had, take an old result instead."""
        if flight.storable:
            flight.vet()
            if self._by_result:
                flight.tags = self.tags_of(flight.args, flight.kwargs, value)
            return value
        return self._cache.hand_out(flight.old[0]) if self._excuses(flight, flight.failure) else value

    def _excuses(self, flight: Any, kind: type[Exception] | None) -> bool:
        """Whether an old result stands in for that kind of error; in any case nobody who has one tries again at once."""
        flight.vet()
        flight.failed = True
        if flight.old is None:
            return False
        excused = kind is not None and self._flights.excuses(kind)
        self._flights.cool(flight, excused=excused)
        if kind is not None:
            flight.trouble = f"the call raised {kind.__name__}"
        if not (excused and flight.excusable and self._flights.spare(flight.old, self._cache.now())):
            return False
        flight.storable, flight.source = False, "stale"
        return True


def _nowhere() -> None:
    """Where a reload lives that is about to begin in a thread."""
