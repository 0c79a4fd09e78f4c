"""A shelf that keeps account of what it holds and has let go, function by function, as it goes. Pure.

Between a look at the rows, their change and the entry in the account stands no call, so that neither an interrupt nor a
signal handler that uses the same cache comes between them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from .keys import scope_of
from .shelf import Cause, Shelf
from .weight import weight_of


class Holdings:
    """What a cache, or one function in a shared cache, holds and has let go."""

    __slots__ = ("entries", "gone", "max_entries", "size_bytes")

    def __init__(self, max_entries: int) -> None:
        self.entries = 0
        self.max_entries = max_entries
        self.size_bytes = 0
        self.gone: dict[Cause, int] = {"size": 0, "expired": 0, "invalidated": 0, "replaced": 0}
        """Entries that left, by cause."""

    @property
    def evicted(self) -> tuple[int, int, int]:
        """Entries that left: for want of room, expired, invalidated."""
        return self.gone["size"], self.gone["expired"], self.gone["invalidated"]


class WeighedShelf(Shelf):
    """At most *size* rows, each with its weight, and the sums that belong to them."""

    __slots__ = ("_others", "_shares", "_whole")

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.weigh = weight_of
        self._whole = Holdings(size)
        self._shares: dict[Hashable, Holdings] = {}
        self._others = Holdings(size)
        """What belongs to no function of a shared cache."""

    def holdings(self, scope: Hashable | None) -> Holdings:
        """What it holds of the function of *scope*, or of all."""
        return self._whole if scope is None else self._shares.setdefault(scope, Holdings(self.size))

    def put(self, key: Hashable, value: Any, until: float, weight: int = 0) -> None:
        """Keep *value* until then under *key*, as the most recently used."""
        whole, share, row = self._whole, self._share(key), (value, until, weight)
        while len(self.rows) >= self.size and key not in self.rows:
            self._drop_oldest()
        while key in self.rows:
            self.drop(key, "replaced")
        self.rows[key] = row
        whole.entries += 1
        share.entries += 1
        whole.size_bytes += weight
        share.size_bytes += weight
        while len(self.rows) > self.size:
            self._drop_oldest()

    def drop(self, key: Hashable, cause: Cause) -> bool:
        """Forget *key*; False: it was not there."""
        whole, share = self._whole, self._share(key)
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
        return True

    def clear(self) -> None:
        """Forget everything, the counts too."""
        for key in [*self.rows]:
            self.drop(key, "invalidated")
        self.hits = self.misses = 0

    def _drop_oldest(self) -> None:
        """Drop what was used least recently, if anything is left."""
        try:
            self.drop(next(iter(self.rows)), "size")
        except (RuntimeError, StopIteration):  # a hit has moved a row just now, or all are gone
            return

    def _share(self, key: Hashable) -> Holdings:
        """The account of the function that *key* belongs to."""
        scope = scope_of(key) if self._shares else None
        return self._others if scope is None else self._shares.get(scope, self._others)
