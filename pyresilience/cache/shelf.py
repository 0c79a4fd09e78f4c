"""What is kept: entries in LRU order, each with its deadline. No clock, no lock.

Reading is a plain look into `rows`, and `touch` for what was found; whoever writes holds a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, Literal, TypeAlias

Row: TypeAlias = tuple[Any, ...]
"""A value, the time it is good until, and where it matters its weight."""

Cause: TypeAlias = Literal["size", "expired", "invalidated", "replaced"]
"""Why a row leaves: no room, its time is over, somebody asked for it, or another takes its place."""


class Shelf:
    """At most *size* rows; the least recently used one goes first."""

    __slots__ = ("hits", "misses", "rows", "size", "touch", "weigh")

    def __init__(self, size: int) -> None:
        self.size = size
        self.hits = 0
        self.misses = 0
        self.rows: OrderedDict[Hashable, Row] = OrderedDict()
        self.touch = self.rows.move_to_end
        """Make a row the most recently used one; KeyError: it has just been dropped."""
        self.weigh: Callable[[Any], int] | None = None
        """Tells how heavy a value is, before it is put; None: nobody wants to know."""

    def put(self, key: Hashable, value: Any, until: float, weight: int = 0) -> None:
        """Keep *value* until then under a *key* that is not there, as the most recently used."""
        rows = self.rows
        rows[key] = value, until
        if len(rows) > self.size:
            try:
                rows.popitem(False)
            except KeyError:  # a signal handler has just emptied it
                return

    def read(self, key: Hashable, now: float) -> Row | None:
        """The row under *key*, made the most recently used; None: there is none, or its time is over. Counted."""
        row = self.rows.get(key)
        if row is None or now >= row[1]:
            self.misses += 1
            return None
        with suppress(KeyError):
            self.touch(key)
        self.hits += 1
        return row

    def drop(self, key: Hashable, cause: Cause) -> bool:
        """Forget *key*; False: it was not there."""
        return self.rows.pop(key, None) is not None

    def holdings(self, scope: Hashable | None) -> Any:
        """What it holds of the function of *scope*, or of all; None: it does not keep account."""
        return None

    def clear(self) -> None:
        """Forget everything, the counts too."""
        self.rows.clear()
        self.hits = self.misses = 0
