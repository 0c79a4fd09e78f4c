"""How long a result is good for, and for what: the zones of its life. Pure: the time and the die come in.

::

    born ──── fresh ────┬─ ahead ─┬──── stale ────┬──── spare ────┬── gone
             handed out │ handed  │ handed out,   │ stands in for │
                        │ out,    │ reload behind │ a result that │
                        │ reload  │               │ cannot be had │
                      behind     TTL
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from math import inf, log
from typing import Literal

from .barriers import Barriers

REACH = 53 * log(2)
"""No draw of XFetch is larger: the die has 53 bits."""


class Zone(Enum):
    """What can be done with an entry."""

    FRESH = "fresh"
    AHEAD = "ahead"
    """Fresh, and about to be reloaded."""
    STALE = "stale"
    """Good enough while it is being reloaded."""
    SPARE = "spare"
    """Good enough if nothing better can be had."""
    GONE = "gone"


FRESH, AHEAD, STALE, SPARE, GONE = Zone


class Entry:
    """What is known of one result beside its value."""

    ahead: float = inf
    """When it is to be reloaded ahead of its end."""
    failed: bool = False
    """It is no result, but an error."""
    retry_at: float = -inf
    """When it may be reloaded again, after a reload that failed."""
    excused: bool = False
    """That reload failed with an error which it stands in for."""
    reason: Literal["expired", "invalidated"] = "expired"
    """Why it is good no longer, once that is so."""

    def __init__(self, born: float, life: float, took: float, tags: Sequence[str] | None, mark: int) -> None:
        self.born = born
        self.used = born
        """When it was handed out last as a fresh one."""
        self.until = born + life
        """When its TTL is over, or it was called stale."""
        self.gone_at = self.until
        """When it is of no use any more, if nobody uses it."""
        self.took = took
        """Seconds it took to compute."""
        self.tags = tags
        """What it is called; None: it may be called anything."""
        self.mark = mark
        """The last invalidation of a tag that it is known to have survived."""

    def is_cooling(self, zone: Zone, now: float) -> bool:
        """Whether it is to be left as it is, since a reload has failed just now."""
        return now < self.retry_at and (self.excused or zone is not SPARE)

    def void(self) -> None:
        """It is of no use any more, even to those who have it in hand."""
        self.until = self.gone_at = -inf


class Terms:
    """The terms of one cache, in seconds from the end of the TTL where nothing else is said.

    Args:
        barriers: The invalidations of tags.
        ahead: The fraction of the TTL after which an entry is reloaded.
        revalidate: How long it is handed out although stale.
        if_error: How long it stands in for a result that cannot be had.
        idle: Seconds after which an unused entry is stale.
        beta: How eagerly it is reloaded early, at random.
        die: A random number from 0 to less than 1.
        watched: Whether every use of an entry must be looked at.
    """

    __slots__ = ("ahead", "barriers", "beta", "die", "idle", "if_error", "lingers", "revalidate", "watched")

    def __init__(
        self,
        *,
        barriers: Barriers,
        ahead: float,
        revalidate: float,
        if_error: float,
        idle: float,
        beta: float,
        die: Callable[[], float],
        watched: bool,
    ) -> None:
        self.barriers = barriers
        self.ahead = ahead
        self.revalidate = revalidate
        self.if_error = if_error
        self.lingers = max(revalidate, if_error)
        self.idle = idle
        self.beta = beta
        self.die = die
        self.watched = watched

    def begin(self, entry: Entry, *, failed: bool = False) -> float:
        """Set the dates of a new *entry*; return the time until which it can be handed out without looking closer."""
        born, until = entry.born, entry.until
        if failed:
            entry.failed = True
            return -inf
        if self.ahead < 1:
            entry.ahead = born + (until - born) * self.ahead
        entry.gone_at = min(until, born + self.idle) + self.lingers
        if self.watched or entry.tags:
            return -inf
        return min(entry.ahead, until - REACH * self.beta * entry.took if self.beta else until)

    def zone(self, entry: Entry, now: float) -> Zone:
        """What can be done with *entry* now."""
        if entry.mark < self.barriers.number and entry.tags != () and self._is_revoked(entry):
            return GONE
        until, idle = entry.until, entry.used + self.idle
        until = min(until, idle)
        if now < until:
            early = now >= entry.ahead or (self.beta and now + self._draw(entry) >= until)
            return AHEAD if early and not entry.failed else FRESH
        if entry.failed:
            return GONE
        if now < until + self.revalidate:
            return STALE
        return SPARE if now < until + self.if_error else GONE

    def use(self, entry: Entry, now: float) -> None:
        """*entry* is handed out as a fresh one."""
        entry.used = now
        if self.idle < inf:
            entry.gone_at = min(entry.until, now + self.idle) + self.lingers

    def _is_revoked(self, entry: Entry) -> bool:
        """Compare *entry* with the barriers raised since it was last compared."""
        number = self.barriers.number
        if entry.tags is None:
            revoked, since = self.barriers.outdate(None, entry.mark), None
        else:
            revoked, since = self.barriers.before(entry.tags, entry.mark)
        if revoked:
            entry.reason = "invalidated"
            entry.void()
            return True
        if since is not None and since < entry.until:
            entry.reason = "invalidated"
            entry.until = since
        entry.mark = number
        return False

    def _draw(self, entry: Entry) -> float:
        """Seconds by which the end of *entry* is brought forward this time (XFetch)."""
        return -entry.took * self.beta * log(1.0 - self.die())
