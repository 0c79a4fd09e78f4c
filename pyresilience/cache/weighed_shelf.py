"""A shelf that keeps account of what it holds and has let go, function by function, as it goes. Pure.

Between a look at the rows, their change and the entry in the account stands no call, so that neither an interrupt nor a
signal handler that uses the same cache comes between them.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from math import inf

from ..policies.eviction import ORDERS, EvictionOrder
from .keys import scope_of
from .shelf import Cause, Row, Shelf


class Holdings:
    """What a cache, or one function in a shared cache, holds and has let go."""

    __slots__ = ("entries", "gone", "max_entries", "size_bytes")

    def __init__(self, max_entries: int) -> None:
        self.entries = 0
        self.max_entries = max_entries
        self.size_bytes: float = 0
        self.gone: dict[Cause, int] = {"size": 0, "expired": 0, "invalidated": 0, "replaced": 0}
        """Entries that left, by cause."""

    @property
    def evicted(self) -> tuple[int, int, int]:
        """Entries that left: for want of room, expired, invalidated."""
        return self.gone["size"], self.gone["expired"], self.gone["invalidated"]


class WeighedShelf(Shelf):
    """At most *size* rows that weigh at most *capacity*, each with its weight, and the sums that belong to them.

    Args:
        size: How many.
        capacity: How heavy all together.
        policy: Who leaves when there is no room: `"lru"`, or one of `ORDERS`.
    """

    __slots__ = ("_order", "_others", "_shares", "capacity", "whole")

    def __init__(self, size: int, capacity: float = inf, policy: str = "lru") -> None:
        super().__init__(size)
        self.capacity = capacity
        self._order: EvictionOrder | None = None
        if policy != "lru":
            self._order = ORDERS[policy](size)
            self.touch = self._order.touch
        self.whole = Holdings(size)
        """The account of all that is there."""
        self._shares: dict[Hashable, Holdings] = {}
        self._others = Holdings(size)
        """What belongs to no function of a shared cache."""

    def holdings(self, scope: Hashable | None) -> Holdings:
        """What it holds of the function of *scope*, or of all."""
        return self.whole if scope is None else self._shares.setdefault(scope, Holdings(self.size))

    def put(self, key: Hashable, row: Row, now: float) -> None:
        """Keep *row* under *key*, as the most recently used; what it replaces leaves it its place in the order."""
        whole, share, weight = self.whole, self._share(key), row[2]
        while key in self.rows:
            self._let_go(key, "replaced")
        self.rows[key] = row
        whole.entries += 1
        share.entries += 1
        whole.size_bytes += weight
        share.size_bytes += weight
        if (until := self.until(row)) < self.agenda.horizon:
            self.agenda.add(key, until)
        order = self._order
        if order is not None:
            if key in order:
                order.touch(key)
            else:
                order.add(key)
        while len(self.rows) > self.size or (whole.size_bytes > self.capacity and self.rows):
            self._make_room(now)

    replace = put

    def until(self, row: Row) -> float:
        """When *row* is of no use any more."""
        entry = row[3]
        until: float = row[1] if entry is None else entry.gone_at
        return until

    def drop(self, key: Hashable, cause: Cause) -> bool:
        """Forget *key*; False: it was not there."""
        there = self._let_go(key, cause)
        if there and self._order is not None:
            self._order.discard(key)
        return there

    def _let_go(self, key: Hashable, cause: Cause) -> bool:
        """Take the row of *key* off, and keep account of it; False: it was not there."""
        whole, share = self.whole, self._share(key)
        try:
            row = self.rows[key]
            del self.rows[key]
        except KeyError:
            return False
        whole.entries -= 1
        share.entries -= 1
        whole.size_bytes -= row[2]
        share.size_bytes -= row[2]
        whole.gone[cause] += 1
        share.gone[cause] += 1
        if not whole.entries:
            whole.size_bytes = 0  # what sums of fractions are wrong by goes with the last entry
        if not share.entries:
            share.size_bytes = 0
        if row[3] is not None and cause != "size":
            row[3].void()
        return True

    def clear(self) -> None:
        """Forget everything, the counts too."""
        for key in [*dict.keys(self.rows)]:
            self.drop(key, "invalidated")
        while self.rows:
            self._drop_lost("invalidated")
        self.agenda.clear()
        if self._order is not None:
            self._order.clear()
        self.hits = self.misses = 0

    def _make_room(self, now: float) -> None:
        """Let one row go, if a hit does not move it just now."""
        if now >= self.agenda.soonest and self._drop_due(now):
            return
        with suppress(RuntimeError, StopIteration):
            key = self._victim()
            if self.drop(key, "size"):
                self.ledger.note(key, "evicted")
            elif next(iter(dict.keys(self.rows)), None) is key:
                self._drop_lost("size")

    def _drop_lost(self, cause: Cause) -> None:
        """Forget the oldest row, whose key cannot be found any more: the hash of an object in it has changed."""
        with suppress(KeyError):
            key, row = self.rows.popitem(False)
            self.rows[key] = row  # under the hash that it has now
            self.drop(key, cause)

    def _victim(self) -> Hashable:
        """Who leaves."""
        order = self._order
        if order is None:
            return next(iter(self.rows))
        if len(order) != len(self.rows):
            self._reconcile(order)
        with suppress(LookupError):
            return order.victim()
        return next(iter(self.rows))

    def _reconcile(self, order: EvictionOrder) -> None:
        """Let *order* know of the rows that are there and of no others, after an interrupt has come between."""
        keys = [*dict.keys(self.rows)]
        there = {*map(id, keys)}
        for key in keys:
            with suppress(Exception):  # it is the user's own __hash__
                if key not in order:
                    order.add(key)
        for key in order:
            with suppress(Exception):
                if id(key) not in there and key not in self.rows:
                    order.discard(key)

    def _share(self, key: Hashable) -> Holdings:
        """The account of the function that *key* belongs to."""
        scope = scope_of(key) if self._shares else None
        return self._others if scope is None else self._shares.get(scope, self._others)
