"""A shelf that keeps account of what it holds and has let go, function by function, as it goes. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from .keys import scope_of
from .shelf import Cause, Row, Shelf
from .weight import weight_of


class Holdings:
    """What a cache, or one function in a shared cache, holds and has let go."""

    __slots__ = ("entries", "evicted", "max_entries", "size_bytes")

    def __init__(self, max_entries: int) -> None:
        self.entries = 0
        self.max_entries = max_entries
        self.size_bytes = 0
        self.evicted = (0, 0, 0)
        """Entries that left: for want of room, expired, invalidated."""

    def gain(self, weight: int) -> None:
        """An entry came."""
        self.entries += 1
        self.size_bytes += weight

    def lose(self, weight: int, cause: Cause) -> None:
        """An entry left."""
        self.entries -= 1
        self.size_bytes -= weight
        size, expired, invalidated = self.evicted
        self.evicted = size + (cause == "size"), expired + (cause == "expired"), invalidated + (cause == "invalidated")


class WeighedShelf(Shelf):
    """At most *size* rows, each with its weight, and the sums that belong to them."""

    __slots__ = ("_shares", "_whole")

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.weigh = weight_of
        self._whole = Holdings(size)
        self._shares: dict[Hashable, Holdings] = {}

    def holdings(self, scope: Hashable | None) -> Holdings:
        """What it holds of the function of *scope*, or of all."""
        return self._whole if scope is None else self._shares.setdefault(scope, Holdings(self.size))

    def put(self, key: Hashable, value: Any, until: float, weight: int = 0) -> None:
        """Keep *value* until then under a *key* that is not there, as the most recently used."""
        if key in self.rows:
            self.drop(key, "replaced")
        self.rows[key] = value, until, weight
        self._whole.gain(weight)
        if self._shares and (share := self._shares.get(scope_of(key))):
            share.gain(weight)
        if len(self.rows) > self.size:
            self._let_go(*self.rows.popitem(False), "size")

    def drop(self, key: Hashable, cause: Cause) -> bool:
        """Forget *key*; False: it was not there."""
        row = self.rows.pop(key, None)
        if row is None:
            return False
        self._let_go(key, row, cause)
        return True

    def clear(self) -> None:
        """Forget everything, the counts too."""
        for key in list(self.rows):
            self.drop(key, "invalidated")
        super().clear()

    def _let_go(self, key: Hashable, row: Row, cause: Cause) -> None:
        self._whole.lose(row[2], cause)
        if self._shares and (share := self._shares.get(scope_of(key))):
            share.lose(row[2], cause)
