"""What a cache is made of whose settings ask for more than a size and a TTL."""

from __future__ import annotations

from math import inf

from .. import _async, _blocking
from .._settings import seconds
from .._wiring import roll
from ..clock import Clock, SystemClock
from .barriers import Barriers
from .config import CacheConfig
from .flights import LOOK
from .keeper import Keeper
from .reloads import Reloads
from .shelf import Row
from .tags import names
from .terms import AHEAD, FRESH, Terms
from .weighed_shelf import WeighedShelf
from .zoned_flights import ZonedFlights

_SYSTEM = SystemClock()
"""Measures how long closing takes, whatever clock the cache has: nobody may move that on meanwhile."""


class Options:
    """The machines of a cache that is asked for more than a size and a TTL."""

    def __init__(self, config: CacheConfig, clock: Clock, *, measured: bool) -> None:
        self._barriers = Barriers()
        self.terms = _terms(config, self._barriers)
        self.keeper = Keeper(config, self.terms, roll, weighs=measured)
        self.shelf = WeighedShelf(config.max_size, float(config.max_weight or inf), config.policy)
        self.flights = ZonedFlights(self.shelf, self.keeper, self.terms, config, clock)
        self.reloads = Reloads(config.max_reloads)

    def is_fresh(self, row: Row, now: float) -> bool:
        """Whether *row* can be handed out as it is."""
        return self.terms.zone(row[3], now) in (FRESH, AHEAD)

    def close(self, timeout: float) -> bool:
        """End the reloads."""
        deadline = _SYSTEM.monotonic() + timeout
        while waiting := [each for each in self.reloads.close() if not _blocking.blocks(each.task)]:
            if _SYSTEM.monotonic() >= deadline:
                break
            signal = _blocking.Signal()
            waiting[0].when_over(signal.set)
            signal.wait(_SYSTEM, deadline, LOOK)
        return self.reloads.running == 0

    async def close_async(self, timeout: float) -> bool:  # noqa: ASYNC109 - it says whether, and raises nothing
        """End the reloads."""
        deadline = _SYSTEM.monotonic() + timeout
        while waiting := [each for each in self.reloads.close() if not _async.blocks(each.task)]:
            if _SYSTEM.monotonic() >= deadline:
                break
            signal = _async.Signal()
            waiting[0].when_over(signal.set)
            await signal.wait(_SYSTEM, deadline, LOOK)
        return self.reloads.running == 0

    checked = staticmethod(names)
    """Tags, if they are names."""

    def invalidate_tag(self, tag: str, stale_since: float | None) -> None:
        """Raise a barrier before all that has *tag*; the holder locks."""
        if stale_since is None:
            self._barriers.raise_hard(tag)
        else:
            self._barriers.raise_soft(tag, stale_since)
        rows = self.shelf.rows
        if self._barriers.crowded(len(rows)):
            used = [tag for row in [*rows.values()] for tag in row[3].tags or ()]
            self._barriers.thin_out(used, self.flights.oldest_mark(self._barriers.number))


def _terms(config: CacheConfig, barriers: Barriers) -> Terms:
    idle = seconds(config.tti) or inf
    return Terms(
        barriers=barriers,
        ahead=1.0 if config.refresh_ahead is None else config.refresh_ahead,
        revalidate=seconds(config.stale_while_revalidate),
        if_error=seconds(config.stale_if_error),
        idle=idle,
        beta=config.early_beta,
        die=roll,
        watched=idle < inf or config.copy != "none",
    )
